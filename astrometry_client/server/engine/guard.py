"""Run a command, and end it with all its children when whoever asked for it is gone.

Run as a script in a session of its own: standard input stays open as long as the command is wanted. Whatever
ends the caller closes it, and then this whole process group is killed.
"""

import os
import signal
import subprocess
import sys
import threading


def watch() -> None:
    """Wait for the caller to be gone."""
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    os._exit(abs(subprocess.call(sys.argv[1:], stdin=subprocess.DEVNULL)))
