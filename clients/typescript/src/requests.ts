/** What a client asks for, as the parameters and the lengths that a gateway takes. */

import type { Json } from "./json.js";

/** A text to send; the reply bears the same `req_id`. */
export interface Request {
  readonly req_id: number;
  readonly text: string;
}

/** Parameters of `subscribe` and `update`; those left out are the gateway's choice. */
export interface Params {
  /** Whether the present state comes first. */
  snapshot?: boolean;
  mode?: "lossless" | "conflate";
  /** What gives way first under load, never above the channel's own: 3, then 2, then 1; 0 never. */
  class?: number;
  max_hz?: number;
  max_age_ms?: number;
  /** Of a book: levels a side, 0 for all. */
  depth?: number;
  /** Of candles; "1m" unless said. */
  interval?: string;
  /** Of `health`: the gateway's own, or that of instruments. */
  scope?: "gateway" | "instruments";
  /** What was missed is wanted from here on. */
  from?: { epoch: string; seq: number } | { last: number } | { ts: bigint };
}

/** The gateway takes 16 KiB a message and 1000 symbols a request by default: stay below both. */
const REQUEST_BYTES_MAX = 8192;
const REQUEST_SYMBOLS_MAX = 250;
/** With `from` results are longer, and must fit into one reply all the same. */
export const RECOVERED_MAX = 120;

export const HEALTH = "health";
export const CANDLE = "candle";
export const GATEWAY = "gateway";
export const INSTRUMENTS = "instruments";
const INTERVAL = "1m";

/** A request whose reply has not come. */
export interface Asked {
  readonly method: string;
  readonly channel: string;
  readonly symbols: readonly string[];
  readonly params: Params;
  readonly recovers: boolean;
}

/** What an unknown reply is to. */
export const UNASKED: Asked = { method: "", channel: "", symbols: [], params: {}, recovers: false };

/** A string is one name. */
export function namesOf(symbols: string | Iterable<string>): string[] {
  return typeof symbols === "string" ? [symbols] : [...symbols];
}

/**
 * The parameters as they are sent, without those that are undefined.
 *
 * Of health the scope is always said: by itself `*` means the gateway, and in the company in which
 * it is asked for again, instruments. So is a candle's interval, which is part of its topic.
 */
export function onTheWire(channel: string, names: string[], params: Params): Params {
  const wire = Object.fromEntries(
    Object.entries(params).filter(([, one]) => one != null),
  ) as Params;
  if (channel === HEALTH) {
    wire.scope ??= names.length === 1 && names[0] === "*" ? GATEWAY : INSTRUMENTS;
  }
  if (channel === CANDLE) wire.interval ??= INTERVAL;
  return wire;
}

/**
 * What tells two subscriptions of one string apart: of health the scope, of candles the interval.
 */
export function scopeOf(channel: string, params: Params): string {
  if (channel === HEALTH) return params.scope ?? "";
  return channel === CANDLE ? (params.interval ?? INTERVAL) : "";
}

/** Lists of symbols, each small enough for one request. */
export function* chunks(
  symbols: Iterable<string>,
  most = REQUEST_SYMBOLS_MAX,
): Generator<string[]> {
  let chunk: string[] = [];
  let size = 0;
  for (const symbol of symbols) {
    const more = UTF8.encode(symbol).length + 3; // quotes and comma
    if (chunk.length > 0 && (size + more > REQUEST_BYTES_MAX || chunk.length === most)) {
      yield chunk;
      [chunk, size] = [[], 0];
    }
    chunk.push(symbol);
    size += more;
  }
  if (chunk.length > 0) yield chunk;
}

const UTF8 = new TextEncoder();

/** Whether two sets of parameters are the same. */
export function sameParams(a: Params, b: Params): boolean {
  if (a === b) return true;
  const [first, second] = [Object.entries(a), Object.entries(b)];
  const other = new Map<string, Json>(second as [string, Json][]);
  return (
    first.length === second.length && first.every(([name, value]) => other.get(name) === value)
  );
}
