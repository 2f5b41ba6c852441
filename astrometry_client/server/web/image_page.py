"""The page of one image."""

from collections.abc import Iterator
from typing import Any

from astrometry_client.server.listing import Entry
from astrometry_client.server.records import Records

from . import sky
from .html import Html, filled, repeated, template

LAYERS = {
    "annotated": ("Objects", "Named objects in the field."),
    "red_green_image": (
        "Matched stars",
        "Red: sources found. Green: stars of the catalogue that the solution rests on.",
    ),
    "extraction_image": ("Sources", "Sources found in the image."),
    "image": ("Image only", "The image as it was uploaded."),
}
"""Pictures of a job, by the name of their address."""

UNSOLVED_LAYERS = ("extraction_image", "image")

DOWNLOADS = (
    ("wcs_file", "WCS", "header with the solution"),
    ("new_fits_file", "New FITS", "image with the solution in its header"),
    ("axy_file", "axy", "sources found: x, y, flux"),
    ("rdls_file", "rdls", "stars of the catalogue: right ascension, declination"),
    ("corr_file", "corr", "pairs of source and star"),
)

LOG_LINES = 20
"""Shown of the log of a failure; why it failed stands at its end."""

MOST_OBJECTS = 200
"""Listed on the page; the API tells all."""

ADVICE = (
    "Look at the sources: if they are not stars, but noise, hot pixels or trails, downsample by 2 or 4.",
    "Tell the scale: a range of the width, such as 20 to 40 degrees, finds more and saves time.",
    "Tell the position, if you know about where the image lies.",
    "See that the index files cover a field of this width; those that come along are for 6° to 45°.",
)

UNREAD_ADVICE = (
    "See that the file is a FITS, JPEG, PNG or TIFF image, a list of x and y, or a tar of such files.",
    "See that the file is complete: open it where it came from, then upload it again.",
    "For an upload by address, see that the address is a public one and leads to the file itself.",
)

LEADS = {
    "queued": "It waits for a solver; the result appears here by itself.",
    "solving": "A solve takes seconds, seldom minutes; the result appears here by itself.",
}

LAYER = (
    '<label><input type="radio" name="layer" value="$value" data-caption="$caption" $checked>$label</label>'
)
ROW = '<tr><th scope="row">$name</th><td><div><strong>$value</strong> <span>$other</span></div></td></tr>'
DOWNLOAD = '<li><a href="/$product/$job_id">$name</a> <span>$about</span></li>'
OBJECT = "<li><strong>$name</strong> <span>$about</span></li>"
UNSOLVED_PICTURE = (
    '<section aria-labelledby="picture-heading"><h2 id="picture-heading">Picture</h2>$picture</section>'
)
LOG_END = '<h2>End of the log</h2><pre tabindex="0">$log</pre>'


def image_content(records: Records, entry: Entry) -> Html:
    """Return the content of the page of an image, or of a submission nothing could be made of."""
    content, lead = Html(""), LEADS.get(entry.state, "")
    if entry.state == "solved" and entry.job_id is not None:
        content, lead = _solved(records, entry, entry.job_id), sky.place(entry.calibration or {})
    elif entry.state == "failed":
        content, lead = _failed(records, entry), entry.reason or "No solution was found."
    elif entry.job_id is not None:
        content = _pictured(entry, entry.job_id)
    ids = {"image": entry.image_id, "submission": entry.submission_id, "job": entry.job_id}
    return filled(
        template("image.html"),
        image_id=entry.image_id or "",
        name=entry.name,
        state=entry.state,
        lead=lead,
        ids=" · ".join(f"{name} {number}" for name, number in ids.items() if number is not None),
        content=content,
    )


def _solved(records: Records, entry: Entry, job_id: int) -> Html:
    return filled(
        template("solved.html"),
        picture=_picture(entry, job_id, tuple(LAYERS)),
        calibration=repeated(ROW, _calibration(entry.calibration or {})),
        downloads=repeated(
            DOWNLOAD,
            (
                {"product": product, "job_id": job_id, "name": name, "about": about}
                for product, name, about in DOWNLOADS
            ),
        ),
        objects=_objects(records.annotations(job_id) or [], entry.calibration or {}),
        log=records.log(job_id),
    )


def _failed(records: Records, entry: Entry) -> Html:
    log = records.log(entry.job_id).splitlines()[-LOG_LINES:] if entry.job_id is not None else []
    advice = UNREAD_ADVICE if entry.job_id is None else ADVICE
    return filled(
        template("failed.html"),
        picture=Html("") if entry.job_id is None else _pictured(entry, entry.job_id),
        advice=repeated("<li>$text</li>", ({"text": text} for text in advice)),
        log=filled(LOG_END, log="\n".join(log)) if log else Html(""),
    )


def _pictured(entry: Entry, job_id: int) -> Html:
    return filled(UNSOLVED_PICTURE, picture=_picture(entry, job_id, UNSOLVED_LAYERS))


def _picture(entry: Entry, job_id: int, layers: tuple[str, ...]) -> Html:
    first, choices = layers[0], []
    for layer in layers:
        label, caption = LAYERS[layer]
        checked = "checked" if layer == first else ""
        choices.append({"value": layer, "label": label, "caption": caption, "checked": checked})
    return filled(
        template("picture.html"),
        job_id=job_id,
        name=entry.name,
        layers=repeated(LAYER, choices),
        address=f"/{first}_display/{job_id}",
        alt=f"{entry.name}. {LAYERS[first][1]}",
        caption=LAYERS[first][1],
    )


def _calibration(calibration: dict[str, float]) -> Iterator[dict[str, str]]:
    ra, dec, scale = calibration["ra"], calibration["dec"], calibration["pixscale"]
    sides = calibration["width_arcsec"], calibration["height_arcsec"]
    pixels = " × ".join(str(round(side / scale)) for side in sides)
    for name, value, other in (
        ("Right ascension", sky.hours(ra), f"{ra:.5f}°"),
        ("Declination", sky.degrees(dec), f"{dec:+.5f}°".replace("-", "−")),
        ("Size", sky.size(calibration), f"{pixels} pixels"),
        ("Radius", sky.angle(calibration["radius"] * 3600.0), f"{calibration['radius']:.5f}°"),
        ("Pixel scale", f"{scale:.4g}″ per pixel", f"{scale / 3600.0:.3g}° per pixel"),
        ("Orientation", f"{calibration['orientation']:.2f}°", ""),
        ("Parity", "positive" if calibration["parity"] > 0 else "negative", ""),
    ):
        yield {"name": name, "value": value, "other": other}


def _objects(found: list[dict[str, Any]], calibration: dict[str, float]) -> Html:
    if not found:
        return Html("<p>No named object lies in this field.</p>")
    nebulae_first = sorted(found, key=lambda note: note["type"] == "bright")
    scale = calibration["pixscale"]
    shown = repeated(OBJECT, (_object(note, scale) for note in nebulae_first[:MOST_OBJECTS]))
    rest = len(found) - MOST_OBJECTS
    more = filled("<p>$rest more are told by the API.</p>", rest=rest) if rest > 0 else Html("")
    return filled('<ul class="objects">$shown</ul>$more', shown=shown, more=more)


def _object(note: dict[str, Any], pixel_scale_arcsec: float) -> dict[str, str]:
    *about, name = note["names"]
    if note["radius"]:
        about.append(f"{sky.angle(2.0 * note['radius'] * pixel_scale_arcsec, digits=2)} across")
    if note.get("vmag") is not None:
        about.append(f"{note['vmag']:.1f} mag")
    return {"name": name, "about": ", ".join(about)}
