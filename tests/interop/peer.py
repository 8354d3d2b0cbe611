#!/usr/bin/env python3
"""Python's `websockets` as a peer of the interoperability tests.

    peer.py serve [--cert CERT.pem --key KEY.pem] [options]
        echoes every message on 127.0.0.1; prints `listening PORT`, ends when stdin closes
    peer.py client URL [--ca CA.pem] [options]
        runs a fixed set of checks against an echo server; prints `ok N`, or the reason and exits 1
    peer.py echo URL [--ca CA.pem] [options]
        echoes what a server sends; prints `closed CODE` at the end, or the reason and exits 1

    --compression       permessage-deflate with the defaults
    --deflate TERMS     with these settings, such as 'server_max_window_bits=9; client_no_context_takeover; level=1'
    --fragment N        echoes what is longer in fragments of N bytes

With one of the first two it prints what the two sides agreed on for each connection, as this side sees it:
`agreed none`, or `agreed` and both window bits and both no_context_takeover, the server's first.
"""

import argparse
import os
import ssl
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
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


def deflate(args, factory):
    """Arguments of connect and serve."""
    if args.deflate is None:
        return {"compression": "deflate" if args.compression else None}
    settings = {}
    for term in args.deflate.split(";"):
        name, _, value = term.strip().partition("=")
        if name:
            settings[name] = int(value) if value else True
    level = {"level": settings.pop("level")} if "level" in settings else {}
    return {"compression": None, "extensions": [factory(compress_settings=level, **settings)]}


def tell_agreed(ws, args, server):
    if args.deflate is None and not args.compression:
        return
    if not ws.protocol.extensions:
        print("agreed none", flush=True)
        return
    (agreed,) = ws.protocol.extensions
    ours = (agreed.local_max_window_bits, agreed.local_no_context_takeover)
    theirs = (agreed.remote_max_window_bits, agreed.remote_no_context_takeover)
    sides = (ours, theirs) if server else (theirs, ours)
    print("agreed", *(int(value) for pair in zip(*sides) for value in pair), flush=True)


def echo_all(ws, fragment):
    for message in ws:
        data = message.encode() if isinstance(message, str) else message
        if fragment and len(data) > fragment:
            pieces = [data[i : i + fragment] for i in range(0, len(data), fragment)]
            ws.send(pieces, text=isinstance(message, str))
        else:
            ws.send(message)


def run_server(args):
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)

    def echo(ws):
        tell_agreed(ws, args, server=True)
        try:
            echo_all(ws, args.fragment)
        except ConnectionClosed as error:
            print(f"connection ended: {error}", file=sys.stderr)

    server = serve(
        echo,
        "127.0.0.1",
        0,
        ssl=context,
        max_size=MAX_MESSAGE,
        **deflate(args, ServerPerMessageDeflateFactory),
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


def open_client(args):
    context = None
    if args.ca:
        context = ssl.create_default_context(cafile=args.ca)
    ws = connect(
        args.url,
        ssl=context,
        max_size=MAX_MESSAGE,
        proxy=None,
        open_timeout=10,
        close_timeout=10,
        **deflate(args, ClientPerMessageDeflateFactory),
    )
    tell_agreed(ws, args, server=False)
    return ws


def run_client(args):
    after(RUN_TIMEOUT, 1, f"not done within {RUN_TIMEOUT} s")
    with open_client(args) as ws:
        checks = Checks(ws)
        try:
            checks.run()
        except Exception as error:
            raise Failed(f"{checks.doing}: {type(error).__name__}: {error}") from error
    print("ok", checks.passed, flush=True)


def run_echo(args):
    after(RUN_TIMEOUT, 1, f"not done within {RUN_TIMEOUT} s")
    with open_client(args) as ws:
        echo_all(ws, args.fragment)
    print("closed", ws.close_code, flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("--cert")
    server.add_argument("--key")
    client = commands.add_parser("client")
    echo = commands.add_parser("echo")
    for command in (client, echo):
        command.add_argument("url")
        command.add_argument("--ca")
    for command in (server, client, echo):
        command.add_argument("--compression", action="store_true")
        command.add_argument("--deflate")
        command.add_argument("--fragment", type=int, default=0)
    args = parser.parse_args()
    if args.command == "serve":
        run_server(args)
        return
    try:
        {"client": run_client, "echo": run_echo}[args.command](args)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        # Not sys.exit: a connection that is stuck must not keep the process.
        os._exit(1)


if __name__ == "__main__":
    main()
