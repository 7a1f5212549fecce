/**
 * The client: one connection at a time, opened again as the close codes allow.
 *
 * The first connection's failure is the caller's (`ConnectFailed`), unless it waits (`wait_s`);
 * afterwards the client reconnects by itself, asks again for everything subscribed to, at a pace
 * that the gateway takes, and tells of it with `Disconnected` and `Hello`, and with a `Gap` for
 * each lossless topic of which it missed something.
 */

import { Backoff, reconnects } from "./backoff.js";
import type { OrderBook } from "./book.js";
import { Clock, type Offset, type Ping, estimate } from "./clock.js";
import { Credentials, type Token } from "./credentials.js";
import { ConnectFailed, ConnectionLost, RequestRefused } from "./errors.js";
import type { Event, Hello, Listed, Reply, Result } from "./events.js";
import type { JsonObject } from "./json.js";
import { EventQueue } from "./queue.js";
import type { Params, Request } from "./requests.js";
import { ClientSession, type Encoding } from "./session.js";
import type { Statistics } from "./statistics.js";

export { ConnectFailed, ConnectionLost, RequestRefused, type Token };

/** What a WebSocket must have: those of browsers, of Node 22 and of npm's `ws` do. */
export interface SocketLike {
  binaryType: string;
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

export interface ClientOptions {
  /** Who the client is; a function is asked at each connection, and before a token expires. */
  token?: Token;
  /** How data comes: "json", or "sbe" (binary: shorter). What is yielded is the same. */
  encoding?: Encoding;
  /** How long the first connection may be tried for; Infinity: until there is one. */
  wait_s?: number;
  /** Whether it connects again when a connection ends. */
  reconnect?: boolean;
  /** Events that may wait for the iteration before they are merged; 0: there is none. */
  events_max?: number;
  /** How long each handshake and each reply may take. */
  timeout_s?: number;
  /** By when the first frame of a name that has a state must come, or it is asked for again. */
  first_data_s?: number;
  backoff?: Backoff;
  /** Where the platform has no WebSocket (Node before 22): that of npm's `ws`, or another one. */
  WebSocket?: SocketConstructor;
}

/** Pages of one `list` or `stats`: a server that never ends is not followed for ever. */
const PAGES_MAX = 1000;
/** A connection that held for so long was a good one: the next backoff begins at its base again. */
const STABLE_MS = 10_000;
/** What the gateway says of when to come back is obeyed up to here; a restart says 60.5 at most. */
const RETRY_AFTER_MS_MAX = 61_000;
const WATCH_MS = 200;

type Listener = (event: never) => void;

interface Pending {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

/** A subscriber of the gateway: an async iterable of events, or callbacks by their `kind`. */
export class Client {
  private readonly session: ClientSession;
  private readonly queue: EventQueue;
  private readonly clock = new Clock();
  private readonly backoff: Backoff;
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly replies = new Map<number | string | null, Pending>();
  private readonly options: Required<Omit<ClientOptions, "backoff" | "token" | "WebSocket">>;
  private readonly credentials: Credentials;
  private readonly socketOf: SocketConstructor | undefined;
  private socket: SocketLike | null = null;
  /** Ends the attempt to connect that is under way. */
  private abandon: ((error: ConnectFailed) => void) | null = null;
  private opened_ms = 0;
  private retry_ms: number | null = null; // what the gateway asked for as it shut down
  private watch: ReturnType<typeof setInterval> | undefined;
  private next: ReturnType<typeof setTimeout> | undefined;
  private silent = false;
  private closed = false;

  /** @param url the clients' endpoint, `ws://HOST:PORT/v1`. */
  constructor(
    readonly url = "ws://127.0.0.1:8765/v1",
    options: ClientOptions = {},
  ) {
    const { backoff, token, WebSocket: injected, ...given } = options;
    this.credentials = new Credentials(token);
    const usual = { encoding: "json", wait_s: 0, reconnect: true, events_max: 4096 } as const;
    this.options = { ...usual, timeout_s: 10, first_data_s: 5, ...given };
    this.backoff = backoff ?? new Backoff();
    this.socketOf = injected ?? (globalThis.WebSocket as SocketConstructor | undefined);
    this.session = new ClientSession(this.options.encoding, this.options.first_data_s * 1000);
    this.queue = new EventQueue(this.options.events_max, (topic) => this.session.lossless(topic));
  }

