/** What a client is told: the protocol's messages, and what this client finds out by itself. */

import type { JsonObject } from "./json.js";
import type { AnyTick } from "./ticks.js";

/** Why a request, or one of its strings, was refused. */
export interface ServerError {
  /** `unknown_symbol`, `bad_request`, `capacity`, ... */
  readonly code: string;
  readonly message: string;
  /** Whether the same may succeed later, and when, if the gateway knows. */
  readonly retryable: boolean;
  readonly retry_after_ms: number | null;
}

/** What became of one string of a request, with the parameters in force. */
export interface Result {
  /** The name or pattern, as it was asked for. */
  readonly symbol: string;
  readonly success: boolean;
  readonly channel: string;
  /** Of candles, else empty. */
  readonly interval: string;
  /** `lossless` (every record) or `conflate` (the newest, where there is no time for all). */
  readonly mode: string | null;
  /** What gives way first under load: 3, then 2, then 1; 0 never. */
  readonly class: number | null;
  readonly snapshot: boolean | null;
  /** At most so many frames a second of each topic; null: no rate. */
  readonly max_hz: number | null;
  /** What is older when it is due is not sent; null: no limit. */
  readonly max_age_ms: number | null;
  /** The numbering that `seq` belongs to. */
  readonly epoch: string | null;
  /** Of the topic's last record; 0: nothing was published yet. Null for patterns. */
  readonly seq: number | null;
  /** How many topics a pattern covers so far. Null for names. */
  readonly matched: number | null;
  /** Of books: levels a side, 0 for all; else null. */
  readonly depth: number | null;
  /** The answer to `from`: "replaying" or "insufficient_state". */
  readonly recovery: string | null;
  /** Of "replaying" the topic's `seq` at that moment; null for patterns. */
  readonly to: number | null;
  /** Of `insufficient_state`: the oldest that could be had; null where recovery is not built. */
  readonly oldest: number | bigint | null;
  /** How many seconds late the venue's data is by contract; 0: it is not late. */
  readonly delay_s: number;
  readonly error: ServerError | null;
}

/** One instrument of a `list` reply. */
export interface Listed {
  readonly symbol: string;
  /** Those that have had a record of it. */
  readonly channels: readonly string[];
  /** Those of its candles. */
  readonly intervals: readonly string[];
}

/** The answer to one request; as an event, a refusal of one that the client made by itself. */
export interface Reply {
  readonly kind: "reply";
  readonly method: string;
  readonly req_id: number | string | null;
  /** Whether at least one string succeeded. */
  readonly success: boolean;
  readonly results: readonly Result[];
  /** Why the request failed as a whole. */
  readonly error: ServerError | null;
  readonly instruments: readonly Listed[];
  readonly subscriptions: readonly JsonObject[];
  /** list, stats: the `after` of the following page. */
  readonly next: number | string | null;
  readonly t0: bigint;
  readonly t1: bigint;
  readonly t2: bigint;
  readonly ts_client: bigint;
}

/** A connection is open: its first message. */
export interface Hello {
  readonly kind: "hello";
  readonly version: string;
  /** This connection's name in the gateway's log and in `tickgate top`. */
  readonly connection_id: string;
  /** The numbering in force; sequence numbers of different epochs can't be compared. */
  readonly epoch: string;
  /** The gateway's clock. */
  readonly now: bigint;
  readonly heartbeat_ms: number;
  /** The latency that it promises: stage, percentile, target_us. */
  readonly slo: JsonObject;
}

/** The connection ended, or an attempt to connect failed. */
export interface Disconnected {
  readonly kind: "disconnected";
  /** The close code; 1006 where there was none. */
  readonly code: number;
  readonly reason: string;
  /** The client connects again after so many seconds; null: not any more. */
  readonly retry_s: number | null;
}

/**
 * Records of a topic are missing, or what is known of it can't be trusted.
 *
 * The client finds out by itself: "reconnect" (published while it was not connected), "resubscribe"
 * (while the gateway changed the subscription), "sequence" (numbers are missing without notice: the
 * client subscribes again by itself), "checksum" (a book does not have the sum that the gateway
 * says: likewise), "no_data" (a state that exists did not come in time: likewise), "consumer"
 * (whoever reads the events was too slow, and the client's own queue is bounded),
 * "insufficient_state" (what `from` asked for can't be had). The gateway says: "lapped", "feed",
 * "refused", "reset", "failover"; newer ones may have other reasons.
 */
