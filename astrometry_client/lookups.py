"""What can be asked of a server besides a solve."""

from typing import Any

from astrometry_client import api
from astrometry_client.generic import Pieces, generic
from astrometry_client.job import Job
from astrometry_client.login import Session
from astrometry_client.models import Annotation, Settings, Solution
from astrometry_client.predicates import Predicate, predicates_of
from astrometry_client.submission import Submission


class Lookups:
    """Asks a server for what it knows."""

    session: Session
    settings: Settings

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return self.session.base_url

    def annotations(self, solution: Solution) -> tuple[Annotation, ...]:
        """Return the known objects in a solved image."""
        return self.job(solution.job_id).annotations

    def submission(self, submission_id: int) -> Submission:
        """Return a submission by its id, such as the one an error carries; asks nothing yet."""
        return Submission(submission_id, session=self.session)

    def job(self, job_id: int) -> Job:
        """Return a job by its id; asks nothing yet."""
        return Job(job_id, session=self.session)

    def my_jobs(self) -> tuple[int, ...]:
        """Return the ids of all jobs of the user."""
        return api.my_jobs(self.session).make(self.session.client_session)

    def jobs_by_tag(self, tag: str, *, exact: bool = False) -> tuple[int, ...]:
        """Return the ids of the jobs with a tag, each once.

        Parameters
        ----------
        tag
            The tag, or a part of it; not empty.
        exact
            Whether it must be the whole tag.

        Returns
        -------
        tuple of int
            Job ids, as the server orders them.

        Raises
        ------
        InputError
            The tag is empty.
        """
        return api.jobs_by_tag(self.base_url, tag, exact=exact).make(self.session.client_session)

    def submission_images(self, submission_id: int) -> tuple[int, ...]:
        """Return the ids of the images of a submission."""
        return api.submission_images(self.session, submission_id).make(self.session.client_session)

    def generic_request(
        self,
        /,
        endpoint: str,
        iter_lines: bool = False,
        iter_content: bool = False,
        parse_types: bool = False,
        **arguments: Any,
    ) -> Any:
        """Ask any endpoint of the server by its name, such as `submission`, `info` or `corr_file`.

        Parameters
        ----------
        endpoint
            The server's word for it; `get_predicates` tells what it takes.
        iter_lines, iter_content
            Whether a text is to be given line by line, or any reply in chunks of 100 KiB, in constant memory.
            The request is made when the first piece is wanted; the pieces come once all of the reply has
            arrived and was judged.
        parse_types
            Whether texts inside a JSON document that are times (in UTC), numbers or `None` become Python's
            own.
        **arguments
            What the endpoint takes; an upload also the options of `Settings`, in place of the client's.

        Returns
        -------
        dict, bytes or iterator
            A JSON document, another reply as it is, or an iterator over lines (str) or chunks (bytes).

        Raises
        ------
        InputError
            There is no such endpoint, or an argument is unknown, missing or not allowed; nothing was sent.
        NoUsableReply, ServerRefused
            The server could not be reached, or said no.
        """
        asked = generic(
            endpoint,
            arguments,
            login=self.session,
            settings=self.settings,
            iter_lines=iter_lines,
            iter_content=iter_content,
            parse_types=parse_types,
        )
        if isinstance(asked, Pieces):
            return asked.each(self.session.client_session)
        return asked.make(self.session.client_session)

    def get_predicates(self, endpoint: str) -> tuple[Predicate, ...]:
        """Return what an endpoint takes: name, type, unit, default and allowed values of each argument.

        Parameters
        ----------
        endpoint
            The server's word for it, such as `upload`.

        Returns
        -------
        tuple of Predicate
            Found out once and kept.

        Raises
        ------
        InputError
            There is no such endpoint; the message lists those there are.
        """
        return predicates_of(endpoint)
