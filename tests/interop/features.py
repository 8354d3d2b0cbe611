#!/usr/bin/env python3
"""Python's `websockets` as a peer of the tests of what wsync does beside messages.

    features.py open API URL... [--origin ORIGIN] [--subprotocol NAME]... [--ca CA.pem]
        connects to each, has `hello` echoed and closes; prints `opened | SUBPROTOCOL | MESSAGE | CODE`,
        or `refused | STATUS | WWW-AUTHENTICATE | BODY`
    features.py get METHOD URL... [--ca CA.pem]
        plain requests of HTTP; prints `answer | STATUS | CONTENT-TYPE | BODY`
    features.py stay API URL N [--ca CA.pem]
        N connections; prints `ready`, and at the end of each of them `closed CODE`
    features.py crowd URL N COUNT STEP
        N connections that read COUNT messages, whose first words are their numbers, and answer every STEP-th,
        and one that reads none before the others are closed; prints `closed CODE` for each, and
        `silent RECEIVED CODE`
    features.py again URL
        connects again and again; prints `opened MESSAGE` and `closed CODE`
    features.py serve [--host HOST] [--port PORT] [--unix PATH] [--cert CERT.pem --key KEY.pem]
                      [--auth USER PASSWORD] [--note]
        prints `listening PORT`, ends when stdin closes; echoes, but says at /authorization what it got as that,
        and reads nothing at /deaf. /STATUS/PATH leads to /PATH, and /STATUS?URL to that URL; /busy is to be
        tried again after a second, once. With --note it echoes nothing, and prints `got N` for each binary message,
        a number, before a ping behind it is answered.

API is `asyncio` or `sync`. What goes wrong is printed, and the exit status is 1 then.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import os
import re
import socket
import ssl
import sys
import urllib.parse

import websockets.asyncio.client
import websockets.asyncio.server
import websockets.sync.client
from peer import RUN_TIMEOUT, Failed, after
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

ANSWER = 30


def say(*words, sep=" "):
    # In one piece, even if this is killed meanwhile.
    print(sep.join(map(str, words)) + "\n", end="", flush=True)


def context(args):
    return ssl.create_default_context(cafile=args.ca) if args.ca else None


def options(args):
    """Of connect, in both APIs."""
    return {"ssl": context(args), "proxy": None, "open_timeout": ANSWER}


def open_sync(url, settings):
    with websockets.sync.client.connect(url, **settings) as ws:
        ws.send("hello")
        message = ws.recv(timeout=ANSWER)
    return ws, message


async def open_asyncio(url, settings):
    async with websockets.asyncio.client.connect(url, **settings) as ws:
        await ws.send("hello")
        message = await asyncio.wait_for(ws.recv(), ANSWER)
    return ws, message


def run_open(args):
    settings = options(args) | {"origin": args.origin, "subprotocols": args.subprotocol}
    for url in args.url:
        try:
            if args.api == "sync":
                ws, message = open_sync(url, settings)
            else:
                ws, message = asyncio.run(open_asyncio(url, settings))
            say("opened", ws.subprotocol, message, ws.close_code, sep=" | ")
        except InvalidStatus as error:
            response = error.response
            challenge = response.headers.get("WWW-Authenticate")
            say("refused", response.status_code, challenge, (response.body or b"").decode().strip(), sep=" | ")


def run_get(args):
    for url in args.url:
        parts = urllib.parse.urlsplit(url)
        if args.ca:
            connection = http.client.HTTPSConnection(parts.netloc, timeout=ANSWER, context=context(args))
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER)
        with contextlib.closing(connection):
            connection.request(args.method, parts.path)
            response = connection.getresponse()
            body = response.read().decode().strip()
            say("answer", response.status, response.headers["Content-Type"], body, sep=" | ")


def stay_sync(args):
    with contextlib.ExitStack() as stack:
        connect = websockets.sync.client.connect
        connections = [stack.enter_context(connect(args.url, **options(args))) for _ in range(args.n)]
        say("ready")
        for ws in connections:
            for _ in ws:
                pass
            say("closed", ws.close_code)


async def stay_asyncio(args):
    async with contextlib.AsyncExitStack() as stack:
        connect = websockets.asyncio.client.connect
        connections = [await stack.enter_async_context(connect(args.url, **options(args))) for _ in range(args.n)]
        say("ready")
        for ws in connections:
            await ws.wait_closed()
            say("closed", ws.close_code)


def run_stay(args):
    if args.api == "sync":
        stay_sync(args)
    else:
        asyncio.run(stay_asyncio(args))


async def read_all(ws, args):
    await ws.send("reader")
    expected = 0
    async for message in ws:
        number = int(message.split(" ", 1)[0])
        if number != expected:
            raise Failed(f"{number} came, not {expected}")
        expected += 1
        if expected % args.step == 0:
            await ws.send(str(expected))
    if expected != args.count:
        raise Failed(f"{expected} came of {args.count}")
    say("closed", ws.close_code)


async def crowd(args):
    connect = websockets.asyncio.client.connect
    async with contextlib.AsyncExitStack() as stack:
        # As little as can be is on its way to it.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urllib.parse.urlsplit(args.url)
        sock.connect((parts.hostname, parts.port))
        settings = {"sock": sock, "max_queue": 1, "ping_interval": None}
        silent = await stack.enter_async_context(connect(args.url, **settings))
        await silent.send("silent")
        readers = [await stack.enter_async_context(connect(args.url, proxy=None)) for _ in range(args.n)]
        await asyncio.gather(*(read_all(ws, args) for ws in readers))
        numbers = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                numbers.append(int((await silent.recv()).split(" ", 1)[0]))
        if numbers != sorted(set(numbers)):
            raise Failed("they came out of order")
        say("silent", len(numbers), silent.close_code)


async def again(args):
    delays = lambda: itertools.repeat(0.05)
    async for ws in websockets.asyncio.client.connect(args.url, proxy=None, reconnect_delays=delays):
        with contextlib.suppress(ConnectionClosed):
            say("opened", await ws.recv())
            await ws.recv()
        say("closed", ws.close_code)


class Noting(websockets.asyncio.server.ServerConnection):
    """Tells of each message before anything is written that was read behind it."""

    def __init__(self, protocol, *args, **kwargs):
        super().__init__(protocol, *args, **kwargs)
        receive = protocol.recv_frame

        def recv_frame(frame):
            if frame.opcode is Opcode.BINARY:
                say("got", int.from_bytes(frame.data, "big"))
            receive(frame)

        protocol.recv_frame = recv_frame


def answers(args):
    """What requests are answered that are not for a WebSocket yet."""
    busy = itertools.count()
    check = websockets.asyncio.server.basic_auth(realm="peer", credentials=tuple(args.auth)) if args.auth else None

    def answer(ws, status, name, value):
        response = ws.respond(status, "")
        response.headers[name] = value
        return response

    async def process_request(ws, request):
        if redirect := re.fullmatch(r"/(3\d\d)(?:(/.*)|\?(.*))", request.path):
            status, path, url = redirect.groups()
            return answer(ws, int(status), "Location", path or url)
        if request.path == "/busy" and next(busy) == 0:
            return answer(ws, 503, "Retry-After", "1")
        return await check(ws, request) if check else None

    return process_request


async def handle(ws):
    if ws.request.path == "/deaf":
        await ws.wait_closed()
        return
    if ws.request.path == "/authorization":
        await ws.send(ws.request.headers.get("Authorization", "none"))
    with contextlib.suppress(ConnectionClosed):
        async for message in ws:
            if not isinstance(ws, Noting):
                await ws.send(message)


async def serve(args):
    settings = {
        "process_request": answers(args),
        "create_connection": Noting if args.note else None,
        # Whether the other side is there is its business here.
        "ping_interval": None,
        "close_timeout": 2,
    }
    if args.cert:
        settings["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        settings["ssl"].load_cert_chain(args.cert, args.key)
    if args.unix:
        server = websockets.asyncio.server.unix_serve(handle, args.unix, **settings)
    else:
        server = websockets.asyncio.server.serve(handle, args.host, args.port, **settings)
    async with server as running:
        say("listening", 0 if args.unix else running.sockets[0].getsockname()[1])
        await asyncio.to_thread(sys.stdin.read)


def arguments():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    opening = commands.add_parser("open")
    opening.add_argument("api", choices=["asyncio", "sync"])
    opening.add_argument("--origin")
    opening.add_argument("--subprotocol", action="append")
    get = commands.add_parser("get")
    get.add_argument("method")
    for command in (opening, get):
        command.add_argument("url", nargs="+")
    stay = commands.add_parser("stay")
    stay.add_argument("api", choices=["asyncio", "sync"])
    crowd = commands.add_parser("crowd")
    for command in (stay, crowd):
        command.add_argument("url")
        command.add_argument("n", type=int)
    crowd.add_argument("count", type=int)
    crowd.add_argument("step", type=int)
    commands.add_parser("again").add_argument("url")
    for command in (opening, get, stay):
        command.add_argument("--ca")
    serve = commands.add_parser("serve")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=0)
    serve.add_argument("--unix")
    serve.add_argument("--cert")
    serve.add_argument("--key")
    serve.add_argument("--auth", nargs=2)
    serve.add_argument("--note", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    after(RUN_TIMEOUT, 1, f"not done within {RUN_TIMEOUT} s")
    loops = {"crowd": crowd, "again": again, "serve": serve}
    try:
        if args.command in loops:
            asyncio.run(loops[args.command](args))
        else:
            {"open": run_open, "get": run_get, "stay": run_stay}[args.command](args)
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
        # Not sys.exit: a connection that is stuck must not keep the process.
        os._exit(1)


if __name__ == "__main__":
    main()
