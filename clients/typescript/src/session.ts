/**
 * The client's side of the protocol, sans-IO: texts, bytes and times in, events and texts out.
 *
 * Theory of operation. The session remembers across connections what is wanted (`Subscriptions`)
 * and the last `seq` of each topic (`Continuity`): a `Gap` goes before the tick where records are
 * missing, and where `seq == last + 1 + skipped` is broken without notice, or a book does not have
 * the sum that the gateway says, the string that covers the topic is asked for again. Whatever the
 * client asks for by itself waits in `Again` until `due` gives it. Nothing here reads a clock or a
 * socket, and nothing that is received throws.
 */

import { Again, type Ask, missedFrom } from "./again.js";
import { type OrderBook } from "./book.js";
import { Books, partOf } from "./books.js";
import { Continuity, bareGap } from "./continuity.js";
import type { Event, Gap, Hello, ReplayCompleted, Reply, Result, ServerError } from "./events.js";
import { type JsonObject, MalformedError, parse, stringify } from "./json.js";
import * as messages from "./messages.js";
import {
  type Asked,
  GATEWAY,
  type Params,
  type Request,
  UNASKED,
  chunks,
  namesOf,
  onTheWire,
  scopeOf,
} from "./requests.js";
import { SbeReader } from "./sbe.js";
import { BookPart } from "./sbe_book.js";
import type { Statistics } from "./statistics.js";
import { type AnyTick, Book, RawTick, Tick } from "./ticks.js";
import { type Topic, escape, isPattern, meant } from "./topics.js";
import { OWN, Subscriptions, type Wanted, topicOf } from "./wanted.js";

export type Encoding = "json" | "sbe";

/** Silence of so many heartbeats means that the connection is dead, whatever TCP says. */
const HEARTBEATS_MISSED_MAX = 5;
/** A refusal that may be tried again without a word of when. */
const RETRY_MS = 1000;
/** A book whose sum is wrong again and again is asked for after this. */
const MISMATCH_RETRY_MS = 30_000;

/** What is to be done now. */
export interface Due {
  readonly requests: readonly Request[];
  readonly events: readonly Event[];
}

const NOTHING: Due = { requests: [], events: [] };

/** Gaps whose records nothing else counts: the gateway's own become `skipped` of the next frame. */
const FOUND_HERE = new Set(["reconnect", "resubscribe", "sequence"]);

/** The state of one client, across its connections. */
export class ClientSession {
  /** The present connection's greeting, null before it. */
  hello: Hello | null = null;
  private readonly subscriptions = new Subscriptions();
  private readonly continuity = new Continuity();
  private readonly books = new Books();
  private readonly again: Again;
  private readonly asked = new Map<number | string | null, Asked>();
  private readonly isLossless = (topic: Topic) => this.subscriptions.lossless(topic);
  private reader: SbeReader | null = null;
  private req_id = 0;
  private heard_ms = 0;
  /** The greatest `ts_recv`. */
  private newest_ns = 0n;
  private readonly position = (wanted: Wanted) =>
    this.continuity.position({ ...topicOf(wanted), symbol: meant(wanted.symbol) });
  private readonly counts = {
    messages: 0,
    ticks: 0,
    skipped: 0,
    gaps: 0,
    lost: 0,
    malformed: 0,
    mismatches: 0,
  };

  /** @param firstData_ms by when the first frame of a string that has a state must come. */
  constructor(
    private readonly encoding: Encoding = "json",
    firstData_ms = 5000,
  ) {
    this.again = new Again(this.subscriptions, firstData_ms);
  }

  statistics(): Statistics {
    return { ...this.counts, wanted: this.subscriptions.size, topics: this.continuity.size };
  }

  /** The book of an instrument as the newest frame left it; null before a frame. */
  book(symbol: string): OrderBook | null {
    return this.books.get(symbol);
  }

  /** Whether every record of the topic should come. */
  lossless(topic: Topic): boolean {
    return this.subscriptions.lossless(topic);
  }

