/** The order books of one client: their frames' parts joined, applied and checked. */

import { OrderBook } from "./book.js";
import { count } from "./messages.js";
import { type Json, type JsonObject, MalformedError } from "./json.js";
import { Book } from "./ticks.js";
import { type Topic, isPattern, matchPattern, meant } from "./topics.js";

/** So many frames in a row without the right sum, and the next attempt has to wait. */
const MISMATCHES_MAX = 3;
/** A frame has at most so many parts: 1,000 levels a side take 8, a full book of a venue 64. */
const PARTS_MAX = 4096;

interface Kept {
  readonly book: OrderBook;
  /** Parts that wait for the last of their frame. */
  parts: Book[];
  of: number;
  mismatches: number;
}

/** What became of a frame: taken (with the book of it), part of one, or refused. */
export type Taken =
  | { readonly frame: Book; readonly problem: null }
  | { readonly frame: null; readonly problem: null }
  | { readonly frame: null; readonly problem: "checksum" | "sequence" };

const PART: Taken = { frame: null, problem: null };

/** The `part` of a message, `[i, n]`; `[1, 1]` where it is whole. */
export function partOf(message: JsonObject): readonly [number, number] {
  const value: Json | undefined = message["part"];
  if (value === undefined) return [1, 1];
  const row = Array.isArray(value) ? { i: value[0], n: value[1] } : {};
  const [part, parts] = [count(row as JsonObject, "i"), count(row as JsonObject, "n")];
  if (part < 1 || part > parts) throw new MalformedError(`part: [${part}, ${parts}]`);
  return [part, parts];
}

export class Books {
  private readonly kept = new Map<string, Kept>();

  get(symbol: string): OrderBook | null {
    return this.kept.get(symbol)?.book ?? null;
  }

  /** A new connection, or a gap: what is known is no longer what the gateway has. */
  doubt(symbol?: string): void {
    const some = symbol === undefined ? this.kept.values() : [this.kept.get(symbol)];
    for (const one of some) {
      if (one === undefined) continue;
      one.book.ready = false;
      one.parts = [];
    }
  }

  /** The book was wrong once more; whether it may be asked for again at once. */
  mismatched(symbol: string): boolean {
    return ++this.keep(symbol).mismatches < MISMATCHES_MAX;
  }

  /** A subscription to a name or pattern has ended; `wanted`: another one covers a topic. */
  left(asked: string, wanted: (topic: Topic) => boolean): void {
    const symbols = isPattern(asked)
      ? [...this.kept.keys()].filter((symbol) => matchPattern(asked, symbol))
      : [meant(asked)];
    for (const symbol of symbols) {
      if (!wanted({ channel: "book", symbol, interval: "" })) this.forget(symbol);
    }
  }

  /** The instrument has ended. */
  forget(symbol: string): void {
    this.kept.delete(symbol);
  }

  /** The whole frame, once its last part is here; null before. A hole among parts is a problem. */
  join(frame: Book, [part, parts]: readonly [number, number]): Taken {
    if (parts === 1) {
      const before = this.kept.get(frame.symbol);
      if (before !== undefined) before.parts = [];
      return { frame, problem: null };
    }
    if (parts > PARTS_MAX) throw new MalformedError(`part: [${part}, ${parts}]`);
    const kept = this.keep(frame.symbol);
    if (part === 1) {
      kept.parts = [frame];
      kept.of = parts;
      return PART;
    }
    const fits =
      kept.parts.length === part - 1 && kept.of === parts && kept.parts[0]?.seq === frame.seq;
    if (!fits) {
      kept.parts = [];
      return { frame: null, problem: "sequence" };
    }
    kept.parts.push(frame);
    if (part < parts) return PART;
    const [first] = kept.parts;
    const bids = kept.parts.flatMap((one) => one.bids);
    const asks = kept.parts.flatMap((one) => one.asks);
    kept.parts = [];
    // All parts tell the same number of skipped updates.
    const { type, skipped } = first as Book;
    const head = { ...header(frame), type, skipped };
    return { frame: new Book(head, bids, asks, frame.details), problem: null };
  }

  /**
   * Applies a whole frame, whose place in the sequence is right, and checks the book's sum; after a
   * problem the caller must `doubt` it.
   */
  apply(frame: Book): Taken {
    const kept = this.keep(frame.symbol);
    const { book } = kept;
    const snapshot = frame.type === "snapshot";
    if (!snapshot && !book.ready) return { frame, problem: null };
    book.depth = frame.details.depth;
    if (snapshot) book.replace(frame);
    else book.apply(frame);
    book.seq = frame.seq;
    book.maybe_bad = frame.details.maybe_bad;
    const wanted = frame.details.checksum;
    if (wanted !== null && wanted !== book.checksum()) {
      return { frame: null, problem: "checksum" };
    }
    kept.mismatches = 0;
    book.ready = true;
    return {
      frame: new Book(header(frame), frame.bids, frame.asks, frame.details, book),
      problem: null,
    };
  }

  private keep(symbol: string): Kept {
    let kept = this.kept.get(symbol);
    if (kept === undefined) {
      kept = { book: new OrderBook(symbol), parts: [], of: 0, mismatches: 0 };
      this.kept.set(symbol, kept);
    }
    return kept;
  }
}

/**
 * An update that stands for those before it: all of the book as it is now, which may be newer;
 * where that is in doubt, the update without it.
 */
export function whole(frame: Book, skipped: number): Book {
  const { book, details } = frame;
  const head = { ...header(frame), skipped };
  if (!book?.ready) return new Book(head, frame.bids, frame.asks, details);
  const now = {
    ...details,
    depth: book.depth,
    first_id: null,
    maybe_bad: book.maybe_bad,
    checksum: book.checksum(),
  };
  const snapshot = { ...head, type: "snapshot" };
  return new Book(snapshot, book.bids.slice(), book.asks.slice(), now, book);
}

function header(frame: Book) {
  const { channel, type, symbol, seq, ts_event, ts_recv, ts_send, ts_client, skipped } = frame;
  return { channel, type, symbol, seq, ts_event, ts_recv, ts_send, ts_client, skipped };
}
