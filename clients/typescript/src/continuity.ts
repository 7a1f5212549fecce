/**
 * Which records of each topic did not come: by their sequence numbers, across reconnects as well.
 *
 * Theory of operation. A topic is in one of three phases. In "sequence" its frames follow each
 * other, `seq == last + 1 + skipped`, and anything else is a gap. "Apart", the next frame begins
 * anew (after an ack, or on a new connection) but the last number from before is kept, and says
 * how many records were published in between. A new connection's topics are "aside" until the
 * hello: another epoch there means that numbers can't be compared, so that the loss is told
 * without a count.
 *
 * What was missed while apart is a gap of a lossless topic. Of a conflated one only the newest
 * state counts, and updates that were passed over are always `skipped`: so they are here, too.
 */

import type { Gap } from "./events.js";
import { type Topic, isPattern, matchPattern, meant } from "./topics.js";

interface State {
  phase: "sequence" | "apart" | "aside";
  /** The last number; null: of another epoch. */
  last: number | null;
  reason: string;
  /** What it missed is sent, and again some of what it had. */
  replaying: boolean;
}

/** What did not come before a frame. */
export interface Missing {
  readonly gap: Gap | null;
  readonly skipped: number;
  /** The frame itself came before: it is one of a replay. */
  readonly known: boolean;
}

const NOTHING: Missing = { gap: null, skipped: 0, known: false };
const KNOWN: Missing = { gap: null, skipped: 0, known: true };

/** The numbers of one client's topics, over all its connections. */
export class Continuity {
  private epoch = "";
  private readonly channels = new Map<string, Map<string, State>>();

  /** Topics whose frames follow each other now. */
  get size(): number {
    let found = 0;
    for (const [, , state] of this.all()) found += state.phase === "sequence" ? 1 : 0;
    return found;
  }

  /** The connection is a new one. */
  connected(): void {
    for (const [, , state] of this.all()) {
      state.phase = "aside";
      state.replaying = false;
    }
  }

  /** The new connection's first message has come. */
  hello(epoch: string): void {
    const same = epoch === this.epoch;
    this.epoch = epoch;
    for (const [, , state] of this.all()) {
      if (state.phase !== "aside") continue;
      state.phase = "apart";
      state.reason = "reconnect";
      if (!same) state.last = null;
    }
  }

  /** The numbering restarted in the middle of the connection, which the gateway has told. */
  renumbered(epoch: string): void {
    this.epoch = epoch;
    for (const [symbols, symbol, state] of this.all()) {
      if (state.phase === "sequence") symbols.delete(symbol);
      else state.last = null;
    }
  }

  /** A subscription was accepted: the next frame of each topic it covers begins anew. */
  restarted(asked: Topic): void {
    for (const [, , state] of this.covered(asked)) {
      if (state.phase !== "sequence") continue;
      state.phase = "apart";
      state.reason = "resubscribe";
      state.replaying = false;
    }
  }

  /**
   * A subscription has ended: topics that another one covers go on by that one's parameters.
   *
   * @param wanted says of a topic whether one does.
   */
  left(asked: Topic, wanted: (topic: Topic) => boolean): void {
    this.restarted(asked);
    for (const [symbols, symbol, state] of this.covered(asked)) {
      if (state.phase === "apart" && !wanted({ ...asked, symbol })) symbols.delete(symbol);
    }
  }

  /** There is no more of these topics. */
  forget(asked: Topic): void {
    for (const [symbols, symbol] of this.covered(asked)) symbols.delete(symbol);
  }

  /** The epoch and the last number of a topic that was had before it was asked for again. */
  position(topic: Topic): { epoch: string; seq: number } | null {
    const state = this.state(topic);
    if (state?.phase !== "apart" || state.last === null) return null;
    return { epoch: this.epoch, seq: state.last };
  }

  /** The gateway sends all that came after `seq`: the topic's frames follow each other again. */
  resumed(topic: Topic, seq: number): void {
    this.symbols(topic).set(topic.symbol, following(seq));
  }