  // --- requests ----------------------------------------------------------------------------------

  /** Any request of the protocol. */
  request(method: string, params?: object): Request {
    const req_id = ++this.req_id;
    return { req_id, text: stringify({ method, req_id, params }) };
  }

  /**
   * Wants these names and patterns, now and after each reconnect.
   *
   * `from` is about this one request: later on it would ask for what came already.
   */
  subscribe(channel: string, symbols: string | Iterable<string>, params: Params = {}): Request[] {
    const names = namesOf(symbols);
    const once = onTheWire(channel, names, params);
    const { from: _, ...always } = once;
    const scope = scopeOf(channel, once);
    for (const name of names) {
      const before = this.subscriptions.get(channel, name, scope);
      if (before !== undefined) this.again.drop(before);
    }
    const patterns = names.some(isPattern); // a later one has to be later
    const same = (one: Wanted) => one.channel === channel && isPattern(one.symbol);
    const requests = patterns ? this.before(same) : [];
    for (const name of names) this.subscriptions.add(channel, name, scope, always);
    return [...requests, ...this.ask("subscribe", channel, names, once)];
  }

  /** Other parameters for what is subscribed to; wanted from the reply on. */
  update(channel: string, symbols: string | Iterable<string>, params: Params = {}): Request[] {
    return this.about("update", channel, namesOf(symbols), params);
  }

  /** No longer wants these names and patterns. */
  unsubscribe(channel: string, symbols: string | Iterable<string>, params: Params = {}): Request[] {
    const names = namesOf(symbols);
    const requests = this.about("unsubscribe", channel, names, params);
    const scope = scopeOf(channel, onTheWire(channel, names, params));
    for (const name of names) this.unwanted(channel, name, scope);
    return requests;
  }

  /** Of subscriptions: those that still wait to be asked for again come first. */
  private about(method: string, channel: string, names: string[], params: Params): Request[] {
    const wire = onTheWire(channel, names, params);
    const scope = scopeOf(channel, wire);
    const some = new Set(names.map((name) => this.subscriptions.get(channel, name, scope)));
    return [...this.before((one) => some.has(one)), ...this.ask(method, channel, names, wire)];
  }

  private before(first: (wanted: Wanted) => boolean): Request[] {
    return [...this.again.flush(first, this.position)].flatMap((ask) => this.send(ask));
  }

  private *ask(
    method: string,
    channel: string,
    symbols: Iterable<string>,
    params: Params,
    recovers = false,
  ): Generator<Request> {
    for (const chunk of chunks(symbols)) {
      const request = this.request(method, { channel, symbol: chunk, ...params });
      const asked = { method, channel, symbols: chunk, params, recovers };
      this.asked.set(request.req_id, asked);
      if (method === "subscribe") {
        for (const wanted of this.wantedOf(asked)) wanted.asked = request.req_id;
      }
      yield request;
    }
  }

  /** Its strings that are still wanted. */
  private wantedOf({ channel, symbols, params }: Asked): Wanted[] {
    const scope = scopeOf(channel, params);
    return symbols.flatMap((symbol) => this.subscriptions.get(channel, symbol, scope) ?? []);
  }

  private send(ask: Ask): Request[] {
    return [...this.ask("subscribe", ask.channel, ask.symbols, ask.params, ask.recovers)];
  }

  private unwanted(channel: string, symbol: string, scope: string): void {
    const wanted = this.subscriptions.remove(channel, symbol, scope);
    if (wanted !== undefined) this.again.drop(wanted);
  }

  // --- the connection ----------------------------------------------------------------------------

