/**
 * The client on a socket that the test moves: what it sends, when it comes back, when it gives up.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, reconnects } from "../src/backoff.js";
import {
  Client,
  type ClientOptions,
  ConnectFailed,
  ConnectionLost,
  RequestRefused,
} from "../src/client.js";
import { Clock, estimate } from "../src/clock.js";
import type { Event } from "../src/events.js";
import { stringify } from "../src/json.js";
import { NOW, hello, kinds, trade } from "./support.js";

/** A WebSocket whose other end is the test. */
class Socket {
  static made: Socket[] = [];
  binaryType = "blob";
  sent: { method: string; req_id: number; params: { channel: string; symbol: string[] } }[] = [];
  closed: number | undefined | null = null;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onerror: ((event: { message: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    if (url === "nonsense") throw new SyntaxError("no URL");
    Socket.made.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code?: number): void {
    this.closed = code;
  }

  /** Opens and greets. */
  greet(heartbeat_ms = 1000): void {
    this.onopen?.();
    this.tell(hello("e1", heartbeat_ms));
  }

  tell(message: string | object): void {
    this.onmessage?.({ data: typeof message === "string" ? message : stringify(message) });
  }

  accept(more: object = {}): void {
    const { method, req_id, params } = this.sent.at(-1)!;
    const results = (params?.symbol ?? []).map((symbol) => ({
      symbol,
      success: true,
      channel: params.channel,
      ...more,
    }));
    this.tell({ method, req_id, success: true, results, ...more });
  }

  end(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }
}

const soon = (): Backoff => new Backoff(0.01, 0.02);

function make(options: ClientOptions = {}): { client: Client; events: Event[] } {
  Socket.made = [];
  const client = new Client("ws://127.0.0.1:1/v1", {
    WebSocket: Socket as unknown as NonNullable<ClientOptions["WebSocket"]>,
    backoff: soon(),
    ...options,
  });
  const events: Event[] = [];
  for (const kind of [
    "hello",
    "disconnected",
    "trade",
    "gap",
    "reply",
    "system",
    "malformed",
  ] as const) {
    client.on(kind, (event) => events.push(event));
  }
  return { client, events };
}

async function connected(options: ClientOptions = {}): Promise<ReturnType<typeof make>> {
  const made = make(options);
  const connecting = made.client.connect();
  Socket.made[0]!.greet();
  await connecting;
  return made;
}

const socket = (): Socket => Socket.made.at(-1)!;

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, "it never came to be");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test("it connects with its subprotocol, subscribes, and iterates until it is closed", async () => {
  const { client } = await connected({ encoding: "sbe" });
  assert.deepEqual([socket().protocols, socket().binaryType], [["tickgate.v1.sbe"], "arraybuffer"]);
  const asking = client.subscribe("trade", "A.SIM");
  socket().accept({ mode: "lossless", seq: 8812 });
  const [result] = await asking;
  assert.deepEqual([result?.symbol, result?.success, result?.seq], ["A.SIM", true, 8812]);
  socket().tell(trade(8813));
  const seen: string[] = [];
  for await (const event of client) {
    seen.push(event.kind);
    if (event.kind === "trade") client.close();
  }
  assert.deepEqual(seen, ["hello", "trade"]);
  assert.equal(socket().closed, 1000);
  assert.equal(client.statistics().ticks, 1);
  await assert.rejects(client.subscribe("trade", "B.SIM"), ConnectionLost);
  await assert.rejects(client.connect(), /once/);
});

test("it comes back by itself, asks again, and says what was missed", async () => {
  const { client, events } = await connected();
  const asking = client.subscribe("trade", "*.SIM");
  socket().accept({ mode: "lossless" });
  await asking;
  socket().tell(trade(7));
  socket().end(1006);
  await until(() => Socket.made.length === 2);
  socket().end(1006, "refused");
  await until(() => Socket.made.length === 3);
  socket().greet();
  assert.deepEqual(
    socket().sent.map((one) => one.params.symbol),
    [["*.SIM"]],
  );
  socket().accept({ mode: "lossless" });
  socket().tell(trade(10, { type: "snapshot" }));
  assert.deepEqual(kinds(events), [
    "hello",
    "trade",
    "disconnected",
    "disconnected",
    "hello",
    "gap",
    "trade",
  ]);
  const [gap] = events.filter((one) => one.kind === "gap");
  assert.deepEqual([gap?.reason, gap?.lost], ["reconnect", 2]);
  client.close();
});

test("a shutdown's time is kept, with a random part behind it", async () => {
  const { client, events } = await connected({ backoff: new Backoff(0.05, 1, () => 0.5) });
  socket().tell({ channel: "system", type: "shutdown", data: [{ reconnect_after_ms: 200 }] });
  socket().end(1012, "restart");
  const told = events.at(-1);
  assert.ok(told?.kind === "disconnected" && told.code === 1012 && told.retry_s === 0.225);
  const from = Date.now();
  await until(() => Socket.made.length === 2);
  assert.ok(Date.now() - from >= 215);
  client.close();
});

test("a client that is closed while it waits does not come back", async () => {
  const { client } = await connected();
  socket().end(1006);
  client.close();
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(Socket.made.length, 1);
});

test("a connection that did not hold begins no backoff anew", async () => {
  const backoff = soon();
  const { client } = await connected({ backoff });
  let resets = 0;
  backoff.reset = () => resets++;
  for (let round = 2; round <= 4; round++) {
    socket().end(1006);
    await until(() => Socket.made.length === round);
    socket().greet();
  }
  assert.equal(resets, 0);
  client.close();
});

test("what sends this client away for good ends the iteration", async () => {
  for (const code of [1000, 1002, 4500, 4502]) {
    const { client, events } = await connected();
    socket().end(code, "why");
    const told = events.at(-1);
    assert.ok(told?.kind === "disconnected" && told.retry_s === null && told.reason === "why");
    const seen: string[] = [];
    for await (const event of client) seen.push(event.kind);
    assert.deepEqual(seen, ["hello", "disconnected"]);
  }
  assert.deepEqual(
    [1001, 1006, 1011, 1012, 1013, 4001, 4008, 4499, 5000].filter((code) => !reconnects(code)),
    [],
  );
});

test("silence ends a connection, heartbeats keep it", async () => {
  const { client, events } = make();
  const connecting = client.connect();
  socket().greet(100);
  await connecting;
  for (let beat = 0; beat < 10; beat++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket().tell({ channel: "heartbeat", n: beat, ts_send: 1 });
  }
  assert.deepEqual(kinds(events), ["hello"]);
  await until(() => Socket.made.length === 2);
  const told = events[1];
  assert.ok(
    told?.kind === "disconnected" && told.reason === "no heartbeat" && told.retry_s !== null,
  );
  assert.notEqual(Socket.made[0]?.closed, null);
  client.close();
});

test("a program that was held up itself blames no connection", async () => {
  const { client, events } = make();
  const connecting = client.connect();
  socket().greet(100);
  await connecting;
  const until_ms = Date.now() + 800;
  while (Date.now() < until_ms); // no timer runs, no message is read
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (let beat = 0; beat < 5; beat++) {
    socket().tell({ channel: "heartbeat", n: beat, ts_send: 1 });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.deepEqual(kinds(events), ["hello"]);
  client.close();
});

test("the first connection is the caller's to judge", async () => {
  const failed = async (moves: (one: Socket) => void, options: ClientOptions = {}) => {
    const { client } = make(options);
    const connecting = client.connect();
    if (Socket.made.length > 0) moves(socket());
    return connecting.then(
      () => null,
      (error: unknown) => error as ConnectFailed,
    );
  };
  const refused = await failed((one) => one.end(1006));
  assert.ok(refused instanceof ConnectFailed && refused.retryable);
  const unwanted = await failed((one) => one.end(4501, "forbidden"));
  assert.ok(
    unwanted instanceof ConnectFailed && !unwanted.retryable && /forbidden/.test(unwanted.message),
  );
  const stranger = await failed((one) => (one.onopen?.(), one.tell('{"hi":1}')));
  assert.ok(
    stranger instanceof ConnectFailed && !stranger.retryable && /no gateway/.test(stranger.message),
  );
  const silent = await failed(() => undefined, { timeout_s: 0.05 });
  assert.ok(
    silent instanceof ConnectFailed && silent.retryable && /did not answer/.test(silent.message),
  );
  const { client } = make();
  const wrong = new Client("nonsense", { WebSocket: Socket as never });
  await assert.rejects(wrong.connect(), ConnectFailed);
  const connecting = client.connect();
  client.close();
  await assert.rejects(connecting, /closed/);
});

test("a gateway that is not up yet is waited for", async () => {
  const { client } = make({ wait_s: 10 });
  const connecting = client.connect();
  for (let attempt = 1; attempt <= 3; attempt++) {
    await until(() => Socket.made.length === attempt);
    if (attempt < 3) socket().end(1006);
  }
  socket().greet();
  await connecting;
  client.close();
});

test("requests: refused, unanswered, cut off", async () => {
  const { client, events } = await connected({ timeout_s: 0.05 });
  const refused = client.subscribe("nope", "A.SIM");
  const error = { code: "unknown_channel", message: "nope" };
  socket().tell({
    method: "subscribe",
    req_id: socket().sent.at(-1)!.req_id,
    success: false,
    error,
  });
  await assert.rejects(
    refused,
    (thrown) => thrown instanceof RequestRefused && /unknown_channel: nope/.test(thrown.message),
  );
  await assert.rejects(client.stats(), /no reply in time/);
  const cut = client.subscribe("trade", "A.SIM");
  socket().end(1006);
  await assert.rejects(cut, ConnectionLost);
  await until(() => Socket.made.length === 2);
  socket().greet();
  assert.deepEqual(
    socket().sent.map((one) => one.params.symbol),
    [["A.SIM"]],
    "it is wanted still",
  );
  const results = [{ symbol: "A.SIM", success: false, error: { code: "unknown_symbol" } }];
  socket().tell({ method: "subscribe", req_id: socket().sent[0]!.req_id, success: false, results });
  assert.equal(
    events.at(-1)?.kind,
    "reply",
    "a refusal of what the client asked for by itself is news",
  );
  client.close();
});

test("pages are followed to their end", async () => {
  const { client } = await connected();
  const listing = client.instruments({ channel: "trade" });
  for (const [symbol, next] of [
    ["A.SIM", "A.SIM"],
    ["B.SIM", undefined],
  ]) {
    await until(() => socket().sent.at(-1)?.method === "list");
    const { req_id } = socket().sent.pop()!;
    const instruments = [{ symbol, channels: ["trade", "bbo"] }];
    socket().tell({ method: "list", req_id, success: true, instruments, next });
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  assert.deepEqual(
    (await listing).map((one) => one.symbol),
    ["A.SIM", "B.SIM"],
  );
  client.close();
});

test("a listener's bug is reported and stops nothing", async () => {
  const { client, events } = await connected({ events_max: 0 });
  const thrown: unknown[] = [];
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => thrown.push(error));
  const stop = client.on("trade", () => {
    throw new Error("a bug");
  });
  socket().tell(trade(1));
  await until(() => thrown.length === 1);
  for (const listener of before) process.on("uncaughtException", listener);
  stop();
  socket().tell(trade(2));
  assert.deepEqual(kinds(events), ["hello", "trade", "trade"]);
  assert.equal(client.statistics().waiting, 0);
  assert.throws(() => client[Symbol.asyncIterator](), /events_max/);
  client.close();
});

test("the clock follows the wall clock when that is set, and is fine between", () => {
  let [mono_ms, wall_ms] = [0, 1_700_000_000_000];
  const clock = new Clock(
    () => mono_ms,
    () => wall_ms,
  );
  const first = clock.real_ns();
  mono_ms += 0.0005;
  assert.equal(clock.real_ns() - first, 500n);
  wall_ms += 5000;
  assert.equal(clock.real_ns() - first, 5_000_000_000n);
});

test("the offset is that of the fastest ping", () => {
  assert.equal(estimate([]), null);
  const ping = (there: bigint, back: bigint) => {
    const t1 = NOW + there + 5000n;
    return { t0: NOW, t1, t2: t1 + 10n, t3: NOW + there + 10n + back };
  };
  const set = { t0: 10n, t1: 0n, t2: 0n, t3: 1n };
  assert.deepEqual(estimate([ping(900n, 100n), ping(40n, 60n), set]), {
    offset_ns: 4990n,
    error_ns: 50n,
  });
});

test("backoff doubles to its cap, draws below it, and begins again", () => {
  const backoff = new Backoff(1, 30, () => 1);
  assert.deepEqual(
    Array.from({ length: 7 }, () => backoff.next_s()),
    [1, 2, 4, 8, 16, 30, 30],
  );
  backoff.reset();
  assert.deepEqual([backoff.next_s(), backoff.jitter_s()], [1, 1]);
  assert.equal(new Backoff(1, 30, () => 0.25).next_s(), 0.25);
});

test("a token goes with each connection, and a fresh one before it expires", async () => {
  let asked = 0;
  const token = async () => `t${++asked}`;
  const { client, events } = make({ token });
  const connecting = client.connect();
  await new Promise((resolve) => setTimeout(resolve, 0));
  const socket = Socket.made.at(-1)!;
  assert.deepEqual(socket.protocols, ["tickgate.v1.json", "bearer.t1"]);
  socket.greet();
  await connecting;
  socket.tell({ channel: "system", type: "auth_expiring", data: [{ expires_at: 1 }] });
  await new Promise((resolve) => setTimeout(resolve, 0));
  const { method, params } = socket.sent.at(-1)!;
  assert.equal(method, "auth");
  assert.deepEqual(params, { token: "t2" });
  assert.ok(events.some((event) => event.kind === "system"));
  client.close();
  const never = make({ token: () => Promise.reject(new Error("down")) }).client;
  await assert.rejects(never.connect(), /no token: Error: down/);
});
