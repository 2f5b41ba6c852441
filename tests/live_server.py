"""A user of a running server, and looks at its processes."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import requests

from astrometry_client.server.database import Database

OpenDatabase = Callable[[], Database]

DEADLINE_S = 30.0


@attrs.frozen
class Api:
    """A logged-in user of a server.

    Parameters
    ----------
    http
        A session, to keep one connection; without one, each request has its own.
    """

    url: str
    session_key: str
    http: Any = requests

    @classmethod
    def login(cls, url: str, api_key: str) -> "Api":
        return cls(url, cls(url, "").call("login", {"apikey": api_key}).json()["session"])

    def call(self, path: str, document: dict[str, Any], **more: Any) -> Any:
        data = {"request-json": json.dumps(document)}
        return self.http.post(f"{self.url}/api/{path}", data=data, timeout=DEADLINE_S, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.http.get(f"{self.url}/{path}", timeout=DEADLINE_S, **more)

    def upload(self, content: bytes, name: str = "image.fits", **options: Any) -> int:
        reply = self.call("upload", {"session": self.session_key, **options}, files={"file": (name, content)})
        return int(reply.json()["subid"])

    def upload_sources(self, count: int, **options: Any) -> int:
        listed = {"x": list(range(1, count + 1)), "y": list(range(1, count + 1)), **options}
        reply = self.call("upload", {"session": self.session_key, **listed})
        return int(reply.json()["subid"])

    def submission(self, submission_id: int) -> dict[str, Any]:
        return dict(self.get(f"api/submissions/{submission_id}").json())

    def status(self, job_id: int) -> str:
        return str(self.get(f"api/jobs/{job_id}").json()["status"])

    def until(self, submission_id: int, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return until(lambda: self.submission(submission_id), reached)

    def read(self, submission_id: int) -> dict[str, Any]:
        return self.until(submission_id, lambda document: document["processing_finished"] != "None")

    def ended(self, submission_id: int) -> list[str]:
        """Return the final status of every job of a submission."""
        jobs = self.until(submission_id, lambda document: document["jobs"] and None not in document["jobs"])
        return [
            until(lambda job=job: self.status(job), {"success", "failure"}.__contains__)
            for job in jobs["jobs"]
        ]

    def solve(self, submission_id: int) -> int:
        """Return the job of a submission that is solved."""
        assert self.ended(submission_id) == ["success"]
        return int(self.submission(submission_id)["jobs"][0])


def until(look: Callable[[], Any], reached: Callable[[Any], Any]) -> Any:
    """Return what is seen when it is as wished."""
    deadline = time.monotonic() + DEADLINE_S
    while not reached(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return seen


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended but was not asked for its status does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


SERVE = """
import json, sys
from astrometry_client.server.run import serve

def tell(ready):
    print(json.dumps([ready.url, ready.api_key]), flush=True)

serve(on_ready=tell, **json.loads(sys.argv[1]))
print("ended in order", flush=True)
"""


@contextlib.contextmanager
def served(data_dir: Path, **options: Any) -> Iterator[tuple["subprocess.Popen[str]", str, str]]:
    """Run `serve` as the command does; give its process, address and API key."""
    given = json.dumps(
        {"data_dir": str(data_dir), "port": 0, "engine": "toy_engines:toy", "workers": 1, **options}
    )
    command = [sys.executable, "-c", SERVE, given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            url, api_key = json.loads(process.stdout.readline())
            yield process, url, api_key
        finally:
            process.kill()
