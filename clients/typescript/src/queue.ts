/**
 * Events that wait for whoever iterates: bounded, and newer rather than older where it is slow.
 *
 * A WebSocket of a browser cannot be told to stop, so that what is not read in time has to be
 * merged here. Beyond the bound, of each conflated topic, and of each kind of notice, the newest
 * stays, and its `skipped` says for how many; a book becomes a snapshot. Where that is not enough
 * the oldest records of lossless topics go, and a `Gap` of reason "consumer" says which.
 *
 * Each such pass makes room for as many events as are left, so that an event costs the same however
 * many wait; and each leaves at most one event and one gap of each topic beside what the bound
 * allows, so that there are never more than twice those.
 */

import { whole } from "./books.js";
import { gapOf } from "./continuity.js";
import type { Event, Gap } from "./events.js";
import { Book, Tick } from "./ticks.js";
import { type Topic, keyOf } from "./topics.js";

export class EventQueue {
  /** Events that were merged into later ones of their topic or kind. */
  conflated = 0;
  /** Records of lossless topics that were dropped. */
  dropped = 0;
  private events: Event[] = [];
  private head = 0;
  private limit: number;
  private ended = false;
  private waiting: ((result: IteratorResult<Event, undefined>) => void)[] = [];

  /**
   * @param max events that may wait as they are.
   * @param lossless whether every record of a topic should come.
   */
  constructor(
    private readonly max: number,
    private readonly lossless: (topic: Topic) => boolean,
  ) {
    this.limit = max;
  }

  get size(): number {
    return this.events.length - this.head;
  }

  push(event: Event): void {
    const waiter = this.waiting.shift();
    if (waiter !== undefined) {
      waiter({ done: false, value: event });
      return;
    }
    this.events.push(event);
    if (this.size > this.limit) this.shrink();
  }

  /** The next event, when there is one; done when the queue has ended and is empty. */
  take(): Promise<IteratorResult<Event, undefined>> {
    const event = this.events[this.head];
    if (event !== undefined) {
      this.head++;
      if (this.head === this.events.length) this.clear();
      else if (this.head >= this.max && this.head * 2 >= this.events.length) {
        this.events = this.events.slice(this.head);
        this.head = 0;
      }
      return Promise.resolve({ done: false, value: event });
    }
    if (this.ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Nothing more comes. */
  end(): void {
    this.ended = true;
    for (const waiter of this.waiting.splice(0)) waiter({ done: true, value: undefined });
  }

  clear(): void {
    this.events = [];
    this.head = 0;
    this.limit = this.max;
  }

  private shrink(): void {
    let kept = this.conflate();
    if (kept.length > this.max / 2) kept = this.drop(kept, kept.length - Math.floor(this.max / 2));
    this.events = kept;
    this.head = 0;
    this.limit = Math.max(this.max, kept.length * 2);
  }

  /** Of each conflated topic, and of each kind of notice, the newest event. */
  private conflate(): Event[] {
    const newest = new Map<string, { event: Event; skipped: number; gap: Gap | null }>();
    const kept: Event[] = [];
    for (let at = this.events.length - 1; at >= this.head; at--) {
      const event = this.events[at] as Event;
      const key = this.mergesBy(event);
      const later = key === null ? undefined : newest.get(key);
      if (later === undefined) {
        const place = { event, skipped: 0, gap: null };
        if (key !== null) newest.set(key, place);
        kept.push(event);
        continue;
      }
      this.conflated++;
      if (event instanceof Tick) later.skipped += 1 + event.skipped;
      if (event.kind === "gap") later.gap = joined(event, later.gap ?? (later.event as Gap));
    }
    const replaced = new Map<Event, Event>();
    for (const { event, skipped, gap } of newest.values()) {
      if (gap !== null) replaced.set(event, gap);
      if (skipped === 0 || !(event instanceof Tick)) continue;
      if (event instanceof Book && event.type !== "snapshot") {
        replaced.set(event, whole(event, event.skipped + skipped));
      } else event.skipped += skipped;
    }
    return kept.reverse().map((event) => replaced.get(event) ?? event);
  }

  /**
   * Without the oldest `count` records of lossless topics, of which a gap tells instead; it stands
   * right behind an earlier one of its topic, and the next pass makes one of both.
   */
  private drop(events: Event[], count: number): Event[] {
    let left = count;
    const gaps = new Map<string, number>();
    const kept: Event[] = [];
    for (const event of events) {
      if (left <= 0 || !(event instanceof Tick) || this.mergesBy(event) !== null) {
        kept.push(event);
        continue;
      }
      left--;
      this.dropped++;
      const gap = missed(event);
      const place = gaps.get(keyOf(gap));
      if (place === undefined) gaps.set(keyOf(gap), kept.push(gap) - 1);
      else kept[place] = joined(kept[place] as Gap, gap);
    }
    return kept;
  }

  /** What an event may be merged with; null: with nothing. */
  private mergesBy(event: Event): string | null {
    // Changes of a book that the client does not have stand for themselves.
    if (event instanceof Book && event.book === null) return null;
    if (event instanceof Tick) return this.lossless(event) ? null : keyOf(event);
    switch (event.kind) {
      case "gap":
        return `gap\n${keyOf(event)}\n${event.reason}`;
      case "retired":
      case "replay_completed":
        return `${event.kind}\n${keyOf(event)}`;
      case "conflation":
        return `conflation\n${event.class}`;
      case "system":
        return `system\n${event.type}`;
      case "report":
        return `report\n${event.channel}`;
      default:
        return event.kind;
    }
  }
}

function missed(tick: Tick): Gap {
  const { seq, skipped } = tick;
  return gapOf(tick, "consumer", seq - skipped - 1, 1 + skipped);
}

/** Two gaps of a topic as one: its numbers span both, and `lost` is their sum. */
function joined(first: Gap, second: Gap): Gap {
  const lost = first.lost === null || second.lost === null ? null : first.lost + second.lost;
  return { ...second, from_seq: first.from_seq ?? second.from_seq, lost };
}