  /**
   * A new connection is open: everything wanted is due once it has said hello.
   *
   * @param now_ms here and below is monotonic time.
   */
  connected(now_ms: number): void {
    this.hello = null;
    for (const asked of this.asked.values()) {
      if (asked.method !== "unsubscribe") continue;
      // Its reply was lost, and is not needed any more.
      for (const symbol of asked.symbols) this.left(asked, symbol);
    }
    this.asked.clear();
    this.continuity.connected();
    this.books.doubt();
    this.again.connected(this.newest_ns);
    this.heard_ms = now_ms;
    this.reader = this.encoding === "sbe" ? new SbeReader() : null;
  }

  /** The connection has ended: books are what they were. */
  disconnected(): void {
    this.books.doubt();
  }

  /** What the client asks for by itself and may be sent now, and what it has to tell. */
  due(now_ms: number): Due {
    if (this.hello === null) return NOTHING;
    const events = this.again.expire(now_ms).flatMap((wanted) => this.counted([noData(wanted)]));
    const asks = this.again.take(now_ms, this.position);
    const requests: Request[] = [];
    for (const ask of asks) requests.push(...this.send(ask));
    return requests.length === 0 && events.length === 0 ? NOTHING : { requests, events };
  }

  /** Whether the connection has been silent for so long that it must be dead. */
  stale(now_ms: number): boolean {
    const heartbeat_ms = Math.max(this.hello?.heartbeat_ms ?? 1000, 100);
    return now_ms - this.heard_ms > HEARTBEATS_MISSED_MAX * heartbeat_ms;
  }

  /** The events of one message: none for a heartbeat. Never throws. */
  receive(message: string | ArrayBuffer | Uint8Array, now_ms: number, real_ns: bigint): Event[] {
    this.counts.messages++;
    this.heard_ms = now_ms;
    try {
      if (typeof message === "string") {
        return this.message(messages.object(parse(message)), real_ns);
      }
      if (this.reader === null) throw new MalformedError("a binary frame, unasked for");
      return this.frame(this.reader, message, real_ns);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.counts.malformed++;
      return [{ kind: "malformed", reason: error.message }];
    }
  }

  private frame(reader: SbeReader, message: ArrayBuffer | Uint8Array, real_ns: bigint): Event[] {
    const found = reader.read(message, real_ns);
    const [only] = found;
    if (found.length === 1 && only instanceof Tick) return this.tick(only);
    return found.flatMap((one) => {
      if (one instanceof BookPart) return this.joined(one.frame, one.part);
      return one instanceof Tick ? this.tick(one) : this.message(one, real_ns);
    });
  }

  private message(message: JsonObject, real_ns: bigint): Event[] {
    if (messages.text(message, "method", "") !== "") {
      return this.reply(messages.reply(message, real_ns));
    }
    const channel = messages.text(message, "channel", "");
    const type = messages.text(message, "type", "");
    if (channel === "system") return this.system(type, message);
    const symbol = messages.text(message, "symbol", "");
    if (symbol !== "" && (type === "snapshot" || type === "update")) {
      return this.record(message, messages.tick(message, real_ns));
    }
    const data = messages.rows(message["data"]);
    // A heartbeat, or what this client does not know yet.
    if (channel === "" || data.length === 0) return [];
    if (OWN.has(channel)) return data.map((row) => messages.own(message, row));
    return [messages.own(message, {})];
  }

  // --- records -----------------------------------------------------------------------------------

  private record(message: JsonObject, tick: AnyTick): Event[] {
    if (tick instanceof RawTick && tick.problem !== "") {
      this.counts.malformed++;
      if (tick.channel === "book") return [...this.tick(tick), ...this.wrong(tick)];
    }
    return tick instanceof Book ? this.joined(tick, partOf(message)) : this.tick(tick);
  }

  private joined(frame: Book, part: readonly [number, number]): Event[] {
    const joined = this.books.join(frame, part);
    if (joined.problem !== null) return this.broken(frame, "sequence", null);
    return joined.frame === null ? [] : this.tick(joined.frame);
  }

