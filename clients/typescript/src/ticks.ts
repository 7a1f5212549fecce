/**
 * Records as a client gets them.
 *
 * Prices and quantities are `..._text`, the venue's own digits, exact; `..._float` is the nearest
 * double. Times are `bigint`, nanoseconds since the Unix epoch.
 */

import type { OrderBook } from "./book.js";
import type { Offset } from "./clock.js";
import type { Json, JsonObject } from "./json.js";

/** What every record has, whatever its channel. */
export interface Head {
  readonly channel: string;
  /** "snapshot": the state as it is, after a subscription or a loss; "update": a new record. */
  readonly type: string;
  /** The instrument, `SYMBOL.VENUE`. */
  readonly symbol: string;
  /** Number of the record among those of its topic. */
  readonly seq: number;
  /** The venue's time, or `ts_recv` where it sends none. */
  readonly ts_event: bigint;
  /** The record reached the gateway's host. */
  readonly ts_recv: bigint;
  /** The gateway encoded it. */
  readonly ts_send: bigint;
  /** This client read it, by its own host's clock. */
  readonly ts_client: bigint;
  /**
   * Updates before this one that did not come: the gateway or this client's queue merged them into
   * it, or, of conflated topics, they were published while this client was not connected.
   */
  readonly skipped: number;
}

/** A record; each kind of them is a class of its own. */
export abstract class Tick implements Head {
  abstract readonly kind: string;
  readonly channel: string;
  readonly type: string;
  readonly symbol: string;
  readonly seq: number;
  readonly ts_event: bigint;
  readonly ts_recv: bigint;
  readonly ts_send: bigint;
  readonly ts_client: bigint;
  skipped: number;

  constructor(head: Head) {
    this.channel = head.channel;
    this.type = head.type;
    this.symbol = head.symbol;
    this.seq = head.seq;
    this.ts_event = head.ts_event;
    this.ts_recv = head.ts_recv;
    this.ts_send = head.ts_send;
    this.ts_client = head.ts_client;
    this.skipped = head.skipped;
  }

  /** Of a candle, else empty: an interval's candles are a topic of their own. */
  get interval(): string {
    return "";
  }

  /**
   * Milliseconds from the gateway's receipt to this client's, by two hosts' clocks as they are;
   * `age_ns` corrects that.
   */
  get age_ms(): number {
    return Number(this.ts_client - this.ts_recv) / 1e6;
  }

  /** The same by the gateway's clock (`Client.offset`), right within `offset.error_ns`. */
  age_ns(offset: Offset): bigint {
    return this.ts_client + offset.offset_ns - this.ts_recv;
  }
}

/** A trade. */
export class Trade extends Tick {
  readonly kind = "trade";

  /**
   * @param id the venue's name of it.
   * @param side the taker's, "buy" or "sell"; null where the feed does not say.
   */
  constructor(
    head: Head,
    readonly id: string,
    readonly side: string | null,
    readonly price_text: string,
    readonly qty_text: string,
  ) {
    super(head);
  }

  get price_float(): number {
    return Number(this.price_text);
  }

  get qty_float(): number {
    return Number(this.qty_text);
  }
}

/** The best bid and offer; a side that nobody quotes is null, in price and quantity. */
export class Bbo extends Tick {
  readonly kind = "bbo";

  constructor(
    head: Head,
    readonly bid_text: string | null,
    readonly bid_qty_text: string | null,
    readonly ask_text: string | null,
    readonly ask_qty_text: string | null,
  ) {
    super(head);
  }

  get bid_float(): number | null {
    return float(this.bid_text);
  }

  get bid_qty_float(): number | null {
    return float(this.bid_qty_text);
  }

  get ask_float(): number | null {
    return float(this.ask_text);
  }

  get ask_qty_float(): number | null {
    return float(this.ask_qty_text);
  }
}

/**
 * A price of one side of a book, and what stands there; quantity `"0"` in an update: it is gone.
 */
export class Level {
  /**
   * @param orders how many orders, where the venue says.
   */
  constructor(
    readonly price_text: string,
    readonly qty_text: string,
    readonly orders: number | null = null,
    /** The nearest double, by which levels are found. */
    readonly price_float: number = Number(price_text),
  ) {}

