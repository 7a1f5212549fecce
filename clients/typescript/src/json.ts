/**
 * JSON in which no integer is rounded.
 *
 * `JSON.parse` makes a double of every number, and nanoseconds since 1970 need 61 bits. An integer
 * that a double cannot hold exactly is a `bigint` here; every other value is what `JSON.parse`
 * gives.
 */

export type Json = null | boolean | number | bigint | string | Json[] | JsonObject;

export interface JsonObject {
  [name: string]: Json;
}

/** A message that is not the protocol's; its text says why. */
export class MalformedError extends Error {
  override name = "MalformedError";
}

/** Levels of arrays and objects: the protocol has five, and each one is a call here. */
const DEPTH_MAX = 64;
/** So many digits always fit a double, so that usual numbers need no test for it. */
const DIGITS_SAFE = 15;
const FRACTION = /(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * The value of a text.
 *
 * @throws {MalformedError} it is not JSON, or nested deeper than 64 levels.
 */
export function parse(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(DEPTH_MAX);
  reader.end();
  return value;
}

/** The text of a value, `bigint` as its digits; members that are undefined are left out. */
export function stringify(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(stringify).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).filter(([, one]) => one !== undefined);
    const texts = members.map(([name, one]) => `${JSON.stringify(name)}:${stringify(one)}`);
    return `{${texts.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}

class Reader {
  private at = 0;

  constructor(private readonly text: string) {}

  value(depth: number): Json {
    const code = this.next();
    switch (code) {
      case 0x22:
        this.at++;
        return this.string();
      case 0x7b:
        this.at++;
        return this.object(depth - 1);
      case 0x5b:
        this.at++;
        return this.array(depth - 1);
      case 0x74:
        return this.word("true", true);
      case 0x66:
        return this.word("false", false);
      case 0x6e:
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  /** Nothing but white space is left. */
  end(): void {
    if (!Number.isNaN(this.next())) this.fail("more than one value");
  }

  /** The code of the next character that is not white space; NaN at the end. */
  private next(): number {
    let code = this.text.charCodeAt(this.at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = this.text.charCodeAt(++this.at);
    }
    return code;
  }

  private object(depth: number): JsonObject {
    if (depth < 0) this.fail("nested too deeply");
    const found: JsonObject = {};
    if (this.next() === 0x7d) {
      this.at++;
      return found;
    }
    for (;;) {
      if (this.next() !== 0x22) this.fail("expected a name");
      this.at++;
      const name = this.string();
      if (this.next() !== 0x3a) this.fail("expected a colon");
      this.at++;
      const value = this.value(depth);
      if (name === "__proto__") {
        // An assignment would change the object's prototype.
        Object.defineProperty(found, name, {
          value,
          enumerable: true,
          configurable: true,
          writable: true,
        });
      } else {
        found[name] = value;
      }
      const code = this.next();
      this.at++;
      if (code === 0x7d) return found;
      if (code !== 0x2c) this.fail("expected a comma or the object's end");
    }
  }

  private array(depth: number): Json[] {
    if (depth < 0) this.fail("nested too deeply");
    const found: Json[] = [];
    if (this.next() === 0x5d) {
      this.at++;
      return found;
    }
    for (;;) {
      found.push(this.value(depth));
      const code = this.next();
      this.at++;
      if (code === 0x5d) return found;
      if (code !== 0x2c) this.fail("expected a comma or the array's end");
    }
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail("no value");
    this.at += word.length;
    return value;
  }

  /** What stands behind an opening quote, up to its end. */
  private string(): string {
    const { text, at: from } = this;
    for (let at = from; ; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.at = at + 1;
        return text.slice(from, at);
      }
      if (code === 0x5c) return this.escaped(from, at);
      if (!(code >= 0x20)) this.fail("a string without an end, or with a control character");
    }
  }

  /** A string with escapes: its end is found here, its characters by `JSON.parse`. */
  private escaped(from: number, backslash: number): string {
    let at = backslash;
    for (;;) {
      const code = this.text.charCodeAt(at);
      if (code === 0x22) break;
      if (Number.isNaN(code)) this.fail("a string without an end");
      at += code === 0x5c ? 2 : 1;
    }
    this.at = at + 1;
    try {
      return JSON.parse(this.text.slice(from - 1, at + 1)) as string;
    } catch {
      return this.fail("a string with a bad escape or a control character");
    }
  }

  private number(): number | bigint {
    const { text, at: from } = this;
    let at = from;
    const negative = text.charCodeAt(at) === 0x2d;
    if (negative) at++;
    const first = at;
    let digits = 0;
    let code = text.charCodeAt(at);
    while (code >= 0x30 && code <= 0x39) {
      digits = digits * 10 + (code - 0x30);
      code = text.charCodeAt(++at);
    }
    const count = at - first;
    if (count === 0) this.fail("no value");
    if (count > 1 && text.charCodeAt(first) === 0x30) this.fail("a number with a leading zero");
    this.at = at;
    if (code === 0x2e || code === 0x65 || code === 0x45) return this.fraction(from);
    if (count > DIGITS_SAFE && !Number.isSafeInteger(digits)) return BigInt(text.slice(from, at));
    return negative ? -digits : digits;
  }

  /** A number with a fraction or an exponent, whose digits before those are read. */
  private fraction(from: number): number {
    FRACTION.lastIndex = this.at;
    const found = FRACTION.exec(this.text)?.[0] ?? "";
    if (found === "") this.fail("a number that breaks off");
    this.at += found.length;
    return Number(this.text.slice(from, this.at));
  }

  private fail(what: string): never {
    throw new MalformedError(`not JSON: ${what} at character ${this.at}`);
  }
}
