import { Reconnecting, element, showState, socketAddress } from "./reconnect.js";

// Messages that the page shows at most.
const SHOWN = 500;
// What was not acknowledged for so long is said again.
const AGAIN = 3000;
// A connection on which nothing comes for so long, though something should, is given up.
const SILENCE = 10_000;

const at = (id) => document.getElementById(id);
const me = { name: "", room: "" };
let connection;
let server = "";
// The newest message, and all ids that are shown: none is shown twice.
let newest;
let shown = new Set();
// What was said and not acknowledged, by room and nonce.
const unsaid = new Map();
let unread = 0;

const pendingHere = () => {
  if (!unsaid.has(me.room)) unsaid.set(me.room, new Map());
  return unsaid.get(me.room);
};

// The connection

function enter(name, room) {
  me.name = name;
  keep("name", name);
  at("entry").hidden = true;
  at("chat").hidden = false;
  go(room);
  setInterval(sayAgain, 1000);
}

function go(room) {
  me.room = room;
  newest = undefined;
  shown = new Set();
  for (const id of ["messages", "pending", "people"]) at(id).replaceChildren();
  at("count").textContent = "";
  at("empty").hidden = true;
  at("title").textContent = room;
  document.title = `${room} – Chat`;
  history.replaceState(null, "", `?${new URLSearchParams({ room, name: me.name })}`);
  showRooms();
  for (const draft of pendingHere().values()) showPending(draft);
  if (connection) return connection.restart();
  connection = new Reconnecting({ address, message, state });
}

function address() {
  const query = { room: me.room, name: me.name };
  if (newest) query.after = newest;
  return socketAddress("ws", query);
}

function state(now) {
  // It is connected once the server has said so.
  if (now !== "open") showState(at("state"), now);
}

function message(message) {
  const hear = { welcome, said, gap, here, error }[message.type];
  hear?.(message);
}

function welcome(message) {
  server = message.server;
  showState(at("state"), "open", `Connected to ${server}`);
  for (const draft of pendingHere().values()) say(draft);
}

function said(message) {
  if (!newest || isAfter(message.id, newest)) newest = message.id;
  if (shown.has(message.id)) return;
  shown.add(message.id);
  const draft = pendingHere().get(message.nonce);
  if (draft) {
    draft.item.remove();
    pendingHere().delete(message.nonce);
  }
  show(message);
}

function isAfter(id, other) {
  const [major, minor] = id.split("-").map(Number);
  const [otherMajor, otherMinor] = other.split("-").map(Number);
  return major > otherMajor || (major === otherMajor && minor > otherMinor);
}

function gap() {
  append(divider("Some messages are missing here"));
}

function here({ names }) {
  at("count").textContent = names.length;
  at("people").replaceChildren(...names.map((name) => {
    const label = name === me.name ? `${name} (you)` : name;
    return element("li", { "data-testid": "person", "data-name": name }, avatar(name), element("span", {}, label));
  }));
  at("empty").hidden = shown.size > 0;
}

let problemTimer;

function error({ text }) {
  at("problem").textContent = text;
  at("problem").hidden = false;
  clearTimeout(problemTimer);
  problemTimer = setTimeout(() => (at("problem").hidden = true), 6000);
}

// Saying

function submit() {
  const text = at("text").value.trim();
  if (!text) return;
  at("text").value = "";
  const draft = { nonce: nonce(), text };
  pendingHere().set(draft.nonce, draft);
  showPending(draft);
  say(draft);
  toNewest();
}

function say(draft) {
  const { nonce, text } = draft;
  if (connection.say({ type: "say", nonce, text })) draft.saidAt = Date.now();
}

function sayAgain() {
  const late = [...pendingHere().values()].filter((draft) => Date.now() - (draft.saidAt ?? Infinity) > AGAIN);
  if (late.length && Date.now() - connection.heard > SILENCE) return connection.retry();
  late.forEach(say);
}

function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Showing

