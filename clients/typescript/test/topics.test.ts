import assert from "node:assert/strict";
import { test } from "node:test";
import { escape, isPattern, matchPattern, meant } from "../src/topics.js";
import { dice } from "./support.js";

test("stars and tildes", () => {
  assert.equal(escape("BAC-I*~.X"), "BAC-I~*~~.X");
  assert.equal(meant("BAC-I~*~~.X"), "BAC-I*~.X");
  assert.equal(meant("a~b"), "a~b");
  assert.deepEqual(["*", "a*", "~~*", "~*", "a", "~~~*", "~"].map(isPattern), [
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test("patterns cover what a regular expression covers", () => {
  const random = dice(2);
  const text = (letters: readonly string[]) =>
    Array.from({ length: random.below(7) }, () => random.one(letters)).join("");
  let covered = 0;
  for (let round = 0; round < 20_000; round++) {
    const pattern = text(["a", "b", "*", "~*", "~~", "."]);
    const name = text(["a", "b", "*", "~", "."]);
    const source = pattern.replace(/~[*~]|[*.]/g, (token) =>
      token === "*" ? ".*" : `\\${token.at(-1)}`,
    );
    const expected = new RegExp(`^${source}$`, "s").test(name);
    covered += Number(expected);
    assert.equal(matchPattern(pattern, name), expected, `${pattern} ${name}`);
  }
  assert.ok(covered > 500);
});

test("many stars take no time", () => {
  const from = performance.now();
  assert.equal(matchPattern("*a".repeat(50) + "b", "a".repeat(113)), false);
  assert.ok(performance.now() - from < 1000);
});
