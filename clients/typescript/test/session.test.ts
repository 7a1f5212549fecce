import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event, Gap, Reply } from "../src/events.js";
import { Bbo, Candle, Instrument, InstrumentHealth, RawTick, Status, Trade } from "../src/ticks.js";
import { NOW, Told, asked, bbo, gaps, hello, kinds, trade } from "./support.js";

test("records have types, exact texts and exact times", () => {
  const told = new Told();
  told.connect();
  const [one] = told.trade(8813, { ts_recv: NOW - 1_500_000n, skipped: 2 });
  assert.ok(one instanceof Trade);
  assert.deepEqual(
    [one.kind, one.price_text, one.price_float, one.qty_float],
    ["trade", "64250.10", 64250.1, 0.015],
  );
  assert.deepEqual([one.ts_event, one.skipped, one.age_ms], [NOW, 2, 1.5]);
  assert.equal(one.age_ns({ offset_ns: 7n, error_ns: 1n }), 1_500_007n);
  const [quote] = told.tell(bbo(1));
  assert.ok(quote instanceof Bbo);
  assert.deepEqual(
    [quote.bid_text, quote.bid_float, quote.ask_text, quote.ask_float],
    ["1.0", 1, null, null],
  );
});

test("channels of the second storey", () => {
  const told = new Told();
  told.connect();
  const row = {
    interval: "5m",
    start: NOW,
    open: "1",
    high: "3",
    low: "0.5",
    close: "2.0",
    volume: "9",
    trades: 12,
  };
  const candle = (seq: number, more: object) =>
    told.tell(trade(seq, { channel: "candle", data: [{ ...row, closed: false, ...more }] }))[0];
  const first = candle(1, {});
  assert.ok(first instanceof Candle);
  assert.deepEqual(
    [first.interval, first.start, first.close_text, first.complete],
    ["5m", NOW, "2.0", true],
  );
  const revised = candle(2, { revised: true, complete: false, closed: true });
  assert.ok(revised instanceof Candle);
  assert.deepEqual([revised.revised, revised.complete, revised.closed], [true, false, true]);
  const [status] = told.tell(
    trade(1, { channel: "status", data: [{ status: "halted", reason: "news" }] }),
  );
  assert.ok(status instanceof Status);
  assert.deepEqual([status.status, status.reason], ["halted", "news"]);
  const reference = {
    tick: "0.01",
    lot: "1",
    price_digits: 2,
    base: "BTC",
    quote: "USDT",
    bbo: "derived",
    delay_s: 900,
  };
  const [instrument] = told.tell(trade(1, { channel: "instrument", data: [reference] }));
  assert.ok(instrument instanceof Instrument);
  assert.deepEqual(
    [instrument.tick_text, instrument.price_digits, instrument.qty_digits, instrument.delay_s],
    ["0.01", 2, null, 900],
  );
  const doubt = { state: "suspect", reason: "bbo ask_qty: more than 38 digits", age_ms: 3 };
  const [health] = told.tell(trade(1, { channel: "health", data: [doubt] }));
  assert.ok(health instanceof InstrumentHealth);
  assert.deepEqual([health.state, health.input_age_ms], ["suspect", 3]);
});

test("what does not fit its type is told as it came, and counted", () => {
  const told = new Told();
  told.connect();
  const bad = [
    [],
    [1],
    [{}],
    [{ price: 1, qty: "1" }],
    [{ price: "1e5", qty: "1" }],
    [{ price: "1", qty: "" }],
  ];
  bad.forEach((data, index) => {
    const [one] = told.trade(index + 1, { data });
    assert.ok(one instanceof RawTick && one.problem !== "", JSON.stringify(data));
  });
  const [unknown] = told.trade(1, { channel: "constructor" });
  assert.ok(unknown instanceof RawTick && unknown.problem === "");
  const malformed = [
    "{",
    "[]",
    "1",
    '"x"',
    '{"channel":1}',
    '{"channel":"system","type":"hello","data":[{}]}',
    '{"channel":"system","type":"gap","data":[1]}',
    '{"method":"subscribe","results":1}',
    '{"channel":"trade","symbol":"A","type":"update","seq":1.5}',
    '{"channel":"trade","symbol":"A","type":"update","seq":9007199254740992}',
    '{"channel":"trade","symbol":"A","type":"update","ts_recv":"1"}',
  ];
  for (const text of malformed) assert.deepEqual(kinds(told.tell(text)), ["malformed"], text);
  assert.deepEqual(kinds(told.tell(new Uint8Array(9))), ["malformed"], "a binary frame in JSON");
  assert.equal(told.session.statistics().malformed, bad.length + malformed.length + 1);
  assert.deepEqual(told.tell('{"channel":"tomorrow"}'), []);
  assert.deepEqual(told.tell('{"channel":"heartbeat","n":1,"ts_send":1}'), []);
});

