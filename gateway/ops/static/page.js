// The ops page: status once a second, and live ticks as any client gets them. Everything that came
// over the wire is put into text nodes.
"use strict";

const ROWS_MAX = 24;
const RECONNECT_MS = 2000;
const LIST_MS = 2000; // how soon an instrument that has just appeared is shown
const ANSWER_MAX_MS = 3000;
const QUIET_S = 5;
const byId = (id) => document.getElementById(id);
const text = (id, value) => { byId(id).textContent = value; };
const count = (n) => n.toLocaleString("en");

function fill(id, rows) {
  const extra = [...byId(id).parentNode.tHead.rows[0].cells].map((head) => head.className);
  byId(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((content, n) => {
      const cell = row.insertCell();
      [cell.textContent, cell.className] = Array.isArray(content) ? content : [content, extra[n]];
    });
    return row;
  }));
}

// No line may break between a number and its unit.
function duration(us) {
  const [value, unit] = us >= 1e6 ? [us / 1e6, "s"] : us >= 1e3 ? [us / 1e3, "ms"] : [us, "µs"];
  return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)}\u00a0${unit}`;
}

function span(seconds) {
  const [s, min, h] = [Math.floor(seconds), Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (min === 0) return `${s}\u00a0s`;
  if (h === 0) return `${min}\u00a0min`;
  return h < 48 ? `${h}\u00a0h ${min % 60}\u00a0min` : `${Math.floor(h / 24)}\u00a0days`;
}

// --- status ----------------------------------------------------------------------------------------

let before = null;
let answered_ms = Date.now();

function rate(status, name) {
  if (before === null || status.uptime_s <= before.uptime_s) return "-";
  const sum = ({ channels }) => Object.values(channels).reduce((n, one) => n + one[name], 0);
  return count(Math.round((sum(status) - sum(before)) / (status.uptime_s - before.uptime_s)));
}

function badge(state, good) {
  byId("ready").className = `badge ${good ? "good" : "bad"}`;
  text("ready", state);
  document.title = good ? "Tickgate" : `${state} - Tickgate`;
}

// Of the objective: its percentile where the document has it, and whether it held.
function judge(slo, stage) {
  const reached_us = stage[`p${String(slo.percentile).replace(".", "")}_us`];
  text("reached", stage.count && reached_us !== undefined ? duration(reached_us) : "-");
  text("objective", `p${slo.percentile} ${slo.stage}, target ${duration(slo.target_us)}`);
  text("slo", slo.state);
  byId("slo").className = slo.state === "ok" ? "good" : "bad";
}

function lastRecord(feed) {
  if (!feed.last_record_ns) return "never";
  const age_s = Date.now() / 1e3 - feed.last_record_ns / 1e9;
  return age_s < QUIET_S ? "now" : `${span(age_s)} ago`;
}

function show(status) {
  badge(status.ready ? "ready" : "not ready", status.ready);
  text("problems", status.problems.join(" · "));
  text("version", status.version);
  text("connections", count(status.counters.connections));
  text("subscriptions", count(status.counters.links));
  text("published", rate(status, "published"));
  text("delivered", rate(status, "delivered"));
  judge(status.slo, status.window[status.slo.stage]);
  text("window", span(status.window_s));
  text("listen", status.listen);
  text("epoch", status.epoch);
  text("uptime", span(status.uptime_s));
  fill("stages", Object.entries(status.window).map(([name, stage]) => {
    const reached = [stage.p50_us, stage.p99_us, stage.p999_us, stage.max_us];
    return [name, ...reached.map((us) => stage.count ? duration(us) : "-"), count(stage.count)];
  }));
  fill("feeds", status.feeds.map((feed) => {
    const state = feed.message ? `${feed.state}: ${feed.message}` : feed.state;
    return [
      feed.name, [state, ["up", "done"].includes(feed.state) ? "" : "bad"], count(feed.records),
      lastRecord(feed), count(feed.gaps), count(feed.decode_errors),
    ];
  }));
  fill("processes", status.processes.map((process) => [
    process.name, [process.state, process.state === "ready" ? "" : "bad"], process.pid || "-",
    Object.entries(process.restarts).map(([reason, n]) => `${n} (${reason})`).join(", ") || "0",
  ]));
  before = status;
}

function stale(id, yes) {
  byId(id).classList.toggle("stale", yes);
}

async function poll() {
  let fresh = true;
  try {
    const answer = await fetch("/statusz", { signal: AbortSignal.timeout(ANSWER_MAX_MS) });
    const status = await answer.json();
    answered_ms = Date.now();
    show(status);
    if (socket === null) connect(status.listen);
  } catch (error) {
    fresh = false;
    badge("not answering", false);
    text("problems", `figures are ${span((Date.now() - answered_ms) / 1e3)} old`);
  }
  for (const id of ["cards", "inside"]) stale(id, !fresh);
  setTimeout(poll, 1000);
}

// --- live ticks ------------------------------------------------------------------------------------

let socket = null;
let asked = new Set(); // instruments that this connection subscribed to
const rows = new Map(); // instrument -> {trade, bbo, ts_recv, row}
let dirty = new Set();

function connect(listen) {
  const url = new URL(listen);
  // Bound to a wildcard, the gateway can't know by which name the browser came.
  if (!["127.0.0.1", "[::1]"].includes(location.hostname)) url.hostname = location.hostname;
  socket = new WebSocket(url, ["tickgate.v1.json"]);
  let opened = false;
  socket.onopen = () => {
    opened = true;
    asked = new Set();
    list();
  };
  socket.onmessage = (event) => receive(JSON.parse(event.data));
  socket.onclose = (event) => {
    stale("live", true);
    text("link", opened ? `closed: ${event.code} ${event.reason}`
      : `no connection to ${url.host}; is ${location.origin} in listen.origins?`);
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
    follow(message.instruments.map((one) => one.symbol));
  } else if (message.channel === "trade" || message.channel === "bbo") {
    let entry = rows.get(message.symbol);
    if (entry === undefined) rows.set(message.symbol, entry = {});
    entry[message.channel] = message.data.at(-1);
    entry.ts_recv = Math.max(entry.ts_recv ?? 0, message.ts_recv);
    dirty.add(message.symbol);
  }
}

function follow(known) {
  const names = known.filter((name) => !asked.has(name)).slice(0, ROWS_MAX - asked.size);
  for (const name of names) asked.add(name);
  if (names.length > 0) {
    for (const channel of ["trade", "bbo"]) {
      // Conflated, like everything that a person looks at: a slow page must not be closed for it.
      const params = { channel, symbol: names, mode: "conflate" };
      socket.send(JSON.stringify({ method: "subscribe", req_id: channel, params }));
    }
  }
  stale("live", false);
  text("link", `${asked.size < known.length ? "the first " : ""}${asked.size} instruments`);
}

function newRow(name) {
  const body = byId("ticks");
  const row = body.insertRow([...body.rows].findIndex((one) => one.cells[0].textContent > name));
  for (let n = 0; n < 6; n++) row.insertCell();
  row.cells[0].textContent = name;
  row.cells[2].className = "extra";
  return row;
}

function draw() {
  for (const cell of document.querySelectorAll("#ticks .up, #ticks .down")) cell.className = "";
  for (const name of dirty) {
    const entry = rows.get(name);
    const { trade = {}, bbo = {} } = entry;
    const { cells } = entry.row ??= newRow(name);
    const time = new Date(entry.ts_recv / 1e6).toISOString().slice(11, 19);
    const change = Number(trade.price) - Number(cells[1].textContent || trade.price);
    cells[1].className = change > 0 ? "up" : change < 0 ? "down" : "";
    [trade.price, trade.qty, bbo.bid, bbo.ask, time].forEach((value, n) => {
      if (cells[n + 1].textContent !== value) cells[n + 1].textContent = value ?? "";
    });
  }
  dirty = new Set();
  setTimeout(() => requestAnimationFrame(draw), 250);
}

poll();
draw();
setInterval(list, LIST_MS);
