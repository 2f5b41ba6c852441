"""Files leave from disk, whole, named and typed, and never fill the memory."""

import email.parser
import email.policy
import gzip
import hashlib
import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import attrs
import pytest
import requests
from loopback import loopback
from recordings import recording

from astrometry_client.errors import InputError, UnreadableFileError
from astrometry_client.session.file_contents import content_of
from astrometry_client.session.files import SessionFileMixin, streamed_form


class FileSession(SessionFileMixin, requests.Session):
    pass


@pytest.fixture
def server():
    with loopback() as server:
        yield server


@pytest.fixture
def session():
    with FileSession() as session:
        yield session


@attrs.frozen
class Part:
    name: str
    filename: str | None
    content_type: str | None
    content: bytes


def parts_of(received) -> list[Part]:
    """Parse a form with the parser of the standard library for e-mail."""
    head = f"Content-Type: {received.headers['content-type']}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + received.body)
    assert not form.defects
    return [
        Part(
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part["Content-Type"] and str(part["Content-Type"]),
            part.get_payload(decode=True),
        )
        for part in form.iter_parts()
    ]


def sent(session, server, **kwargs) -> list[Part]:
    assert session.post(server.url + "/api/upload", **kwargs).ok
    received = server.received[-1]
    assert "transfer-encoding" not in received.headers
    assert int(received.headers["content-length"]) == received.size_bytes
    return parts_of(received)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "M31.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(range(256)) * 300)
    return path


@pytest.mark.parametrize(
    "form", [str, lambda path: path, lambda path: path.open("rb")], ids=["str", "Path", "open"]
)
def test_path_and_open_file_carry_their_name_and_kind(form, session, server, image):
    source = form(image)
    assert sent(session, server, files={"file": source}) == [
        Part("file", "M31.jpg", "image/jpeg", image.read_bytes())
    ]
    if not isinstance(source, str | os.PathLike):
        assert not source.closed
        source.close()


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ((), "application/fits"),
        (("image/x-own",), "image/x-own"),
        (("image/x-own", {"X-More": "1"}), "image/x-own"),
    ],
)
def test_tuple_sets_name_kind_and_headers(rest, kind, session, server, image):
    parts = sent(session, server, files=[("file", ("other.fits", image, *rest))])
    assert parts == [Part("file", "other.fits", kind, image.read_bytes())]
    assert (b"X-More: 1\r\n" in server.received[-1].body) == (len(rest) == 2)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image/png"),
        ("a.FITS", "application/fits"),
        ("a.fits.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_kind_is_guessed_from_the_name(name, kind, session, server):
    assert sent(session, server, files={"file": (name, b"abc")}) == [Part("file", name, kind, b"abc")]


def test_plain_fields_go_first_as_the_server_expects(session, server, image):
    parts = sent(
        session,
        server,
        data={"request-json": '{"session": "é"}', "n": 3, "many": ["a", "b"], "none": None},
        files={"file": image, "as-field": (None, "text")},
    )
    names = [part.name for part in parts]
    assert names == ["request-json", "n", "many", "many", "as-field", "file"]
    assert parts[0] == Part("request-json", None, None, '{"session": "é"}'.encode())
    # Source: recorded exchange.
    recorded = recording("upload_file_ok").request_body
    assert recorded.index(b'name="request-json"') < recorded.index(b'name="file"')


def test_file_name_in_any_script_goes_as_the_server_reads_it(session, server, image):
    name = "M31 – façade.jpg"
    sent(session, server, files={"file": (name, image)})
    # Source: recorded exchange, plain UTF-8 between quotes.
    written = f'filename="{name}"'.encode()
    assert written in recording("upload_file_nonascii_name").request_body
    assert written in server.received[-1].body


def test_file_name_cannot_break_out_of_its_header(session, server, image):
    parts = sent(session, server, files={"file": ('a"\r\nX: y.jpg', image)})
    assert parts[0].content == image.read_bytes()
    assert b"\r\nX: y" not in server.received[-1].body


def test_own_content_type_header_cannot_hide_the_boundary(session, server, image):
    parts = sent(session, server, files={"file": image}, headers={"content-type": "text/plain", "X-Own": "1"})
    assert parts[0].filename == "M31.jpg"
    assert server.received[-1].headers["x-own"] == "1"


def test_open_file_is_sent_from_where_it_stands(session, server, image):
    with image.open("rb") as file:
        file.seek(100)
        assert sent(session, server, files={"file": file})[0].content == image.read_bytes()[100:]


def test_standard_input_is_sent(session, server, monkeypatch):
    ours, theirs = os.pipe()
    os.write(theirs, b"from a pipe")
    os.close(theirs)
    with os.fdopen(ours) as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        part, named = sent(session, server, files=[("file", "-"), ("file", ("sky.fits", b""))])
    assert part == Part("file", "stdin", "application/octet-stream", b"from a pipe")
    assert named.filename == "sky.fits"


def test_stream_that_cannot_rewind_is_sent(session, server, tmp_path):
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"unpacked" * 999))
    with gzip.open(packed) as stream:
        assert sent(session, server, files={"file": stream})[0].content == b"unpacked" * 999


def test_requests_without_files_are_left_alone(session, server):
    session.post(server.url, data={"a": "1"})
    session.post(server.url, json={"a": 1}, files={})
    assert [request.body for request in server.received] == [b"a=1", b'{"a": 1}']


@pytest.mark.parametrize("status", [307, 308])
def test_body_is_sent_again_where_a_redirect_leads(status, session, server, image):
    def answer(request):
        return (status, {"Location": "/there"}, b"") if request.path == "/here" else (200, {}, b"{}")

    server.answer = answer
    pipe = io.BufferedReader(Unseekable(b"abc"))
    session.post(server.url + "/here", files={"file": image, "pipe": pipe})
    first, second = server.received
    assert second.path == "/there"
    assert first.sha1 == second.sha1
    assert parts_of(second)[1].content == b"abc"


