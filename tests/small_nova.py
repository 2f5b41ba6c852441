"""A server like nova in miniature: it takes uploads, solves each at once, and can be told to fail."""

import email.parser
import email.policy
import hashlib
import json
import re
import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from faulty_server import Answer, Arrival, FaultyServer, answer_json

TIME = "2026-11-20 14:28:01.337214"
FIRST_JOB = 1000


@attrs.frozen
class Upload:
    """What was stored."""

    filename: str
    content: bytes
    options: dict[str, Any]


def ra_of(content: bytes) -> float:
    """Return where this server says an image lies: somewhere else for each content."""
    return int(hashlib.sha256(content).hexdigest()[:6], 16) % 36000 / 100


def fits_file(**cards: float) -> bytes:
    """Return a FITS file without data."""
    lines = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    0",
    ]
    lines += [f"{name:<8}= {value!r:>20}" for name, value in cards.items()]
    return "".join(line.ljust(80) for line in [*lines, "END"]).encode().ljust(2880)


class SmallNova(FaultyServer):
    """Stores uploads; submission n has job `FIRST_JOB + n`; what holds the word `dark` has no solution."""

    def __init__(self) -> None:
        super().__init__()
        self._one_at_a_time = threading.Lock()
        self.uploads: list[Upload] = []
        self.responder = self.answer

    def answer(self, arrival: Arrival) -> Answer:
        """Answer as nova would if nothing went wrong."""
        with self._one_at_a_time:
            return self._answer(arrival)

    def _answer(self, arrival: Arrival) -> Answer:
        path = urlsplit(arrival.path).path.strip("/")
        sent = self._sent(arrival) if arrival.method == "POST" else {}
        if path == "api/login":
            user = {"message": "authenticated user: me@example.com", "session": "sessionkey"}
            return answer_json({"status": "success", **user})
        if path in {"api/upload", "api/url_upload"}:
            return answer_json({"status": "success", "subid": len(self.uploads), "hash": "0" * 40})
        if path == "api/myjobs":
            return answer_json({"status": "success", "jobs": list(range(FIRST_JOB + 1, self.newest_job + 1))})
        if path == "api/submission_images":
            return answer_json({"status": "success", "image_ids": [sent["subid"]]})
        if path == "api/jobs_by_tag":
            return answer_json({"job_ids": [*range(self.newest_job, FIRST_JOB, -1)] * 3})
        return self._about(path)

    @property
    def newest_job(self) -> int:
        return FIRST_JOB + len(self.uploads)

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(arrival.path == path for arrival in self.arrivals)

    def _about(self, path: str) -> Answer:
        """Answer a question about a submission or a job."""
        number = int(re.findall(r"\d+", path)[0])
        if path.startswith("api/submissions/"):
            return answer_json(self._submission(number))
        upload = self.uploads[number - FIRST_JOB - 1]
        ra = ra_of(upload.content)
        state = "failure" if b"dark" in upload.content else "success"
        place = {"ra": ra, "dec": 1.0, "radius": 1, "pixscale": 2, "orientation": 3, "parity": 1.0}
        documents = {
            "": {"status": state},
            "info": {
                "status": state,
                "original_filename": upload.filename,
                "tags": ["M 1"],
                "machine_tags": [],
                "objects_in_field": [],
                "calibration": place,
            },
            "calibration": place,
            "annotations": {"annotations": []},
            "tags": {"tags": ["M 1", "mine"]},
            "machine_tags": {"tags": ["M 1"]},
            "objects_in_field": {"objects_in_field": ["M 1"]},
        }
        if path.startswith("api/"):
            return answer_json(documents[path.split("/")[3] if path.count("/") > 2 else ""])
        if "_display" in path:
            return Answer(body=b"\x89PNG\r\n\x1a\n" + bytes(50) + b"IEND\xaeB`\x82", kind="image/png")
        return Answer(body=fits_file(CRVAL1=ra), kind="application/fits")

    def _submission(self, number: int) -> dict[str, Any]:
        job = FIRST_JOB + number
        dark = b"dark" in self.uploads[number - 1].content
        return {
            "user": 1,
            "processing_started": TIME,
            "processing_finished": TIME,
            "user_images": [number],
            "images": [number],
            "jobs": [job],
            "job_calibrations": [] if dark else [[job, number]],
        }

    def _sent(self, arrival: Arrival) -> dict[str, Any]:
        """Return what is in `request-json`, and store an upload."""
        kind = arrival.headers["content-type"]
        filename, content = "json-xy", arrival.body
        if kind.startswith("multipart/"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + arrival.body)
            form, file = message.iter_parts()
            options = json.loads(form.get_payload(decode=True))
            filename, content = file.get_filename(), file.get_payload(decode=True)
        else:
            options = json.loads(parse_qs(arrival.body.decode())["request-json"][0])
        if "upload" in arrival.path:
            self.uploads.append(Upload(filename, content, options))
        return options
