"""What docs/COMPARE.md says of Python's `websockets` with threads, shown by running it.

A test says what the library does, not what it should do.
"""

import os
import socket
import tempfile
import threading
import time
import unittest

from plain import HUGE, LATE, REQUEST, WATCHED
from plain import abort, deaf, echo, field, head_of, hundred, plain, redirect, serving
from plain import switch, text, thread
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    InvalidStatus,
)
from websockets.http11 import Response
from websockets.sync import client, server
from websockets.uri import parse_uri


class Threads(unittest.TestCase):
    def test_a_send_does_not_wait_for_a_thread_that_waits_for_a_message(self):
        with serving(echo) as (_, url), client.connect(url) as ws:
            got = []
            waiting = thread(lambda: got.append(ws.recv()))
            ws.send("hello")
            waiting.join(LATE)
            self.assertEqual(got, ["hello"])

    def test_messages_of_several_threads_arrive_whole(self):
        with serving(echo) as (_, url), client.connect(url) as ws:
            send = lambda n: [ws.send(str(n) * 5000) for _ in range(50)]
            threads = [thread(lambda n=n: send(n)) for n in range(4)]
            got = sorted(ws.recv(LATE) for _ in range(200))
            self.assertEqual(got, sorted(str(n) * 5000 for n in range(4) for _ in range(50)))
            [it.join(LATE) for it in threads]

    def test_a_send_beside_one_in_fragments_is_an_error(self):
        with serving(echo) as (_, url), client.connect(url) as ws:

            def fragments():
                yield "be"
                with self.assertRaises(ConcurrencyError):
                    ws.send("other")
                yield "gin"

            ws.send(fragments())
            self.assertEqual(ws.recv(LATE), "begin")

    def test_a_second_receiver_is_an_error(self):
        with serving(echo) as (_, url), client.connect(url) as ws:
            waiting = thread(lambda: ws.recv())
            while not ws.recv_messages.get_in_progress:
                time.sleep(0.001)
            with self.assertRaises(ConcurrencyError):
                ws.recv()
            ws.send("end")
            waiting.join(LATE)

    def test_nothing_is_received_while_a_send_waits(self):
        with deaf(text(b"hello")) as (url, came):
            ws = client.connect(url, compression=None, legacy=True)
            sending = thread(lambda: self.assertRaises(ConnectionClosed, ws.send, HUGE))
            self.assertTrue(came.wait(LATE))
            with self.assertRaises(TimeoutError):
                ws.recv(WATCHED)
            abort(ws)
            sending.join(LATE)

    def test_neither_pings_nor_a_close_end_a_send_that_waits(self):
        with deaf() as (url, came):
            settings = dict(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05)
            ws = client.connect(url, compression=None, legacy=True, **settings)
            sending = thread(lambda: self.assertRaises(ConnectionClosed, ws.send, HUGE))
            self.assertTrue(came.wait(LATE))
            closing = thread(ws.close)
            closing.join(2 * WATCHED)
            self.assertTrue(closing.is_alive() and sending.is_alive())
            abort(ws)
            sending.join(LATE)
            closing.join(LATE)

    def test_a_peer_waits_while_nobody_receives(self):
        stopped = threading.Event()

        def flood(sock, head):
            switch(sock, head)
            sock.settimeout(WATCHED)
            try:
                sock.sendall(text(b"x" * 125) * (1 << 18))
            except TimeoutError:
                stopped.set()

        with plain(flood) as port:
            ws = client.connect(f"ws://127.0.0.1:{port}/", legacy=True)
            self.assertTrue(stopped.wait(LATE))
            abort(ws)
            ws.recv_messages.close()

    def test_a_close_with_a_full_queue_waits_for_its_timeout_and_does_not_see_the_answer(self):
        with serving(hundred) as (_, url):
            ws = client.connect(url, close_timeout=2 * WATCHED, legacy=True)
            while not ws.recv_messages.paused:
                time.sleep(0.001)
            began = time.monotonic()
            ws.close()
            self.assertGreater(time.monotonic() - began, WATCHED)
            self.assertEqual(ws.close_code, 1006)

    def test_a_message_is_sent_in_pieces_and_received_by_fragments(self):
        def fragments(ws):
            ws.send(str(len(list(ws.recv_streaming()))))

        with serving(fragments) as (_, url), client.connect(url) as ws:
            ws.send(str(n) for n in range(7))
            # The last one is empty.
            self.assertEqual(ws.recv(LATE), "8")
        with serving(fragments) as (_, url), client.connect(url) as ws:
            ws.send("x" * 1_000_000)
            self.assertEqual(ws.recv(LATE), "1")

    def test_a_message_above_1_mib_is_refused(self):
        with serving(echo) as (_, url), client.connect(url) as ws:
            ws.send(b"x" * (1 << 20))
            self.assertEqual(len(ws.recv(LATE)), 1 << 20)
            ws.send(b"x" * ((1 << 20) + 1))
            with self.assertRaises(ConnectionClosedError) as caught:
                ws.recv(LATE)
            self.assertEqual(caught.exception.rcvd.code, 1009)

    def test_compression_is_on_unless_told_otherwise(self):
        with serving(echo) as (_, url), client.connect(url) as ws:
            agreed = ws.response.headers["Sec-WebSocket-Extensions"]
            self.assertIn("permessage-deflate", agreed)

    def test_a_client_has_two_threads_and_a_server_two_beside_the_handler(self):
        def count(ws):
            theirs = {ws.recv_events_thread, ws.keepalive_thread} & set(threading.enumerate())
            return len(theirs - {threading.current_thread()})

        def handler(ws):
            ws.send(str(count(ws)))
            self.assertRaises(ConnectionClosed, ws.recv)

        with serving(handler) as (_, url), client.connect(url) as ws:
            self.assertEqual(ws.recv(LATE), "2")
            self.assertEqual(count(ws), 2)