function show(message) {
  const list = at("messages");
  const when = new Date(message.at);
  const day = when.toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
  const before = list.lastElementChild;
  const sameDay = [...list.querySelectorAll(".divider[data-day]")].at(-1)?.dataset.day === day;
  if (!sameDay) append(divider(day, day));
  const item = messageItem(message.from, message.text, when);
  item.dataset.id = message.id;
  item.dataset.at = message.at;
  const close = sameDay && before?.dataset.from === message.from && message.at - before.dataset.at < 120_000;
  item.classList.toggle("same", close);
  append(item);
  at("empty").hidden = true;
  if (document.hidden) document.title = `(${++unread}) ${me.room} – Chat`;
}

function showPending(draft) {
  draft.item = messageItem(me.name, draft.text);
  draft.item.classList.add("pending");
  draft.item.dataset.nonce = draft.nonce;
  at("pending").append(draft.item);
}

function messageItem(from, text, when) {
  const time = when
    ? element("time", { datetime: when.toISOString() }, when.toLocaleTimeString([], { timeStyle: "short" }))
    : element("span", { class: "note" }, "sending…");
  const who = element("span", { class: "who" }, element("b", {}, from), time);
  const attributes = { class: "message", "data-from": from };
  if (when) attributes["data-testid"] = "message";
  else attributes["data-testid"] = "pending";
  const item = element("li", attributes, avatar(from), who, element("p", { class: "text" }, text));
  item.classList.toggle("own", from === me.name);
  return item;
}

// At the end, which is kept in view if it was.
function append(item) {
  const scroll = at("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const list = at("messages");
  list.append(item);
  while (list.children.length > SHOWN) list.firstElementChild.remove();
  if (atEnd) toNewest();
  else at("newest").hidden = false;
}

function toNewest() {
  at("scroll").scrollTop = at("scroll").scrollHeight;
  at("newest").hidden = true;
}

function divider(text, day) {
  const item = element("li", { class: "divider" }, text);
  if (day) item.dataset.day = day;
  return item;
}

function avatar(name) {
  const letters = name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "");
  const circle = element("span", { class: "avatar", "aria-hidden": "true" }, letters.join("").toUpperCase());
  const hash = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 1009, 7);
  circle.style.setProperty("--hue", (hash * 137) % 360);
  return circle;
}

function showRooms() {
  const rooms = new Set(["lobby", ...JSON.parse(kept("rooms") ?? "[]"), me.room]);
  keep("rooms", JSON.stringify([...rooms].slice(-20)));
  at("rooms").replaceChildren(...[...rooms].sort().map((room) => {
    const button = element("button", { type: "button", "data-testid": "room-link" }, room);
    if (room === me.room) button.setAttribute("aria-current", "page");
    else button.onclick = () => go(room);
    return element("li", {}, button);
  }));
}

// What a browser keeps from one visit to the next, if it does.
function kept(key) {
  try {
    return localStorage.getItem(`chat-${key}`);
  } catch {
    return null;
  }
}

function keep(key, value) {
  try {
    localStorage.setItem(`chat-${key}`, value);
  } catch {
    // Then it does not.
  }
}

at("join").onsubmit = (event) => {
  event.preventDefault();
  const name = at("name").value.trim();
  if (name) enter(name, at("room").value);
  if (name) at("text").focus();
};
at("other").onsubmit = (event) => {
  event.preventDefault();
  const room = at("other-room").value;
  at("other-room").value = "";
  if (room !== me.room) go(room);
  at("text").focus();
};
at("say").onsubmit = (event) => {
  event.preventDefault();
  submit();
};
at("text").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
};
at("newest").onclick = toNewest;
at("scroll").onscroll = () => {
  const { scrollHeight, scrollTop, clientHeight } = at("scroll");
  if (scrollHeight - scrollTop - clientHeight < 60) at("newest").hidden = true;
};
document.onvisibilitychange = () => {
  unread = 0;
  if (!document.hidden && me.room) document.title = `${me.room} – Chat`;
};

const asked = new URLSearchParams(location.search);
at("name").value = asked.get("name") ?? kept("name") ?? "";
at("room").value = asked.get("room") ?? "lobby";
if (asked.get("name") && at("join").checkValidity()) enter(asked.get("name"), at("room").value);
else at("name").focus();
