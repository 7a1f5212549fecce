// The ops page: status once a second, and live ticks as any client gets them. Everything that came
// over the wire is put into text nodes.
"use strict";

const ROWS_MAX = 24;
const RECONNECT_MS = 2000;
const LIST_MS = 2000; // how soon an instrument that has just appeared is shown
const byId = (id) => document.getElementById(id);
const text = (id, value) => { byId(id).textContent = value; };

function fill(id, rows) {
  byId(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    for (const cell of cells) row.insertCell().textContent = cell;
    return row;
  }));
}

const duration = (us) =>
  us >= 1e6 ? `${(us / 1e6).toFixed(2)} s` : us >= 1e3 ? `${(us / 1e3).toFixed(2)} ms` : `${us.toFixed(1)} µs`;
const sum = (status, name) => Object.values(status.channels).reduce((n, one) => n + one[name], 0);

// --- status ----------------------------------------------------------------------------------------

let before = null;

function rate(status, name) {
  if (before === null || status.uptime_s <= before.uptime_s) return "-";
  const change = sum(status, name) - sum(before, name);
  return Math.round(change / (status.uptime_s - before.uptime_s)).toLocaleString();
}

function show(status) {
  byId("ready").className = `badge ${status.ready ? "good" : "bad"}`;
  text("ready", status.ready ? "ready" : "not ready");
  text("problems", status.problems.join(" · "));
  text("version", status.version);
  text("connections", status.counters.connections.toLocaleString());
  text("subscriptions", status.counters.links.toLocaleString());
  text("published", rate(status, "published"));
  text("delivered", rate(status, "delivered"));
  text("p99", duration(status.window.total.p99_us));
  text("target", `target ${duration(status.slo.target_us)}: ${status.slo.state}`);
  text("window", status.window_s.toFixed(0));
  text("listen", status.listen);
  text("epoch", status.epoch);
  text("uptime", `${Math.floor(status.uptime_s)} s`);
  fill("stages", Object.entries(status.window).map(([name, stage]) => [
    name, duration(stage.p50_us), duration(stage.p99_us), duration(stage.p999_us),
    duration(stage.max_us), stage.count.toLocaleString(),
  ]));
  fill("feeds", status.feeds.map((feed) => [
    feed.name, feed.state, feed.records.toLocaleString(), feed.gaps, feed.decode_errors,
  ]));
  fill("processes", status.processes.map((process) => [
    process.name, process.state, process.pid || "-",
    Object.values(process.restarts).reduce((n, one) => n + one, 0),
  ]));
  before = status;
}

async function poll() {
  try {
    const status = await (await fetch("/statusz")).json();
    show(status);
    if (socket === null) connect(status.listen);
  } catch (error) {
    byId("ready").className = "badge bad";
    text("ready", "not answering");
  }
  setTimeout(poll, 1000);
}

// --- live ticks ------------------------------------------------------------------------------------

let socket = null;
const rows = new Map(); // instrument -> {trade, bbo, row}
let asked = new Set(); // instruments subscribed to on this connection
let dirty = new Set();

function connect(listen) {
  const url = new URL(listen);
  // Bound to a wildcard, the gateway can't know by which name the browser came.
  if (!["127.0.0.1", "[::1]"].includes(location.hostname)) url.hostname = location.hostname;
  socket = new WebSocket(url, ["tickgate.v1.json"]);
  asked = new Set();
  socket.onopen = () => {
    text("link", "live");
    list();
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => {
    text("link", `closed ${event.code} ${event.reason}`);
    setTimeout(() => { socket = null; }, RECONNECT_MS);
  };
}

function list() {
  if (socket?.readyState === WebSocket.OPEN && asked.size < ROWS_MAX) {
    socket.send(JSON.stringify({ method: "list", req_id: 1 }));
  }
}

function receive(message) {
  if (message.method === "list" && message.success) {
    const names = message.instruments.map((one) => one.symbol)
      .filter((name) => !asked.has(name)).slice(0, ROWS_MAX - asked.size);
    if (names.length === 0) return;
    names.forEach((name) => asked.add(name));
    for (const channel of ["trade", "bbo"]) {
      // Conflated, like everything that a person looks at: a slow page must not be closed for it.
      const params = { channel, symbol: names, mode: "conflate" };
      socket.send(JSON.stringify({ method: "subscribe", req_id: channel, params }));
    }
  } else if (message.channel === "trade" || message.channel === "bbo") {
    let entry = rows.get(message.symbol);
    if (entry === undefined) rows.set(message.symbol, entry = { seq: 0 });
    entry[message.channel] = message.data.at(-1);
    entry.seq = message.seq;
    dirty.add(message.symbol);
  }
}

function draw() {
  for (const name of dirty) {
    const entry = rows.get(name);
    if (entry.row === undefined) {
      entry.row = byId("ticks").insertRow();
      for (let n = 0; n < 6; n++) entry.row.insertCell();
      entry.row.cells[0].textContent = name;
    }
    const { trade = {}, bbo = {} } = entry;
    [trade.price, trade.qty, bbo.bid, bbo.ask, entry.seq].forEach((value, n) => {
      const cell = entry.row.cells[n + 1];
      const changed = cell.textContent !== String(value ?? "");
      if (changed) cell.textContent = value ?? "";
      cell.classList.toggle("changed", changed && n < 4);
    });
  }
  dirty = new Set();
  setTimeout(() => requestAnimationFrame(draw), 250);
}

poll();
draw();
setInterval(list, LIST_MS);
