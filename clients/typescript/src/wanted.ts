/**
 * What a client wants: each string subscribed to, in the order that decides which one is in force.
 */

import type { Result } from "./events.js";
import { HEALTH, INSTRUMENTS, type Params } from "./requests.js";
import { type Topic, escape, isPattern, matchPattern } from "./topics.js";

/** One subscription, across connections. */
export interface Wanted {
  readonly channel: string;
  /** The name or pattern as it is asked for. */
  readonly symbol: string;
  /** Of health the scope, of candles the interval, else empty. */
  readonly scope: string;
  params: Params;
  /** As the newest reply says. */
  mode: string | null;
  /** The newest request for it, until that is answered; else 0. */
  asked: number;
}

/** Channels that are lossless unless a client asks for less. */
const LOSSLESS = new Set(["trade", "status"]);
/** What the gateway says of itself and of instruments. */
export const OWN = new Set(["slo", "health"]);

export class Subscriptions {
  private readonly all = new Map<string, Wanted>();
  /** The patterns among them, oldest first. */
  private readonly patterns = new Map<string, Wanted>();
  /** How many are names, by channel and scope. */
  private readonly names = new Map<string, number>();

  get size(): number {
    return this.all.size;
  }

  [Symbol.iterator](): Iterator<Wanted> {
    return this.all.values();
  }

  get(channel: string, symbol: string, scope: string): Wanted | undefined {
    return this.all.get(idOf(channel, symbol, scope));
  }

  /** Wants it, behind all others: a later pattern's parameters win over an earlier one's. */
  add(channel: string, symbol: string, scope: string, params: Params): Wanted {
    const mode = this.remove(channel, symbol, scope)?.mode ?? null; // until the reply
    const wanted = { channel, symbol, scope, params, mode, asked: 0 };
    const id = idOf(channel, symbol, scope);
    this.all.set(id, wanted);
    if (isPattern(symbol)) this.patterns.set(id, wanted);
    else this.count(wanted, 1);
    return wanted;
  }

  remove(channel: string, symbol: string, scope: string): Wanted | undefined {
    const id = idOf(channel, symbol, scope);
    const wanted = this.all.get(id);
    this.all.delete(id);
    if (!this.patterns.delete(id) && wanted !== undefined) this.count(wanted, -1);
    return wanted;
  }

  private count({ channel, scope }: Wanted, more: number): void {
    const id = idOf(channel, "", scope);
    this.names.set(id, (this.names.get(id) ?? 0) + more);
  }

  /**
   * Whether what was subscribed to with this result has a state that is never held back: its first
   * frame has to come in time. Topics of a pattern may all be names, whose parameters win.
   */
  hasState({ channel, symbol, scope }: Wanted, result: Result): boolean {
    const names = this.names.get(idOf(channel, "", scope)) ?? 0;
    const exists = isPattern(symbol) ? (result.matched ?? 0) > names : result.seq;
    const held = result.snapshot === false || result.max_age_ms !== null;
    return !!exists && !held && (result.class ?? 0) <= 1 && !OWN.has(channel);
  }

  /** The string whose parameters are in force for a topic: the name, else the latest pattern. */
  covering(topic: Topic): Wanted | undefined {
    return this.exact(topic) ?? this.matching(topic).pop();
  }

  /** All that cover it. */
  allCovering(topic: Topic): Wanted[] {
    const exact = this.exact(topic);
    return [...(exact ? [exact] : []), ...this.matching(topic)];
  }

  private exact(topic: Topic): Wanted | undefined {
    return this.all.get(idOf(topic.channel, escape(topic.symbol), scopeIn(topic)));
  }

  private matching(topic: Topic): Wanted[] {
    const found: Wanted[] = [];
    const scope = scopeIn(topic);
    for (const one of this.patterns.values()) {
      const same = one.channel === topic.channel && one.scope === scope;
      if (same && matchPattern(one.symbol, topic.symbol)) found.push(one);
    }
    return found;
  }

  /** Whether every record of the topic should come, by the reply that is in force. */
  lossless(topic: Topic): boolean {
    const mode = this.covering(topic)?.mode ?? null;
    return mode === null ? LOSSLESS.has(topic.channel) : mode === "lossless";
  }
}

/** The mode by the newest reply or, where none came, by what is asked for. */
export function modeOf({ channel, params, mode }: Wanted): string {
  const thinned = (params.class ?? 0) >= 2 || params.max_hz !== undefined;
  const usual = LOSSLESS.has(channel) && !thinned ? "lossless" : "conflate";
  return mode ?? params.mode ?? usual;
}

/** The topic, or the pattern of topics, that a string is about. */
export function topicOf(one: { channel: string; symbol: string; scope: string }): Topic {
  return {
    channel: one.channel,
    symbol: one.symbol,
    interval: one.channel === "candle" ? one.scope : "",
  };
}

function scopeIn({ channel, interval }: Topic): string {
  return channel === HEALTH ? INSTRUMENTS : interval;
}

function idOf(channel: string, symbol: string, scope: string): string {
  return `${channel}\n${scope}\n${symbol}`;
}