test("a hole is told before the tick, and asked for again once", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["A.SIM", "B.SIM"], { class: 0 }, { mode: "lossless" });
  told.trade(7);
  assert.deepEqual(gaps(told.trade(10, { skipped: 2 })), []);
  const events = told.trade(14, { skipped: 1 });
  assert.deepEqual(gaps(events), [["sequence", 11, 12, 2]]);
  assert.deepEqual(kinds(events), ["gap", "trade"]);
  assert.deepEqual(gaps(told.trade(16)), [["sequence", 15, 15, 1]]);
  const again = told.due();
  assert.deepEqual(
    again.map((one) => one.params),
    [{ channel: "trade", symbol: ["A.SIM"], class: 0 }],
  );
  told.accept(again[0]!, { mode: "lossless" });
  assert.deepEqual(gaps(told.trade(20, { type: "snapshot" })), [["resubscribe", 17, 19, 3]]);
  assert.deepEqual(told.due(), []);
  const statistics = told.session.statistics();
  assert.deepEqual([statistics.gaps, statistics.lost, statistics.skipped], [3, 6, 3]);
});

test("gaps before the reply are mended by one request", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["*.SIM", "B.SIM"], {}, { mode: "lossless" });
  const hole = (seq: number, ...names: string[]) => {
    for (const symbol of names) told.trade(seq, { symbol });
    return told.due();
  };
  hole(1, "A.SIM", "B.SIM", "C.SIM");
  const [pattern, ...others] = hole(3, "A.SIM");
  assert.deepEqual([pattern!.params.symbol, others], [["*.SIM"], []]);
  const [name, ...none] = hole(5, "A.SIM", "B.SIM", "C.SIM");
  assert.deepEqual([name!.params.symbol, none], [["B.SIM"], []], "its string has no reply yet");
  told.accept(pattern!);
  told.trade(7, { symbol: "C.SIM", type: "snapshot" });
  const again = hole(9, "C.SIM");
  assert.deepEqual(again[0]?.params.symbol, ["*.SIM"]);
  // An older reply is not the one that is waited for, nor does a lost one keep others from it.
  const [newer] = asked(told.session.subscribe("trade", "B.SIM"));
  told.accept(name!);
  told.trade(7, { symbol: "B.SIM", type: "snapshot" });
  assert.deepEqual(hole(9, "B.SIM"), []);
  told.accept(newer!);
  told.trade(9, { symbol: "B.SIM", type: "snapshot" });
  assert.equal(hole(11, "B.SIM").length, 1);
  told.connect();
  for (const one of told.connect()) told.accept(one);
  told.trade(12, { symbol: "B.SIM", type: "snapshot" });
  assert.equal(hole(14, "B.SIM").length, 1);
});

test("after a reconnect everything is asked for again, in order and in few requests", () => {
  const told = new Told();
  told.connect();
  told.subscribed("bbo", ["A.SIM", "B.SIM"]);
  told.subscribed("bbo", "C*", { class: 2 });
  told.subscribed("health", "*");
  told.subscribed("candle", ["A.SIM"], { interval: "5m" });
  told.subscribed("candle", ["A.SIM"]);
  told.subscribed("bbo", "A.SIM"); // anew: now it is the last
  const params = told.connect().map((one) => one.params);
  assert.deepEqual(params, [
    { channel: "bbo", symbol: ["B.SIM"] },
    { channel: "bbo", symbol: ["C*"], class: 2 },
    { channel: "health", symbol: ["*"], scope: "gateway" },
    { channel: "candle", symbol: ["A.SIM"], interval: "5m" },
    { channel: "candle", symbol: ["A.SIM"], interval: "1m" },
    { channel: "bbo", symbol: ["A.SIM"] },
  ]);
  assert.deepEqual(told.due(), []);
});

test("what was missed of a conflated topic is skipped, of a lossless one a gap", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.subscribed("bbo", "*.SIM", {}, { mode: "conflate" });
  told.trade(7);
  told.tell(bbo(7));
  told.connect();
  assert.deepEqual(gaps(told.trade(12, { type: "snapshot" })), [["reconnect", 8, 11, 4]]);
  const [quote] = told.tell(bbo(12, { type: "snapshot" }));
  assert.ok(quote instanceof Bbo && quote.skipped === 4);
  told.connect("e2");
  assert.deepEqual(gaps(told.trade(3, { type: "snapshot" })), [["reconnect", null, null, null]]);
});

