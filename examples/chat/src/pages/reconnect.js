// A WebSocket that connects again by itself: at once, then after longer and longer pauses, each of them by chance a
// little longer or shorter, so that not all browsers come back in the same moment.

const LONGEST = 10_000;

export class Reconnecting {
  // `on.address()` gives the address, `on.message(value)` gets what came, `on.state(state)` is told what it does:
  // "connecting", "open", or the seconds until it tries again.
  constructor(on) {
    this.on = on;
    this.attempts = 0;
    addEventListener("online", () => this.timer && this.connect());
    this.connect();
  }

  connect() {
    this.stop();
    this.on.state("connecting");
    const socket = new WebSocket(this.on.address());
    this.socket = socket;
    this.heard = Date.now();
    socket.onmessage = (event) => {
      this.heard = Date.now();
      this.attempts = 0;
      this.on.message(JSON.parse(event.data));
    };
    socket.onopen = () => this.on.state("open");
    socket.onclose = () => this.retry();
  }

  // What was not said now is the caller's to say again.
  say(value) {
    const open = this.socket?.readyState === WebSocket.OPEN;
    if (open) this.socket.send(JSON.stringify(value));
    return open;
  }

  // Gives the connection up, for it does not answer.
  retry() {
    this.stop();
    const pause = Math.min(LONGEST, 250 * 2 ** this.attempts++) * (0.5 + Math.random());
    const until = Date.now() + pause;
    const tick = () => {
      const left = until - Date.now();
      if (left <= 0) return this.connect();
      this.on.state(Math.ceil(left / 1000));
      this.timer = setTimeout(tick, Math.min(left, 250));
    };
    tick();
  }

  // A new connection, to another address perhaps.
  restart() {
    this.attempts = 0;
    this.connect();
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.socket) return;
    this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = undefined;
  }
}

export function socketAddress(path, query) {
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams(query);
  return address.href;
}

// An element with text, which is never taken for markup.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Shows what the connection does in words, with a mark whose colour says the same.
export function showState(target, state, connected) {
  const text = {
    connecting: "Connecting…",
    open: connected,
  }[state] ?? `Reconnecting in ${state} s`;
  target.dataset.state = typeof state === "number" ? "waiting" : state;
  if (target.textContent !== text) target.textContent = text;
}