  /**
   * The gateway sends what these topics missed, and again some of what they had, which this client
   * can tell by their numbers.
   */
  replayed(asked: Topic): void {
    for (const [, , state] of this.covered(asked)) {
      if (state.last === null) continue;
      state.phase = "sequence";
      state.replaying = true;
    }
  }

  /** A subscription without snapshot begins after `seq`: what is missing is known at once. */
  published(topic: Topic, epoch: string | null, seq: number): Gap | null {
    const state = this.state(topic);
    if (
      state?.phase !== "apart" ||
      state.last === null ||
      epoch !== this.epoch ||
      seq <= state.last
    ) {
      return null;
    }
    const last = state.last;
    state.last = seq;
    return gapOf(topic, state.reason, last, seq - last);
  }

  /**
   * A frame has come: what is missing before it.
   *
   * @param lossless is asked after a break alone.
   */
  frame(topic: Topic, seq: number, skipped: number, lossless: (topic: Topic) => boolean): Missing {
    const symbols = this.symbols(topic);
    const state = symbols.get(topic.symbol);
    if (state === undefined) {
      symbols.set(topic.symbol, following(seq));
      return NOTHING;
    }
    if (state.replaying) {
      if (seq <= (state.last ?? 0)) return KNOWN;
      state.replaying = false;
    }
    const { phase, last, reason } = state;
    state.last = seq;
    state.phase = "sequence";
    if (phase === "sequence") {
      const missing = seq - (last ?? 0) - 1 - skipped;
      if (missing === 0) return NOTHING;
      return { gap: gapOf(topic, "sequence", last ?? 0, missing), skipped: 0, known: false };
    }
    if (seq === last) return NOTHING; // a snapshot may repeat what was known
    const comparable = last !== null && seq > last;
    const missing = comparable ? Math.max(0, seq - last - 1 - skipped) : -1;
    if (missing === 0) return NOTHING;
    if (lossless(topic)) {
      return { gap: gapOf(topic, reason, last ?? 0, missing), skipped: 0, known: false };
    }
    return { gap: null, skipped: Math.max(0, missing), known: false };
  }

  private state(topic: Topic): State | undefined {
    return this.channels.get(channelOf(topic))?.get(topic.symbol);
  }

  private symbols(topic: Topic): Map<string, State> {
    const channel = channelOf(topic);
    let symbols = this.channels.get(channel);
    if (symbols === undefined) {
      symbols = new Map();
      this.channels.set(channel, symbols);
    }
    return symbols;
  }

  private *all(): Generator<[Map<string, State>, string, State]> {
    for (const symbols of this.channels.values()) {
      for (const [symbol, state] of symbols) yield [symbols, symbol, state];
    }
  }

  /** The topics that a request's string covers. */
  private *covered(asked: Topic): Generator<[Map<string, State>, string, State]> {
    const symbols = this.channels.get(channelOf(asked));
    if (symbols === undefined) return;
    if (!isPattern(asked.symbol)) {
      const symbol = meant(asked.symbol);
      const state = symbols.get(symbol);
      if (state !== undefined) yield [symbols, symbol, state];
      return;
    }
    for (const [symbol, state] of symbols) {
      if (matchPattern(asked.symbol, symbol)) yield [symbols, symbol, state];
    }
  }
}

function following(seq: number): State {
  return { phase: "sequence", last: seq, reason: "", replaying: false };
}

function channelOf(topic: Topic): string {
  return topic.interval === "" ? topic.channel : `${topic.channel} ${topic.interval}`;
}

/** So many records after `last`; below zero: the numbers went back, and say nothing. */
export function gapOf(topic: Topic, reason: string, last: number, missing: number): Gap {
  const gap = bareGap(topic, reason);
  return missing < 0 ? gap : { ...gap, from_seq: last + 1, to_seq: last + missing, lost: missing };
}

/** A gap without numbers. */
export function bareGap({ channel, symbol, interval }: Topic, reason: string): Gap {
  return {
    kind: "gap",
    channel,
    symbol,
    interval,
    reason,
    from_seq: null,
    to_seq: null,
    lost: null,
  };
}
