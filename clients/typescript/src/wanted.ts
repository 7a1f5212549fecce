/**
 * What a client wants: each string subscribed to, in the order that decides which one is in force.
 */

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
}

/** Channels that are lossless unless a client asks for less. */
const LOSSLESS = new Set(["trade", "status"]);

export class Subscriptions {
  private readonly all = new Map<string, Wanted>();
  /** The patterns among them, oldest first. */
  private readonly patterns = new Map<string, Wanted>();

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
    const wanted = { channel, symbol, scope, params, mode };
    const id = idOf(channel, symbol, scope);
    this.all.set(id, wanted);
    if (isPattern(symbol)) this.patterns.set(id, wanted);
    return wanted;
  }

  remove(channel: string, symbol: string, scope: string): Wanted | undefined {
    const id = idOf(channel, symbol, scope);
    const wanted = this.all.get(id);
    this.all.delete(id);
    this.patterns.delete(id);
    return wanted;
  }

  has(wanted: Wanted): boolean {
    return this.all.get(idOf(wanted.channel, wanted.symbol, wanted.scope)) === wanted;
  }

  /** The string whose parameters are in force for a topic: the name, else the latest pattern. */
  covering({ channel, symbol, interval }: Topic): Wanted | undefined {
    const scope = channel === HEALTH ? INSTRUMENTS : interval;
    const exact = this.all.get(idOf(channel, escape(symbol), scope));
    if (exact !== undefined) return exact;
    let found: Wanted | undefined;
    for (const one of this.patterns.values()) {
      const same = one.channel === channel && one.scope === scope;
      if (same && matchPattern(one.symbol, symbol)) found = one;
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

function idOf(channel: string, symbol: string, scope: string): string {
  return `${channel}\n${scope}\n${symbol}`;
}
