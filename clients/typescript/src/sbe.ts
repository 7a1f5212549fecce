/**
 * Binary data frames (subprotocol `tickgate.v1.sbe`): records as ticks, all else as its JSON is.
 *
 * docs/sbe.md has every byte. What is refused is `MalformedError`, and nothing else is thrown,
 * whatever a frame holds. Fields behind those known here, and messages of templates that are not
 * known, are skipped, so that a later version's frames are read.
 */

import { Cursor, integer } from "./cursor.js";
import { type Json, type JsonObject, MalformedError } from "./json.js";
import { type BookPart, readBook } from "./sbe_book.js";
import { Bbo, Candle, type Head, Instrument, Status, Trade } from "./ticks.js";

/** Limits of the gateway's own reader. */
const TOPICS_MAX = 1 << 20;
const NAME_MAX = 113;
const ID_MAX = 80;

const NULL_U8 = 255;
const NULL_U32 = 0xffff_ffff;

/** Candles are a channel for each interval. */
const CHANNELS = new Map<number, Channel>([
  [1, { channel: "trade" }],
  [2, { channel: "bbo" }],
  [3, { channel: "book" }],
  [4, { channel: "instrument" }],
  [5, { channel: "status" }],
  [7, { channel: "health" }],
  [8, { channel: "candle", interval: "1s" }],
  [9, { channel: "candle", interval: "1m" }],
  [10, { channel: "candle", interval: "5m" }],
  [11, { channel: "candle", interval: "15m" }],
  [12, { channel: "candle", interval: "1h" }],
  [13, { channel: "candle", interval: "1d" }],
]);
const REASONS = ["lapped", "feed", "refused", "reset", "failover"];
const ACTIONS = ["live", "conflate", "snapshot"];
const SIDES = ["buy", "sell"];
const SOURCES = ["venue", "derived"];
/** An enum's value of a later version. */
const UNKNOWN = "unknown";

/** Messages by their template's number. */
const TRADE = 1;
const BBO = 2;
const BOOK = 3;
const INSTRUMENT = 4;
const STATUS = 5;
const CANDLE = 8;
const TOPIC = 16;
const HEARTBEAT = 17;
const GAP = 32;
const EPOCH = 33;
const RETIRED = 34;
const REPLAY_COMPLETED = 35;
const SLOW = 36;
const CONFLATION = 37;
const LIMIT_EXCEEDED = 38;
const AUTH_EXPIRING = 39;
const SHUTDOWN = 40;

/** Bytes of their fixed fields, as far as this client knows them. */
const BLOCKS = new Map([
  [TRADE, 80],
  [BBO, 113],
  [BOOK, 55],
  [INSTRUMENT, 92],
  [STATUS, 45],
  [CANDLE, 145],
  [TOPIC, 5],
  [HEARTBEAT, 16],
  [GAP, 26],
  [EPOCH, 1],
  [RETIRED, 1],
  [REPLAY_COMPLETED, 17],
  [SLOW, 15],
  [CONFLATION, 0],
  [LIMIT_EXCEEDED, 16],
  [AUTH_EXPIRING, 8],
  [SHUTDOWN, 4],
]);

interface Channel {
  readonly channel: string;
  readonly interval?: string;
}

interface Announced extends Channel {
  readonly symbol: string;
}

type AnyRecord = Trade | Bbo | BookPart | Candle | Instrument | Status;

/** Reads the frames of one connection, whose topics are announced on it. */
export class SbeReader {
  private readonly topics = new Map<number, Announced>();

  /** What a frame that came at `ts_client` says: ticks, and objects as their JSON is. */
  read(frame: Uint8Array | ArrayBuffer, ts_client: bigint): (AnyRecord | JsonObject)[] {
    const cursor = new Cursor(frame, BLOCKS);
    const found: (AnyRecord | JsonObject)[] = [];
    do {
      if (!cursor.message()) break;
      switch (cursor.template) {
        case TRADE:
          found.push(this.trade(cursor, ts_client));
          break;
        case BBO:
          found.push(this.bbo(cursor, ts_client));
          break;
        case BOOK:
          found.push(this.book(cursor, ts_client));
          break;
        case INSTRUMENT:
          found.push(this.instrument(cursor, ts_client));
          break;
        case STATUS:
          found.push(this.status(cursor, ts_client));
          break;
        case CANDLE:
          found.push(this.candle(cursor, ts_client));
          break;
        case TOPIC:
          this.announce(cursor);
          break;
        default:
          found.push(notice(cursor));
      }
    } while (cursor.more());
    return found;
  }