  private tick(tick: AnyTick): Event[] {
    const missing = this.continuity.frame(tick, tick.seq, tick.skipped, this.isLossless);
    if (missing.known) return [];
    if (tick.ts_recv > this.newest_ns) this.newest_ns = tick.ts_recv;
    tick.skipped += missing.skipped;
    this.counts.ticks++;
    this.counts.skipped += tick.skipped;
    this.again.came(tick);
    const found = missing.gap === null ? [] : this.found(missing.gap);
    if (!(tick instanceof Book)) return found.length === 0 ? [tick] : [...found, tick];
    if (missing.gap?.reason === "sequence" && tick.type !== "snapshot") {
      this.books.doubt(tick.symbol);
    }
    const taken = this.books.apply(tick);
    if (taken.problem !== null) return [...found, ...this.wrong(tick)];
    return taken.frame === null ? found : [...found, taken.frame];
  }

  /** A gap that this client found: where numbers are missing without notice it asks again. */
  private found(gap: Gap): Event[] {
    if (gap.reason === "sequence") this.resync(gap, null);
    return this.counted([gap]);
  }

  /** A book that is not what the gateway has: asked for again, after some times in a row later. */
  private wrong(frame: Topic): Event[] {
    this.counts.mismatches++;
    const soon = this.books.mismatched(frame.symbol);
    return this.broken(frame, "checksum", soon ? null : this.heard_ms + MISMATCH_RETRY_MS);
  }

  private broken(frame: Topic, reason: "checksum" | "sequence", at_ms: number | null): Event[] {
    this.books.doubt(frame.symbol);
    const gap = bareGap(frame, reason);
    this.resync(gap, at_ms);
    return this.counted([gap]);
  }

  /**
   * Asks again for the string that covers the topic, at once or later. One that is asked for
   * already begins anew with that reply.
   */
  private resync(topic: Topic, at_ms: number | null): void {
    const wanted = this.subscriptions.covering(topic);
    if (wanted === undefined || wanted.asked > 0) return;
    if (at_ms === null) this.again.add(wanted);
    else this.again.addLater(wanted, at_ms);
  }

  private counted(gaps: Gap[]): Gap[] {
    for (const gap of gaps) {
      this.counts.gaps++;
      if (FOUND_HERE.has(gap.reason)) this.counts.lost += gap.lost ?? 0;
    }
    return gaps;
  }

  // --- replies -----------------------------------------------------------------------------------

  private reply(reply: Reply): Event[] {
    const asked = this.asked.get(reply.req_id) ?? UNASKED;
    this.asked.delete(reply.req_id);
    for (const wanted of this.wantedOf(asked)) {
      if (wanted.asked === reply.req_id) wanted.asked = 0;
    }
    if (asked.method === "subscribe" && reply.error !== null) {
      for (const symbol of asked.symbols) this.refused(asked, symbol, reply.error);
    }
    const gaps: Gap[] = [];
    for (const result of reply.results) {
      if (result.success) gaps.push(...this.accepted(asked, result));
      else if (asked.method === "subscribe") this.refused(asked, result.symbol, result.error);
    }
    return [reply, ...this.counted(gaps)];
  }

  private accepted(asked: Asked, result: Result): Gap[] {
    const { channel, params } = asked;
    const scope = scopeOf(channel, params);
    const wanted = this.subscriptions.get(channel, result.symbol, scope);
    if (wanted !== undefined && result.mode !== null) wanted.mode = result.mode;
    if (asked.method === "unsubscribe") this.left(asked, result.symbol);
    if (asked.method === "update" && wanted !== undefined) {
      wanted.params = { ...wanted.params, ...params };
      if (result.mode === "conflate") this.again.complete(wanted);
    }
    return asked.method === "subscribe" ? this.subscribed(asked, result, scope, wanted) : [];
  }

