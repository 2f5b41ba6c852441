"""What all uploads have in common."""

from abc import ABC, abstractmethod

import attrs

from astrometry_client.errors import InputError
from astrometry_client.login import Session
from astrometry_client.models import Settings, UploadReceipt
from astrometry_client.request import SessionRequest
from astrometry_client.submission import Submission


def _or_new_session(session: Session | None) -> Session:
    return session or Session()


def _or_no_settings(settings: Settings | None) -> Settings:
    if settings is not None and not isinstance(settings, Settings):
        raise InputError(f"settings is {type(settings).__name__}: give Settings(...).")
    return settings or Settings()


@attrs.frozen(kw_only=True, eq=False)
class Upload(ABC):
    """Something to be solved, its options, and the login it is uploaded with.

    Parameters
    ----------
    session
        The login; by default one to nova.astrometry.net.
    settings
        Options of this upload; by default everything is the server's choice.
    """

    session: Session = attrs.field(default=None, converter=_or_new_session, repr=False)
    settings: Settings = attrs.field(default=None, converter=_or_no_settings, repr=False)

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in results."""

    @property
    def label(self) -> str:
        """What the user calls it: its name, if it has no path."""
        return self.name

    @property
    def top_down(self) -> bool | None:
        """Whether its first row is shown at the top, on which its orientation depends; `None`: not known."""
        return None

    @abstractmethod
    def request(self, *, mark: str = "") -> SessionRequest[UploadReceipt]:
        """Return the request that uploads it.

        Parameters
        ----------
        mark
            Goes into the file name the server is told, if there is one, so that this upload can be told
            from all others.

        Returns
        -------
        SessionRequest
            Sends nothing until it is made.
        """

    @abstractmethod
    def content_sha256(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal digits; it is read block by block.

        Returns
        -------
        str
            64 digits.

        Raises
        ------
        UnreadableFileError
            It cannot be read.
        """

    def submit(self) -> Submission:
        """Upload it, and return the submission it became.

        Returns
        -------
        Submission
            Wait for it with `until_done`.

        Raises
        ------
        APIKeyError, LoginFailedException
            There is no API key, or it is not accepted.
        OutcomeUnknown
            The reply got lost: look among `Client.my_jobs` before sending it again.
        NoUsableReply, ServerRefused
            The server could not be reached, or said no.
        """
        receipt = self.request().make(self.session.client_session)
        return Submission(receipt.submission_id, session=self.session)
