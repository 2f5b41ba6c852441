"""Read the form of a request: `request-json`, and a file that goes straight to the disk."""

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable

import attrs
from starlette.requests import Request

from .files import FileStore, IncomingFile, NoRoom
from .multipart import FormError, MultipartReader, PartBegins, PartData, boundary_of
from .settings import ServerSettings
from .wire import PageError

Body = AsyncIterator[bytes]

FIELD = "request-json"

READ_ON = 4
"""A body of up to this many times the largest upload is read to its end before it is refused."""


class TooLarge(Exception):
    """The upload is larger than this server takes."""


@attrs.frozen
class Form:
    """What nova looks at in a request: everything else in it is ignored."""

    request_json: str | None = None
    file: IncomingFile | None = None
    filename: str = ""


@contextlib.asynccontextmanager
async def reading_form(
    request: Request, *, store: FileStore, settings: ServerSettings
) -> AsyncIterator[Form]:
    """Yield the form of a request; an empty one if it has none, as nova does.

    Its file is gone after the block, unless it was kept.

    Raises
    ------
    TooLarge
        The body is larger than `settings.upload_bytes`.
    NoRoom
        The disk is full.
    PageError
        The form is broken, or its `request-json` larger than `settings.form_bytes`.
    """
    async with contextlib.AsyncExitStack() as stack:
        parts = stack.enter_context(_Parts(store, settings.form_bytes))
        body = request.stream()
        try:
            form = await _read(request, body, parts, settings, stack)
        except (PageError, TooLarge, NoRoom):
            if int(request.headers["content-length"]) <= READ_ON * settings.upload_bytes:
                async for _ in body:  # most clients listen only after they have sent everything
                    pass
            raise
        yield form


async def _read(
    request: Request,
    body: Body,
    parts: "_Parts",
    settings: ServerSettings,
    stack: contextlib.AsyncExitStack,
) -> Form:
    length = request.headers.get("content-length", "")
    if request.method != "POST" or not length.isdecimal():  # nova reads no chunked bodies
        return Form()
    if int(length) > settings.upload_bytes:
        raise TooLarge(
            f"an upload of {length} bytes is larger than this server takes ({settings.upload_bytes} bytes)"
        )
    content_type = request.headers.get("content-type", "")
    boundary = boundary_of(content_type)
    if boundary:
        room = parts.store.room(int(length))
        return await _read_multipart(
            body, MultipartReader(boundary), parts, lambda: stack.enter_async_context(room)
        )
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return await _read_urlencoded(body, settings)
    return Form()


async def _read_urlencoded(body: Body, settings: ServerSettings) -> Form:
    form = bytearray()
    async for chunk in body:
        form += chunk
        if len(form) > settings.form_bytes:
            raise PageError(400, "the form is too large")
    fields = urllib.parse.parse_qs(form.decode("utf-8", "replace"), keep_blank_values=True)
    return Form(request_json=fields.get(FIELD, [None])[-1])


async def _read_multipart(
    body: Body, reader: MultipartReader, parts: "_Parts", make_room: Callable[[], Awaitable[None]]
) -> Form:
    try:
        async for chunk in body:
            for event in reader.feed(chunk):
                if parts.file is None and parts.brings_file(event):
                    await make_room()
                parts.take(event)
        reader.close()
    except FormError as error:
        raise PageError(400, str(error)) from error
    return Form(parts.request_json, parts.file, parts.filename)


class _Parts:
    """Sort the parts of a form: the JSON into memory, the file onto the disk, the rest away."""

    def __init__(self, store: FileStore, form_bytes: int) -> None:
        self.store, self._left_bytes = store, form_bytes
        self._part: PartBegins | None = None
        self._json: bytearray | None = None
        self.file: IncomingFile | None = None
        self.filename = ""

    def __enter__(self) -> "_Parts":
        return self

    def __exit__(self, *exc: object) -> None:
        if self.file is not None:
            self.file.__exit__(*exc)

    def brings_file(self, event: object) -> bool:
        return isinstance(event, PartBegins) and event.filename is not None and event.name == "file"

    @property
    def request_json(self) -> str | None:
        return None if self._json is None else self._json.decode("utf-8", "replace")

    def take(self, event: object) -> None:
        if isinstance(event, PartBegins):
            self._begin(event)
        elif isinstance(event, PartData) and self._part:
            self._data(self._part, event.data)

    def _begin(self, part: PartBegins) -> None:
        self._part = part
        if part.filename is not None and part.name == "file":
            self.__exit__()  # as on nova, the last one counts
            self.file, self.filename = self.store.begin(), part.filename
        elif part.name == FIELD:
            self._json = bytearray()

    def _data(self, part: PartBegins, data: bytes) -> None:
        if part.filename is not None:
            if part.name == "file" and self.file:
                self.file.write(data)
            return
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise PageError(400, "the fields beside the file are too large")
        if part.name == FIELD and self._json is not None:
            self._json += data
