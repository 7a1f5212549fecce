/**
 * Names of instruments and the patterns that cover them.
 *
 * Requests write a star that is itself as `~*` and a tilde as `~~`; data has names as they are.
 */

/** A channel and an instrument; candles of each interval are a topic of their own. */
export interface Topic {
  readonly channel: string;
  readonly symbol: string;
  /** Of a candle, else empty. */
  readonly interval: string;
}

/** A text that no other topic has. */
export function keyOf({ channel, symbol, interval }: Topic): string {
  return `${channel}\n${interval}\n${symbol}`;
}

/** The name as requests write it. */
export function escape(name: string): string {
  return name.replaceAll("~", "~~").replaceAll("*", "~*");
}

/** The name that a request's string means; of a string with a bad escape, the string itself. */
export function meant(text: string): string {
  return /~(?![*~])/.test(text.replaceAll("~~", "")) ? text : text.replace(/~([*~])/g, "$1");
}

/** Whether the string of a request covers names by a `*` instead of being one. */
export function isPattern(text: string): boolean {
  return text.replace(/~./gs, "").includes("*");
}

/**
 * Whether a request's pattern covers the name.
 *
 * Each literal part is taken where it first fits, so that the time is at most the product of both
 * lengths.
 */
export function matchPattern(pattern: string, name: string): boolean {
  const parts = literals(pattern);
  const head = parts.shift() ?? "";
  const tail = parts.pop();
  if (tail === undefined) return head === name;
  const end = name.length - tail.length;
  let at = head.length;
  if (end < at || !name.startsWith(head) || !name.endsWith(tail)) return false;
  for (const part of parts) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/** What stands before, between and behind the stars. */
function literals(pattern: string): string[] {
  const found: string[] = [];
  let literal = "";
  for (const token of pattern.match(/~[*~]|\*|[^*~]+|~/g) ?? []) {
    if (token === "*") {
      found.push(literal);
      literal = "";
    } else {
      literal += token === "~*" || token === "~~" ? token.slice(1) : token;
    }
  }
  return [...found, literal];
}