class Clients(unittest.TestCase):
    def test_relative_redirects_are_followed(self):
        with plain(redirect) as port:
            with client.connect(f"ws://127.0.0.1:{port}/there", close_timeout=0.1) as ws:
                self.assertEqual(ws.request.path, "/here")

    def test_the_proxy_of_the_environment_is_asked(self):
        asked = []

        def talk(sock, head):
            asked.append(head.split("\r\n")[0])
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

        with plain(talk) as port:
            os.environ["http_proxy"] = os.environ["https_proxy"] = f"http://127.0.0.1:{port}"
            try:
                with self.assertRaises(Exception):
                    client.connect("ws://example.invalid/", legacy=True)
            finally:
                del os.environ["http_proxy"], os.environ["https_proxy"]
        self.assertEqual(asked, ["CONNECT example.invalid:80 HTTP/1.1"])

    def test_socks_needs_another_package(self):
        with self.assertRaises(ImportError):
            client.connect("ws://example.invalid/", proxy="socks5://127.0.0.1:1", legacy=True)

    def test_hosts_in_other_scripts_are_converted_by_idna_2003(self):
        self.assertEqual(parse_uri("ws://bücher.example/").host, "xn--bcher-kva.example")
        self.assertEqual(parse_uri("ws://straße.example/").host, "strasse.example")

    def test_unix_sockets_at_both_ends(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            with server.unix_serve(echo, path) as it:
                serve = thread(it.serve_forever)
                with client.unix_connect(path) as ws:
                    ws.send("hello")
                    self.assertEqual(ws.recv(LATE), "hello")
                it.shutdown()
                serve.join(LATE)

    def test_a_client_takes_a_socket_of_ones_own(self):
        ours, theirs = socket.socketpair()
        thread(lambda: switch(theirs, head_of(theirs)))
        ws = client.connect("ws://example.invalid/", sock=ours, close_timeout=0.1, legacy=True)
        theirs.close()
        self.assertRaises(ConnectionClosed, ws.recv)

    def test_a_client_connects_again_after_errors_that_may_pass(self):
        answers = iter([b"HTTP/1.1 503 No\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"])

        def talk(sock, head):
            answer = next(answers, None)
            sock.sendall(answer) if answer else switch(sock, head)

        delays = []
        with plain(talk) as port:
            again = client.reconnect(
                f"ws://127.0.0.1:{port}/",
                close_timeout=0.1,
                reconnect_delays=lambda: iter([0.01]),
            )
            began = time.monotonic()
            for _ in again:
                delays.append(time.monotonic() - began)
                break
        # What the server asked for is not waited for.
        self.assertLess(delays[0], 60)

    def test_cookies_are_not_kept(self):
        heads = []

        def talk(sock, head):
            heads.append(head)
            sock.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
                if len(heads) == 1
                else b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
            )

        with plain(talk) as port, self.assertRaises(InvalidStatus):
            client.connect(f"ws://127.0.0.1:{port}/", legacy=True)
        self.assertEqual([field(head, "Cookie") for head in heads], [None, None])