class Unseekable(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._data.readinto(buffer)


def test_body_can_be_read_from_anywhere(image):
    with streamed_form({"a": "1"}, {"file": image}) as body:
        whole = body.read()
        assert len(whole) == len(body) == body.tell()
        assert body.read() == body.read(5) == b""
        for offset in (0, 1, 100, 5000, len(body) - 3):
            assert body.seek(offset) == body.tell() == offset
            assert body.read(1000) == whole[offset : offset + 1000]
        assert body.seek(-2, io.SEEK_END) == len(body) - 2
        assert body.seek(0) == 0
        assert b"".join(body) == whole


def test_body_shows_names_but_no_values(image):
    text = repr(streamed_form({"request-json": "secret"}, {"file": image}))
    assert "request-json" in text
    assert "M31.jpg" in text
    assert "secret" not in text


@pytest.mark.parametrize("change", ["shrank", "grew"])
def test_file_that_changes_while_it_is_sent_is_not_taken_for_whole(change, session, server, image):
    size = image.stat().st_size

    class Changing(io.FileIO):
        """Changes its size as soon as the first block was read."""

        def read(self, count=-1):
            block = super().read(count)
            if count:
                os.truncate(image, size // 2 if change == "shrank" else size + 1)
            return block

    with (
        Changing(image) as file,
        pytest.raises(UnreadableFileError, match=f"M31.jpg {change} while it was sent"),
    ):
        session.post(server.url, files={"file": file})
    assert server.received == []


@pytest.mark.parametrize("read", [0, 1000, None])
def test_file_that_is_rewritten_while_it_is_sent_never_leaves_whole(read, image):
    os.utime(image, (1, 1))  # the clock of the disk ticks slowly
    with streamed_form({}, {"file": image}) as body, image.open("r+b") as file:
        body.read(len(body) - 100 if read is None else read)
        file.seek(-4, os.SEEK_END)
        file.write(b"late")
        file.flush()
        with pytest.raises(UnreadableFileError, match=f"^{image} changed while it was"):
            body.read()


def test_file_that_is_replaced_by_another_while_it_is_sent_leaves_as_it_was(image, tmp_path):
    content = image.read_bytes()
    with streamed_form({}, {"file": image}) as body:
        sent = body.read(1000)
        (tmp_path / "new").write_bytes(b"new")
        (tmp_path / "new").rename(image)
        assert content in sent + body.read()


def test_file_that_vanishes_before_a_repeat_is_named(image):
    with streamed_form({}, {"file": image}) as body:
        image.unlink()
        with pytest.raises(UnreadableFileError, match="jpg cannot be read any more"):
            body.read()


def test_file_that_cannot_be_read_any_more_is_named(image):
    content = content_of(image, field="file")
    image.unlink()
    with pytest.raises(UnreadableFileError, match="jpg cannot be read any more: No such file"):
        content.read(0, 1)


@pytest.mark.parametrize("name", ["missing.fits", "."])
def test_unreadable_path_is_reported_before_anything_is_sent(name, session, server, tmp_path):
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        session.post(server.url, files={"file": tmp_path / name})
    assert server.received == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"files": {"file": 3}}, "is int: give a path"),
        ({"files": {"file": ("a",)}}, "tuple of 1"),
        ({"files": {"file": ("a", b"", "b", {}, 5)}}, "tuple of 5"),
        ({"files": {"file": (None, 3)}}, "has no file name"),
        ({"files": {"file": io.StringIO("text")}}, "open it in binary mode"),
        ({"files": {"file": b""}, "data": b"raw"}, "data= must be"),
        ({"files": {"file": b""}, "json": {}}, "json= cannot go along"),
    ],
)
def test_what_cannot_be_sent_is_named(kwargs, message, session, server):
    with pytest.raises(InputError, match=message):
        session.post(server.url, **kwargs)
    assert server.received == []


def test_closed_file_is_named(session, server, image):
    with image.open("rb") as file:
        pass
    with pytest.raises(UnreadableFileError, match="cannot be read"):
        session.post(server.url, files={"file": file})


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_spooled_input_is_given_back_when_a_later_file_is_missing(session, server, tmp_path):
    before = open_files()
    with pytest.raises(UnreadableFileError):
        streamed_form({}, {"pipe": io.BufferedReader(Unseekable(b"abc")), "file": tmp_path / "missing"})
    assert open_files() == before


def test_nothing_stays_open_after_a_failed_request(session, image):
    with loopback() as gone:
        pass
    before = open_files()
    with pytest.raises(requests.ConnectionError):
        session.post(gone.url, files={"file": image})
    assert open_files() == before


def test_large_file_is_sent_in_constant_memory(session, server, tmp_path):
    size_bytes = 200_000_000
    sparse = tmp_path / "large.fits"
    with sparse.open("wb") as file:
        file.truncate(size_bytes)
    tracemalloc.start()
    try:
        session.post(server.url, files={"file": sparse})
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.received[0].size_bytes > size_bytes
    assert peak_bytes < 8_000_000


def test_same_file_is_sent_by_many_threads_at_once(server, image):
    def send() -> None:
        with FileSession() as session:
            session.post(server.url, files={"file": image})

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    digests = {hashlib.sha1(parts_of(request)[0].content).hexdigest() for request in server.received}
    assert digests == {hashlib.sha1(image.read_bytes()).hexdigest()}
    assert len(server.received) == 8