  get qty_float(): number {
    return Number(this.qty_text);
  }
}

/** What a frame of a book says beside its levels. */
export interface BookDetails {
  /** Levels a side that the gateway keeps up to date; 0: all that the venue gives. */
  readonly depth: number;
  /** The venue's own numbers of what was merged since this client's last frame. */
  readonly first_id: string | null;
  readonly last_id: string | null;
  /** The gateway doubts its own book. */
  readonly maybe_bad: boolean;
  /** Kraken's CRC32 of the best levels; null where the frame has none. */
  readonly checksum: number | null;
}

/**
 * A change of an order book, or all of it (`type` "snapshot").
 *
 * The client has applied and checked it already: `book` is the state, which goes on changing.
 */
export class Book extends Tick {
  readonly kind = "book";

  /**
   * @param bids deletions first, then changed levels, best first; so are `asks`.
   * @param book the client's book of this instrument; null where it has none, since no snapshot
   *   came.
   */
  constructor(
    head: Head,
    readonly bids: readonly Level[],
    readonly asks: readonly Level[],
    readonly details: BookDetails,
    readonly book: OrderBook | null = null,
  ) {
    super(head);
  }
}

/** A candle of one interval, so far or closed. */
export class Candle extends Tick {
  readonly kind = "candle";

  /**
   * @param period its `interval`, such as "1m".
   * @param start when it begins.
   * @param closed nothing more comes of it but revisions.
   * @param revised a late trade changed it after its end.
   * @param complete no trade of it is known to be missing.
   */
  constructor(
    head: Head,
    private readonly period: string,
    readonly start: bigint,
    readonly open_text: string,
    readonly high_text: string,
    readonly low_text: string,
    readonly close_text: string,
    readonly volume_text: string,
    readonly trades: number,
    readonly closed: boolean,
    readonly revised: boolean,
    readonly complete: boolean,
  ) {
    super(head);
  }

  override get interval(): string {
    return this.period;
  }

  get open_float(): number {
    return Number(this.open_text);
  }

  get high_float(): number {
    return Number(this.high_text);
  }

  get low_float(): number {
    return Number(this.low_text);
  }

  get close_float(): number {
    return Number(this.close_text);
  }

  get volume_float(): number {
    return Number(this.volume_text);
  }
}

/** What an instrument is; a member that the gateway does not know is null. */
export class Instrument extends Tick {
  readonly kind = "instrument";

  /**
   * @param bbo "venue", or "derived" from the book.
   * @param delay_s how late its data is by contract.
   * @param venue_symbol the venue's own name of it; empty where that is the symbol's.
   * @param data the row as it came.
   */
  constructor(
    head: Head,
    readonly tick_text: string | null,
    readonly lot_text: string | null,
    readonly price_digits: number | null,
    readonly qty_digits: number | null,
    readonly base: string | null,
    readonly quote: string | null,
    readonly bbo: string | null,
    readonly delay_s: number,
    readonly status: string | null,
    readonly venue_symbol: string | null,
    readonly data: JsonObject,
  ) {
    super(head);
  }
}

/** Whether an instrument trades: "trading", "halted", "auction", "closed", "delisted". */
export class Status extends Tick {
  readonly kind = "status";

  constructor(
    head: Head,
    readonly status: string,
    readonly reason: string,
  ) {
    super(head);
  }
}

/** What the gateway thinks of an instrument's data: "ok", "quiet", "suspect", "stale", ... */
export class InstrumentHealth extends Tick {
  readonly kind = "instrument_health";

  /** @param input_age_ms since the input that made it so. */
  constructor(
    head: Head,
    readonly state: string,
    readonly reason: string,
    readonly input_age_ms: number,
  ) {
    super(head);
  }
}

/** A record of a channel that this client has no type for, or that does not fit its type. */
export class RawTick extends Tick {
  readonly kind = "raw";

  /**
   * @param data its elements, as they came.
   * @param problem why it does not fit; empty where there is no type.
   */
  constructor(
    head: Head,
    readonly data: readonly Json[],
    readonly problem = "",
  ) {
    super(head);
  }
}

export type AnyTick =
  Trade | Bbo | Book | Candle | Instrument | Status | InstrumentHealth | RawTick;

function float(text: string | null): number | null {
  return text === null ? null : Number(text);
}
