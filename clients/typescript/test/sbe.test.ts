import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedError } from "../src/json.js";
import { SbeReader } from "../src/sbe.js";
import { Candle, Status, Trade } from "../src/ticks.js";
import { NOW } from "./support.js";

/** The frame of docs/sbe.md: topic 7 is trades of BTCUSDT.BINANCE, and its first trade. */
const PAGE = `05001000010000000700000001 0f42544355534454 2e42494e414e4345
  5000 0100 0100 0000 6d22000000000000 8047603308e6e917 8147603308e6e917 8247603308e6e917
  0000000000000000 07000000 00 02 b209620000000000 0000000000000000 fe
  0f00000000000000 0000000000000000 fd 0a33383130303030303337`;

function page(): Uint8Array {
  return Uint8Array.from(Buffer.from(PAGE.replaceAll(/\s/g, ""), "hex"));
}

/** The same with other bytes; the trade's message begins at 29. */
function changed(at: number, ...values: number[]): Uint8Array {
  const frame = page();
  frame.set(values, at);
  return frame;
}

test("the frame of the documentation", () => {
  const [trade] = new SbeReader().read(page(), NOW);
  assert.ok(trade instanceof Trade);
  assert.equal(trade.symbol, "BTCUSDT.BINANCE");
  assert.equal(trade.seq, 8813);
  assert.equal(trade.price_text, "64250.10");
  assert.equal(trade.price_float, 64250.1);
  assert.equal(trade.qty_text, "0.015");
  assert.equal(trade.side, "sell");
  assert.equal(trade.id, "3810000037");
  assert.equal(trade.ts_recv - trade.ts_event, 1n);
  assert.equal(trade.ts_client, NOW);
});

test("a topic holds until it is announced anew", () => {
  const reader = new SbeReader();
  const trade = page().subarray(29);
  assert.throws(() => reader.read(trade, NOW), /not announced/);
  assert.deepEqual(reader.read(page().subarray(0, 29), NOW), []);
  assert.equal(reader.read(trade, NOW).length, 1);
  assert.deepEqual(reader.read(changed(12, 2).subarray(0, 29), NOW), []);
  assert.throws(() => reader.read(trade, NOW), /announced as bbo/);
});

test("what no gateway sends is refused with a reason", () => {
  const block = 29 + 8;
  const wrong: [Uint8Array, RegExp][] = [
    [new Uint8Array(), /ends inside/],
    [changed(4, 2), /schema 2/],
    [changed(29, 79), /a block of 79/],
    [changed(13, 0), /a name of 0|name of 0/],
    [changed(block + 45, 3), /side/],
    [changed(block + 62, 127), /without a price/],
    [changed(block + 62, 101), /exponent of 101/],
    [changed(block + 62, 0x80), /exponent of -128/],
    [changed(block + 54, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), /38 digits/],
    [changed(block + 6, 0x20), /seq: beyond/],
    [changed(block + 81, 0x1f), /printable/],
    [changed(block + 80, 81), /ends inside/],
    [changed(14, 0xff), /UTF-8/],
  ];
  for (const [frame, reason] of wrong) {
    assert.throws(
      () => new SbeReader().read(frame, NOW),
      (error) => {
        assert.ok(error instanceof MalformedError);
        assert.match(error.message, reason);
        return true;
      },
    );
  }
});

/** Topic 7, announced on the channel of this number, and its record: zeros but for `values`. */
function record(
  channel: number,
  template: number,
  block: number,
  values: Readonly<Record<number, number>>,
  texts: readonly string[],
): Uint8Array {
  const fields = new Uint8Array(block);
  for (const [at, value] of Object.entries(values)) fields[Number(at)] = value;
  const said = texts.flatMap((text) => [text.length, ...Buffer.from(text, "latin1")]);
  const topic = [5, 0, 16, 0, 1, 0, 1, 0, 7, 0, 0, 0, channel, 3, 0x41, 0x2e, 0x56];
  return Uint8Array.from([...topic, block, 0, template, 0, 1, 0, 1, 0, ...fields, ...said]);
}

test("a status and its reason are printable ASCII", () => {
  const frame = (...texts: string[]) => record(5, 5, 45, { 40: 7 }, texts);
  const [status] = new SbeReader().read(frame("halted", "LULD pause"), NOW);
  assert.ok(status instanceof Status);
  assert.deepEqual([status.status, status.reason], ["halted", "LULD pause"]);
  assert.throws(() => new SbeReader().read(frame("halted\n", ""), NOW), /a status beyond/);
  assert.throws(() => new SbeReader().read(frame("halted", "\xe9"), NOW), /reason beyond/);
});

test("a candle says yes or no, and has all its decimals", () => {
  const frame = (values: Readonly<Record<number, number>>) =>
    record(9, 8, 145, { 48: 7, 52: 3, 57: 1, 59: 1, ...values }, []);
  const [candle] = new SbeReader().read(frame({}), NOW);
  assert.ok(candle instanceof Candle);
  assert.deepEqual([candle.interval, candle.trades, candle.volume_text], ["1m", 3, "0"]);
  assert.deepEqual([candle.closed, candle.revised, candle.complete], [true, false, true]);
  for (const at of [57, 58, 59]) {
    assert.throws(() => new SbeReader().read(frame({ [at]: 2 }), NOW), /neither/);
  }
  assert.throws(() => new SbeReader().read(frame({ 144: 127 }), NOW), /a candle without/);
});

test("what is no zero has its own sign", () => {
  const [trade] = new SbeReader().read(changed(29 + 8 + 44, 6), NOW);
  assert.ok(trade instanceof Trade);
  assert.deepEqual([trade.price_text, trade.qty_text], ["64250.10", "0.015"]);
});

test("rows of a group may be longer than those known here", () => {
  const row = [20, 0, 0, 0, 255, 255, 255, 255, 4, 0, 0, 0, 2, 99, 99];
  const frame = Uint8Array.from([0, 0, 37, 0, 1, 0, 9, 0, row.length, 0, 2, 0, ...row, ...row]);
  const one = { interval_ms: 20, was_ms: null, step: 4, class: 2 };
  const [message] = new SbeReader().read(frame, NOW);
  assert.deepEqual(message, { channel: "system", type: "conflation", data: [one, one] });
});

test("a later version's templates and values are no error", () => {
  const unknown = changed(31, 200); // the trade's template
  assert.deepEqual(new SbeReader().read(unknown, NOW), []);
  const gap = Uint8Array.from([
    26,
    0,
    32,
    0,
    1,
    0,
    9,
    0,
    ...Array<number>(24).fill(255),
    99,
    99,
    1,
    65,
  ]);
  assert.deepEqual(new SbeReader().read(gap, NOW), [
    {
      channel: "system",
      type: "gap",
      data: [{ channel: "unknown", reason: "unknown", symbol: "A" }],
    },
  ]);
});
