"""The process of `matcher.py`, for one search or for many."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Self, cast

SCRIPT = Path(__file__).with_name("matcher.py")


class Matcher:
    """A process that matches, started when it is first needed; it ends with this one.

    One thread may use it.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def search(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the matches found, until the search is done, fails, or runs into its time limit.

        It rests while nobody asks for the next match.
        """
        for message in (request, *[None] * (len(request["passes"]) - 1)):
            line = self._ask(message)
            if not line.endswith(b"\n"):
                return
            yield from json.loads(line)

    def _ask(self, message: dict[str, Any] | None) -> bytes:
        """Return the line the process answers; unless it is whole, the process is ended."""
        line = b""
        try:
            process = self._started()
            to_process, from_process = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            to_process.write(json.dumps(message).encode() + b"\n")
            to_process.flush()
            line = from_process.readline()
        finally:
            if not line.endswith(b"\n"):
                self.close()
        return line

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
