#!/usr/bin/env python3
"""Python's `websockets` as a peer of the interoperability tests.

    peer.py serve [--cert CERT.pem --key KEY.pem] [--compression]
        echoes every message on 127.0.0.1; prints `listening PORT`, ends when stdin closes
    peer.py client URL [--ca CA.pem] [--compression]
        runs a fixed set of checks against an echo server; prints `ok N`, or the reason and exits 1

With --compression the client prints `negotiated permessage-deflate` or `negotiated none` first.
"""

import argparse
import os
import ssl
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

MAX_MESSAGE = 32 * 1024 * 1024
RECV_TIMEOUT = 30
PONG_TIMEOUT = 5
RUN_TIMEOUT = 150
STOP_TIMEOUT = 10

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 20, 16 << 20]
TEXTS = ["Hello, world!", "Grüße, 世界, καλημέρα, 👋🏽", ""]


class Failed(Exception):
    """An echo, a pong or the close was not what it should be."""


def payload(size):
    period = bytes(range(251))
    return (period * (size // len(period) + 1))[:size]


def short(message):
    return repr(message) if len(message) <= 80 else f"{type(message).__name__} of {len(message)}"


def after(seconds, status, text):
    """Ends the process when it is still there in so many seconds."""

    def end():
        print(text, flush=True)
        os._exit(status)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def run_server(args):
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)

    def echo(ws):
        try:
            for message in ws:
                ws.send(message)
        except ConnectionClosed as error:
            print(f"connection ended: {error}", file=sys.stderr)

    server = serve(
        echo,
        "127.0.0.1",
        0,
        ssl=context,
        compression="deflate" if args.compression else None,
        max_size=MAX_MESSAGE,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("listening", server.socket.getsockname()[1], flush=True)
    while sys.stdin.buffer.read(4096):
        pass
    after(STOP_TIMEOUT, 1, f"not stopped within {STOP_TIMEOUT} s")
    server.shutdown()


class Checks:
    def __init__(self, ws):
        self.ws = ws
        self.passed = 0
        self.doing = "nothing"

    def echo(self, name, message, sent=None, text=None):
        """Sends `sent` (by default the message in one piece) and expects the message back."""
        self.doing = name
        self.ws.send(message if sent is None else sent, text=text)
        got = self.ws.recv(timeout=RECV_TIMEOUT)
        if type(got) is not type(message) or got != message:
            raise Failed(f"echo differs: sent {short(message)}, got {short(got)}")
        self.passed += 1

    def pong(self, name, ping):
        self.doing = name
        if not ping.wait(PONG_TIMEOUT):
            raise Failed(f"no pong within {PONG_TIMEOUT} s")
        self.passed += 1

    def close(self):
        self.doing = "close"
        self.ws.close(1000, "done")
        if self.ws.close_code != 1000:
            raise Failed(f"close code {self.ws.close_code}, not 1000")
        self.passed += 1

    def run(self):
        for message in TEXTS:
            self.echo(f"text {message!r}", message)
        for size in SIZES:
            self.echo(f"binary of {size}", payload(size))

        # Three bytes at a time cut the two-, three- and four-byte characters.
        encoded = TEXTS[1].encode()
        pieces = [encoded[i : i + 3] for i in range(0, len(encoded), 3)]
        self.echo("fragmented text", TEXTS[1], sent=pieces, text=True)

        whole = payload(100_000)
        pings = []

        def pieces_around_a_ping():
            yield whole[:1]
            yield b""
            yield whole[1:70_000]
            pings.append(self.ws.ping(b"between fragments"))
            yield whole[70_000:]

        self.echo("fragmented binary", whole, sent=pieces_around_a_ping())
        self.pong("ping between fragments", pings[0])

        for data in [b"", b"payload", payload(125)]:
            self.pong(f"ping of {len(data)}", self.ws.ping(data))
        self.close()


def run_client(args):
    after(RUN_TIMEOUT, 1, f"not done within {RUN_TIMEOUT} s")
    context = None
    if args.ca:
        context = ssl.create_default_context(cafile=args.ca)
    with connect(
        args.url,
        ssl=context,
        compression="deflate" if args.compression else None,
        max_size=MAX_MESSAGE,
        proxy=None,
        open_timeout=10,
        close_timeout=10,
    ) as ws:
        if args.compression:
            names = [extension.name for extension in ws.protocol.extensions]
            print("negotiated", *(names or ["none"]), flush=True)
        checks = Checks(ws)
        try:
            checks.run()
        except Exception as error:
            raise Failed(f"{checks.doing}: {type(error).__name__}: {error}") from error
    print("ok", checks.passed, flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("--cert")
    server.add_argument("--key")
    server.add_argument("--compression", action="store_true")
    client = commands.add_parser("client")
    client.add_argument("url")
    client.add_argument("--ca")
    client.add_argument("--compression", action="store_true")
    args = parser.parse_args()
    if args.command == "serve":
        run_server(args)
        return
    try:
        run_client(args)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        # Not sys.exit: a connection that is stuck must not keep the process.
        os._exit(1)


if __name__ == "__main__":
    main()