class Servers(unittest.TestCase):
    def test_origins_are_checked_if_told_to(self):
        elsewhere = dict(origin="https://elsewhere.example")
        with serving(echo) as (_, url), client.connect(url, **elsewhere) as ws:
            ws.send("hello")
            self.assertEqual(ws.recv(LATE), "hello")
        with serving(echo, origins=["https://here.example"]) as (_, url):
            with self.assertRaises(InvalidStatus) as caught:
                client.connect(url, **elsewhere, legacy=True)
        self.assertEqual(caught.exception.response.status_code, 403)

    def test_other_requests_are_answered(self):
        def process(ws, request):
            if request.path == "/health":
                return Response(200, "OK", Headers({"Content-Length": "4"}), b"well")

        with serving(echo, process_request=process) as (it, _):
            with socket.create_connection(it.socket.getsockname()) as sock:
                sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertTrue(head_of(sock).startswith("HTTP/1.1 200 OK"))
                self.assertEqual(sock.recv(4), b"well")

    def test_basic_credentials_go_and_are_checked(self):
        check = server.basic_auth(credentials=("user", "pass"))
        with serving(echo, process_request=check) as (_, url):
            with client.connect(url.replace("//", "//user:pass@")) as ws:
                ws.send("hello")
                self.assertEqual(ws.recv(LATE), "hello")
            with self.assertRaises(InvalidStatus) as caught:
                client.connect(url, legacy=True)
        self.assertEqual(caught.exception.response.status_code, 401)

    def test_a_shutdown_tells_clients_and_waits_for_handlers(self):
        leave = threading.Event()
        ended = threading.Event()

        def handler(ws):
            self.assertRaises(ConnectionClosed, ws.recv)
            ended.set()
            leave.wait(LATE)

        with server.serve(handler, "127.0.0.1", 0) as it:
            serve = thread(it.serve_forever)
            url = f"ws://127.0.0.1:{it.socket.getsockname()[1]}/"
            ws = client.connect(url, legacy=True)
            stopping = thread(it.shutdown)
            with self.assertRaises(ConnectionClosed) as caught:
                ws.recv(LATE)
            self.assertEqual(caught.exception.rcvd.code, 1001)
            self.assertTrue(ended.wait(LATE))
            stopping.join(WATCHED)
            self.assertTrue(stopping.is_alive())
            leave.set()
            stopping.join(LATE)
            serve.join(LATE)
            self.assertFalse(stopping.is_alive())

    def test_a_broadcast_waits_for_a_peer_that_does_not_read(self):
        there = threading.Event()
        conns = []

        def handler(ws):
            conns.append(ws)
            there.set()
            ws.wait_closed()

        with serving(handler, compression=None) as (_, url):
            address = parse_uri(url)
            sock = socket.create_connection((address.host, address.port))
            sock.sendall(REQUEST)
            self.assertTrue(there.wait(LATE))
            casting = thread(lambda: server.broadcast(conns, HUGE))
            casting.join(WATCHED)
            self.assertTrue(casting.is_alive())
            sock.close()
            casting.join(LATE)

if __name__ == "__main__":
    unittest.main()
