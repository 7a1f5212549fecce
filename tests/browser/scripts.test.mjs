import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Feed, RETRY_MAX_MS, SILENT_MS, backoff } from "./static/feed.js";
import { History, POINTS_MAX } from "./static/history.js";
import { HEAT_COLUMNS_MAX, connections, durations, heat, latency, load, percentiles } from "./static/series.js";
import { bounds, format, parse, young, zoomed } from "./static/view.js";
import { answer, budget, duration, freshness, headline, origin, ours, rare, rate, share, span } from "./static/words.js";

const plain = (text) => text.replaceAll("\u00a0", " ");
const S = 1e9;

const point = (second, own = {}) => ({
  ts: second * S, span_s: 1, state: "ok", step: 0, count: 10, p50_us: 100, p99_us: 400, p999_us: null, max_us: 500,
  heat: [[28, 9], [36, 1]], ...own,
});

test("numbers", () => {
  const cases = [
    [duration, [[null, "–"], [undefined, "–"], [NaN, "–"]]],
    [span, [[0, "0 s"], [59.9, "59 s"], [130, "2 min"], [11520, "3 h 12 min"], [90000, "25 h"], [200000, "2 days"]]],
    [rate, [[12345, "12.3 k/s"], [null, "–"]]],
    [share, [[0, "0 %"], [0.004, "<1 %"], [0.963, "96 %"], [0.999, ">99 %"], [1, "100 %"]]],
  ];
  for (const [words, pairs] of cases) for (const [value, expected] of pairs) assert.equal(plain(words(value)), expected);
});

test("numbers and their units are as `top` and the load test's report have them", () => {
  const cases = JSON.parse(readFileSync(new URL("./figures.json", import.meta.url)));
  for (const [us, beside_us, words] of cases.durations) assert.equal(plain(duration(us, beside_us)), words);
  for (const [per_s, words] of cases.rates) assert.equal(plain(rate(per_s)), words);
});

test("a p99.9 of fewer than a thousand samples is chance", () => {
  assert.equal(rare({ count: 999, p999_us: 5 }), null);
  assert.equal(rare({ count: 1000, p999_us: 5 }), 5);
});

test("the headline", () => {
  const slo = { percentile: 99, p99_us: 410, target_us: 1000, count: 9, state: "at_risk", since: 0, window_s: 10 };
  assert.equal(plain(headline(slo, 11520 * S)), "p99 0.410 ms of 1.00 ms: at risk for 3 h 12 min.");
  assert.match(headline({ ...slo, count: 0 }, S), /^Nothing was delivered/);
  const words = [0.963, 0, -1.4].map((budget_remaining) => plain(budget({ budget_remaining })));
  assert.match(words[0], /^96 % of the hour’s budget left/);
  assert.match(words[1], /^Nothing of the hour/);
  assert.match(words[2], /overspent: 2\.4 times/);
});

const stage = (p99_us) => ({ count: 1000, p50_us: p99_us / 4, p99_us, p999_us: p99_us * 2, max_us: p99_us * 3 });
const gateway = (types, wire_us, own = {}) => ({
  stages: { wire: stage(wire_us), fanout: stage(400), total: stage(410) }, slo: { target_us: 1000, state: "ok", count: 9 },
  feeds: types.map((type) => ({ name: `${type}:0`, type, state: "up" })), connections: 1, levels: [1, 0, 0, 0], slowest: [],
  processes: [{ name: "feed", run_delay_ms: 80 }], stalls: [], ...own,
});

