/**
 * A client of a real gateway's books, for the gateway's own tests: URL, encoding, and whose
 * WebSocket.
 *
 * A line of its input is an order: "leave" the book of A, "resume" it with `from`, "end" with what
 * it has seen. It answers each, and the first subscription, with a line.
 */

import { createInterface } from "node:readline";
import { Client, type SocketConstructor } from "../src/index.js";
import { watch } from "./watch_books.js";

const [url = "", encoding = "json", whose = "platform"] = process.argv.slice(2);
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

const orders = await watch(client);
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await orders[line as keyof typeof orders]();
  console.log(JSON.stringify(answer));
  if (line === "end") break;
}