test("the snapshot after a reconnect: nothing was missed, or the numbers went back", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  told.trade(7, { symbol: "B.SIM" });
  told.connect();
  assert.deepEqual(kinds(told.trade(7, { type: "snapshot" })), ["trade"]);
  assert.deepEqual(gaps(told.trade(3, { type: "snapshot", symbol: "B.SIM" })), [
    ["reconnect", null, null, null],
  ]);
  told.connect();
  told.tell({ channel: "system", type: "epoch", data: [{ epoch: "e2" }] });
  assert.deepEqual(gaps(told.trade(9, { type: "snapshot" })), [["reconnect", null, null, null]]);
});

test("without a snapshot the ack says what is missing, in the same epoch", () => {
  for (const [epoch, expected] of [
    ["e1", [["reconnect", 8, 9, 2]]],
    ["e2", []],
  ] as const) {
    const told = new Told();
    told.connect();
    told.subscribed("trade", "A.SIM", { snapshot: false }, { mode: "lossless" });
    told.trade(7);
    const [probe] = told.connect();
    const answer = {
      mode: "lossless",
      recovery: "insufficient_state",
      snapshot: false,
      epoch,
      seq: 9,
    };
    assert.deepEqual(gaps(told.accept(probe!, answer)), expected);
  }
});

test("an end whose reply was lost is an end", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["A.SIM", "B.SIM"], {}, { mode: "lossless" });
  told.trade(7);
  told.session.unsubscribe("trade", "A.SIM");
  assert.deepEqual(
    told.connect().flatMap((one) => one.params.symbol),
    ["B.SIM"],
  );
  told.subscribed("trade", "A.SIM", {}, { mode: "lossless" });
  assert.deepEqual(
    gaps(told.trade(20, { type: "snapshot" })),
    [],
    "what came between was not wanted",
  );
});

test("requests that the client makes by itself are paced", () => {
  const told = new Told();
  told.connect();
  for (let number = 0; number < 200; number++)
    told.subscribed("bbo", `A${number}.SIM`, { class: (number % 2) + 1 });
  const first = told.connect();
  assert.equal(first.length, 64);
  assert.deepEqual(told.due(), []);
  told.now_ms += 1000;
  assert.equal(told.due().length, 25);
  const rest: string[] = [];
  for (let second = 0; second < 10; second++) {
    told.now_ms += 1000;
    rest.push(...told.due().flatMap((one) => one.params.symbol));
  }
  assert.equal(rest.length, 200 - 64 - 25);
  assert.equal(rest.at(-1), "A199.SIM");
});

test("a subscription goes behind what is still to be asked for of its channel", () => {
  const told = new Told();
  told.connect();
  for (let number = 0; number < 70; number++)
    told.subscribed("bbo", `A${number}*`, { class: (number % 2) + 1 });
  told.connect();
  const requests = asked(told.session.subscribe("bbo", "A*"));
  assert.deepEqual(
    requests.map((one) => one.params.symbol),
    [..."456789"].map((one) => [`A6${one}*`]).concat([["A*"]]),
  );
  assert.deepEqual(told.due(), []);
});

test("names and patterns are asked for in messages that a gateway takes", () => {
  const told = new Told();
  told.connect();
  const names = Array.from({ length: 600 }, (_, index) => `${"币".repeat(20)}${index}.SIM`);
  const requests = told.session.subscribe("trade", names);
  assert.ok(requests.every((one) => new TextEncoder().encode(one.text).length < 16_384));
  assert.deepEqual(
    asked(requests).flatMap((one) => one.params.symbol),
    names,
  );
  assert.ok(asked(requests).every((one) => one.params.symbol.length <= 250));
});

// --- refusals and waits --------------------------------------------------------------------------