test("a feed without an exchange has none", () => {
  const late = [["synthetic"], ["udp"], ["synthetic", "udp"], ["other"]].map((types) => gateway(types, 75400));
  const said = late.map((now) => plain([origin(now).name, origin(now).words, answer(now)].join(" | ")));
  for (const words of said) assert.ok(!words.includes("exchange"), words);
  assert.match(said[0], /^The made-up feed .* this host woke .* waited 80\.0 ms for a CPU\. \| Nobody: .* this host was busy and woke/);
  assert.equal(origin(late[0]).bad, false); // a made-up record has no age before it is made
  assert.ok(!said[0].includes("clocks")); // one clock made both stamps
  assert.match(said[1], /^The sender .* from the sender’s stamp to our socket, 184 times .* \| It is the sender or the way/);
  assert.match(said[2], /^The feeds .* \| It is a feed or the way from it\./);
  const calm = gateway(["synthetic"], 300);
  assert.deepEqual([origin(calm).bad, plain(origin(calm).figure)], [false, "0.300 ms"]);
  assert.ok(!origin(calm).words.includes("waited"));
  assert.match(answer(calm), /^Nobody/);
});

test("a host that gives no CPU is named in the gateway's place", () => {
  const stalls = [{ ts: 95 * S, process: "worker-0", kind: "theft", ms: 168 }, { ts: 96 * S, process: "feed", kind: "theft", ms: 74 }];
  const slo = { target_us: 1000, state: "breached", count: 9, since: 100 * S, window_s: 10 };
  const now = gateway(["udp"], 300, { slo, stalls });
  assert.equal(plain(answer(now)), "It is this host, which gave the gateway no CPU for 168 ms.");
  assert.equal(plain(ours(now).words), "worker-0 waited 168 ms for a CPU, at 00:01:35.");
  for (const other of [[], [{ ...stalls[0], ts: 89 * S }], [{ ...stalls[0], kind: "gc" }]]) {
    assert.equal(answer({ ...now, stalls: other }), "It is the gateway.");
  }
});

test("where a feed is down, it is that feed, whatever the others are", () => {
  const now = gateway(["synthetic", "udp"], 300);
  now.feeds[1].state = "down";
  assert.equal(answer(now), "It is a feed that is not up (udp:0 is down).");
});

test("what is judged by the target is told in the target's unit", () => {
  const now = gateway(["udp"], 75400);
  assert.equal(plain(origin(now).figure), "75.4 ms");
  assert.equal(plain(ours(now).figure), "0.410 ms");
  assert.match(plain(ours(now).words), /fanout, p99 0\.400 ms/);
  const { y } = latency([point(1), point(2)], { target_us: 1000 });
  assert.deepEqual(y.ticktext.map(plain), ["0.1 ms", "0.2 ms", "0.5 ms", "1 ms"]);
  const wide = durations([0.01, 1e6], 1000).ticktext;
  assert.equal(new Set(wide).size, wide.length); // what is less than a thousandth of the unit has its own
});

test("no axis has halves of a connection, nor milli of anything", () => {
  const quiet = [point(1, { connections: 0, delivered: 0, published: 0 }), point(2, { connections: 1, delivered: 0.4, published: 0 })];
  assert.deepEqual(connections(quiet).y.ticktext, ["0", "1"]);
  assert.deepEqual(load(quiet).y.ticktext.map(plain), ["0 /s", "0.1 /s", "0.2 /s", "0.3 /s", "0.4 /s"]);
  const busy = [point(1, { connections: 912, delivered: 21400, published: 1000 })];
  assert.deepEqual(connections(busy).y.ticktext, ["0", "200", "400", "600", "800"]);
  assert.deepEqual(load(busy).y.ticktext.map(plain), ["0 /s", "5 k/s", "10 k/s", "15 k/s", "20 k/s"]);
});

test("a gateway younger than the range is shown since its start", () => {
  const view = parse("");
  assert.deepEqual(bounds(view, 1e6, 1e6 - 45e3), [1e6 - 45e3, 1e6]);
  assert.deepEqual(bounds(view, 1e6, 1e6 - 1e3), [1e6 - 5e3, 1e6]); // no narrower than 5 s
  assert.deepEqual(bounds(view, 1e6, 1e6 - 901e3), [1e6 - 900e3, 1e6]);
  assert.deepEqual(bounds({ ...view, from: 1000, to: 61000 }, 1e6, 50e3), [1000, 61000]);
  assert.deepEqual([45e3, 901e3].map((age_ms) => young(view, 1e6, 1e6 - age_ms)), [true, false]);
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
