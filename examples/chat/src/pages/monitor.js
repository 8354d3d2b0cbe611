import { Reconnecting, element, showState, socketAddress } from "./reconnect.js";

// What the plots show.
const WINDOW = 120_000;
const PLOTS = [
  { key: "queue", label: "Queue", text: count },
  { key: "behind", label: "Behind", text: count },
  { key: "latency_ms", label: "Latency", text: milliseconds },
];

const at = (id) => document.getElementById(id);
// The rows, by the number of their connection.
const rows = new Map();
let last;

function sample(sample) {
  at("server").textContent = sample.server;
  at("trouble").hidden = !sample.trouble;
  at("trouble").textContent = sample.trouble ?? "";
  showTotals(sample);
  const connections = sample.look.connections.sort((a, b) => a.id - b.id);
  const open = new Set(connections.map((connection) => connection.id));
  for (const [id, row] of rows) {
    if (!open.has(id)) {
      row.item.remove();
      rows.delete(id);
    }
  }
  for (const connection of connections) {
    if (!rows.has(connection.id)) rows.set(connection.id, newRow(connection));
    showRow(rows.get(connection.id), connection, sample.at);
  }
  at("none").hidden = sample.open > 0;
  at("cut").hidden = connections.length === sample.open;
  at("cut").textContent = `${connections.length} of ${sample.open} connections: those with the most to wait for.`;
  last = sample;
}

function showTotals(sample) {
  const seconds = last ? (sample.at - last.at) / 1000 : 0;
  const rate = (now, before) => (seconds > 0 ? (now - before) / seconds : 0);
  const totals = [
    ["Connections", sample.open],
    ["Rooms", sample.look.rooms],
    ["Messages", count(sample.look.said)],
    ["Messages/s", rate(sample.look.said, last?.look.said).toFixed(0)],
    ["Skipped", count(sample.look.skipped)],
    ["In", `${bytes(rate(sample.wire_in, last?.wire_in))}/s`],
    ["Out", `${bytes(rate(sample.wire_out, last?.wire_out))}/s`],
    ["Broker", sample.broker],
  ];
  at("totals").replaceChildren(...totals.map(([label, value]) =>
    element("div", {}, element("dt", {}, label), element("dd", {}, String(value)))));
}

function newRow(connection) {
  const item = element("tr", { "data-testid": "connection", "data-id": connection.id, "data-name": connection.name });
  const about = `#${connection.room} · ${connection.peer ?? "local"}`;
  const row = { item, samples: [], cells: {} };
  item.append(element("td", {}, element("b", {}, connection.name), element("small", {}, about)));
  for (const { key, label } of PLOTS) {
    const output = element("output");
    const canvas = element("canvas", { role: "img" });
    row.cells[key] = { output, canvas };
    item.append(element("td", { "data-label": label }, element("div", { class: "plot" }, output, canvas)));
  }
  for (const label of ["Skipped", "In", "Out", "Open"]) {
    row.cells[label] = element("td", { class: "number", "data-label": label });
    item.append(row.cells[label]);
  }
  at("connections").append(item);
  return row;
}

function showRow(row, connection, now) {
  row.samples.push({ at: now, ...connection });
  while (row.samples[0].at < now - WINDOW) row.samples.shift();
  const { item, cells } = row;
  item.dataset.queue = connection.queue;
  item.dataset.behind = connection.behind;
  item.dataset.skipped = connection.skipped;
  item.dataset.latencyMs = connection.latency_ms?.toFixed(3) ?? "";
  item.classList.toggle("waits", connection.behind > 0 || connection.queue > 0);
  for (const { key, label, text } of PLOTS) {
    const value = connection[key];
    const high = Math.max(...row.samples.map((sample) => sample[key] ?? 0));
    const { output, canvas } = cells[key];
    twoLines(output, text(value), `peak ${text(high)}`);
    output.classList.toggle("high", key !== "latency_ms" && value > 0);
    canvas.setAttribute("aria-label", `${label}, last two minutes: at most ${text(high)}`);
    plot(canvas, row.samples, key, high, now);
  }
  cells.Skipped.textContent = count(connection.skipped);
  twoLines(cells.In, count(connection.messages_in), bytes(connection.bytes_in));
  twoLines(cells.Out, count(connection.messages_out), bytes(connection.bytes_out));
  cells.Open.textContent = duration(connection.open_s);
}

function twoLines(cell, first, second) {
  cell.replaceChildren(first, element("small", {}, second));
}

function plot(canvas, samples, key, high, now) {
  const scale = devicePixelRatio;
  const { clientWidth, clientHeight } = canvas;
  const width = Math.round(clientWidth * scale);
  const height = Math.round(clientHeight * scale);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const style = getComputedStyle(canvas);
  const waits = key !== "latency_ms" && samples.at(-1)[key] > 0;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.lineWidth = 1.5 * scale;
  context.strokeStyle = style.getPropertyValue("--line");
  context.beginPath();
  context.moveTo(0, height - scale);
  context.lineTo(width, height - scale);
  context.stroke();
  const x = (sample) => width * (1 - (now - sample.at) / WINDOW);
  const y = (sample) => height - scale - (height - 4 * scale) * ((sample[key] ?? 0) / Math.max(high, 1));
  context.strokeStyle = style.getPropertyValue(waits ? "--bad" : "--accent");
  context.fillStyle = context.strokeStyle;
  context.beginPath();
  for (const sample of samples) context.lineTo(x(sample), y(sample));
  context.stroke();
  context.lineTo(x(samples.at(-1)), height);
  context.lineTo(x(samples[0]), height);
  context.globalAlpha = 0.14;
  context.fill();
  context.globalAlpha = 1;
}

function count(value) {
  return value.toLocaleString("en");
}

function milliseconds(value) {
  if (!value) return "–";
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

function bytes(value) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
}

function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

new Reconnecting({
  address: () => socketAddress("monitor/ws", {}),
  message: sample,
  state: (state) => showState(at("state"), state, "Live"),
});
