/**
 * Sequence numbers by themselves, against a gateway that counts for itself what it did not
 * deliver.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Continuity } from "../src/continuity.js";
import type { Topic } from "../src/topics.js";
import { dice } from "./support.js";

const TOPIC: Topic = { channel: "trade", symbol: "A.SIM", interval: "" };

test("what is missing is exactly what did not come", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = dice(seed);
    const lossless = random.below(2) === 0;
    const continuity = new Continuity();
    continuity.connected();
    continuity.hello("e");
    let [published, delivered, told, skippedTold] = [random.below(5), 0, 0, 0];
    let first: number | null = null;
    let unsaid = 0; // since the last frame, of what the gateway counts for this client
    let last = 0;
    const frame = (skipped: number) => {
      const missing = continuity.frame(TOPIC, published, skipped, () => lossless);
      told += missing.gap?.lost ?? 0;
      skippedTold += skipped + missing.skipped;
      if (missing.gap !== null && missing.gap.from_seq !== null) {
        assert.ok(missing.gap.from_seq > last);
        assert.equal((missing.gap.to_seq ?? 0) - missing.gap.from_seq + 1, missing.gap.lost);
      }
      first ??= published;
      if (published !== last) delivered++;
      last = published;
      unsaid = 0;
    };
    for (let step = 0; step < 60; step++) {
      switch (random.below(6)) {
        case 0: // merged away, which the next frame's `skipped` says
          published++;
          unsaid++;
          break;
        case 1: // lost without notice
          published++;
          break;
        case 2: // a reconnect, or a subscription anew, and what is published meanwhile
          if (random.below(2) === 0) {
            continuity.connected();
            published += random.below(3);
            continuity.hello("e");
          } else {
            continuity.restarted(TOPIC);
          }
          published += random.below(3);
          unsaid = 0;
          if (published > 0) frame(0); // the snapshot
          break;
        default:
          published++;
          frame(first === null ? 0 : unsaid);
      }
    }
    if (first === null) continue;
    const expected = last - first + 1;
    assert.equal(delivered + told + skippedTold, expected, `seed ${seed}`);
  }
});

test("another epoch: a loss without a count, and no number is taken for another's", () => {
  const continuity = new Continuity();
  continuity.connected();
  continuity.hello("e1");
  continuity.frame(TOPIC, 7, 0, () => true);
  continuity.connected();
  assert.equal(continuity.position(TOPIC), null, "not before the hello");
  continuity.hello("e2");
  assert.equal(continuity.position(TOPIC), null);
  const { gap } = continuity.frame(TOPIC, 9, 0, () => true);
  assert.deepEqual([gap?.reason, gap?.from_seq, gap?.lost], ["reconnect", null, null]);
});

test("patterns begin anew and end for all that they cover", () => {
  const continuity = new Continuity();
  continuity.hello("e");
  for (const symbol of ["A.SIM", "A*.SIM", "B.X"]) {
    continuity.frame({ ...TOPIC, symbol }, 1, 0, () => true);
  }
  continuity.restarted({ ...TOPIC, symbol: "*.SIM" });
  assert.equal(continuity.size, 1);
  continuity.left({ ...TOPIC, symbol: "*.SIM" }, ({ symbol }) => symbol === "A*.SIM");
  const { gap } = continuity.frame({ ...TOPIC, symbol: "A*.SIM" }, 4, 0, () => true);
  assert.deepEqual([gap?.reason, gap?.from_seq, gap?.to_seq], ["resubscribe", 2, 3]);
  assert.equal(continuity.frame({ ...TOPIC, symbol: "A.SIM" }, 4, 0, () => true).gap, null);
  continuity.forget({ ...TOPIC, symbol: "A~*.SIM" });
  assert.equal(continuity.frame({ ...TOPIC, symbol: "A*.SIM" }, 9, 0, () => true).gap, null);
});

test("candles of two intervals are two topics", () => {
  const continuity = new Continuity();
  continuity.hello("e");
  const candle = { channel: "candle", symbol: "A.SIM", interval: "1m" };
  continuity.frame(candle, 5, 0, () => false);
  assert.equal(continuity.frame({ ...candle, interval: "5m" }, 9, 0, () => true).gap, null);
  assert.equal(continuity.frame(candle, 6, 0, () => true).gap, null);
});
