/** What was missed is asked for with `from`, where the gateway takes it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { NOW, Told, asked, bbo, gaps, hello, kinds } from "./support.js";

/** Three lossless names with a record each, and a conflated one, after a reconnect. */
function away(told: Told): void {
  told.connect();
  told.subscribed("trade", ["A.SIM", "B.SIM", "C.SIM"], {}, { mode: "lossless" });
  told.subscribed("bbo", "A.SIM", {}, { mode: "conflate" });
  for (const symbol of ["A.SIM", "B.SIM", "C.SIM"]) told.trade(7, { symbol });
  told.tell(bbo(7));
}

const FROM = { epoch: "e1", seq: 7 };
const SINCE = 1_723_161_254_342_000_001n; // a second before NOW, by the nanosecond
const REPLAYING = { mode: "lossless", recovery: "replaying" };

/** The requests of a new connection, as they are written: `JSON.parse` rounds times. */
function reconnected(told: Told): string[] {
  told.session.connected(told.now_ms);
  told.tell(hello());
  return told.session.due(told.now_ms).requests.map((one) => one.text);
}

function says(text: string | undefined, part: string): void {
  assert.ok(text?.includes(part), `${text} has no ${part}`);
}

function completed(told: Told, symbol: string): void {
  const data = [{ channel: "trade", symbol, from: 8, to: 9 }];
  told.tell({ channel: "system", type: "replay_completed", data });
}

test("a gateway that recovers: names together from a moment, one alone from its number", () => {
  const told = new Told();
  away(told);
  told.subscribed("trade", "D.SIM", { class: 0 }, { mode: "lossless" });
  told.trade(7, { symbol: "D.SIM" });
  const [three, quote, one, ...others] = reconnected(told);
  says(three, `"from":{"ts":${SINCE}}`);
  says(three, '["A.SIM","B.SIM","C.SIM"]');
  assert.ok(!quote?.includes("from"), "of a state the newest counts");
  says(one, '"from":{"epoch":"e1","seq":7}');
  assert.deepEqual(others, []);
  const request = asked([{ req_id: 0, text: three ?? "" }])[0]!;
  const late = { success: true, recovery: "insufficient_state", oldest: 20, seq: 30, epoch: "e1" };
  const results = [
    { symbol: "A.SIM", success: true, ...REPLAYING, seq: 5, to: 9 },
    { symbol: "B.SIM", ...late, mode: "lossless" },
    { symbol: "C.SIM", success: true, ...REPLAYING, seq: 6, to: 7 },
  ];
  const { req_id } = request;
  told.tell({ method: "subscribe", req_id, success: true, failed: 0, results });
  for (const seq of [6, 7]) assert.deepEqual(told.trade(seq, { replay: true }), [], "a double");
  for (const seq of [8, 9]) assert.deepEqual(kinds(told.trade(seq, { replay: true })), ["trade"]);
  const row = { channel: "trade", symbol: "A.SIM", from: 6, to: 9 };
  const [done] = told.tell({ channel: "system", type: "replay_completed", data: [row] });
  assert.deepEqual([done?.kind, (done as { to_seq?: number }).to_seq], ["replay_completed", 9]);
  assert.deepEqual(kinds(told.trade(10)), ["trade"]);
  // The ring has lapped this one: what is missing is told by the snapshot.
  assert.deepEqual(gaps(told.trade(30, { symbol: "B.SIM", type: "snapshot" })), [
    ["reconnect", 8, 29, 22],
  ]);
  assert.equal(told.session.statistics().lost, 22);
});

test("a pattern is asked for from a moment, and that stays its own until it has everything", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  const [text] = reconnected(told);
  says(text, `"symbol":["*.SIM"],"from":{"ts":${SINCE}}`);
  told.accept(asked([{ req_id: 0, text: text ?? "" }])[0]!, REPLAYING);
  const later = { ts_recv: NOW + 5_000_000_000n };
  assert.deepEqual(kinds(told.trade(8, later)), ["trade"]);
  // The connection ends before the replay does: another topic may have missed more.
  const [again] = reconnected(told);
  says(again, `"from":{"ts":${SINCE}}`);
  told.accept(asked([{ req_id: 0, text: again ?? "" }])[0]!, REPLAYING);
  assert.deepEqual(told.trade(8, later), []);
  assert.deepEqual(kinds(told.trade(3, { symbol: "B.SIM" })), ["trade"]);
  completed(told, "*.SIM");
  const [newest] = reconnected(told);
  says(newest, `"from":{"ts":${SINCE + 5_000_000_000n}}`);
});