  private announce(cursor: Cursor): void {
    const number = cursor.u32(0);
    const channel = channelOf(cursor.u8(4));
    const symbol = cursor.text();
    const size = cursor.textBytes;
    if (size < 1 || size > NAME_MAX) throw new MalformedError(`a topic's name of ${size} bytes`);
    if (this.topics.size >= TOPICS_MAX && !this.topics.has(number)) {
      throw new MalformedError(`more than ${TOPICS_MAX} topics`);
    }
    this.topics.set(number, { ...channel, symbol });
  }

  private trade(cursor: Cursor, ts_client: bigint): Trade {
    const flags = cursor.u8(44);
    const side = cursor.u8(45);
    const head = headOf(cursor, this.topic(cursor, 40, "trade"), flags, ts_client);
    const price = needed(cursor.decimal(46, flags & 2), "trade");
    const qty = needed(cursor.decimal(63, flags & 4), "trade");
    const word = side === NULL_U8 ? null : SIDES[side - 1];
    if (word === undefined) throw new MalformedError("a side that is neither buy nor sell");
    const id = cursor.printable("a trade's id");
    if (id.length > ID_MAX) throw new MalformedError(`a trade's id of ${id.length} bytes`);
    return new Trade(head, id, word, price, qty);
  }

  private bbo(cursor: Cursor, ts_client: bigint): Bbo {
    const flags = cursor.u8(44);
    return new Bbo(
      headOf(cursor, this.topic(cursor, 40, "bbo"), flags, ts_client),
      cursor.decimal(45, flags & 2),
      cursor.decimal(62, flags & 4),
      cursor.decimal(79, flags & 8),
      cursor.decimal(96, flags & 16),
    );
  }

  private book(cursor: Cursor, ts_client: bigint): BookPart {
    const topic = this.topic(cursor, 40, "book");
    return readBook(cursor, headOf(cursor, topic, cursor.u8(54), ts_client));
  }

  private instrument(cursor: Cursor, ts_client: bigint): Instrument {
    const flags = cursor.u8(56);
    const head = headOf(cursor, this.topic(cursor, 40, "instrument"), flags, ts_client);
    const source = SOURCES[cursor.u8(57)];
    if (source === undefined) throw new MalformedError("a source of quotes that is not known");
    const data = {
      tick: cursor.decimal(58, flags & 2),
      lot: cursor.decimal(75, flags & 4),
      price_digits: digitsOf(cursor.u32(44)),
      qty_digits: digitsOf(cursor.u32(48)),
      bbo: source,
      delay_s: cursor.u32(52),
      status: cursor.printable("a status"),
      base: cursor.printable("an asset"),
      quote: cursor.printable("an asset"),
      venue_symbol: cursor.printable("a venue's symbol"),
    };
    return new Instrument(
      head,
      data.tick,
      data.lot,
      data.price_digits,
      data.qty_digits,
      data.base,
      data.quote,
      data.bbo,
      data.delay_s,
      data.status,
      data.venue_symbol,
      data,
    );
  }

  private status(cursor: Cursor, ts_client: bigint): Status {
    const head = headOf(cursor, this.topic(cursor, 40, "status"), cursor.u8(44), ts_client);
    return new Status(head, cursor.printable("a status"), cursor.printable("its reason"));
  }

  private candle(cursor: Cursor, ts_client: bigint): Candle {
    const flags = cursor.u8(56);
    const topic = this.topic(cursor, 48, "candle");
    return new Candle(
      headOf(cursor, topic, flags, ts_client),
      topic.interval ?? "",
      cursor.i64(40),
      needed(cursor.decimal(60, flags & 2), "candle"),
      needed(cursor.decimal(77, flags & 4), "candle"),
      needed(cursor.decimal(94, flags & 8), "candle"),
      needed(cursor.decimal(111, flags & 16), "candle"),
      needed(cursor.decimal(128, flags & 32), "candle"),
      cursor.u32(52),
      cursor.yes(57),
      cursor.yes(58),
      cursor.yes(59),
    );
  }

