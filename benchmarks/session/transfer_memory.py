"""What sending and fetching one GiB costs in memory, against a server on the loopback.

Run it: `python benchmarks/session/transfer_memory.py`.
"""

import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

GIB = 1 << 30
FITS_BYTES = GIB // 2880 * 2880
BLOCK = bytes(1 << 20)

CLIENT = """
import resource, sys, time
from astrometry_client.session import ClientSession
server, folder = sys.argv[1:]

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

with ClientSession() as session:
    form = {"request-json": "{}"}
    session.post(f"{server}/api/upload", data=form, files={"file": b"small"})
    files = {"file": f"{folder}/large"}
    for name, work in (
        ("upload", lambda: session.post(f"{server}/api/upload", data=form, files=files)),
        ("download", lambda: session.download(f"{server}/new_fits_file/1", f"{folder}/new.fits")),
    ):
        before, started_s = peak_mib(), time.perf_counter()
        work()
        print(f"{name:10} {peak_mib() - before:6.1f} MiB more, {time.perf_counter() - started_s:5.1f} s")
"""


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    reader = connection.makefile("rb")
    while line := reader.readline():
        length = 0
        while (header := reader.readline()) != b"\r\n":
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
        while length:
            length -= len(reader.read(min(length, len(BLOCK))))
        if line.startswith(b"POST"):
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"status": "success"}')
            continue
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {FITS_BYTES}\r\n\r\n".encode())
        connection.sendall(b"SIMPLE  =".ljust(2880))
        left = FITS_BYTES - 2880
        while left:
            left -= connection.send(BLOCK[: min(left, len(BLOCK))])


def main() -> None:
    """Print the extra memory of an upload and a download."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "large").open("wb") as large:
            large.truncate(GIB)
        subprocess.run([sys.executable, "-c", CLIENT, server, folder], check=True)


if __name__ == "__main__":
    main()
