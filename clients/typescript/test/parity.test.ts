/** What the Python client asks for and tells in the same situations, this one does, too. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Event } from "../src/events.js";
import type { Statistics } from "../src/statistics.js";
import { type Asked, Told, asked } from "./support.js";

interface Step {
  readonly do: "connect" | "tell" | "subscribe" | "unsubscribe";
  readonly text: string;
  readonly channel: string;
  readonly symbol: string;
  readonly asks?: unknown[];
  readonly tells: unknown[];
}

interface Script {
  readonly steps: Step[];
  readonly statistics: Partial<Statistics>;
}

const path = process.env["TICKGATE_GOLDEN"];
const skip =
  path === undefined && "TICKGATE_GOLDEN names no scripts; the gateway's tests make them";
const golden = path === undefined ? '{"scripts":[],"books":[]}' : readFileSync(path, "utf8");
const { scripts, books } = JSON.parse(golden) as { scripts: Script[]; books: Script[] };

function told(event: Event): unknown[] {
  switch (event.kind) {
    case "trade":
      return [event.kind, event.symbol, event.type, event.seq, event.skipped, event.price_text];
    case "bbo":
      return [event.kind, event.symbol, event.type, event.seq, event.skipped, event.bid_text];
    case "book": {
      const { symbol, type, seq, skipped, book } = event;
      const sides = book === null ? [] : [book.bids, book.asks];
      const best = sides.map(([one]) => (one ? [one.price_text, one.qty_text] : null));
      return [event.kind, symbol, type, seq, skipped, best];
    }
    case "raw":
      return [event.kind, event.channel, event.symbol, event.seq, event.problem !== ""];
    case "gap": {
      const { channel, symbol, reason, from_seq, to_seq, lost } = event;
      return [event.kind, channel, symbol, reason, from_seq, to_seq, lost];
    }
    case "hello":
      return [event.kind, event.epoch];
    case "reply":
      return [event.kind, event.req_id, event.results.map((result) => result.success)];
    case "replay_completed":
      return ["replaycompleted", event.channel, event.symbol, event.from_seq, event.to_seq];
    case "retired":
      return [event.kind, event.channel, event.symbol];
    case "conflation":
      return [event.kind, event.class, event.interval_ms, event.was_ms, event.step];
    case "slow":
      return [event.kind, event.level, event.was, event.action, event.age_ms];
    case "system":
      return [event.kind, event.type];
    default:
      return [event.kind];
  }
}

function run(one: Told, step: Step): { asks: Asked[]; tells: Event[] } {
  switch (step.do) {
    case "connect": {
      one.session.connected(one.now_ms);
      const tells = one.tell(step.text);
      return { tells, asks: one.due() };
    }
    case "tell": {
      const tells = one.tell(step.text);
      return { tells, asks: one.due() };
    }
    default: {
      const { channel, symbol } = step;
      return { tells: [], asks: asked(one.session[step.do](channel, [symbol])) };
    }
  }
}

function check(some: Script[]): Set<string> {
  for (const [number, { steps, statistics }] of some.entries()) {
    const one = new Told();
    for (const [at, step] of steps.entries()) {
      one.now_ms += 1000;
      const { asks, tells } = run(one, step);
      const where = `script ${number} step ${at}: ${JSON.stringify(step)}`;
      assert.deepEqual(tells.map(told), step.tells, where);
        const requests = asks.map(({ req_id, params: { channel, symbol, from } }) => [
        req_id,
        channel,
        symbol,
        from ?? null,
      ]);
      assert.deepEqual(requests, step.asks ?? [], where);
    }
    assert.deepEqual(one.session.statistics(), statistics, `script ${number}`);
  }
  return new Set(some.flatMap(({ steps }) => steps.flatMap((step) => step.tells)).map(String));
}

test("the same situations, the same requests and events", { skip }, () => {
  assert.ok(check(scripts).size > 500 && scripts.length >= 50);
});

test("the same of order books", { skip }, () => {
  assert.ok(check(books).size > 500 && books.length >= 20);
  const mismatches = books.map(({ statistics }) => statistics.mismatches ?? 0);
  assert.ok(Math.max(...mismatches) > 3);
});
