"""What the server offers: one table of addresses, the kind of data behind each, and what may be kept."""

import enum
import re
from typing import Final
from urllib.parse import urlsplit

import attrs

__all__ = ["ENDPOINTS", "UNKNOWN", "Endpoint", "Kind", "endpoint_of", "ids_in"]


class Kind(enum.Enum):
    """What a usable reply of an endpoint consists of."""

    JSON = "a JSON object"
    FITS = "a FITS file"
    IMAGE = "an image"
    TEXT = "plain text"
    ANY = "anything"


@attrs.frozen
class Endpoint:
    """One address of the server.

    Parameters
    ----------
    name
        The server's word for it.
    path
        Regular expression for the end of the URL's path, so that a server below a prefix works; without
        its optional final slash.
    final
        Whether a successful reply never changes and may be kept for ever.
    result_file
        Whether this is a file the server makes from a job.
    needs_referer
        Whether the server answers only requests with a `Referer` header (any value does).
    known
        Whether the server has such an address at all.
    """

    name: str
    path: str
    kind: Kind
    final: bool = attrs.field(default=False, kw_only=True)
    result_file: bool = attrs.field(default=False, kw_only=True)
    needs_referer: bool = attrs.field(default=False, kw_only=True)
    known: bool = attrs.field(default=True, kw_only=True)
    pattern: re.Pattern[str] = attrs.field(init=False, repr=False)

    @pattern.default
    def _compile(self) -> re.Pattern[str]:
        return re.compile(rf"(?:^|/){self.path}/?$")


_JOB: Final = r"(?P<job_id>\d+)"
_SUBMISSION: Final = r"(?P<submission_id>\d+)"


def _call(name: str, path: str | None = None, *, final: bool = False) -> Endpoint:
    return Endpoint(name, f"api/{path or name}", Kind.JSON, final=final)


def _file(name: str, kind: Kind, *, final: bool = True, needs_referer: bool = False) -> Endpoint:
    return Endpoint(name, f"{name}/{_JOB}", kind, final=final, needs_referer=needs_referer, result_file=True)


def _picture(name: str) -> tuple[Endpoint, ...]:
    return tuple(_file(f"{name}_{size}", Kind.IMAGE, needs_referer=True) for size in ("display", "full"))


# The first match counts.
# Source: recorded exchanges with the server software (upstream commit 623b3c31, April 2026).
ENDPOINTS: Final = (
    _call("login"),
    _call("upload"),
    _call("url_upload"),
    _call("submission_images"),
    _call("myjobs"),
    _call("jobs_by_tag"),
    _call("submission", f"submissions/{_SUBMISSION}"),
    _call("job", f"jobs/{_JOB}"),
    _call("calibration", f"jobs/{_JOB}/calibration", final=True),
    _call("annotations", f"jobs/{_JOB}/annotations", final=True),
    # These three answer before the job ended, and grow: `replies.is_final` looks into the reply.
    _call("info", f"jobs/{_JOB}/info", final=True),
    _call("machine_tags", f"jobs/{_JOB}/machine_tags", final=True),
    _call("objects_in_field", f"jobs/{_JOB}/objects_in_field", final=True),
    # Visitors of the site add tags at any time.
    _call("tags", f"jobs/{_JOB}/tags"),
    _file("wcs_file", Kind.FITS),
    _file("rdls_file", Kind.FITS),
    _file("axy_file", Kind.FITS),
    _file("image_rd_file", Kind.FITS),
    _file("corr_file", Kind.FITS, needs_referer=True),
    _file("new_fits_file", Kind.FITS, needs_referer=True),
    *_picture("annotated"),
    *_picture("red_green_image"),
    *_picture("extraction_image"),
    # Logs grow while the job runs; KML is switched off upstream.
    _file("joblog", Kind.TEXT, final=False),
    _file("joblog2", Kind.TEXT, final=False),
    _file("kml_file", Kind.ANY, final=False),
    # What looks like the above but is not: the server answers with a page of its site and status 200.
    Endpoint("unknown_api", r"api(?:/.*)?", Kind.ANY, known=False),
    Endpoint(
        "unknown_file", r"(?:[a-z]+_file|[a-z_]+_(?:display|full)|joblog2?)/[^/]*", Kind.ANY, known=False
    ),
)
UNKNOWN: Final = Endpoint("unknown", r".*", Kind.ANY)
"""Any other address, such as a page of the site: nothing is expected of its reply."""


def endpoint_of(url: str | None) -> Endpoint:
    """Return the endpoint a URL belongs to, `UNKNOWN` if none."""
    path = urlsplit(url or "").path
    return next((endpoint for endpoint in ENDPOINTS if endpoint.pattern.search(path)), UNKNOWN)


def ids_in(url: str | None) -> dict[str, int]:
    """Return the `job_id` or `submission_id` a URL names."""
    path = urlsplit(url or "").path
    found = endpoint_of(url).pattern.search(path)
    return {name: int(digits) for name, digits in found.groupdict().items()} if found else {}
