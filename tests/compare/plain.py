"""Peers of the probes: plain sockets that misbehave, and servers of `websockets`."""

import base64
import hashlib
import logging
import socket
import threading
from contextlib import contextmanager, suppress

from websockets.exceptions import ConnectionClosed
from websockets.sync import server

# What they log of tasks and connections that these tests end by force.
for name in ["websockets", "asyncio"]:
    logging.getLogger(name).setLevel(logging.CRITICAL)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LATE = 60
# How long something is watched that must not happen.
WATCHED = 0.5
# More than any buffers of the system between two sockets.
HUGE = b"x" * (64 << 20)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def thread(work):
    it = threading.Thread(target=work, daemon=True)
    it.start()
    return it


def head_of(sock):
    """A request or response up to its empty line, byte by byte: what is behind it stays."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            break
        head += byte
    return head.decode()


def field(head, name):
    for line in head.split("\r\n"):
        if line.lower().startswith(name.lower() + ":"):
            return line.split(":", 1)[1].strip()
    return None


def switch(sock, head):
    accept = hashlib.sha1(field(head, "Sec-WebSocket-Key").encode() + GUID).digest()
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n"
    )


def redirect(sock, head):
    if head.startswith("GET /here "):
        return switch(sock, head)
    sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: /here\r\nContent-Length: 0\r\n\r\n")


def text(payload):
    assert len(payload) < 126
    return bytes([0x81, len(payload)]) + payload


@contextmanager
def plain(talk):
    """A port where `talk(sock, head)` answers each client after its request."""
    listener = socket.create_server(("127.0.0.1", 0))
    socks = []

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            socks.append(sock)
            thread(lambda: serve(sock))

    def serve(sock):
        # Closed, when the test is over.
        with suppress(OSError):
            talk(sock, head_of(sock))

    thread(accept)
    try:
        yield listener.getsockname()[1]
    finally:
        for it in [listener, *socks]:
            it.close()


@contextmanager
def deaf(first=b""):
    """A server that opens connections and reads nothing. `first` is sent when something has come."""
    came = threading.Event()
    more = threading.Event()

    def talk(sock, head):
        switch(sock, head)
        sock.recv(1, socket.MSG_PEEK)
        came.set()
        sock.sendall(first)
        more.wait(LATE)

    with plain(talk) as port:
        yield f"ws://127.0.0.1:{port}/", came
    more.set()


@contextmanager
def serving(handler, **options):
    with server.serve(handler, "127.0.0.1", 0, **options) as it:
        serve = thread(it.serve_forever)
        yield it, f"ws://127.0.0.1:{it.socket.getsockname()[1]}/"
        it.shutdown()
        serve.join(LATE)


def echo(ws):
    for message in ws:
        ws.send(message)


def hundred(ws):
    for _ in range(100):
        ws.send("x")
    with suppress(ConnectionClosed):
        ws.recv()


def abort(ws):
    """Ends a connection whose send would wait for ever."""
    ws.socket.shutdown(socket.SHUT_RDWR)
