import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed, RETRY_MAX_MS, SILENT_MS, backoff } from "./static/feed.js";
import { History, POINTS_MAX } from "./static/history.js";
import { HEAT_COLUMNS_MAX, durations, heat, latency, percentiles } from "./static/series.js";
import { bounds, format, parse, zoomed } from "./static/view.js";
import { against, budget, duration, freshness, headline, rare, rate, share, span } from "./static/words.js";

const plain = (text) => text.replaceAll("\u00a0", " ");
const S = 1e9;

const point = (second, own = {}) => ({
  ts: second * S, span_s: 1, state: "ok", step: 0, count: 10, p50_us: 100, p99_us: 400, p999_us: null, max_us: 500,
  heat: [[28, 9], [36, 1]], ...own,
});

test("numbers", () => {
  const cases = [
    [duration, [[0.5, "0.50 µs"], [410, "410 µs"], [999.4, "999 µs"], [999.6, "1.00 ms"], [1e6, "1.00 s"], [null, "–"]]],
    [span, [[0, "0 s"], [59.9, "59 s"], [130, "2 min"], [11520, "3 h 12 min"], [90000, "25 h"], [200000, "2 days"]]],
    [rate, [[0, "0/s"], [0.25, "0.3/s"], [9994, "9,994/s"], [12345, "12.3 k/s"], [2.5e6, "2.50 M/s"], [null, "–"]]],
    [share, [[0, "0 %"], [0.004, "<1 %"], [0.963, "96 %"], [0.999, ">99 %"], [1, "100 %"]]],
  ];
  for (const [words, pairs] of cases) for (const [value, expected] of pairs) assert.equal(plain(words(value)), expected);
  assert.deepEqual(against(4200, 1000).map(plain), ["4,200 µs", "1,000 µs"]); // in one unit
});

test("a p99.9 of fewer than a thousand samples is chance", () => {
  assert.equal(rare({ count: 999, p999_us: 5 }), null);
  assert.equal(rare({ count: 1000, p999_us: 5 }), 5);
});

test("the headline", () => {
  const slo = { percentile: 99, p99_us: 410, target_us: 1000, count: 9, state: "at_risk", since: 0, window_s: 10 };
  assert.equal(plain(headline(slo, 11520 * S)), "p99 410 µs of 1,000 µs: at risk for 3 h 12 min.");
  assert.match(headline({ ...slo, count: 0 }, S), /^Nothing was delivered/);
  const words = [0.963, 0, -1.4].map((budget_remaining) => plain(budget({ budget_remaining })));
  assert.match(words[0], /^96 % of the hour’s budget left/);
  assert.match(words[1], /^Nothing of the hour/);
  assert.match(words[2], /overspent: 2\.4 times/);
});

test("freshness", () => {
  const kinds = [
    { link: "live", age_s: 0.4 }, { link: "live", age_s: 3 }, { link: "live", age_s: null },
    { link: "waiting", age_s: 9, retry_s: 1.2 }, { link: "live", age_s: 0, frozen: true },
  ].map((state) => plain(freshness({ retry_s: 0, frozen: false, ...state }).join(": ")));
  assert.deepEqual(kinds, [
    "good: live", "bad: stale: figures are 3 s old", "soft: connected, waiting for figures",
    "bad: disconnected: figures are 9 s old; trying again in 2 s", "doubt: live; charts are frozen",
  ]);
});

test("a link is read as it was written, and nonsense is not obeyed", () => {
  for (const view of [
    { range: "15m", from: null, to: null, panel: null },
    { range: "24h", from: null, to: null, panel: "heat" },
    { range: "1h", from: 1000, to: 601000, panel: null },
  ]) assert.deepEqual(parse(format(view)), view);
  for (const text of ["", "#", "#range=2y", "#from=9&to=1", "#from=0&to=1e99", "#panel=<img>", "#range=__proto__"]) {
    assert.deepEqual(parse(text), parse(""), text);
  }
  assert.deepEqual(bounds(parse("#range=1h"), 3600e3 + 5), [5, 3600e3 + 5]);
  assert.deepEqual(zoomed(parse(""), 10000, 11000), { ...parse(""), from: 8000, to: 13000 }); // no narrower than 5 s
});

