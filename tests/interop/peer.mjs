#!/usr/bin/env node
// Node's `ws` as a peer of the interoperability tests.
//
//     peer.mjs serve [--cert CERT.pem --key KEY.pem] [options]
//         echoes every message on 127.0.0.1; prints `listening PORT`, ends when stdin closes
//     peer.mjs client URL [--ca CA.pem] [options]
//         runs a fixed set of checks against an echo server; prints `ok N`, or the reason and exits 1
//     peer.mjs echo URL [--ca CA.pem] [options]
//         echoes what a server sends; prints `closed CODE` at the end, or the reason and exits 1
//
//     --compression       permessage-deflate with the defaults
//     --deflate TERMS     with these settings, such as 'server_max_window_bits=9; client_no_context_takeover; level=1'
//     --fragment N        echoes what is longer in fragments of N bytes
//
// With one of the first two it prints what the two sides agreed on for each connection, as this side sees it:
// `agreed none`, or `agreed` and both window bits and both no_context_takeover, the server's first.
// WSYNC_INTEROP names the folder that setup.sh filled (default: target/interop of the project).

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = path.dirname(fileURLToPath(import.meta.url));
const installed = process.env.WSYNC_INTEROP ?? path.join(here, '../../target/interop');
const WebSocket = createRequire(path.join(installed, 'package.json'))('ws');

const MAX_MESSAGE = 32 * 1024 * 1024;
const OPEN_TIMEOUT = 10_000;
const RECV_TIMEOUT = 30_000;
const PONG_TIMEOUT = 5_000;
const CLOSE_TIMEOUT = 10_000;
const RUN_TIMEOUT = 150_000;
const STOP_TIMEOUT = 10_000;

const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 65537, 1 << 20, 16 << 20];
const TEXTS = ['Hello, world!', 'Grüße, 世界, καλημέρα, 👋🏽', ''];
const PERIOD = Buffer.from(Array.from({ length: 251 }, (_, i) => i));

const OPTIONS = {
  server_max_window_bits: 'serverMaxWindowBits',
  client_max_window_bits: 'clientMaxWindowBits',
  server_no_context_takeover: 'serverNoContextTakeover',
  client_no_context_takeover: 'clientNoContextTakeover',
};

const payload = (size) => (size === 0 ? Buffer.alloc(0) : Buffer.alloc(size, PERIOD));
const describe = (data, binary) => `${binary ? 'binary' : 'text'} of ${data.length} bytes`;

function fail(reason) {
  console.log(reason);
  process.exit(1);
}

function deflate({ compression, deflate }) {
  if (!compression && deflate === undefined) return false;
  // A threshold of 0 compresses small messages too.
  const options = { threshold: 0 };
  for (const term of (deflate ?? '').split(';').filter((term) => term.trim())) {
    const [name, value] = term.trim().split('=');
    if (name === 'level') options.zlibDeflateOptions = { level: Number(value) };
    else if (name in OPTIONS) options[OPTIONS[name]] = value === undefined ? true : Number(value);
    else fail(`--deflate: ${name}`);
  }
  return options;
}

function tellAgreed(ws, settings) {
  if (!deflate(settings)) return;
  // `extensions` has the name only.
  const agreed = ws._extensions[ws.extensions]?.params;
  if (!agreed) {
    console.log(`agreed ${ws.extensions || 'none'}`);
    return;
  }
  const bits = ['server', 'client'].map((side) => agreed[`${side}_max_window_bits`] ?? 15);
  const fresh = ['server', 'client'].map((side) => Number(agreed[`${side}_no_context_takeover`] ?? false));
  console.log('agreed', ...bits, ...fresh);
}

function echoAll(ws, { fragment }) {
  const size = Number(fragment) || Infinity;
  ws.on('message', (data, binary) => {
    if (data.length <= size) {
      ws.send(data, { binary });
      return;
    }
    for (let at = 0; at < data.length; at += size) {
      ws.send(data.subarray(at, at + size), { fin: at + size >= data.length, binary });
    }
  });
}