  // --- life --------------------------------------------------------------------------------------

  /**
   * Connects, once for each client.
   *
   * @throws {ConnectFailed} there is no gateway, or none that takes this client.
   */
  async connect(): Promise<this> {
    if (this.watch !== undefined || this.closed) throw new Error("a client connects once");
    this.watch = setInterval(() => this.look(), WATCH_MS);
    const until_ms = this.clock.mono_ms() + this.options.wait_s * 1000;
    for (;;) {
      try {
        await this.open();
        this.backoff.reset();
        return this;
      } catch (error) {
        const left_ms = until_ms - this.clock.mono_ms();
        const final = !(error instanceof ConnectFailed) || !error.retryable || left_ms <= 0;
        if (final || this.closed) {
          this.stop();
          throw error;
        }
        await sleep(Math.min(this.backoff.next_s() * 1000, left_ms));
        if (this.closed) throw error;
      }
    }
  }

  /** Closes with 1000 and ends the iteration. */
  close(): void {
    this.closed = true;
    this.abandon?.(new ConnectFailed("the client was closed", false));
    const socket = this.release();
    this.stop();
    socket?.close(1000);
  }

  private stop(): void {
    this.closed = true;
    clearInterval(this.watch);
    clearTimeout(this.next);
    this.queue.end();
  }

  /** The present connection's greeting. */
  get hello(): Hello | null {
    return this.session.hello;
  }

  /** Counts over all connections so far, and what the queue merged and dropped. */
  statistics(): Statistics & { conflated: number; dropped: number; waiting: number } {
    const { conflated, dropped, size } = this.queue;
    return { ...this.session.statistics(), conflated, dropped, waiting: size };
  }

  /** The order book of an instrument that is subscribed to; null before its first frame. */
  book(symbol: string): OrderBook | null {
    return this.session.book(symbol);
  }

  // --- requests ----------------------------------------------------------------------------------

  /**
   * Subscribes to a name or pattern, or several; one result for each string.
   *
   * @throws {RequestRefused} the request as a whole was bad.
   * @throws {ConnectionLost} the connection ended first; it is asked for again with the next one.
   */
  subscribe(
    channel: string,
    symbols: string | Iterable<string>,
    params?: Params,
  ): Promise<Result[]> {
    return this.results(this.session.subscribe(channel, symbols, params));
  }

  /** Changes parameters of subscriptions, without a snapshot and without a break. */
  update(channel: string, symbols: string | Iterable<string>, params?: Params): Promise<Result[]> {
    return this.results(this.session.update(channel, symbols, params));
  }

  /** Ends subscriptions; rejects as `subscribe` does. */
  unsubscribe(
    channel: string,
    symbols: string | Iterable<string>,
    params?: Params,
  ): Promise<Result[]> {
    return this.results(this.session.unsubscribe(channel, symbols, params));
  }

  /** Every instrument that the gateway knows, or those of a channel and of patterns. */
  async instruments(params: { channel?: string; symbol?: string[] } = {}): Promise<Listed[]> {
    return (await this.pages("list", params)).flatMap((page) => page.instruments);
  }

  /** The accounting of this connection's subscriptions. */
  async stats(): Promise<JsonObject[]> {
    return (await this.pages("stats", {})).flatMap((page) => page.subscriptions);
  }

  private async pages(method: string, params: object): Promise<Reply[]> {
    const pages = [await this.ask(this.session.request(method, params))];
    for (let page = pages[0]; page !== undefined && page.next !== null; page = pages.at(-1)) {
      if (pages.length >= PAGES_MAX) break;
      pages.push(await this.ask(this.session.request(method, { ...params, after: page.next })));
    }
    return pages;
  }

  /** The gateway's clock minus this host's, by the fastest of so many pings; null: not known. */
  async offset(samples = 20): Promise<Offset | null> {
    const pings: Ping[] = [];
    for (let count = 0; count < samples; count++) {
      const reply = await this.ask(this.session.request("ping", { t0: this.clock.real_ns() }));
      pings.push({ t0: reply.t0, t1: reply.t1, t2: reply.t2, t3: reply.ts_client });
    }
    return estimate(pings);
  }

