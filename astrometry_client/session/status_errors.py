"""Errors instead of replies that only look like a success."""

from typing import Any

import requests

from astrometry_client.session.replies import judge

__all__ = ["SessionErrorMixin"]


class SessionErrorMixin(requests.Session):
    """Raises a typed error for every reply that is no usable success, with the server's own words."""

    def request(  # type: ignore[override]
        self, method: str, url: str, *, raise_for_status: bool = True, **options: Any
    ) -> requests.Response:
        """Send a request and return its judged reply.

        Parameters
        ----------
        raise_for_status
            `False` returns the reply as it came. The body of a reply with `stream=True` is left unread and
            judged only if its status is an error.

        Raises
        ------
        MalformedReply
            The reply was cut or is not of the kind asked for.
        ServerRefused
            The server said no, with whatever status; the subclass says what to do.
        """
        response = super().request(method, url, **options)
        is_streamed = options.get("stream") and response.status_code < 400
        if raise_for_status and not is_streamed:
            judge(response)
        return response
