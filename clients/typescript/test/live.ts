/**
 * A client of a real gateway, for the gateway's own tests: URL, encoding, whose WebSocket, and of
 * which names and patterns it wants trades.
 *
 * It says "ready" once it is subscribed, and at the end of its input what it has seen, as JSON.
 */

import { Client, type SocketConstructor } from "../src/index.js";

const [url = "", encoding = "json", whose = "platform", ...trades] = process.argv.slice(2);
const ws = "ws"; // not typed: a tool of the tests
const injected =
  whose === "ws"
    ? { WebSocket: ((await import(ws)) as { WebSocket: SocketConstructor }).WebSocket }
    : {};
const client = new Client(url, {
  encoding: encoding === "sbe" ? "sbe" : "json",
  wait_s: 10,
  ...injected,
});

const topics: Record<
  string,
  { first: number; last: number; ticks: number; skipped: number; lost: number }
> = {};
const kinds: Record<string, number> = {};
const gaps: unknown[][] = [];
const prices = new Set<string>();
let age_ms = 0;

await client.connect();
await client.subscribe("trade", trades);
await client.subscribe("bbo", "*.SIM");
await client.subscribe("slo", "*");
const offset = await client.offset(3);
process.stdin.on("end", () => void finish()).resume();
async function finish(): Promise<void> {
  await client.offset(1); // its reply comes behind all frames
  client.close();
}
console.log("ready");

for await (const event of client) {
  kinds[event.kind] = (kinds[event.kind] ?? 0) + 1;
  if (event.kind === "gap") {
    const topic = topics[`${event.channel} ${event.symbol}`];
    if (topic !== undefined) topic.lost += event.lost ?? 0;
    gaps.push([event.channel, event.symbol, event.reason, event.lost]);
  } else if (event.kind === "trade" || event.kind === "bbo") {
    const { channel, symbol, seq, skipped } = event;
    const name = `${channel} ${symbol}`;
    const topic = (topics[name] ??= {
      first: seq,
      last: seq - 1 - skipped,
      ticks: 0,
      skipped: 0,
      lost: 0,
    });
    if (seq > topic.last) topic.ticks++; // a snapshot may repeat what is known
    topic.skipped += topic.first === seq ? 0 : skipped;
    topic.last = seq;
    age_ms = Math.max(age_ms, event.age_ms);
    prices.add(String(event.kind === "trade" ? event.price_text : event.bid_text));
  }
}
const { malformed, wanted } = client.statistics();
const clock = offset === null ? null : Number(offset.error_ns);
console.log(
  JSON.stringify({ topics, kinds, gaps, prices: [...prices], malformed, wanted, age_ms, clock }),
);
