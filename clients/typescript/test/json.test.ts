import assert from "node:assert/strict";
import { test } from "node:test";
import { type Json, MalformedError, parse, stringify } from "../src/json.js";
import { dice } from "./support.js";

test("integers beyond a double are exact", () => {
  for (const text of [
    "1723161255342000001",
    "-9223372036854775808",
    "18446744073709551615",
    "9007199254740993",
  ]) {
    assert.equal(parse(text), BigInt(text));
    assert.equal(stringify(parse(text)), text);
  }
  for (const text of [
    "0",
    "-1",
    "999999999999999",
    "1000000000000000",
    "9007199254740991",
    "-9007199254740991",
  ]) {
    assert.equal(parse(text), Number(text));
  }
  assert.equal(parse("9007199254740992"), 2n ** 53n);
  assert.ok(Object.is(parse("-0"), -0));
});

test("times of a message, and digits inside of a string", () => {
  const text = '{"ts_event":1723161255342000001,"say":"\\":1723161255342000001,","seq":12}';
  assert.deepEqual(parse(text), {
    ts_event: 1723161255342000001n,
    say: '":1723161255342000001,',
    seq: 12,
  });
});

test("what JSON.parse refuses is refused, and nothing else is thrown", () => {
  const bad = [
    "",
    " ",
    "{",
    "[",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    "[1,]",
    "[1 2]",
    "01",
    "-",
    "1.",
    "1e",
    "+1",
    ".5",
    "--1",
    "1.e1",
    '"',
    '"\\',
    '"\\x"',
    '"\\u12"',
    '"a\nb"',
    '"a\tb\\n"',
    "tru",
    "nul",
    "True",
    "1 1",
    "{}x",
    "{1:2}",
    "{a:1}",
    "NaN",
    "Infinity",
    "0x1",
    "\u00a01",
    "'a'",
    '{"a":1 "b":2}',
    "\ufeff1",
    '"\\"',
    "]",
    "}",
    ":",
  ];
  for (const text of bad) {
    assert.throws(() => JSON.parse(text) as unknown, SyntaxError, text);
    assert.throws(() => parse(text), MalformedError, text);
  }
});

test("too deep is refused before the stack ends", () => {
  assert.deepEqual(
    parse("[".repeat(64) + "]".repeat(64)),
    JSON.parse("[".repeat(64) + "]".repeat(64)),
  );
  assert.throws(() => parse("[".repeat(65) + "]".repeat(65)), MalformedError);
  assert.throws(() => parse("[".repeat(1_000_000)), MalformedError);
  assert.throws(() => parse('{"a":'.repeat(100_000)), MalformedError);
});

test("a hostile name changes no prototype", () => {
  const found = parse('{"__proto__":{"x":1},"constructor":2}') as Record<string, Json>;
  assert.equal(Object.getPrototypeOf(found), Object.prototype);
  assert.equal(found["x"], undefined);
  assert.deepEqual(Object.keys(found), ["__proto__", "constructor"]);
});

test("random values are what JSON.parse makes of them", () => {
  const random = dice(1);
  const value = (depth: number): unknown => {
    switch (random.below(depth > 0 ? 8 : 6)) {
      case 0:
        return random.one([true, false, null]);
      case 1:
        return random.below(1e9) - 5e8;
      case 2:
        return (random.below(1e9) / 1e3) * random.one([1, 1e300, 1e-300, -1]);
      case 3:
        return "64250.10";
      case 4:
        return Array.from({ length: random.below(9) }, () =>
          String.fromCharCode(random.below(0xffff)),
        ).join("");
      case 5:
        return random.one(["", '"', "\\", 'a\\"b', "币安", "\u2028", "😀", "\ud800", "/"]);
      case 6:
        return Array.from({ length: random.below(4) }, () => value(depth - 1));
      default:
        return Object.fromEntries(
          Array.from({ length: random.below(4) }, (_, at) => [`n"${at}`, value(depth - 1)]),
        );
    }
  };
  for (let round = 0; round < 3000; round++) {
    const one = value(4);
    for (const text of [JSON.stringify(one), JSON.stringify(one, null, " \t")]) {
      assert.deepEqual(parse(text), JSON.parse(text), text);
      assert.deepEqual(JSON.parse(stringify(parse(text))), JSON.parse(text));
    }
    const text = JSON.stringify(one);
    const at = random.below(text.length + 1);
    const changed =
      text.slice(0, at) + random.one(["", '"', "{", ",", "9", "\\", "]", " "]) + text.slice(at + 1);
    let expected: unknown = MalformedError;
    try {
      expected = JSON.parse(changed);
    } catch {
      assert.throws(() => parse(changed), MalformedError, changed);
      continue;
    }
    assert.deepEqual(parse(changed), expected, changed);
  }
});
