/** An order book that a client keeps by the gateway's frames, and the checksum that proves it. */

import { Level } from "./ticks.js";

/** What a frame does to a book. */
export interface BookChange {
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

/** Levels a side of which the checksum is made. */
const CHECKED = 10;

/**
 * The levels of one instrument, best first: `book.bids[0]` is the best bid.
 *
 * Levels are found by the nearest double of their price and, where two prices have the same one, by
 * all their digits, so that `0.1` and `0.10` are one level and no two prices are taken for another.
 */
export class OrderBook {
  /** Best first; do not change them. */
  readonly bids: Level[] = [];
  readonly asks: Level[] = [];
  /** Of the newest frame. */
  seq = 0;
  /** Levels a side; 0: all. */
  depth = 0;
  /** Whether it is known to be what the gateway has; else a snapshot is on its way. */
  ready = false;
  /** The gateway doubts its own book. */
  maybe_bad = false;

  constructor(readonly symbol: string) {}

  /** Replaces everything. */
  replace(change: BookChange): void {
    this.bids.length = 0;
    this.asks.length = 0;
    this.apply(change);
  }

  /** Applies a frame, then cuts each side to the depth. */
  apply(change: BookChange): void {
    for (const level of change.bids) put(this.bids, level, -1);
    for (const level of change.asks) put(this.asks, level, 1);
    if (this.depth > 0) {
      if (this.bids.length > this.depth) this.bids.length = this.depth;
      if (this.asks.length > this.depth) this.asks.length = this.depth;
    }
  }

  /** Kraken's CRC32 of the best levels: 10 a side, or as many as a smaller depth has. */
  checksum(): number {
    return checksum(this.bids, this.asks);
  }
}

/** Puts one level into its side; `order` is 1 where lower prices are better, else -1. */
function put(side: Level[], level: Level, order: number): void {
  let [low, high] = [0, side.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = compare(side[middle] as Level, level) * order;
    if (there < 0) low = middle + 1;
    else high = middle;
  }
  const found = side[low];
  const exists = found !== undefined && compare(found, level) === 0;
  if (isZero(level.qty_text)) {
    if (exists) side.splice(low, 1);
  } else if (exists) {
    side[low] = level;
  } else {
    side.splice(low, 0, level);
  }
}

function isZero(text: string): boolean {
  if (text === "0") return true;
  return /^-?0*(?:\.0*)?$/.test(text);
}

/** Below 0 where the first price is lower, 0 where both are the same number. */
function compare(a: Level, b: Level): number {
  if (a.price_float !== b.price_float) return a.price_float < b.price_float ? -1 : 1;
  return a.price_text === b.price_text ? 0 : compareDigits(a.price_text, b.price_text);
}

/** The same for texts of any length, by their digits. */
function compareDigits(a: string, b: string): number {
  const decimals = Math.max(decimalsOf(a), decimalsOf(b));
  const [first, second] = [scaled(a, decimals), scaled(b, decimals)];
  return first === second ? 0 : first < second ? -1 : 1;
}

function decimalsOf(text: string): number {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

function scaled(text: string, decimals: number): bigint {
  return BigInt(text.replace(".", "") + "0".repeat(decimals - decimalsOf(text)));
}

// --- the checksum --------------------------------------------------------------------------------

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

/**
 * CRC32 over the best levels: asks, then bids, of each the price, then the quantity, as they were
 * sent without the point and without leading zeros; a minus sign stays.
 */
export function checksum(bids: readonly Level[], asks: readonly Level[]): number {
  let crc = 0xffff_ffff;
  for (const side of [asks, bids]) {
    for (let rank = 0; rank < CHECKED && rank < side.length; rank++) {
      const level = side[rank] as Level;
      crc = add(add(crc, level.price_text), level.qty_text);
    }
  }
  return ~crc >>> 0;
}

function add(start: number, text: string): number {
  let crc = start;
  let leading = true;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x2e || (leading && code === 0x30)) continue;
    if (code !== 0x2d) leading = false;
    crc = (TABLE[(crc ^ code) & 0xff] as number) ^ (crc >>> 8);
  }
  return crc;
}
