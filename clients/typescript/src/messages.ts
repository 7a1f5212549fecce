/** Messages of the protocol, as `json` or `sbe` read them, into events with types. */

import type {
  Conflation,
  Gap,
  Health,
  Hello,
  Listed,
  ReplayCompleted,
  Reply,
  Report,
  Result,
  Retired,
  ServerError,
  Slo,
  Slow,
} from "./events.js";
import { type Json, type JsonObject, MalformedError } from "./json.js";
import {
  type AnyTick,
  Bbo,
  Book,
  Candle,
  type Head,
  Instrument,
  InstrumentHealth,
  Level,
  RawTick,
  Status,
  Trade,
} from "./ticks.js";

/** A number with the venue's own digits; longer ones than the gateway carries are not read. */
const NUMBER = /^-?[0-9]+(?:\.[0-9]+)?$/;
const NUMBER_LENGTH_MAX = 200;

// --- members ----------------------------------------------------------------------------------

/** The message as an object. */
export function object(value: Json | undefined): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new MalformedError("expected an object");
}

/** The rows of an array of objects; none where it is left out. */
export function rows(value: Json | undefined): JsonObject[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value.map(object);
  throw new MalformedError("expected an array of objects");
}

export function text(row: JsonObject, name: string, otherwise?: string): string {
  const value = row[name];
  if (typeof value === "string") return value;
  if (value === undefined && otherwise !== undefined) return otherwise;
  throw new MalformedError(`${name}: expected a string`);
}

function textOrNull(row: JsonObject, name: string): string | null {
  const value = row[name];
  if (typeof value === "string") return value;
  if (value === undefined || value === null) return null;
  throw new MalformedError(`${name}: expected a string or null`);
}