test("what a busy gateway refused is asked for when it said, what it never takes not again", () => {
  const told = new Told();
  told.connect();
  told.now_ms = 10_000;
  const [request] = asked(
    told.session.subscribe("trade", ["A.SIM", "B.SIM", "C.X"], { mode: "conflate" }),
  );
  const busy = { code: "capacity", retryable: true, retry_after_ms: 2000 };
  const results = [
    { symbol: "A.SIM", success: false, error: busy },
    { symbol: "B.SIM", success: true, channel: "trade" },
    { symbol: "C.X", success: false, error: { code: "unknown_symbol" } },
  ];
  told.tell({ method: "subscribe", req_id: request!.req_id, success: true, results });
  told.now_ms = 11_900;
  assert.deepEqual(told.due(), []);
  told.now_ms = 12_000;
  assert.deepEqual(
    told.due().map((one) => one.params.symbol),
    [["A.SIM"]],
  );
  assert.equal(told.session.statistics().wanted, 2);
  const limited = { code: "rate_limited", retryable: true, retry_after_ms: 500 };
  const [other] = asked(told.session.subscribe("bbo", "A.SIM"));
  told.tell({ method: "subscribe", req_id: other!.req_id, success: false, error: limited });
  told.session.unsubscribe("bbo", "A.SIM");
  told.now_ms = 20_000;
  assert.deepEqual(told.due(), [], "it is not wanted any more");
});

test("a state that exists but does not come is a gap and asked for again, three times", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["A.SIM", "B.SIM"], {}, { seq: 5, class: 0, snapshot: true });
  told.subscribed("bbo", "C.SIM", {}, { seq: 0, class: 1 });
  told.subscribed("bbo", "D.SIM", {}, { seq: 4, class: 2 });
  told.trade(5, { type: "snapshot", symbol: "B.SIM" });
  const missed: Event[] = [];
  for (let round = 0; round < 10; round++) {
    told.now_ms += 5000;
    const due = told.session.due(told.now_ms);
    missed.push(...due.events);
    for (const one of asked(due.requests)) told.accept(one, { seq: 5, class: 0, snapshot: true });
  }
  assert.deepEqual(
    missed.map((one) => [(one as Gap).reason, (one as Gap).symbol]),
    [
      ["no_data", "A.SIM"],
      ["no_data", "A.SIM"],
      ["no_data", "A.SIM"],
    ],
  );
});

test("of a pattern any frame is enough, and none is waited for that need not come", () => {
  const told = new Told();
  told.connect();
  const missed = () => {
    told.now_ms += 5000;
    const { events, requests } = told.session.due(told.now_ms);
    for (const one of asked(requests)) told.accept(one, { class: 0, matched: 3 });
    return events.map((one) => [(one as Gap).reason, (one as Gap).symbol]);
  };
  told.subscribed("trade", "*.SIM", {}, { class: 0, matched: 3 });
  assert.deepEqual(missed(), [["no_data", "*.SIM"]]);
  told.tell(bbo(1, { symbol: "B.SIM" }));
  told.trade(1, { symbol: "B.X" });
  assert.deepEqual(missed(), [["no_data", "*.SIM"]], "another channel's, another name's");
  told.subscribed("trade", "B*", {}, { class: 0, matched: 1 });
  told.trade(1, { symbol: "B.SIM" });
  assert.deepEqual(missed(), [], "of both patterns");
  // Names' own parameters win, so that nothing may be left for the pattern.
  told.subscribed("bbo", ["A.SIM", "B.SIM"], {}, { seq: 0, class: 1 });
  told.subscribed("bbo", "*.SIM", {}, { class: 1, matched: 2 });
  told.subscribed("trade", "S*", { snapshot: false }, { class: 0, matched: 1, snapshot: false });
  told.subscribed("trade", "H*", {}, { class: 2, matched: 1 });
  told.subscribed("bbo", "C.SIM", {}, { class: 1, seq: 3, max_age_ms: 50 });
  told.subscribed("health", "*", { scope: "instruments" }, { class: 1, matched: 9 });
  assert.deepEqual(missed(), []);
  told.session.unsubscribe("bbo", "A.SIM");
  told.subscribed("bbo", "*.SIM", {}, { class: 1, matched: 3 });
  told.session.unsubscribe("bbo", "*.SIM");
  assert.deepEqual(missed(), [], "it is not wanted any more");
  told.subscribed("bbo", "*.SIM", {}, { class: 1, matched: 3 });
  assert.deepEqual(missed(), [["no_data", "*.SIM"]], "one is a name no more");
});

test("a name whose state is gone is not waited for, and begins anew when it is back", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "A.SIM", {}, { seq: 5, class: 0, snapshot: true });
  let missed = 0;
  const answers = [0, 5, 5, 5, 5, 5].map((seq) => ({ seq, class: 0, snapshot: true }));
  for (const answer of answers) {
    told.now_ms += 5000;
    const due = told.session.due(told.now_ms);
    missed += due.events.length;
    for (const one of asked(due.requests)) told.accept(one, answer);
    if (answer.seq === 0) told.subscribed("trade", "A.SIM", {}, { ...answer, seq: 5 });
  }
  assert.equal(missed, 1 + 3);
});