async function runServer(settings) {
  const { cert, key } = settings;
  const server = cert
    ? https.createServer({ cert: readFileSync(cert), key: readFileSync(key) })
    : http.createServer();
  const wss = new WebSocket.WebSocketServer({
    server,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: deflate(settings),
  });
  wss.on('connection', (ws) => {
    tellAgreed(ws, settings);
    echoAll(ws, settings);
    ws.on('error', (error) => console.error(`connection ended: ${error.message}`));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  console.log(`listening ${server.address().port}`);

  process.stdin.resume();
  await once(process.stdin, 'end');
  setTimeout(() => fail(`not stopped within ${STOP_TIMEOUT} ms`), STOP_TIMEOUT).unref();
  for (const ws of wss.clients) ws.close(1001);
  wss.close();
  server.close(() => process.exit(0));
}

// Resolves with the arguments of the next `event`; rejects when the time is up or the connection ends first.
function next(ws, event, timeout) {
  return new Promise((resolve, reject) => {
    const settle = (how) => (value) => {
      clearTimeout(timer);
      ws.off(event, onEvent).off('close', onClose).off('error', onError);
      how(value);
    };
    const onEvent = (...args) => settle(resolve)(args);
    const onClose = (code, reason) => settle(reject)(new Error(`closed with ${code} ${reason}`));
    const onError = settle(reject);
    const timer = setTimeout(
      () => settle(reject)(new Error(`no ${event} within ${timeout} ms`)),
      timeout,
    );
    ws.on(event, onEvent);
    if (event !== 'close') ws.on('close', onClose);
    ws.on('error', onError);
  });
}

class Checks {
  passed = 0;
  doing = 'nothing';

  constructor(ws) {
    this.ws = ws;
  }

  // Calls `send` and expects `message` back.
  async echo(name, message, binary, send = () => this.ws.send(message, { binary })) {
    this.doing = name;
    const answer = next(this.ws, 'message', RECV_TIMEOUT);
    send();
    const [data, isBinary] = await answer;
    if (isBinary !== binary || !data.equals(message)) {
      throw new Error(`echo differs: sent ${describe(message, binary)}, got ${describe(data, isBinary)}`);
    }
    this.passed += 1;
  }

  async pong(name, expected, send = () => this.ws.ping(expected)) {
    this.doing = name;
    const answer = next(this.ws, 'pong', PONG_TIMEOUT);
    send();
    const [data] = await answer;
    if (!data.equals(expected)) throw new Error(`pong with ${describe(data, true)}`);
    this.passed += 1;
  }

  async close() {
    this.doing = 'close';
    const closed = next(this.ws, 'close', CLOSE_TIMEOUT);
    this.ws.close(1000, 'done');
    const [code] = await closed;
    if (code !== 1000) throw new Error(`close code ${code}, not 1000`);
    this.passed += 1;
  }

  async run() {
    for (const text of TEXTS) await this.echo(`text '${text}'`, Buffer.from(text), false);
    for (const size of SIZES) await this.echo(`binary of ${size}`, payload(size), true);

    // Three bytes at a time cut the two-, three- and four-byte characters.
    const text = Buffer.from(TEXTS[1]);
    await this.echo('fragmented text', text, false, () => {
      for (let at = 0; at < text.length; at += 3) {
        const fin = at + 3 >= text.length;
        this.ws.send(text.subarray(at, at + 3), { fin, binary: false });
      }
    });

    const whole = payload(100_000);
    const between = Buffer.from('between fragments');
    const pong = next(this.ws, 'pong', PONG_TIMEOUT);
    // Awaited below; an echo that fails first must not leave it unheard.
    pong.catch(() => {});
    await this.echo('fragmented binary', whole, true, () => {
      this.ws.send(whole.subarray(0, 1), { fin: false, binary: true });
      this.ws.send(Buffer.alloc(0), { fin: false });
      this.ws.send(whole.subarray(1, 70_000), { fin: false });
      this.ws.ping(between);
      this.ws.send(whole.subarray(70_000), { fin: true });
    });
    this.doing = 'ping between fragments';
    const [answer] = await pong;
    if (!answer.equals(between)) throw new Error(`pong with ${describe(answer, true)}`);
    this.passed += 1;

    for (const data of [Buffer.alloc(0), Buffer.from('payload'), payload(125)]) {
      await this.pong(`ping of ${data.length}`, data);
    }
    await this.close();
  }
}

function connect(url, settings) {
  setTimeout(() => fail(`not done within ${RUN_TIMEOUT} ms`), RUN_TIMEOUT).unref();
  const ws = new WebSocket(url, {
    ca: settings.ca && readFileSync(settings.ca),
    perMessageDeflate: deflate(settings),
    maxPayload: MAX_MESSAGE,
    handshakeTimeout: OPEN_TIMEOUT,
  });
  ws.on('open', () => tellAgreed(ws, settings));
  return ws;
}

async function runClient(url, settings) {
  const ws = connect(url, settings);
  // What nobody waits for shows itself in the next wait.
  ws.on('error', () => {});
  await next(ws, 'open', OPEN_TIMEOUT);
  const checks = new Checks(ws);
  try {
    await checks.run();
  } catch (error) {
    fail(`${checks.doing}: ${error.message}`);
  }
  console.log(`ok ${checks.passed}`);
  process.exit(0);
}

async function runEcho(url, settings) {
  const ws = connect(url, settings);
  echoAll(ws, settings);
  const [code] = await next(ws, 'close', RUN_TIMEOUT);
  console.log(`closed ${code}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cert: { type: 'string' },
    key: { type: 'string' },
    ca: { type: 'string' },
    compression: { type: 'boolean', default: false },
    deflate: { type: 'string' },
    fragment: { type: 'string' },
  },
});
const [command, url] = positionals;
if (command === 'serve' && !url) await runServer(values);
else if (command === 'client' && url) await runClient(url, values).catch((e) => fail(e.message));
else if (command === 'echo' && url) await runEcho(url, values).catch((e) => fail(e.message));
else {
  console.error('usage: peer.mjs serve [--cert C --key K] | client URL [--ca FILE] | echo URL   [options]');
  process.exit(2);
}