test("a pattern whose past the ring no longer has: each topic's gap has its count", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  for (const symbol of ["A.SIM", "B.SIM"]) told.trade(7, { symbol });
  const [request] = told.connect();
  const late = { mode: "lossless", recovery: "insufficient_state", oldest: NOW, matched: 2 };
  assert.deepEqual(gaps(told.accept(request!, late)), []);
  const snapshot = { type: "snapshot" };
  assert.deepEqual(gaps(told.trade(9, snapshot)), [["reconnect", 8, 8, 1]]);
  assert.deepEqual(gaps(told.trade(7, { ...snapshot, symbol: "B.SIM" })), []);
  const [next] = told.connect();
  assert.ok(next?.params.from !== undefined, "of the connection that ended now");
});

test("an epoch in the middle of a replay ends it", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  const [request] = told.connect();
  told.accept(request!, REPLAYING);
  told.tell({ channel: "system", type: "epoch", data: [{ epoch: "e2" }] });
  assert.deepEqual(kinds(told.trade(1, { type: "snapshot" })), ["trade"]);
  const later = { ts_recv: NOW + 2_000_000_000n };
  told.trade(2, later);
  const [text] = reconnected(told);
  says(text, `"ts":${SINCE + 2_000_000_000n}`);
});

test("what goes on under another leader goes on being replayed", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  const [request] = told.connect();
  told.accept(request!, REPLAYING);
  const data = [{ epoch: "e1.2", venue: "SIM", continues: true }];
  told.tell({ channel: "system", type: "epoch", data });
  told.trade(8, { ts_recv: NOW + 2_000_000_000n });
  const [text] = reconnected(told);
  says(text, `"ts":${SINCE}`);
});

test("so many names go into a request that asks for what they missed that its reply fits", () => {
  const told = new Told();
  told.connect();
  const names = Array.from({ length: 300 }, (_, at) => `S${at}.SIM`);
  told.subscribed("trade", names, {}, { mode: "lossless" });
  told.trade(7, { symbol: "S0.SIM" });
  const requests = told.connect();
  assert.deepEqual(
    requests.map((one) => one.params.symbol.length),
    [120, 120, 60],
  );
  assert.ok(requests.every((one) => one.params.from !== undefined));
});

test("a name with a star in it is recovered by its number, too", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "BAC-I~*.X", {}, { mode: "lossless" });
  told.trade(7, { symbol: "BAC-I*.X" });
  const [request] = told.connect();
  assert.deepEqual(request?.params.from, FROM);
  told.accept(request!, { ...REPLAYING, seq: 7 });
  assert.deepEqual(kinds(told.trade(8, { symbol: "BAC-I*.X" })), ["trade"]);
  completed(told, "BAC-I~*.X");
  told.trade(9, { symbol: "BAC-I*.X", ts_recv: NOW + 1n });
  told.session.unsubscribe("trade", "BAC-I~*.X");
  told.subscribed("trade", "BAC-I~*.X", {}, { mode: "lossless" });
  assert.equal(told.session.statistics().wanted, 1);
});

test("a subscription that conflates from now on does not ask for what it missed", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  const [request] = told.connect();
  told.accept(request!, REPLAYING);
  const [update] = asked(told.session.update("trade", "*.SIM", { mode: "conflate" }));
  told.accept(update!, { mode: "conflate" });
  assert.equal(told.connect()[0]?.params.from, undefined);
});

test("a gateway without recovery: each name has its gap", () => {
  const told = new Told();
  away(told);
  const [three] = told.connect();
  told.accept(three!, { mode: "lossless", recovery: "insufficient_state", epoch: "e1", seq: 9 });
  assert.deepEqual(told.due(), []);
  assert.deepEqual(gaps(told.trade(9, { type: "snapshot" })), [["reconnect", 8, 8, 1]]);
  const events = told.trade(11, { type: "snapshot", symbol: "B.SIM" });
  assert.deepEqual(gaps(events), [["reconnect", 8, 10, 3]]);
});

