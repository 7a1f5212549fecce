/** What the tests share: dice with a seed, and sessions that are told things. */

import { ClientSession, type Encoding } from "../src/session.js";
import type { Event } from "../src/events.js";
import type { Params, Request } from "../src/requests.js";
import { stringify } from "../src/json.js";

export const NOW = 1_723_161_255_342_000_001n;

/** Numbers from 0 up to 1 that a seed decides (mulberry32). */
export function dice(seed: number): { below(limit: number): number; one<T>(of: readonly T[]): T } {
  let state = seed;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(random() * limit);
  return { below, one: (of) => of[below(of.length)] as (typeof of)[number] };
}

export function hello(epoch = "e1", heartbeat_ms = 1000): string {
  const data = [{ version: "1", connection_id: "c-1", epoch, now: NOW, heartbeat_ms, slo: {} }];
  return stringify({ channel: "system", type: "hello", data });
}

/** A session, and short ways to speak to it. */
export class Told {
  readonly session: ClientSession;
  now_ms = 0;

  constructor(encoding: Encoding = "json") {
    this.session = new ClientSession(encoding, 5000);
  }

  /** A new connection, which has said hello: what the session asks for. */
  connect(epoch = "e1"): Asked[] {
    this.session.connected(this.now_ms);
    this.tell(hello(epoch));
    return this.due();
  }

  tell(message: object | string | Uint8Array): Event[] {
    const raw = typeof message === "string" || message instanceof Uint8Array;
    return this.session.receive(raw ? message : stringify(message), this.now_ms, NOW);
  }

  due(): Asked[] {
    return asked(this.session.due(this.now_ms).requests);
  }

  /** Subscribes, and has it accepted with these members of each result. */
  subscribed(
    channel: string,
    symbols: string | string[],
    params: Params = {},
    more: object = {},
  ): Event[] {
    const requests = asked(this.session.subscribe(channel, symbols, params));
    return requests.flatMap((one) => this.accept(one, more));
  }

  accept(one: Asked, more: object = {}): Event[] {
    const { channel, symbol } = one.params;
    const results = symbol.map((name) => ({ symbol: name, success: true, channel, ...more }));
    return this.tell({ method: one.method, req_id: one.req_id, success: true, failed: 0, results });
  }

  trade(seq: number, more: object = {}): Event[] {
    return this.tell(trade(seq, more));
  }
}

export interface Asked {
  readonly method: string;
  readonly req_id: number;
  readonly params: Params & { channel: string; symbol: string[] };
}

export function asked(requests: readonly Request[]): Asked[] {
  return requests.map((one) => JSON.parse(one.text) as Asked);
}

export function trade(seq: number, more: object = {}): object {
  const times = { ts_event: NOW, ts_recv: NOW, ts_send: NOW };
  const data = [{ id: "1", price: "64250.10", qty: "0.015", side: "buy" }];
  return { channel: "trade", type: "update", symbol: "A.SIM", seq, ...times, data, ...more };
}

export function bbo(seq: number, more: object = {}): object {
  const data = [{ bid: "1.0", bid_qty: "2", ask: null, ask_qty: null }];
  return trade(seq, { channel: "bbo", data, ...more });
}

/** Reason, first, last and count of each gap among them. */
export function gaps(events: readonly Event[]): (string | number | null)[][] {
  return events.flatMap((one) =>
    one.kind === "gap" ? [[one.reason, one.from_seq, one.to_seq, one.lost]] : [],
  );
}

export function kinds(events: readonly Event[]): string[] {
  return events.map((one) => one.kind);
}