  /** The topic of a record of this channel, whose number stands `at`. */
  private topic(cursor: Cursor, at: number, channel: string): Announced {
    const number = cursor.u32(at);
    const topic = this.topics.get(number);
    if (topic?.channel !== channel) {
      const announced = topic === undefined ? "not announced" : `announced as ${topic.channel}`;
      throw new MalformedError(`a ${channel} of topic ${number}, ${announced}`);
    }
    return topic;
  }
}

/** What each record has. */
function headOf(cursor: Cursor, topic: Announced, flags: number, ts_client: bigint): Head {
  return {
    channel: topic.channel,
    type: (flags & 1) === 0 ? "update" : "snapshot",
    symbol: topic.symbol,
    seq: cursor.safe(0, "seq"),
    ts_event: cursor.i64(8),
    ts_recv: cursor.i64(16),
    ts_send: cursor.i64(24),
    ts_client,
    skipped: cursor.safe(32, "skipped"),
  };
}

/** A decimal that no such record is without. */
function needed(text: string | null, record: string): string {
  if (text === null) throw new MalformedError(`a ${record} without a price or a quantity`);
  return text;
}

function channelOf(value: number): Channel {
  return CHANNELS.get(value) ?? { channel: UNKNOWN };
}

function digitsOf(value: number): number | null {
  return value === NULL_U32 ? null : value;
}

/** A heartbeat or a notice as its JSON is. */
function notice(cursor: Cursor): JsonObject {
  switch (cursor.template) {
    case HEARTBEAT:
      return { channel: "heartbeat", n: integer(cursor.u64(0)), ts_send: cursor.i64(8) };
    case GAP:
      return system("gap", {
        from: cursor.countOf(0),
        to: cursor.countOf(8),
        lost: cursor.countOf(16),
        ...channelOf(cursor.u8(24)),
        reason: REASONS[cursor.u8(25) - 1] ?? UNKNOWN,
        symbol: cursor.text(),
      });
    case EPOCH:
      return epoch(cursor);
    case RETIRED:
      return system("retired", { ...channelOf(cursor.u8(0)), symbol: cursor.text() });
    case REPLAY_COMPLETED:
      return system("replay_completed", {
        from: cursor.countOf(0),
        to: cursor.countOf(8),
        ...channelOf(cursor.u8(16)),
        symbol: cursor.text(),
      });
    case SLOW:
      return system("slow", {
        age_ms: integer(cursor.u64(0)),
        interval_ms: cursor.u32(8),
        level: cursor.u8(12),
        was: cursor.u8(13),
        action: ACTIONS[cursor.u8(14) - 1] ?? UNKNOWN,
      });
    case CONFLATION:
      return conflation(cursor);
    case LIMIT_EXCEEDED:
      return limitExceeded(cursor);
    case AUTH_EXPIRING:
      return system("auth_expiring", { expires_at: cursor.i64(0) });
    default: // SHUTDOWN: of what this client knows, none is left
      return system("shutdown", { reconnect_after_ms: cursor.u32(0) });
  }
}

function epoch(cursor: Cursor): JsonObject {
  const continues = cursor.u8(0);
  return system("epoch", {
    continues: continues === NULL_U8 ? undefined : continues === 1,
    epoch: cursor.text(),
    venue: cursor.text() || undefined,
  });
}

function conflation(cursor: Cursor): JsonObject {
  const data: Json[] = [];
  for (const _ of cursor.group(13)) {
    const [interval_ms, was_ms] = [cursor.u32(0), cursor.u32(4)];
    data.push({
      interval_ms: interval_ms === NULL_U32 ? null : interval_ms,
      was_ms: was_ms === NULL_U32 ? null : was_ms,
      step: cursor.u32(8),
      class: cursor.u8(12),
    });
  }
  return { channel: "system", type: "conflation", data };
}

function limitExceeded(cursor: Cursor): JsonObject {
  return system("limit_exceeded", {
    value: integer(cursor.u64(0)),
    refused: cursor.countOf(8),
    limit: cursor.text(),
    subscription: cursor.text() || undefined,
  });
}

/** A notice of one row, without the members that its JSON would leave out. */
function system(type: string, members: Record<string, Json | undefined>): JsonObject {
  const row: JsonObject = {};
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) row[name] = value;
  }
  return { channel: "system", type, data: [row] };
}
