"""What the API tells about submissions and jobs, in nova's shapes."""

import base64
import json
from typing import Any

from .database import Database
from .listing import Listing
from .tasks import MakeTask

_INFO_CALIBRATION = ("ra", "dec", "radius", "pixscale", "orientation", "parity")
"""`jobs/ID/info` tells less of a calibration than `jobs/ID/calibration`."""


ENDED = ("success", "failure")


class Records:
    """Reading access to submissions and jobs; None for an unknown id."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.listing = Listing(database)

    def submission(self, submission_id: int) -> dict[str, Any] | None:
        """Return the document of a submission."""
        row = self._database.row("SELECT * FROM submissions WHERE id = ?", submission_id)
        if row is None:
            return None
        images = self._database.rows(
            "SELECT images.id, jobs.id AS job, calibrations.id AS calibration FROM images"
            " LEFT JOIN jobs ON image_id = images.id LEFT JOIN calibrations ON job_id = jobs.id"
            " WHERE submission_id = ? ORDER BY images.id",
            submission_id,
        )
        document = {
            "user": row["user_id"],
            "processing_started": str(row["started"]),
            "processing_finished": str(row["finished"]),
            "user_images": [image["id"] for image in images],
            "images": [image["id"] for image in images],
            "jobs": [image["job"] for image in images],
            "job_calibrations": [
                [i["job"], i["calibration"]] for i in images if i["calibration"] is not None
            ],
        }
        if row["error_message"] is not None:
            document["error_message"] = row["error_message"]
        return document

    def jobs_of(self, user_id: int) -> list[int]:
        """Return the ids of all jobs of a user."""
        rows = self._database.rows(
            "SELECT jobs.id FROM jobs JOIN images ON images.id = image_id"
            " JOIN submissions ON submissions.id = submission_id WHERE user_id = ? ORDER BY jobs.id",
            user_id,
        )
        return [row["id"] for row in rows]

    def images_of(self, submission_id: int) -> list[int] | None:
        """Return the ids of the images of a submission."""
        document = self.submission(submission_id)
        return None if document is None else document["images"]

    def jobs_by_tag(self, query: str, *, exact: bool) -> list[int]:
        """Return the jobs with a tag that is, or contains, this text in any case, the newest first.

        As on nova, a job is repeated for every tag that fits.
        """
        fits = "lower(value) = lower(?)" if exact else "instr(lower(value), lower(?))"
        rows = self._database.rows(
            "SELECT DISTINCT job_id, value"  # noqa: S608
            " FROM (SELECT job_id, json_extract(value, '$.names') AS names FROM calibrations,"
            f" json_each(annotations)), json_each(names) WHERE {fits} ORDER BY job_id DESC",
            query,
        )
        return [row["job_id"] for row in rows]

    def status(self, job_id: int) -> str | None:
        """Return the status of a job: `processing`, `solving`, `success` or `failure`."""
        row = self._database.row("SELECT status FROM jobs WHERE id = ?", job_id)
        return None if row is None else row["status"]

    def calibration(self, job_id: int) -> dict[str, float] | None:
        """Return the calibration of a solved job."""
        row = self._database.row("SELECT calibration FROM calibrations WHERE job_id = ?", job_id)
        return None if row is None else json.loads(row["calibration"])

    def annotations(self, job_id: int, *, bright_stars: int = 0) -> list[dict[str, Any]] | None:
        """Return the named objects in the image of a solved job.

        Parameters
        ----------
        bright_stars
            Most stars of type "bright" to tell, the brightest; 0 or less for all.
        """
        row = self._database.row("SELECT annotations FROM calibrations WHERE job_id = ?", job_id)
        if row is None:
            return None
        found: list[dict[str, Any]] = json.loads(row["annotations"])
        if bright_stars <= 0:
            return found
        bright = [note for note in found if note["type"] == "bright"]
        return [*bright[:bright_stars], *(note for note in found if note["type"] != "bright")]

    def wcs(self, job_id: int) -> bytes | None:
        """Return the WCS file of a solved job."""
        row = self._database.row("SELECT wcs FROM calibrations WHERE job_id = ?", job_id)
        return None if row is None else bytes(row["wcs"])

    def material(self, job_id: int, product: str) -> MakeTask:
        """Return all there is to make a result file of a job of."""
        row = self._database.row(
            "SELECT images.sha1, field, options, wcs, stars, annotations FROM jobs"
            " JOIN images ON images.id = image_id JOIN submissions ON submissions.id = submission_id"
            " LEFT JOIN calibrations ON job_id = jobs.id WHERE jobs.id = ?",
            job_id,
        )
        if row is None:
            raise KeyError(job_id)
        return MakeTask(
            product=product,
            sha1=row["sha1"],
            field=row["field"],
            options=json.loads(row["options"]),
            wcs=None if row["wcs"] is None else base64.b64encode(row["wcs"]).decode(),
            stars=json.loads(row["stars"] or "[]"),
            annotations=json.loads(row["annotations"] or "[]"),
        )

    def log(self, job_id: int) -> str:
        """Return what is told about the solve of a job; nothing before it ended."""
        row = self._database.row(
            "SELECT status, reason, filename, wcs FROM jobs JOIN images ON images.id = image_id"
            " LEFT JOIN calibrations ON job_id = jobs.id WHERE jobs.id = ?",
            job_id,
        )
        if row is None or row["status"] not in ENDED:
            return ""
        cards = [row["wcs"][at : at + 80].decode("ascii") for at in range(0, len(row["wcs"] or b""), 80)]
        notes = [card[8:].strip() for card in cards if card.startswith("COMMENT ")]
        outcome = " ".join(filter(None, [row["status"], row["reason"] and f"({row['reason']})"]))
        return "\n".join([f"Job {job_id}: {row['filename']}", *notes, outcome, ""])

    def tags(self, job_id: int) -> list[str]:
        """Return the names of the objects in the image of a job; none before it is solved."""
        names = [name for found in self.annotations(job_id) or () for name in found["names"]]
        return list(dict.fromkeys(names))

    def info(self, job_id: int) -> dict[str, Any] | None:
        """Return the document of a job."""
        row = self._database.row(
            "SELECT status, filename FROM jobs JOIN images ON images.id = image_id WHERE jobs.id = ?", job_id
        )
        if row is None:
            return None
        tags, calibration = self.tags(job_id), self.calibration(job_id)
        document = {
            "objects_in_field": sorted(tags),
            "machine_tags": tags,
            "tags": tags,
            "status": row["status"],
            "original_filename": row["filename"],
        }
        if calibration:
            document["calibration"] = {name: calibration[name] for name in _INFO_CALIBRATION}
        return document
