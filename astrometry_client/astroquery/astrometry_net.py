"""The class, the ready instance, and their configuration."""

import functools
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import attrs

from astrometry_client import flow
from astrometry_client.astroquery.answers import answer, show
from astrometry_client.astroquery.exceptions import refused
from astrometry_client.astroquery.settings import (
    EMPTY_SETTINGS,
    SCALE_TYPE_LINE,
    center_in_header,
    settings_from,
)
from astrometry_client.astroquery.sources import Sources, find_sources
from astrometry_client.client import Client
from astrometry_client.config import DEFAULTS
from astrometry_client.driver import drive, pace_of
from astrometry_client.errors import APIKeyError, InputError
from astrometry_client.models import Settings
from astrometry_client.uploads.sources_upload import MOST_SOURCES

if TYPE_CHECKING:
    from astrometry_client.astroquery.answers import Answer

__all__ = ["AstrometryNet", "AstrometryNetClass", "conf"]

_TIMEOUT_S: Final = 120
"""Longest wait for one solve, in seconds. Source: the default of astroquery 0.4.11."""


@attrs.define
class Conf:
    """What astroquery keeps in its configuration; changes count from the next call on."""

    api_key: str = attrs.field(default="", repr=False)
    """Empty: the key is looked for in the places `Session` names, astroquery's configuration among them."""
    server: str = DEFAULTS.base_url


conf: Final = Conf()


