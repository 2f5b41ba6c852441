"""Uploads that are written down before and after they are sent, and looked for before they are sent again."""

from functools import partial

import attrs

from astrometry_client import api, flow
from astrometry_client.config import DEFAULTS
from astrometry_client.ledger import Claim, Entry, Holder
from astrometry_client.login import Session
from astrometry_client.models import UploadReceipt
from astrometry_client.never_stored import NEVER_STORED
from astrometry_client.request import PostRequest, Request
from astrometry_client.session import ClientSession
from astrometry_client.uploads import Upload

__all__ = ["RecordedUploads"]


@attrs.define(kw_only=True, eq=False)
class RecordedUploads:
    """Uploads images with one login and one ledger.

    Parameters
    ----------
    holder
        Takes the images in hand.
    forecast
        When looks are worth it, shared by all images of a batch; see `forecast_of`.
    newest
        So many jobs of the user are looked through for an upload whose reply got lost.
    """

    login: Session
    holder: Holder
    polling: flow.Polling
    forecast: flow.Forecast
    newest: int = 2 * DEFAULTS.max_unfinished
    _names: flow.Names = attrs.field(factory=flow.Names, init=False)

    def send(self, upload: Upload, claim: Claim) -> flow.Steps[tuple[int | None, int | None]]:
        """Bring the image to the server, and return its submission, or its job if only that was found."""
        server, polling, entry = self.login.base_url, self.polling, claim.entry
        request = upload.request(mark=entry.mark)
        lookup = self._lookup(request)
        job_id = None
        if lookup is not None and claim.maybe_sent:
            earlier = attrs.evolve(lookup, filename=entry.sent_as or lookup.filename)
            job_id = yield from flow.find(earlier, server=server, polling=polling, at_once=True)
        if job_id is None:
            written = _WrittenUpload(request.url, request, entry, self.holder)
            sent = yield from flow.send(written, server=server, polling=polling, lookup=lookup)
            if not isinstance(sent, int):
                return sent.submission_id, None
            job_id = sent
        yield flow.Local(partial(self.holder.sent, entry, job_id=job_id))
        return None, job_id

    def _lookup(self, request: PostRequest[UploadReceipt]) -> flow.Lookup | None:
        """Return how an upload is found again, if it has a name at the server."""
        if request.file is None:
            return None
        return flow.Lookup(
            my_jobs=api.my_jobs(self.login),
            filename=request.file[0],
            newest=self.newest,
            forecast=self.forecast,
            names=self._names,
        )


@attrs.frozen
class _WrittenUpload(Request[UploadReceipt]):
    """An upload that is written down before and after it is sent, by the thread that sends it."""

    upload: PostRequest[UploadReceipt]
    entry: Entry
    holder: Holder

    def make(self, client_session: ClientSession | None = None) -> UploadReceipt:
        """Send it; see `Request.make`."""
        filename = self.upload.file[0] if self.upload.file else ""
        in_doubt = self.holder.sending(self.entry, filename=filename)
        try:
            receipt = self.upload.make(client_session)
        except NEVER_STORED:
            if not in_doubt:
                self.holder.not_sent(self.entry)
            raise
        self.holder.sent(self.entry, submission_id=receipt.submission_id)
        return receipt
