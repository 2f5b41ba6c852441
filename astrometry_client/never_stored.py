"""The errors of an upload that the server certainly has not got."""

from typing import Final

from astrometry_client.errors import InputError, RateLimitExceeded, ServerRefused, Unreachable
from astrometry_client.session.interrupting import Interrupted

NEVER_STORED: Final = (InputError, Interrupted, Unreachable, RateLimitExceeded, ServerRefused)
"""After these errors it may be sent again at once; after others it is looked for first."""