test("history is bounded, in order, and takes seconds only where it shows seconds", () => {
  const history = new History();
  for (let second = 1; second <= POINTS_MAX + 50; second += 1) assert.ok(history.append(point(second), 0));
  assert.equal(history.points.length, POINTS_MAX);
  assert.ok(!history.append(point(1), 0));
  assert.ok(!history.append(null, 0));
  history.append(point(POINTS_MAX + 51), (POINTS_MAX + 40) * 1000);
  assert.equal(history.points.length, 11);
  history.replace({ points: [point(1)], merged: null, resolution_s: 60 });
  assert.ok(!history.append(point(2), 0));
});

test("lines have holes where the gateway was away, and no point where nothing was", () => {
  const { traces } = latency([point(1), point(2, { p99_us: null }), point(3), point(60)], { target_us: 1000 });
  const p99 = traces.find((trace) => trace.name === "p99");
  assert.deepEqual(p99.y, [400, null, 400, null, 400]);
  assert.deepEqual(latency([], undefined).drawn, 0);
});

test("the heat map adds up, and is no wider than a screen", () => {
  const points = Array.from({ length: 1000 }, (_, second) => point(second + 1));
  const { traces: [map] } = heat(points);
  assert.ok(map.x.length <= HEAT_COLUMNS_MAX);
  const counts = map.z[0].map((log) => Math.round(10 ** log - 1));
  assert.equal(counts.reduce((a, b) => a + b), 9000);
  assert.equal(heat([]).traces.length, 0);
});

test("the percentile plot ends with its last sample", () => {
  const merged = { count: 1000, percentiles: [[50, 100], [99, 400], [100, 500]], max_us: 500 };
  const { traces: [line], x } = percentiles(merged, { percentile: 99, target_us: 1000 }, 500);
  assert.deepEqual(line.x.map(Math.round), [2, 100, 1000]);
  assert.equal(x.ticktext.at(-1), "99.9");
  assert.equal(percentiles({ count: 0 }, undefined, 500).traces.length, 0);
});

test("an axis of durations has a tick", () => {
  for (const values of [[], [410], [1, 1e6], [0, 0], [2.1, 4.9]]) {
    const { tickvals, range } = durations(values);
    const shown = tickvals.filter((us) => Math.log10(us) >= range[0] && Math.log10(us) <= range[1]);
    assert.ok(shown.length >= 1, String(values));
  }
});

class World {
  constructor() {
    this.sockets = [];
    this.timers = new Map();
    this.links = [];
    const world = { link: (name) => this.links.push(name), message() {}, ready() {} };
    this.feed = new Feed(world, {
      open: () => this.open(),
      random: () => 1,
      later: (call, ms) => { const id = Symbol(String(ms)); this.timers.set(id, { call, ms }); return id; },
      never: (id) => this.timers.delete(id),
    });
  }

  open() {
    const socket = { sent: [], readyState: 1, close() {}, send(text) { this.sent.push(JSON.parse(text)); } };
    this.sockets.push(socket);
    return socket;
  }

  // Runs the one timer of so many milliseconds.
  fire(ms) {
    const [id, { call }] = [...this.timers].find(([, timer]) => timer.ms === ms);
    this.timers.delete(id);
    call();
  }
}

test("a silent socket is given up, its requests fail, and another one is opened", async () => {
  const world = new World();
  world.feed.connect();
  const [socket] = world.sockets;
  socket.onopen();
  assert.deepEqual(socket.sent.map((one) => one.params.channel), ["ops", "slo"]);
  socket.onmessage({ data: JSON.stringify({ channel: "ops", data: [{}] }) });
  const asked = world.feed.request("history", {});
  world.fire(SILENT_MS);
  await assert.rejects(asked, /disconnected/);
  socket.onclose(); // late: it changes nothing
  world.fire(backoff(0, 1));
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.links, ["connecting", "live", "waiting", "connecting"]);
  assert.ok(backoff(50, 1) <= RETRY_MAX_MS && backoff(0, 0) < backoff(0, 1));
});
