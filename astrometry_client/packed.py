"""Small images that travel together: one tar, one submission, each with its own claim in the ledger."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs

from astrometry_client import api, flow
from astrometry_client.errors import AstrometryError, InputError, LedgerError, OutcomeUnknown
from astrometry_client.ledger import Entry, Holder, LeaseLostError
from astrometry_client.login import Session
from astrometry_client.models import UploadReceipt
from astrometry_client.never_stored import NEVER_STORED
from astrometry_client.request import Request, SessionRequest
from astrometry_client.session import ClientSession
from astrometry_client.uploads import FileUpload
from astrometry_client.uploads.tar_file import opener_of_tar

__all__ = ["MOST_IN_A_TAR", "Packing"]

MOST_IN_A_TAR: Final = 10
"""With 16 images in work, a tar of ten is filled while the solvers are busy with the one before."""

_GATHERING_S: Final = 0.5
"""Seconds in which the others of a tar come together, read and looked up in the ledger."""

_FEW: Final = 4
"""When the server has no more than these left to solve, a tar that is not full is not waited for."""

_STILL: Final = 0.25
"""Part of a typical solve time. When none of the images at the server waits for its turn, and none has joined
a tar for so long, no more seem to come."""

_LOOK_S: Final = 0.1
"""Seconds between two looks at how the tar is filling up."""


@attrs.define(eq=False)
class _Tar:
    """Images that will leave together."""

    files: dict[str, tuple[FileUpload, Entry]] = attrs.field(factory=dict)
    is_leaving: bool = False
    has_left: bool = False
    is_lost: bool = False
    joined_s: float = 0.0
    """When the last image joined, by the clock of the forecast."""
    pack: flow.Pack | None = None


@attrs.define(kw_only=True, eq=False)
class Packing:
    """Puts small images with the same settings together.

    Parameters
    ----------
    size
        Most files of a tar.
    is_wanted
        Whether images are sent together; those that were so earlier are gone on with all the same.
    trusts_order
        Whether the names of all jobs are asked for no longer once they were where they should be.
    """

    login: Session
    holder: Holder
    polling: flow.Polling
    forecast: flow.Forecast
    size: int = MOST_IN_A_TAR
    is_wanted: bool = False
    trusts_order: bool = False
    _open: _Tar | None = attrs.field(default=None, init=False)
    _order: flow.Order = attrs.field(init=False)
    _earlier: dict[int, flow.Pack] = attrs.field(factory=dict, init=False)
    _looking: set[flow.Pack] = attrs.field(factory=set, init=False)

    @_order.default
    def _known_order(self) -> flow.Order:
        server = self.login.base_url
        known = self.holder.names_in_tars(server)
        return flow.Order(
            known.kept,
            known.broken,
            is_trusted=self.trusts_order,
            write=partial(self.holder.found_in_tar, server),
        )

    def earlier(self, submission_id: int, filename: str) -> flow.Pack:
        """Return the pack that a file was sent in by an earlier run."""
        pack = self._earlier.get(submission_id) or self._pack(submission_id, [], whole=False)
        pack.filenames.append(filename)
        self._earlier[submission_id] = pack
        return pack

    def send(self, upload: FileUpload, entry: Entry) -> flow.Steps[flow.Pack | None]:
        """Send an image together with others, and return what they became; `None` if it must go alone.

        Raises
        ------
        OutcomeUnknown
            The reply to the upload got lost: look for the image by its name.
        LeaseLostError
            Somebody else has it in hand now.
        """
        filename = upload.marked_name(entry.mark)
        tar = self._open = self._open or _Tar()
        tar.files[filename] = (upload, entry)
        tar.joined_s = self.forecast.now_s()
        waited_s = began_s = yield flow.Wait(0.0, "uploading")
        try:
            while not tar.has_left:
                if not tar.is_leaving and self._is_ready(tar, waited_s - began_s):
                    yield from self._leave(tar)
                else:
                    waited_s = yield flow.Wait(_LOOK_S, "uploading")
        finally:
            if not tar.is_leaving:
                tar.files.pop(filename, None)
        if tar.is_lost:
            raise OutcomeUnknown("The reply to the upload of a tar got lost.")
        if tar.pack is not None and filename not in tar.pack.filenames:
            raise LeaseLostError("Another process has taken the image over: leave it to that one.")
        return tar.pack

    def _is_ready(self, tar: _Tar, waited_s: float) -> bool:
        if len(tar.files) >= self.size:
            return True
        if waited_s < _GATHERING_S:
            return False
        is_wanted = self.forecast.unfinished <= _FEW or waited_s >= self.polling.timeout_s
        return is_wanted or (self.forecast.is_idle and self._is_enough(tar))

    def _is_enough(self, tar: _Tar) -> bool:
        """Return whether a tar may leave for a server that has solvers to spare."""
        still_s = self.forecast.now_s() - tar.joined_s
        return 2 * len(tar.files) >= self.size or still_s >= _STILL * self.forecast.times.median_s

    def _leave(self, tar: _Tar) -> flow.Steps[None]:
        """Send a tar; what was not stored, its images try alone."""
        tar.is_leaving = True
        if tar is self._open:
            self._open = None
        try:
            if len(tar.files) > 1:
                request = _WrittenTar.of(tar.files, login=self.login, holder=self.holder)
                tar.is_lost = True
                receipt: UploadReceipt = yield flow.Make(request, "uploading")
                tar.is_lost = False
                tar.pack = self._pack(receipt.submission_id, request.sent)
        except OutcomeUnknown:
            pass
        except LedgerError:
            raise  # it may have been sent
        except AstrometryError:
            tar.is_lost = False
        finally:
            tar.has_left = True

    def _pack(self, submission_id: int, filenames: Sequence[str], *, whole: bool = True) -> flow.Pack:
        return flow.Pack(
            submission_id,
            filenames,
            forecast=self.forecast,
            order=self._order,
            polling=self.polling,
            whole=whole,
            looking=self._looking,
        )


@attrs.frozen
class _WrittenTar(Request[UploadReceipt]):
    """The upload of a tar, which is written down for each of its files before and after it is sent."""

    files: dict[str, tuple[FileUpload, Entry]]
    login: Session
    holder: Holder
    sent: list[str]
    """The names of the files that went."""

    @classmethod
    def of(
        cls, files: dict[str, tuple[FileUpload, Entry]], *, login: Session, holder: Holder
    ) -> "_WrittenTar":
        """Return the request for these files."""
        return cls(f"{login.base_url}/api/upload", dict(files), login, holder, [])

    def make(self, client_session: ClientSession | None = None) -> UploadReceipt:
        """Send it; see `Request.make`."""
        self.sent.clear()
        for filename, (_, entry) in self.files.items():
            try:
                self.holder.sending(entry, filename=filename)
            except LeaseLostError:
                continue  # it is another's, who sends it
            self.sent.append(filename)
        entries = [self.files[filename][1] for filename in self.sent]
        try:
            receipt = self._request().make(client_session)
        except NEVER_STORED:
            for entry in entries:
                self.holder.not_sent(entry)
            raise
        self.holder.sent_together(entries, submission_id=receipt.submission_id)
        return receipt

    def _request(self) -> SessionRequest[UploadReceipt]:
        if not self.sent:
            raise InputError("No file is left to be sent.")
        uploads = [(filename, self.files[filename][0]) for filename in self.sent]
        opener = opener_of_tar((filename, upload.opened_to_send) for filename, upload in uploads)
        name = f"{self.files[self.sent[0]][1].mark}.tar"
        return api.upload(self.login, payload=uploads[0][1].settings.payload(), file=(name, opener))
