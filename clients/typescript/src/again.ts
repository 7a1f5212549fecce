/**
 * What is asked for again: after a reconnect, a refusal, a hole or a wait for data in vain.
 *
 * All of it goes through one queue, in the order of what is wanted, no faster than `Pace` allows:
 * a client of 10,000 names that lost its gateway must not be sent away for asking. A lossless name
 * of which the last number is known is asked for with `from`, by itself; whether the gateway takes
 * that, the first such answer of a connection says, and the rest waits for it.
 */

import { Pace } from "./backoff.js";
import { type Params, chunks, sameParams } from "./requests.js";
import { type Topic, keyOf } from "./topics.js";
import type { Subscriptions, Wanted } from "./wanted.js";

/** One request to make: strings of one channel with the same parameters. */
export interface Ask {
  readonly channel: string;
  readonly symbols: string[];
  readonly params: Params;
  /** It asks for what was missed. */
  readonly recovers: boolean;
}

/** A name's state exists, so that its first frame has to come; else it is asked for again. */
interface Awaited {
  readonly wanted: Wanted;
  due_ms: number;
  tries: number;
}

const PROBE_MS = 10_000;
const FIRST_DATA_TRIES_MAX = 3;

type Recoverable = (wanted: Wanted) => { epoch: string; seq: number } | null;

export class Again {
  private readonly queue = new Set<Wanted>();
  /** Refused until this time. */
  private readonly later = new Map<Wanted, number>();
  private readonly awaited = new Map<string, Awaited>();
  private recovery: "unknown" | "yes" | "no" = "unknown";
  private probe_ms: number | null = null;
  private next_ms = Infinity;

  constructor(
    private readonly subscriptions: Subscriptions,
    private readonly firstData_ms: number,
    private readonly pace = new Pace(),
  ) {}

  /** A new connection: everything wanted is to be asked for. */
  connected(): void {
    this.queue.clear();
    this.later.clear();
    this.awaited.clear();
    this.recovery = "unknown";
    this.probe_ms = null;
    for (const wanted of this.subscriptions) this.queue.add(wanted);
  }

  add(wanted: Wanted): void {
    this.queue.add(wanted);
  }

  /** It may be asked for again, but not before this time. */
  addLater(wanted: Wanted, at_ms: number): void {
    this.later.set(wanted, at_ms);
    this.next_ms = Math.min(this.next_ms, at_ms);
  }

  /** It was asked for, or is not wanted any more. */
  drop(wanted: Wanted): void {
    this.queue.delete(wanted);
    this.later.delete(wanted);
  }

  /** What waits of a channel, at once: somebody asks for more of it, and the order counts. */
  *flush(channel: string): Generator<Ask> {
    for (const one of this.queue) {
      if (one.channel === channel) yield this.together(one, () => null);
    }
  }

  /** The first answer to a `from`, which says whether the gateway can recover. */
  answered(recovers: boolean): void {
    this.recovery = recovers ? "yes" : "no";
    this.probe_ms = null;
  }

  /** That request was refused for a while: the next one will say. */
  unanswered(): void {
    this.probe_ms = null;
  }

  /** The first frame of this name has to come by a time, or it is asked for again. */
  await(topic: Topic, wanted: Wanted, now_ms: number): void {
    const key = keyOf(topic);
    const tries = this.awaited.get(key)?.tries ?? 0;
    if (tries >= FIRST_DATA_TRIES_MAX) {
      this.awaited.delete(key);
      return;
    }
    const due_ms = now_ms + this.firstData_ms;
    this.awaited.set(key, { wanted, due_ms, tries });
    this.next_ms = Math.min(this.next_ms, due_ms);
  }

  /** A frame of this topic has come. */
  came(topic: Topic): void {
    if (this.awaited.size > 0) this.awaited.delete(keyOf(topic));
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
    for (const [key, one] of this.awaited) {
      if (!this.subscriptions.has(one.wanted)) this.awaited.delete(key);
      else if (one.due_ms > now_ms) this.next_ms = Math.min(this.next_ms, one.due_ms);
      else {
        one.tries++;
        one.due_ms = Infinity; // until the reply
        missed.push(one.wanted);
        this.queue.add(one.wanted);
      }
    }
    return missed;
  }

  /** What may be asked for now, in order. */
  *take(now_ms: number, recoverable: Recoverable): Generator<Ask> {
    if (this.probe_ms !== null && now_ms - this.probe_ms > PROBE_MS) this.answered(false);
    const from: Recoverable = (one) => (this.recovery === "no" ? null : recoverable(one));
    for (const first of this.queue) {
      const since = from(first);
      if (since !== null && this.probe_ms !== null) return;
      if (!this.pace.take(now_ms)) return;
      if (since === null) {
        yield this.together(first, from);
        continue;
      }
      if (this.recovery === "unknown") this.probe_ms = now_ms;
      this.queue.delete(first);
      const { channel, symbol, params } = first;
      yield { channel, symbols: [symbol], params: { ...params, from: since }, recovers: true };
    }
  }

  /** The first and those behind it that can be asked for in the same request. */
  private together(first: Wanted, from: Recoverable): Ask {
    const same: Wanted[] = [];
    for (const one of this.queue) {
      if (same.length === 0 && one !== first) continue;
      if (one.channel !== first.channel || !sameParams(one.params, first.params)) break;
      if (same.length > 0 && from(one) !== null) break;
      same.push(one);
    }
    const [symbols = []] = chunks(same.map((one) => one.symbol));
    for (const one of same.slice(0, symbols.length)) this.queue.delete(one);
    return { channel: first.channel, symbols, params: first.params, recovers: false };
  }
}
