"""The process of a `LocalServer`: `python -m astrometry_client.server.local_child`.

Standard input brings the settings; when it ends, the server ends. Standard output takes one
line: the address and API key, or why there is none.
"""

import json
import os
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from astrometry_client.errors import InputError

from .run import serve

if TYPE_CHECKING:
    from .serving import Ready


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _stop_with_input() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Serve as long as standard input is open."""
    options = json.loads(sys.stdin.buffer.readline())

    def ready(server: "Ready") -> None:
        threading.Thread(target=_stop_with_input, daemon=True).start()
        _say({"url": server.url, "api_key": server.api_key})

    try:
        serve(on_ready=ready, **options)
    except InputError as error:
        _say({"error": str(error)})
    finally:
        shutil.rmtree(options["data_dir"], ignore_errors=True)


if __name__ == "__main__":
    main()