export interface Gap {
  readonly kind: "gap";
  readonly channel: string;
  /** Of the topic; for "insufficient_state" and "no_data" the string that was asked for. */
  readonly symbol: string;
  /** Of candles, else empty. */
  readonly interval: string;
  readonly reason: string;
  /** The first and last sequence numbers that are missing; null where none is, or none is known. */
  readonly from_seq: number | null;
  readonly to_seq: number | null;
  /** How many records; for "feed" the venue's own count. Null: not known. */
  readonly lost: number | null;
}

/** An instrument has ended (it expired, or was delisted): nothing more comes of it. */
export interface Retired {
  readonly kind: "retired";
  readonly channel: string;
  readonly symbol: string;
  readonly interval: string;
}

/** All that `from` asked for has come; live records follow. */
export interface ReplayCompleted {
  readonly kind: "replay_completed";
  readonly channel: string;
  /** The string as it was asked for. */
  readonly symbol: string;
  readonly interval: string;
  readonly from_seq: number | null;
  readonly to_seq: number | null;
}

/** The gateway has more to send than it can: a class of subscriptions gets less, or more again. */
export interface Conflation {
  readonly kind: "conflation";
  readonly class: number;
  /** The least time between two updates of a topic; 0: every update, null: none. */
  readonly interval_ms: number | null;
  readonly was_ms: number | null;
  /** Steps taken in all classes; 0: none. */
  readonly step: number;
}

/** This client does not read fast enough and gets less, or keeps up and gets more again. */
export interface Slow {
  readonly kind: "slow";
  /** 0: every update; up to 3. */
  readonly level: number;
  readonly was: number;
  readonly action: string;
  readonly interval_ms: number;
  /** Of the oldest update that waited. */
  readonly age_ms: number;
}

/** How the gateway does by its objective; docs/protocol.md, "The objective", has each field. */
export interface Slo {
  readonly kind: "slo";
  readonly ts_send: bigint;
  /** "ok", "at_risk", "breached" or "infeasible". */
  readonly state: string;
  /** "none", "pause" or "conflate": done for the objective's sake. */
  readonly action: string;
  readonly stage: string;
  readonly percentile: number;
  readonly target_us: number;
  readonly p50_us: number | null;
  readonly p99_us: number | null;
  readonly p999_us: number | null;
  readonly count: number;
  readonly conflated: number;
  readonly dropped: number;
  readonly bad: number;
  readonly window_s: number;
  /** When the state began. */
  readonly since: bigint;
  /** Of the bad events that an hour may have: 1 all, below 0 overspent. */
  readonly budget_remaining: number;
  /** The histogram, HdrHistogram V2 in base64. */
  readonly hdr: string;
}

/** One feed of the gateway's. */
export interface FeedHealth {
  readonly name: string;
  readonly venue: string;
  readonly up: boolean;
  /** Whether it is up but silent. */
  readonly stale: boolean;
}

/** How the gateway itself is. */
export interface Health {
  readonly kind: "health";
  /** "snapshot" at first, then "update": it changed. */
  readonly type: string;
  readonly ts_send: bigint;
  /** "ok", "degraded" or "down". */
  readonly state: string;
  readonly ready: boolean;
  /** The objective's state. */
  readonly slo: string;
  readonly feeds: readonly FeedHealth[];
  /** What is wrong besides, in words. */
  readonly reasons: readonly string[];
}

/** What another channel of the gateway's own says (ops): it has no symbol and no `seq`. */
export interface Report {
  readonly kind: "report";
  readonly channel: string;
  readonly type: string;
  readonly ts_send: bigint;
  readonly data: readonly JsonObject[];
}

/** Another message about the stream itself: epoch, limit_exceeded, shutdown, ... */
export interface System {
  readonly kind: "system";
  readonly type: string;
  readonly data: readonly JsonObject[];
}

/** A message that is not the protocol's; it was skipped. */
export interface Malformed {
  readonly kind: "malformed";
  readonly reason: string;
}

/** What a client yields; `kind` tells them apart. */
export type Event =
  | AnyTick
  | Hello
  | Disconnected
  | Gap
  | Retired
  | ReplayCompleted
  | Conflation
  | Slow
  | Slo
  | Health
  | Report
  | System
  | Reply
  | Malformed;