/** An integer that a double holds exactly; one that it does not is refused, never rounded. */
export function count(row: JsonObject, name: string, otherwise?: number): number {
  const value = row[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  if (value === undefined && otherwise !== undefined) return otherwise;
  throw new MalformedError(`${name}: expected an integer from 0 to 2^53 - 1`);
}

function countOrNull(row: JsonObject, name: string): number | null {
  return row[name] === undefined || row[name] === null ? null : count(row, name);
}

function float(row: JsonObject, name: string): number {
  const value = row[name];
  if (value === undefined) return 0;
  if (typeof value === "number" || typeof value === "bigint") return Number(value);
  throw new MalformedError(`${name}: expected a number`);
}

function floatOrNull(row: JsonObject, name: string): number | null {
  return row[name] === null || row[name] === undefined ? null : float(row, name);
}

function flag(row: JsonObject, name: string, otherwise: boolean): boolean {
  const value = row[name];
  if (typeof value === "boolean") return value;
  if (value === undefined) return otherwise;
  throw new MalformedError(`${name}: expected true or false`);
}

function time(row: JsonObject, name: string): bigint {
  const value = row[name];
  if (typeof value === "bigint") return value;
  if (value === undefined) return 0n;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  throw new MalformedError(`${name}: expected nanoseconds`);
}

/** Checks a decimal's text. */
export function decimal(value: Json | undefined, name: string): string {
  if (typeof value === "string" && value.length <= NUMBER_LENGTH_MAX && NUMBER.test(value)) {
    return value;
  }
  throw new MalformedError(`${name}: expected a decimal number as a string`);
}

function decimalOrNull(row: JsonObject, name: string): string | null {
  const value = row[name];
  return value === undefined || value === null ? null : decimal(value, name);
}

// --- records ----------------------------------------------------------------------------------

/** The record of a message that has a symbol; one that does not fit its type is a `RawTick`. */
export function tick(message: JsonObject, ts_client: bigint): AnyTick {
  const head: Head = {
    channel: text(message, "channel"),
    type: text(message, "type"),
    symbol: text(message, "symbol"),
    seq: count(message, "seq", 0),
    ts_event: time(message, "ts_event"),
    ts_recv: time(message, "ts_recv"),
    ts_send: time(message, "ts_send"),
    ts_client,
    skipped: count(message, "skipped", 0),
  };
  const data = message["data"];
  const list = Array.isArray(data) ? data : [];
  try {
    const typed = TYPES.get(head.channel);
    if (typed === undefined) return new RawTick(head, list);
    if (list.length !== 1) throw new MalformedError(`${list.length} elements, expected one`);
    return typed(head, object(list[0]));
  } catch (error) {
    if (error instanceof MalformedError) return new RawTick(head, list, error.message);
    throw error;
  }
}

const RECORDS: Record<string, (head: Head, row: JsonObject) => AnyTick> = {
  trade: (head, row) =>
    new Trade(
      head,
      text(row, "id", ""),
      textOrNull(row, "side"),
      decimal(row["price"], "price"),
      decimal(row["qty"], "qty"),
    ),
  bbo: (head, row) =>
    new Bbo(
      head,
      decimalOrNull(row, "bid"),
      decimalOrNull(row, "bid_qty"),
      decimalOrNull(row, "ask"),
      decimalOrNull(row, "ask_qty"),
    ),
  book: (head, row) =>
    new Book(head, levels(row["bids"], "bids"), levels(row["asks"], "asks"), {
      depth: count(row, "depth", 0),
      first_id: textOrNull(row, "first_id"),
      last_id: textOrNull(row, "last_id"),
      maybe_bad: flag(row, "maybe_bad", false),
      checksum: countOrNull(row, "checksum"),
    }),
  candle: (head, row) =>
    new Candle(
      head,
      text(row, "interval"),
      time(row, "start"),
      decimal(row["open"], "open"),
      decimal(row["high"], "high"),
      decimal(row["low"], "low"),
      decimal(row["close"], "close"),
      decimal(row["volume"], "volume"),
      count(row, "trades", 0),
      flag(row, "closed", false),
      flag(row, "revised", false),
      flag(row, "complete", true),
    ),
  instrument: (head, row) =>
    new Instrument(
      head,
      decimalOrNull(row, "tick"),
      decimalOrNull(row, "lot"),
      countOrNull(row, "price_digits"),
      countOrNull(row, "qty_digits"),
      textOrNull(row, "base"),
      textOrNull(row, "quote"),
      textOrNull(row, "bbo"),
      float(row, "delay_s"),
      textOrNull(row, "status"),
      textOrNull(row, "venue_symbol"),
      row,
    ),
  status: (head, row) => new Status(head, text(row, "status"), text(row, "reason", "")),
  health: (head, row) =>
    new InstrumentHealth(head, text(row, "state"), text(row, "reason", ""), float(row, "age_ms")),
};
const TYPES = new Map(Object.entries(RECORDS));

function levels(value: Json | undefined, name: string): Level[] {
  if (!Array.isArray(value)) throw new MalformedError(`${name}: expected an array`);
  return value.map((one) => {
    // Elements behind the third may come with a later version.
    if (!Array.isArray(one)) throw new MalformedError(`${name}: expected levels`);
    const [price, qty, orders] = one;
    return new Level(
      decimal(price, `${name}: a price`),
      decimal(qty, `${name}: a quantity`),
      typeof orders === "number" ? orders : null,
    );
  });
}

// --- replies ----------------------------------------------------------------------------------

export function reply(message: JsonObject, ts_client: bigint): Reply {
  return {
    kind: "reply",
    method: text(message, "method"),
    req_id: name(message["req_id"]),
    success: flag(message, "success", false),
    results: rows(message["results"]).map(result),
    error: failure(message["error"]),
    instruments: rows(message["instruments"]).map(listed),
    subscriptions: rows(message["subscriptions"]),
    next: name(message["next"]),
    t0: time(message, "t0"),
    t1: time(message, "t1"),
    t2: time(message, "t2"),
    ts_client,
  };
}

function name(value: Json | undefined): number | string | null {
  return typeof value === "number" || typeof value === "string" ? value : null;
}

function listed(row: JsonObject): Listed {
  return {
    symbol: text(row, "symbol"),
    channels: texts(row["channels"]),
    intervals: texts(row["intervals"]),
  };
}

function texts(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function failure(value: Json | undefined): ServerError | null {
  if (value === undefined || value === null) return null;
  const row = object(value);
  return {
    code: text(row, "code"),
    message: text(row, "message", ""),
    retryable: flag(row, "retryable", false),
    retry_after_ms: floatOrNull(row, "retry_after_ms"),
  };
}

function result(row: JsonObject): Result {
  const { snapshot, oldest } = row;
  return {
    symbol: text(row, "symbol"),
    success: flag(row, "success", false),
    channel: text(row, "channel", ""),
    interval: text(row, "interval", ""),
    mode: textOrNull(row, "mode"),
    class: countOrNull(row, "class"),
    snapshot: typeof snapshot === "boolean" ? snapshot : null,
    max_hz: floatOrNull(row, "max_hz"),
    max_age_ms: countOrNull(row, "max_age_ms"),
    epoch: textOrNull(row, "epoch"),
    seq: countOrNull(row, "seq"),
    matched: countOrNull(row, "matched"),
    depth: countOrNull(row, "depth"),
    recovery: textOrNull(row, "recovery"),
    to: countOrNull(row, "to"),
    delay_s: count(row, "delay_s", 0),
    oldest: typeof oldest === "number" || typeof oldest === "bigint" ? oldest : null,
    error: failure(row["error"]),
  };
}

// --- notices, and what the gateway says of itself ---------------------------------------------

export function hello(row: JsonObject): Hello {
  return {
    kind: "hello",
    version: text(row, "version"),
    connection_id: text(row, "connection_id"),
    epoch: text(row, "epoch"),
    now: time(row, "now"),
    heartbeat_ms: count(row, "heartbeat_ms", 1000),
    slo: row["slo"] === undefined ? {} : object(row["slo"]),
  };
}

export function gap(row: JsonObject): Gap {
  const [from_seq, to_seq] = [countOrNull(row, "from"), countOrNull(row, "to")];
  const numbered = from_seq !== null && to_seq !== null && to_seq >= from_seq;
  return {
    kind: "gap",
    channel: text(row, "channel"),
    symbol: text(row, "symbol"),
    interval: text(row, "interval", ""),
    reason: text(row, "reason", ""),
    from_seq,
    to_seq,
    lost: countOrNull(row, "lost") ?? (numbered ? to_seq - from_seq + 1 : null),
  };
}

export function retired(row: JsonObject): Retired {
  return {
    kind: "retired",
    channel: text(row, "channel"),
    symbol: text(row, "symbol"),
    interval: text(row, "interval", ""),
  };
}

export function replayCompleted(row: JsonObject): ReplayCompleted {
  return {
    kind: "replay_completed",
    channel: text(row, "channel"),
    symbol: text(row, "symbol"),
    interval: text(row, "interval", ""),
    from_seq: countOrNull(row, "from"),
    to_seq: countOrNull(row, "to"),
  };
}

export function conflation(row: JsonObject): Conflation {
  return {
    kind: "conflation",
    class: count(row, "class"),
    interval_ms: countOrNull(row, "interval_ms"),
    was_ms: countOrNull(row, "was_ms"),
    step: count(row, "step", 0),
  };
}

export function slow(row: JsonObject): Slow {
  return {
    kind: "slow",
    level: count(row, "level"),
    was: count(row, "was"),
    action: text(row, "action", ""),
    interval_ms: count(row, "interval_ms", 0),
    age_ms: count(row, "age_ms", 0),
  };
}

/** What the gateway says of itself, on a channel without symbols. */
export function own(message: JsonObject, row: JsonObject): Slo | Health | Report {
  const channel = text(message, "channel");
  if (channel === "slo") return slo(message, row);
  if (channel === "health") return health(message, row);
  return {
    kind: "report",
    channel,
    type: text(message, "type", ""),
    ts_send: time(message, "ts_send"),
    data: rows(message["data"]),
  };
}

function slo(message: JsonObject, row: JsonObject): Slo {
  return {
    kind: "slo",
    ts_send: time(message, "ts_send"),
    state: text(row, "state"),
    action: text(row, "action", "none"),
    stage: text(row, "stage", ""),
    percentile: float(row, "percentile"),
    target_us: float(row, "target_us"),
    p50_us: floatOrNull(row, "p50_us"),
    p99_us: floatOrNull(row, "p99_us"),
    p999_us: floatOrNull(row, "p999_us"),
    count: count(row, "count", 0),
    conflated: count(row, "conflated", 0),
    dropped: count(row, "dropped", 0),
    bad: count(row, "bad", 0),
    window_s: float(row, "window_s"),
    since: time(row, "since"),
    budget_remaining: floatOrNull(row, "budget_remaining") ?? 1,
    hdr: text(row, "hdr", ""),
  };
}

function health(message: JsonObject, row: JsonObject): Health {
  const reasons = row["reasons"];
  return {
    kind: "health",
    type: text(message, "type"),
    ts_send: time(message, "ts_send"),
    state: text(row, "state"),
    ready: flag(row, "ready", false),
    slo: text(row, "slo", ""),
    feeds: rows(row["feeds"]).map((feed) => ({
      name: text(feed, "name"),
      venue: text(feed, "venue", ""),
      up: flag(feed, "up", false),
      stale: flag(feed, "stale", false),
    })),
    reasons: Array.isArray(reasons) ? reasons.filter((one) => typeof one === "string") : [],
  };
}
