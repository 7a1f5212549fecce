/** What the gateway's own codecs write is read alike from both encodings. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MalformedError } from "../src/json.js";
import { SbeReader } from "../src/sbe.js";
import { NOW, Told, dice } from "./support.js";

interface Case {
  readonly name: string;
  readonly sbe: string;
  readonly json: string;
}

const path = process.env["TICKGATE_GOLDEN"];
const skip = path === undefined && "TICKGATE_GOLDEN names no frames; the gateway's tests make them";
const golden = path === undefined ? '{"cases":[]}' : readFileSync(path, "utf8");
const { cases } = JSON.parse(golden) as { cases: Case[] };

function bytes(hexadecimal: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hexadecimal, "hex"));
}

test("both encodings say the same", { skip }, () => {
  const seen = new Set<string>();
  for (const { name, sbe, json } of cases) {
    const [binary, text] = [new Told("sbe"), new Told("json")];
    binary.connect();
    text.connect();
    const expected = text.tell(json);
    assert.deepEqual(binary.tell(bytes(sbe)), expected, name);
    for (const event of expected) {
      assert.notEqual(event.kind, "malformed", name);
      assert.notEqual(event.kind, "raw", name);
      seen.add(event.kind === "system" ? event.type : event.kind);
    }
  }
  const records = ["trade", "bbo", "book", "candle", "instrument", "status"];
  const notices = ["gap", "epoch", "retired", "replay_completed", "slow", "conflation"];
  for (const kind of [...records, ...notices, "limit_exceeded", "auth_expiring", "shutdown"])
    assert.ok(seen.has(kind), kind);
  assert.ok(cases.length > 300);
});

test(
  "each frame cut short is refused or says less, and damage throws nothing else",
  { skip },
  () => {
    const random = dice(3);
    const read = (frame: Uint8Array) => {
      try {
        return new SbeReader().read(frame, NOW).length;
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
        return -1;
      }
    };
    let refused = 0;
    for (const { sbe } of cases) {
      const frame = bytes(sbe);
      const whole = read(frame);
      for (let end = 0; end < frame.length; end++) {
        const found = read(frame.subarray(0, end));
        assert.ok(found < whole || whole === 0);
        refused += Number(found < 0);
      }
      for (let round = 0; round < 8; round++) {
        const damaged = frame.slice();
        damaged[random.below(damaged.length)] = random.below(256);
        read(damaged);
      }
    }
    assert.ok(refused > 10_000);
  },
);
