"""What docs/COMPARE.md says of Python's `websockets` with asyncio, shown by running it.

A test says what the library does, not what it should do.
"""

import asyncio
import time
import unittest

from plain import HUGE, LATE, REQUEST, WATCHED, deaf, hundred, plain, redirect, serving, text
from websockets.asyncio import client, server
from websockets.exceptions import ConcurrencyError, ConnectionClosed
from websockets.protocol import State


class Tasks(unittest.IsolatedAsyncioTestCase):
    async def test_messages_are_received_while_a_send_waits(self):
        with deaf(text(b"hello")) as (url, _):
            ws = await client.connect(url, compression=None)
            sending = asyncio.create_task(ws.send(HUGE))
            self.assertEqual(await asyncio.wait_for(ws.recv(), LATE), "hello")
            self.assertFalse(sending.done())
            ws.transport.abort()
            await sending

    async def test_neither_pings_nor_a_close_end_a_send_that_waits(self):
        settings = dict(ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05)
        with deaf() as (url, _):
            ws = await client.connect(url, compression=None, **settings)
            sending = asyncio.create_task(ws.send(HUGE))
            await asyncio.sleep(WATCHED)
            closing = asyncio.create_task(ws.close())
            await asyncio.wait([sending, closing], timeout=WATCHED)
            self.assertFalse(sending.done() or closing.done())
            ws.transport.abort()
            await asyncio.wait_for(asyncio.wait([sending, closing]), LATE)

    async def test_relative_redirects_are_followed(self):
        with plain(redirect) as port:
            async with client.connect(f"ws://127.0.0.1:{port}/there", close_timeout=0.1) as ws:
                self.assertEqual(ws.request.path, "/here")

    async def test_a_second_receiver_is_an_error(self):
        with deaf() as (url, _):
            ws = await client.connect(url, close_timeout=0.1)
            waiting = asyncio.create_task(ws.recv())
            await asyncio.sleep(0)
            with self.assertRaises(ConcurrencyError):
                await ws.recv()
            ws.transport.abort()
            with self.assertRaises(ConnectionClosed):
                await waiting

    async def test_a_close_with_a_full_queue_waits_for_its_timeout_and_does_not_see_the_answer(self):
        with serving(hundred) as (_, url):
            ws = await client.connect(url, close_timeout=2 * WATCHED)
            while not ws.recv_messages.paused:
                await asyncio.sleep(0.001)
            began = time.monotonic()
            await ws.close()
            self.assertGreater(time.monotonic() - began, WATCHED)
            self.assertEqual(ws.close_code, 1006)

    async def test_pings_measure_how_long_pongs_take(self):
        async def handler(ws):
            await ws.wait_closed()

        async with server.serve(handler, "127.0.0.1", 0) as it:
            port = it.sockets[0].getsockname()[1]
            async with client.connect(f"ws://127.0.0.1:{port}/", ping_interval=0.01) as ws:
                async with asyncio.timeout(LATE):
                    while ws.latency == 0:
                        await asyncio.sleep(0.01)

    async def test_broadcasts_are_buffered_for_a_peer_that_does_not_read_and_no_ping_ends_that(self):
        conns = asyncio.Queue()

        async def handler(ws):
            await conns.put(ws)
            await ws.wait_closed()

        settings = dict(ping_interval=0.05, ping_timeout=0.05, compression=None)
        async with server.serve(handler, "127.0.0.1", 0, **settings) as it:
            reader, writer = await asyncio.open_connection(*it.sockets[0].getsockname())
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            reader._transport.pause_reading()
            ws = await conns.get()
            for n in range(1, 4):
                server.broadcast([ws], HUGE)
                self.assertGreater(ws.transport.get_write_buffer_size(), (n - 1) * len(HUGE))
            await asyncio.sleep(2 * WATCHED)
            self.assertIs(ws.state, State.OPEN)
            ws.transport.abort()
            writer.close()

if __name__ == "__main__":
    unittest.main()
