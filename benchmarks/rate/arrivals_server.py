"""A server on the loopback that notes when each request arrives, by whom, and answers at once.

`/arrivals` returns what was noted as JSON and forgets it. Every fifth other request is answered by a
redirect, every seventh by a reply that is cut, if the path asks for it: `/troubled?process=1`.
"""

import json
import selectors
import socket
import time
from urllib.parse import parse_qs, urlsplit

Arrival = tuple[float, int]


def serve(listener: socket.socket) -> None:
    """Answer for ever, in one thread: nothing else may delay the note of an arrival."""
    arrivals: list[Arrival] = []
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _address = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket):
                _answer(key.fileobj, selector, arrivals)


def _answer(connection: socket.socket, selector: selectors.BaseSelector, arrivals: list[Arrival]) -> None:
    now = time.time()
    try:
        request = connection.recv(65536)
    except ConnectionError:
        request = b""
    if not request:
        selector.unregister(connection)
        connection.close()
        return
    url = urlsplit(request.split(b" ", 2)[1].decode())
    if url.path == "/arrivals":
        connection.sendall(_reply("200 OK", json.dumps(arrivals)))
        arrivals.clear()
        return
    arrivals.append((now, int(parse_qs(url.query)["process"][0])))
    troubled = url.path == "/troubled"
    if troubled and len(arrivals) % 5 == 0:
        connection.sendall(_reply("302 Found", "", f"Location: /?{url.query}\r\n"))
    elif troubled and len(arrivals) % 7 == 0:
        connection.sendall(_reply("200 OK", '{"status": "solving"}')[:-5])
        selector.unregister(connection)
        connection.close()
    else:
        connection.sendall(_reply("200 OK", '{"status": "solving"}'))


def _reply(status: str, body: str, header: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{header}"
    return f"{head}\r\n{body}".encode()