class AstrometryNetClass:
    """Plate-solve with an Astrometry.net server, called as astroquery's class of this name is.

    Settings are keywords under the server's names; those that are `None` are left out.
    """

    TIMEOUT = _TIMEOUT_S

    def __init__(self) -> None:
        self._url: str | None = None
        self._client: Client | None = None
        self._client_of = ("", "")

    def __call__(self) -> "AstrometryNetClass":
        """Return a new one."""
        return type(self)()

    @property
    def URL(self) -> str:  # noqa: N802  astroquery's name
        """Address of the server: that of `conf` unless set here."""
        return self._url or conf.server

    @URL.setter
    def URL(self, url: str) -> None:  # noqa: N802
        self._url = url

    @property
    def API_URL(self) -> str:  # noqa: N802
        """Address of the server's API; setting it sets `URL`."""
        return f"{self.URL}/api"

    @API_URL.setter
    def API_URL(self, url: str) -> None:  # noqa: N802
        self._url = url.rstrip("/").removesuffix("/api")

    @property
    def api_key(self) -> str:
        """The API key. Setting it sets that of `conf`; without any it is a `RefusedError`."""
        try:
            return self._connected().session.api_key
        except APIKeyError as missing:
            raise refused(missing) from missing

    @api_key.setter
    def api_key(self, value: str) -> None:
        conf.api_key = value

    @property
    def empty_settings(self) -> dict[str, Any]:
        """All settings with the defaults astroquery shows, to be filled in and given as keywords."""
        return dict(EMPTY_SETTINGS)

    def show_allowed_settings(self) -> None:
        """Print all settings, what each may be, and the server's default."""
        lines = [SCALE_TYPE_LINE]
        for option in Settings.describe():
            unit = f" [{option.unit}]" if option.unit else ""
            lines.append(
                f"{option.wire}: {option.allowed}{unit}, default value {option.default}. {option.meaning}"
            )
        show("\n".join(sorted(lines)))

    def solve_from_image(
        self,
        image_file_path: Any,
        *,
        force_image_upload: bool = False,
        ra_key: str | None = None,
        dec_key: str | None = None,
        ra_dec_units: tuple[str, str] | None = None,
        fwhm: float = 3,
        detect_threshold: float = 5,
        solve_timeout: float = _TIMEOUT_S,
        verbose: bool = True,
        return_submission_id: bool = False,
        **settings: Any,
    ) -> "Answer":
        """Solve an image, by the sources found in it here where that can be, and else by uploading it.

        Parameters
        ----------
        image_file_path
            A path; with `force_image_upload` also anything else that `FileUpload` takes.
        force_image_upload
            Whether to upload the image in any case.
        ra_key, dec_key
            Keywords of the FITS header that hold the position; both, and `radius` among the settings.
        ra_dec_units
            Their units, by default `("hour", "degree")`.
        fwhm, detect_threshold
            Width of a star in pixels, and how many standard deviations it must stand out. They count where
            photutils is installed.
        solve_timeout
            Seconds to wait at most, above 0.
        verbose
            Whether to print what happens.
        return_submission_id
            Whether to return the submission id too.
        **settings
            See `show_allowed_settings`.

        Returns
        -------
        astropy.io.fits.Header or dict
            The WCS; `{}` if there is no solution. With `return_submission_id` a tuple of it and the id.

        Raises
        ------
        TimeoutError
            Not finished in time; `args[1]` is the submission id.
        InputError
            The image or a setting is not usable; a `ValueError`.
        RefusedError
            No API key, or the server said no; a `RuntimeError`.
        NoUsableReply
            The server could not be reached; a `requests.RequestException`.
        """
        if ra_key and dec_key:
            units = ra_dec_units or ("hour", "degree")
            settings |= center_in_header(image_file_path, ra_key, dec_key, units=units)
        checked = settings_from(settings)
        sources = None
        if not force_image_upload:
            sources = _sources(image_file_path, fwhm, detect_threshold, verbose=verbose)
        client = self._connected()
        if sources is None:
            solve = functools.partial(client.solve, image_file_path, checked, timeout_s=solve_timeout)
        else:
            solve = functools.partial(
                client.solve_sources,
                sources.x,
                sources.y,
                settings=checked,
                timeout_s=solve_timeout,
                image_width_px=sources.width_px,
                image_height_px=sources.height_px,
            )
        return answer(solve, verbose=verbose, return_submission_id=return_submission_id)

    def solve_from_source_list(
        self,
        x: Iterable[Any],
        y: Iterable[Any],
        image_width: int,
        image_height: int,
        *,
        solve_timeout: float = _TIMEOUT_S,
        verbose: bool = True,
        return_submission_id: bool = False,
        **settings: Any,
    ) -> "Answer":
        """Solve a list of sources.

        Parameters
        ----------
        x, y
            Pixel positions, first pixel 1, brightest first; the solver looks at the first 1000.
        image_width, image_height
            Size of the image in pixels.
        solve_timeout, verbose, return_submission_id
            See `solve_from_image`.
        **settings
            See `show_allowed_settings`.

        Returns
        -------
        astropy.io.fits.Header or dict
            See `solve_from_image`.

        Raises
        ------
        TimeoutError, InputError, RefusedError, NoUsableReply
            See `solve_from_image`.
        """
        solve = functools.partial(
            self._connected().solve_sources,
            _numbers("x", x),
            _numbers("y", y),
            settings=settings_from(settings),
            timeout_s=solve_timeout,
            image_width_px=image_width,
            image_height_px=image_height,
        )
        return answer(solve, verbose=verbose, return_submission_id=return_submission_id)

    def monitor_submission(
        self,
        submission_id: int | str,
        *,
        solve_timeout: float = _TIMEOUT_S,
        verbose: bool = True,
        return_submission_id: bool = False,
    ) -> "Answer":
        """Wait for a submission that exists, such as the one a `TimeoutError` names.

        Parameters
        ----------
        submission_id
            Its id.
        solve_timeout, verbose, return_submission_id
            See `solve_from_image`.

        Returns
        -------
        astropy.io.fits.Header or dict
            See `solve_from_image`.

        Raises
        ------
        TimeoutError, InputError, RefusedError, NoUsableReply
            See `solve_from_image`.
        """
        if not str(submission_id).isdecimal():
            raise InputError(f"submission_id={submission_id!r} is not allowed: give a whole number.")
        client = self._connected()
        steps = flow.follow(
            int(submission_id),
            server=client.base_url,
            name=str(submission_id),
            polling=pace_of(client.base_url, timeout_s=solve_timeout),
        )
        solve = functools.partial(drive, steps, client.session.client_session)
        return answer(solve, verbose=verbose, return_submission_id=return_submission_id, given=submission_id)

    def _connected(self) -> Client:
        """Return the client of the server and key that count now; its login is kept as long as they do."""
        wanted = (self.URL, conf.api_key)
        if self._client is None or self._client_of != wanted:
            self._client = Client(conf.api_key or None, base_url=self.URL)
            self._client_of = wanted
        return self._client


def _sources(image: Any, fwhm_px: float, threshold_sigma: float, *, verbose: bool) -> Sources | None:
    """Return the sources found here; without any, warn that the image is uploaded."""
    sources = find_sources(image, fwhm_px=fwhm_px, threshold_sigma=threshold_sigma)
    if sources is None:
        warnings.warn(
            "No sources were found here (it takes photutils or the extra `server`), so the image is "
            "uploaded: force_image_upload=True does that without this warning.",
            stacklevel=3,
        )
    elif verbose:
        show(f"Found {len(sources.x)} sources")
    return sources


def _numbers(name: str, values: Iterable[Any]) -> list[float]:
    try:
        return [float(value) for value in values][:MOST_SOURCES]
    except (TypeError, ValueError) as cause:
        raise InputError(f"{name} is not allowed ({cause}): give a list of numbers.") from cause


AstrometryNet: Final = AstrometryNetClass()
