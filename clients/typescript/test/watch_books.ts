/** What the gateway's own tests do with books, in Node and in a page. */

import type { Client } from "../src/index.js";

const KINDS = ["book", "gap", "hello", "disconnected", "malformed", "raw", "replay_completed"];

interface Topic {
  first: number;
  last: number;
  frames: number;
  skipped: number;
}

/** Subscribes to the books of A and B; what obeys the tests' orders. */
export async function watch(client: Client) {
  const topics: Record<string, Topic> = {};
  const kinds: Record<string, number> = {};
  const wrong: string[] = [];
  for (const kind of KINDS) {
    kinds[kind] = 0;
    client.on(kind as "book" | "gap", (event) => {
      kinds[kind]!++;
      if (event.kind === "gap") wrong.push(`gap ${event.symbol} ${event.reason}`);
    });
  }
  client.on("book", ({ symbol, seq, skipped, type, book }) => {
    const topic = (topics[symbol] ??= { first: seq, last: seq - 1, frames: 0, skipped: 0 });
    // A snapshot may repeat what is known.
    if (seq !== topic.last) {
      const first = topic.first === seq;
      if (!first && seq !== topic.last + 1 + skipped) {
        wrong.push(`${type} ${seq} after ${topic.last} and ${skipped}`);
      }
      topic.frames++;
      topic.skipped += first ? 0 : skipped;
      topic.last = seq;
    }
    const [bid, ask] = [book?.bids[0], book?.asks[0]];
    const good = book?.ready && book.seq === seq && bid && ask;
    if (!good || bid.price_float >= ask.price_float) wrong.push(`the book of ${type} ${seq}`);
  });
  const orders = {
    async leave() {
      await client.unsubscribe("book", "A.SIM");
      return { last: topics["A.SIM"]?.last };
    },
    async resume() {
      const from = { epoch: client.hello?.epoch ?? "", seq: topics["A.SIM"]?.last ?? 0 };
      const [result] = await client.subscribe("book", "A.SIM", { depth: 5, from });
      return { recovery: result?.recovery, seq: result?.seq, to: result?.to };
    },
    async end() {
      await client.offset(1); // its reply comes behind all frames
      const books = Object.fromEntries(
        Object.keys(topics).map((symbol) => {
          const { bids = [], asks = [], ready } = client.book(symbol) ?? {};
          const [first, second] = [bids, asks].map((side) =>
            [...side].map((one) => [one.price_text, one.qty_text]),
          );
          return [symbol, { bids: first, asks: second, ready }];
        }),
      );
      const { mismatches, malformed } = client.statistics();
      client.close();
      return { topics, kinds, wrong, books, mismatches, malformed };
    },
  };
  await client.connect();
  await client.subscribe("book", "A.SIM", { depth: 5 });
  await client.subscribe("book", "B.SIM", { depth: 0 });
  return orders;
}