  private subscribed(
    asked: Asked,
    result: Result,
    scope: string,
    wanted: Wanted | undefined,
  ): Gap[] {
    const asks = topicOf({ channel: asked.channel, symbol: result.symbol, scope });
    const topic = { ...asks, symbol: meant(asks.symbol) };
    const name = !isPattern(asks.symbol);
    const gaps: Gap[] = [];
    if (scope !== GATEWAY) this.continuity.restarted(asks);
    if (result.recovery === "replaying") {
      const { from } = asked.params;
      const since = from !== undefined && "ts" in from ? from.ts : null;
      if (wanted !== undefined) this.again.replays(wanted, since ?? missedFrom(this.newest_ns));
      if (!name || asked.recovers) this.continuity.replayed(asks);
      else if (result.seq !== null) this.continuity.resumed(topic, result.seq);
      return gaps;
    }
    if (wanted !== undefined) {
      this.again.complete(wanted);
      if (this.subscriptions.hasState(wanted, result)) this.again.await(wanted, this.heard_ms);
      else this.again.had(wanted); // there is nothing to wait for
    }
    // Of what the client asked for by itself the snapshot's number says what is missing.
    if (result.recovery === "insufficient_state" && !asked.recovers) {
      gaps.push(bareGap(asks, "insufficient_state"));
    }
    if (name && result.seq && result.snapshot === false && this.lossless(topic)) {
      const gap = this.continuity.published(topic, result.epoch, result.seq);
      if (gap !== null) gaps.push(gap);
    }
    return gaps;
  }

  /** The subscription to this string has ended. */
  private left(asked: Asked, symbol: string): void {
    const scope = scopeOf(asked.channel, asked.params);
    if (scope === GATEWAY) return;
    const asks = topicOf({ channel: asked.channel, symbol, scope });
    const wanted = (topic: Topic) => this.subscriptions.covering(topic) !== undefined;
    this.continuity.left(asks, wanted);
    if (asked.channel === "book") this.books.left(symbol, wanted);
  }

  private refused(asked: Asked, symbol: string, error: ServerError | null): void {
    const scope = scopeOf(asked.channel, asked.params);
    const wanted = this.subscriptions.get(asked.channel, symbol, scope);
    if (wanted === undefined) return;
    if (error?.retryable) {
      this.again.addLater(wanted, this.heard_ms + (error.retry_after_ms ?? RETRY_MS));
    } else if (asked.recovers && error?.code === "bad_request") {
      this.again.complete(wanted); // a gateway that has no recovery: without it, then
      this.again.add(wanted);
    } else {
      this.unwanted(asked.channel, symbol, scope);
    }
  }

  // --- notices -----------------------------------------------------------------------------------

  private replayed(done: ReplayCompleted): ReplayCompleted {
    const { channel, symbol, interval } = done;
    const wanted = this.subscriptions.get(channel, symbol, interval);
    if (wanted !== undefined) this.again.complete(wanted);
    return done;
  }

  private system(type: string, message: JsonObject): Event[] {
    const data = messages.rows(message["data"]);
    const first = data[0] ?? {};
    switch (type) {
      case "hello":
        this.hello = messages.hello(first);
        this.continuity.hello(this.hello.epoch);
        return [this.hello];
      case "gap":
        return this.counted(data.map(messages.gap));
      case "retired": {
        const retired = data.map(messages.retired);
        for (const one of retired) {
          this.continuity.forget({ ...one, symbol: escape(one.symbol) });
          if (one.channel === "book") this.books.forget(one.symbol);
        }
        return retired;
      }
      case "conflation":
        return data.map(messages.conflation);
      case "slow":
        return data.map(messages.slow);
      case "replay_completed":
        return data.map((row) => this.replayed(messages.replayCompleted(row)));
      case "epoch":
        // Another leader of a venue goes on with the numbers; else snapshots follow.
        if (first["continues"] !== true) {
          this.continuity.renumbered(messages.text(first, "epoch"));
          this.again.renumbered();
        }
        return [{ kind: "system", type, data }];
      default:
        return [{ kind: "system", type, data }];
    }
  }
}

function noData(wanted: Wanted): Gap {
  return bareGap(topicOf(wanted), "no_data");
}