test("silence of five heartbeats is a dead connection", () => {
  const told = new Told();
  told.session.connected(0);
  assert.equal(told.session.stale(5000), false);
  assert.equal(told.session.stale(5001), true);
  told.now_ms = 100;
  told.tell(hello("e", 200));
  assert.deepEqual([told.session.stale(1100), told.session.stale(1101)], [false, true]);
});

test("notices and what the gateway says of itself", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*", {}, { mode: "lossless" });
  told.trade(7);
  const system = (type: string, ...data: object[]) => told.tell({ channel: "system", type, data });
  const row = { channel: "trade", symbol: "A.SIM" };
  assert.deepEqual(gaps(system("gap", { ...row, from: 8, to: 9, reason: "lapped" })), [
    ["lapped", 8, 9, 2],
  ]);
  assert.deepEqual(gaps(system("gap", { ...row, lost: 3, reason: "feed" })), [
    ["feed", null, null, 3],
  ]);
  assert.equal(told.session.statistics().lost, 0, "the next frame's `skipped` has the lapped ones");
  assert.deepEqual(gaps(told.trade(10, { skipped: 2 })), []);
  assert.deepEqual(kinds(system("retired", row)), ["retired"]);
  assert.deepEqual(gaps(told.trade(1, { type: "snapshot" })), []);
  assert.deepEqual(kinds(system("epoch", { epoch: "e2" })), ["system"]);
  assert.deepEqual(gaps(told.trade(1, { type: "snapshot" })), []);
  assert.deepEqual(kinds(system("epoch", { epoch: "e2.1", continues: true, venue: "SIM" })), [
    "system",
  ]);
  assert.deepEqual(gaps(told.trade(3)), [["sequence", 2, 2, 1]], "numbering goes on");
  assert.deepEqual(
    kinds(system("conflation", { class: 2, interval_ms: 20, was_ms: 10, step: 4 })),
    ["conflation"],
  );
  assert.deepEqual(
    kinds(system("slow", { level: 1, was: 0, action: "live", interval_ms: 20, age_ms: 9 })),
    ["slow"],
  );
  const slo = {
    stage: "total",
    percentile: 99,
    target_us: 1000,
    p99_us: 1.5,
    p999_us: null,
    count: 3,
    state: "ok",
    since: NOW,
  };
  const [objective] = told.tell({ channel: "slo", type: "update", ts_send: NOW, data: [slo] });
  assert.ok(objective?.kind === "slo" && objective.since === NOW && objective.p999_us === null);
  const feeds = [{ name: "udp:1", venue: "SIM", up: true }];
  const state = { state: "degraded", ready: true, slo: "ok", feeds, reasons: ["full"] };
  const [health] = told.tell({ channel: "health", type: "snapshot", ts_send: NOW, data: [state] });
  assert.ok(
    health?.kind === "health" && health.feeds[0]?.stale === false && health.reasons[0] === "full",
  );
  assert.deepEqual(
    kinds(told.tell({ channel: "ops", type: "update", ts_send: 1, data: [{ a: 1 }] })),
    ["report"],
  );
});

test("a name's mode wins over a pattern's, and a later pattern's over an earlier one's", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "A*", {}, { mode: "lossless" });
  told.subscribed("trade", "*.SIM", {}, { mode: "conflate" });
  told.subscribed("trade", "B.SIM", {}, { mode: "lossless" });
  const lossless = (symbol: string) =>
    told.session.lossless({ channel: "trade", symbol, interval: "" });
  assert.deepEqual(["A.SIM", "B.SIM", "C.SIM", "A.X"].map(lossless), [false, true, false, true]);
});

test("updates hold from their reply on, unsubscriptions at once", () => {
  const told = new Told();
  told.connect();
  told.subscribed("bbo", ["A.SIM", "B.SIM"], { class: 1 }, { mode: "conflate" });
  const [request] = asked(told.session.update("bbo", ["A.SIM"], { mode: "lossless" }));
  assert.equal(told.session.lossless({ channel: "bbo", symbol: "A.SIM", interval: "" }), false);
  const [reply] = told.accept(request!, { mode: "lossless" });
  assert.equal((reply as Reply).results[0]?.mode, "lossless");
  assert.equal(told.session.lossless({ channel: "bbo", symbol: "A.SIM", interval: "" }), true);
  told.session.unsubscribe("bbo", "B.SIM");
  assert.deepEqual(
    told.connect().map((one) => one.params),
    [{ channel: "bbo", symbol: ["A.SIM"], class: 1, mode: "lossless" }],
  );
});