  private async results(requests: Request[]): Promise<Result[]> {
    const replies = await Promise.all(requests.map((request) => this.ask(request)));
    return replies.flatMap((reply) => reply.results);
  }

  private ask(request: Request): Promise<Reply> {
    const reply = new Promise<Reply>((resolve, reject) => {
      if (this.socket === null) {
        reject(new ConnectionLost("not connected"));
        return;
      }
      const timer = setTimeout(
        () => this.answer(request.req_id)?.reject(new ConnectionLost("no reply in time")),
        this.options.timeout_s * 1000,
      );
      this.replies.set(request.req_id, {
        resolve: (value) => (clearTimeout(timer), resolve(value)),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      this.send(request);
    });
    return reply.then((value) => {
      if (value.error === null) return value;
      throw new RequestRefused(`${value.error.code}: ${value.error.message}`);
    });
  }

  private answer(req_id: number | string | null): Pending | undefined {
    const pending = this.replies.get(req_id);
    this.replies.delete(req_id);
    return pending;
  }

  private send(request: Request): void {
    try {
      this.socket?.send(request.text);
    } catch {
      // It is closing: its end is told, and what is wanted is asked for on the next connection.
    }
  }

  // --- events ------------------------------------------------------------------------------------

  /** Calls back for each event of a kind, as it comes; the function that it returns ends that. */
  on<Kind extends Event["kind"]>(
    kind: Kind,
    listener: (event: Extract<Event, { kind: Kind }>) => void,
  ): () => void {
    const listeners = this.listeners.get(kind) ?? new Set();
    this.listeners.set(kind, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** All events since the client was made; it ends when the client does. */
  [Symbol.asyncIterator](): AsyncIterator<Event, undefined> {
    if (this.options.events_max === 0) {
      throw new Error("events_max is 0: nothing is kept to iterate");
    }
    return {
      next: () => this.queue.take(),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  private tell(event: Event): void {
    for (const listener of this.listeners.get(event.kind) ?? []) {
      try {
        listener(event as never);
      } catch (error) {
        // The program's bug: it is reported as one, and the other events go on.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (this.options.events_max > 0) this.queue.push(event);
  }

  // --- the connection ----------------------------------------------------------------------------

  private open(): Promise<void> {
    return this.credentials.dial((words) => this.dial(words), this.url);
  }

  /** One attempt, up to the gateway's hello. */
  private dial(credentials: string[]): Promise<void> {
    const { url, options } = this;
    if (this.closed) return Promise.reject(new ConnectFailed("the client was closed", false));
    return new Promise((resolve, reject) => {
      const socket = this.construct(credentials);
      const timer = setTimeout(
        () => fail(new ConnectFailed(`${url} did not answer in ${options.timeout_s} s`, true)),
        options.timeout_s * 1000,
      );
      const fail = (error: ConnectFailed) => {
        clearTimeout(timer);
        detach(socket);
        this.abandon = null;
        socket.close();
        reject(error);
      };
      let why = "";
      this.abandon = fail;
      socket.binaryType = "arraybuffer";
      socket.onopen = () => this.session.connected(this.clock.mono_ms());
      socket.onerror = (event: { message?: string }) => {
        why = event.message ?? "";
      };
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => {
        const words = [code, reason || why].filter((one) => one !== "").join(" ");
        fail(new ConnectFailed(`${url}: ${words}`, reconnects(code), code));
      };
      socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
        const [first] = this.session.receive(data, this.clock.mono_ms(), this.clock.real_ns());
        if (first?.kind !== "hello") {
          fail(new ConnectFailed(`${url} is no gateway: it sent no hello`, false));
          return;
        }
        clearTimeout(timer);
        this.abandon = null;
        this.use(socket);
        this.tell(first);
        this.pump();
        resolve();
      };
    });
  }

  /** @param credentials as a subprotocol, since browsers set no header; it is never echoed. */
  private construct(credentials: string[]): SocketLike {
    if (this.socketOf === undefined) {
      throw new ConnectFailed(
        "no WebSocket on this platform: give one as options.WebSocket",
        false,
      );
    }
    try {
      const encoding = `tickgate.v1.${this.options.encoding}`;
      return new this.socketOf(this.url, [encoding, ...credentials]);
    } catch (error) {
      throw new ConnectFailed(`${this.url}: ${String(error)}`, false);
    }
  }

  /** From its hello on the connection is the client's. */
  private use(socket: SocketLike): void {
    this.socket = socket;
    this.opened_ms = this.clock.mono_ms();
    this.silent = false;
    socket.onerror = () => undefined; // the close that follows says it
    socket.onmessage = ({ data }: { data: string | ArrayBuffer }) => {
      const events = this.session.receive(data, this.clock.mono_ms(), this.clock.real_ns());
      for (const event of events) this.handle(event);
      this.pump();
    };
    socket.onclose = ({ code, reason }: { code: number; reason: string }) =>
      this.lost(code, reason);
  }

  /** Takes the connection away from the client; who waits for replies is told. */
  private release(): SocketLike | null {
    const { socket } = this;
    this.socket = null;
    if (socket !== null) detach(socket);
    const pending = [...this.replies.values()];
    this.replies.clear();
    for (const { reject } of pending) reject(new ConnectionLost("the connection ended"));
    return socket;
  }

  private handle(event: Event): void {
    if (event.kind === "reply") {
      const pending = this.answer(event.req_id);
      pending?.resolve(event);
      const well = event.success && event.results.every((result) => result.success);
      if (pending !== undefined || well) return; // of the client's own requests failures are news
    }
    if (event.kind === "system" && event.type === "shutdown") {
      const after_ms = event.data[0]?.["reconnect_after_ms"];
      if (typeof after_ms === "number") {
        this.retry_ms = Math.max(0, Math.min(after_ms, RETRY_AFTER_MS_MAX));
      }
    }
    if (event.kind === "system" && event.type === "auth_expiring") {
      const { socket } = this;
      this.credentials.renew((token) => {
        if (this.socket === socket) this.send(this.session.request("auth", { token }));
      });
    }
    this.tell(event);
  }

  /** Sends and tells what is due. */
  private pump(): void {
    const { requests, events } = this.session.due(this.clock.mono_ms());
    for (const request of requests) this.send(request);
    for (const event of events) this.tell(event);
  }

  /**
   * Ends a connection that is silent, and asks for what is due.
   *
   * Silence has to be seen twice: after the program itself was held up, messages that came
   * meanwhile are read between the two.
   */
  private look(): void {
    if (this.socket === null) return;
    const before = this.silent;
    this.silent = this.session.stale(this.clock.mono_ms());
    if (this.silent && before) {
      const socket = this.release();
      socket?.close();
      this.ended(1006, "no heartbeat", true);
    } else {
      this.pump();
    }
  }

  private lost(code: number, reason: string): void {
    this.release();
    this.ended(code, reason, reconnects(code));
  }

  /** The connection, or an attempt, is over: the next one, or the end. */
  private ended(code: number, reason: string, retryable: boolean): void {
    if (this.closed) return;
    this.session.disconnected();
    if (this.opened_ms > 0 && this.clock.mono_ms() - this.opened_ms >= STABLE_MS) {
      this.backoff.reset();
    }
    this.opened_ms = 0;
    if (!this.options.reconnect || !retryable) {
      this.tell({ kind: "disconnected", code, reason, retry_s: null });
      this.stop();
      return;
    }
    const asked_ms = this.retry_ms;
    this.retry_ms = null;
    // Never before the gateway asked for, and never exactly then: it may have told others the same.
    const retry_s =
      asked_ms === null ? this.backoff.next_s() : asked_ms / 1000 + this.backoff.jitter_s();
    this.tell({ kind: "disconnected", code, reason, retry_s });
    this.next = setTimeout(() => {
      this.open().catch((error: unknown) => {
        const failed = error instanceof ConnectFailed;
        this.ended(failed ? error.code : 1006, String(error), failed && error.retryable);
      });
    }, retry_s * 1000);
  }
}

function detach(socket: SocketLike): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.onerror = () => undefined; // npm's `ws` throws what no listener takes
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