test("what may be thinned out is not recovered", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "A.SIM", { class: 2 }, { mode: "conflate" });
  told.subscribed("trade", "B.SIM", { mode: "conflate" }, { mode: "conflate" });
  told.subscribed("bbo", "A.SIM", { mode: "lossless" }, { mode: "lossless" });
  for (const symbol of ["A.SIM", "B.SIM"]) told.trade(7, { symbol });
  told.tell(bbo(7));
  assert.deepEqual(
    told.connect().map((one) => [one.params.channel, one.params.from]),
    [
      ["trade", undefined],
      ["trade", undefined],
      ["bbo", FROM],
    ],
  );
});

test("a gateway that refuses `from` by name is asked without it, and nothing is forgotten", () => {
  const told = new Told();
  away(told);
  const [three] = told.connect();
  const error = { code: "bad_request", message: "from: not built yet", retryable: false };
  told.tell({ method: "subscribe", req_id: three!.req_id, success: false, error });
  assert.deepEqual(
    told.due().map((one) => one.params),
    [{ channel: "trade", symbol: ["A.SIM", "B.SIM", "C.SIM"] }],
  );
  assert.equal(told.session.statistics().wanted, 4);
});

test("a refusal for a while: what was missed is asked for later", () => {
  const told = new Told();
  away(told);
  const [three] = told.connect();
  const error = { code: "rate_limited", message: "", retryable: true, retry_after_ms: 500 };
  told.tell({ method: "subscribe", req_id: three!.req_id, success: false, error });
  assert.deepEqual(told.due(), []);
  told.now_ms += 501;
  const [again] = told.due();
  assert.deepEqual(again?.params.symbol, ["A.SIM", "B.SIM", "C.SIM"]);
  assert.ok(again?.params.from !== undefined);
});

test("what still waits to be asked for goes before a request about it, with what it missed", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "A.SIM", {}, { mode: "lossless" });
  told.trade(7);
  told.session.connected(told.now_ms); // its requests are due, but not sent
  told.tell(hello());
  assert.deepEqual(
    asked(told.session.update("trade", "A.SIM", { class: 1 })).map((one) => [
      one.method,
      one.params.from,
    ]),
    [
      ["subscribe", FROM],
      ["update", undefined],
    ],
  );
  assert.deepEqual(told.due(), []);
});

test("a pattern goes behind the patterns that wait, and a name behind none", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["*.SIM", "A.SIM"], {}, { mode: "lossless" });
  told.trade(7);
  told.session.connected(told.now_ms);
  told.tell(hello());
  const symbols = (name: string) =>
    asked(told.session.subscribe("trade", name)).map((one) => one.params.symbol);
  assert.deepEqual(symbols("B.SIM"), [["B.SIM"]]);
  assert.deepEqual(symbols("B*"), [["*.SIM"], ["B*"]]);
});

test("`from` that the caller gives is about one request, and its failure is told", () => {
  const told = new Told();
  told.connect();
  const [request] = asked(told.session.subscribe("trade", "A.SIM", { from: FROM }));
  assert.deepEqual(request?.params, { channel: "trade", symbol: ["A.SIM"], from: FROM });
  const events = told.accept(request!, {
    mode: "lossless",
    recovery: "insufficient_state",
    seq: 9,
  });
  assert.deepEqual(gaps(events), [["insufficient_state", null, null, null]]);
  assert.equal(told.connect()[0]?.params.from, undefined);
});

test("a pattern that is replayed from a time: what is known already is not told again", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", "*.SIM", {}, { mode: "lossless" });
  told.trade(7);
  told.session.connected(0);
  told.tell(hello());
  const since = { from: { ts: NOW - 1_000_000_000n } };
  const requests = told.session.subscribe("trade", "*.SIM", since);
  const [request, ...others] = asked(requests);
  assert.deepEqual(others, [], "and not without it, too");
  assert.match(requests.at(-1)!.text, /"ts":1723161254342000001}/, "each nanosecond is sent");
  told.accept(request!, { mode: "lossless", recovery: "replaying" });
  for (const seq of [6, 7]) assert.deepEqual(told.trade(seq, { replay: true }), []);
  for (const seq of [8, 9]) assert.deepEqual(kinds(told.trade(seq, { replay: true })), ["trade"]);
  assert.deepEqual(kinds(told.trade(3, { symbol: "B.SIM", replay: true })), ["trade"]);
  assert.deepEqual(gaps(told.trade(11)), [["sequence", 10, 10, 1]]);
  assert.deepEqual(gaps(told.trade(5)), [["sequence", null, null, null]], "the replay is over");
});
