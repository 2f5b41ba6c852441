"""What to install when a part is not there."""

from collections.abc import Iterator
from contextlib import contextmanager

from astrometry_client.errors import InputError


@contextmanager
def needs_server() -> Iterator[None]:
    """Turn a missing package of the embedded server into an error that says what to install."""
    try:
        yield
    except ImportError as missing:
        raise InputError(
            f"The embedded server needs {missing.name}: pip install 'astrometry-client[server]'."
        ) from missing
