/**
 * What is asked for again: after a reconnect, a refusal, a hole or a wait for data in vain.
 *
 * All of it goes through one queue, in the order of what is wanted, no faster than `Pace` allows:
 * a client of 10,000 names that lost its gateway must not be sent away for asking. Strings that
 * were lossless ask for what they missed: a name alone by its last number, others by a moment,
 * which is the newest receipt of the connection on which they were last served, less a second. That
 * moment stays theirs until the gateway says that they had everything, however many connections it
 * takes; what comes twice is dropped by number (`Continuity`).
 */

import { Pace } from "./backoff.js";
import { type Params, RECOVERED_MAX, chunks, sameParams } from "./requests.js";
import { type Topic, isPattern } from "./topics.js";
import { type Subscriptions, type Wanted, modeOf } from "./wanted.js";

/** One request to make: strings of one channel with the same parameters. */
export interface Ask {
  readonly channel: string;
  readonly symbols: string[];
  readonly params: Params;
  /** It asks for what was missed. */
  readonly recovers: boolean;
}

/** When the first frame of a string has to come. */
interface Awaited {
  due_ms: number;
  tries: number;
}

/** Records may reach the gateway's feeds by so much later than newer ones of others. */
const RECOVER_BEFORE_NS = 1_000_000_000n;
const FIRST_DATA_TRIES_MAX = 3;

/** The moment from which on records may be missing, by the greatest `ts_recv`. */
export function missedFrom(newest_ns: bigint): bigint {
  return newest_ns > RECOVER_BEFORE_NS ? newest_ns - RECOVER_BEFORE_NS : 0n;
}

/** The epoch and the last number of a name, where they are known. */
type Position = (wanted: Wanted) => { epoch: string; seq: number } | null;

export class Again {
  private readonly queue = new Set<Wanted>();
  /** Refused until this time. */
  private readonly later = new Map<Wanted, number>();
  private readonly awaited = new Map<Wanted, Awaited>();
  /** They missed what the gateway received from this time on. */
  private readonly since = new Map<Wanted, bigint>();
  /** Those of them that the gateway serves from its ring on this connection. */
  private readonly replaying = new Set<Wanted>();
  private next_ms = Infinity;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly firstData_ms: number,
    private readonly pace = new Pace(),
  ) {}

  /**
   * A new connection: everything wanted is to be asked for.
   *
   * @param newest_ns the greatest `ts_recv`; 0: there was no record.
   */
  connected(newest_ns: bigint): void {
    this.queue.clear();
    this.later.clear();
    this.awaited.clear();
    this.replaying.clear();
    for (const wanted of this.subscriptions) {
      this.queue.add(wanted);
      if (newest_ns > 0n && modeOf(wanted) === "lossless") {
        this.missedSince(wanted, missedFrom(newest_ns));
      }
    }
  }

  add(wanted: Wanted): void {
    this.queue.add(wanted);
  }

  /** It may be asked for again, but not before this time. */
  addLater(wanted: Wanted, at_ms: number): void {
    this.later.set(wanted, at_ms);
    this.next_ms = Math.min(this.next_ms, at_ms);
  }

  /** It was asked for otherwise, or is not wanted any more. */
  drop(wanted: Wanted): void {
    this.queue.delete(wanted);
    this.later.delete(wanted);
    this.had(wanted);
    this.complete(wanted);
  }

  /** What it missed comes; a connection that ends before all is there has to ask for it again. */
  replays(wanted: Wanted, ns: bigint): void {
    this.replaying.add(wanted);
    this.missedSince(wanted, ns);
  }

  private missedSince(wanted: Wanted, ns: bigint): void {
    if (!this.since.has(wanted)) this.since.set(wanted, ns);
  }

  /** It has everything, or never will. */
  complete(wanted: Wanted): void {
    this.since.delete(wanted);
    this.replaying.delete(wanted);
  }

  /** Another epoch ends what is replayed. */
  renumbered(): void {
    for (const wanted of this.replaying) this.complete(wanted);
  }

  /** Its state exists: a first frame has to come by a time, or it is asked for again. */
  await(wanted: Wanted, now_ms: number): void {
    const tries = this.awaited.get(wanted)?.tries ?? 0;
    if (tries >= FIRST_DATA_TRIES_MAX) {
      this.had(wanted);
      return;
    }
    const due_ms = now_ms + this.firstData_ms;
    this.awaited.set(wanted, { due_ms, tries });
    this.next_ms = Math.min(this.next_ms, due_ms);
  }

  /** A frame of this topic has come: of a pattern any is enough. */
  came(topic: Topic): void {
    if (this.awaited.size > 0) this.subscriptions.allCovering(topic).forEach(this.had, this);
  }

  /** A frame of it has come, or there is none that could. */
  had(wanted: Wanted): void {
    this.awaited.delete(wanted);
  }

  /** Moves what is due into the queue; those whose first frame did not come. */
  expire(now_ms: number): Wanted[] {
    if (now_ms < this.next_ms) return [];
    this.next_ms = Infinity;
    const missed: Wanted[] = [];
    for (const [wanted, at_ms] of this.later) {
      if (at_ms > now_ms) this.next_ms = Math.min(this.next_ms, at_ms);
      else {
        this.later.delete(wanted);
        this.queue.add(wanted);
      }
    }
    for (const [wanted, one] of this.awaited) {
      if (one.due_ms > now_ms) this.next_ms = Math.min(this.next_ms, one.due_ms);
      else {
        one.tries++;
        one.due_ms = Infinity; // until the reply
        missed.push(wanted);
        this.queue.add(wanted);
      }
    }
    return missed;
  }

  /** What may be asked for now, in order. */
  *take(now_ms: number, position: Position): Generator<Ask> {
    while (this.queue.size > 0 && this.pace.take(now_ms)) yield this.next(this.queue, position);
  }

  /** Those of the queue that have to be asked for before the request which follows. */
  *flush(first: (wanted: Wanted) => boolean, position: Position): Generator<Ask> {
    const some = new Set([...this.queue].filter(first));
    while (some.size > 0) yield this.next(some, position);
  }

  /** The first one and those behind it that fit into the same request. */
  private next(queue: Set<Wanted>, position: Position): Ask {
    const alike: Wanted[] = [];
    for (const one of queue) {
      const first = alike[0] ?? one;
      const same =
        one.channel === first.channel &&
        this.since.has(one) === this.since.has(first) &&
        sameParams(one.params, first.params);
      if (!same) break;
      alike.push(one);
    }
    const [first] = alike as [Wanted];
    const recovers = this.since.has(first);
    const names = alike.map((one) => one.symbol);
    const [symbols = []] = chunks(names, recovers ? RECOVERED_MAX : undefined);
    const some = alike.slice(0, symbols.length);
    for (const one of some) {
      queue.delete(one);
      this.queue.delete(one);
    }
    const { channel, params } = first;
    if (!recovers) return { channel, symbols, params, recovers };
    return { channel, symbols, params: { ...params, from: this.from(some, position) }, recovers };
  }

  /** From where on these missed something. */
  private from(some: Wanted[], position: Position): NonNullable<Params["from"]> {
    const [first] = some as [Wanted];
    const had = some.length === 1 && !isPattern(first.symbol) ? position(first) : null;
    if (had !== null) return had;
    const times = some.map((one) => this.since.get(one) ?? 0n);
    return { ts: times.reduce((least, ns) => (ns < least ? ns : least)) };
  }
}
