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

test("a gateway that recovers: each name from its last number, without a gap", () => {
  const told = new Told();
  away(told);
  const [probe, ...others] = told.connect();
  assert.deepEqual(probe?.params, { channel: "trade", symbol: ["A.SIM"], from: FROM });
  assert.deepEqual(others, [], "the order counts: the rest waits for the answer");
  told.accept(probe!, { mode: "lossless", recovery: "replaying", epoch: "e1", seq: 7, to: 9 });
  const rest = told.due();
  assert.deepEqual(
    rest.map((one) => [one.params.channel, one.params.symbol, one.params.from]),
    [
      ["trade", ["B.SIM"], FROM],
      ["trade", ["C.SIM"], FROM],
      ["bbo", ["A.SIM"], undefined],
    ],
  );
  for (const seq of [8, 9]) assert.deepEqual(kinds(told.trade(seq, { replay: true })), ["trade"]);
  const row = { channel: "trade", symbol: "A.SIM", from: 8, to: 9 };
  const [done] = told.tell({ channel: "system", type: "replay_completed", data: [row] });
  assert.deepEqual([done?.kind, (done as { to_seq?: number }).to_seq], ["replay_completed", 9]);
  assert.deepEqual(kinds(told.trade(10)), ["trade"]);
  // The ring has lapped this one: what is missing is told by the snapshot.
  const late = {
    mode: "lossless",
    recovery: "insufficient_state",
    oldest: 20,
    epoch: "e1",
    seq: 30,
  };
  assert.deepEqual(gaps(told.accept(rest[0]!, late)), []);
  assert.deepEqual(gaps(told.trade(30, { symbol: "B.SIM", type: "snapshot" })), [
    ["reconnect", 8, 29, 22],
  ]);
  assert.equal(told.session.statistics().lost, 22);
});

test("a name without a number goes before one with, and each in its own way", () => {
  const told = new Told();
  told.connect();
  told.subscribed("trade", ["X.SIM", "A.SIM", "Y.SIM"], {}, { mode: "lossless" });
  told.trade(7);
  assert.deepEqual(
    told.connect().map((one) => [one.params.symbol, one.params.from]),
    [
      [["X.SIM"], undefined],
      [["A.SIM"], FROM],
      [["Y.SIM"], undefined],
    ],
  );
});

test("a gateway without recovery: one name asks in vain, and each has its gap", () => {
  const told = new Told();
  away(told);
  const [probe] = told.connect();
  told.accept(probe!, { mode: "lossless", recovery: "insufficient_state", epoch: "e1", seq: 9 });
  assert.deepEqual(
    told.due().map((one) => one.params),
    [
      { channel: "trade", symbol: ["B.SIM", "C.SIM"] },
      { channel: "bbo", symbol: ["A.SIM"] },
    ],
  );
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
  const [probe] = told.connect();
  const error = { code: "bad_request", message: "from: not built yet", retryable: false };
  told.tell({ method: "subscribe", req_id: probe!.req_id, success: false, error });
  const symbols = told
    .due()
    .filter((one) => one.params.channel === "trade")
    .flatMap((one) => one.params.symbol);
  assert.deepEqual(symbols.sort(), ["A.SIM", "B.SIM", "C.SIM"]);
  assert.equal(told.session.statistics().wanted, 4);
});

test("a probe that nobody answers holds the others up for ten seconds at most", () => {
  const told = new Told();
  away(told);
  told.connect();
  told.now_ms = 9_000;
  assert.deepEqual(told.due(), []);
  told.now_ms = 10_001;
  assert.equal(told.due().length, 2);
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
