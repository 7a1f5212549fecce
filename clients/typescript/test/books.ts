/**
 * Reads messages of books, one a line, for the gateway's own tests, and prints what it made of
 * them.
 */

import { readFileSync } from "node:fs";
import { ClientSession } from "../src/session.js";
import { hello } from "./support.js";

const session = new ClientSession();
session.connected(0);
session.receive(hello(), 0, 0n);
const kinds: Record<string, number> = {};
const gaps: string[][] = [];
const symbols = new Set<string>();
for (const line of readFileSync(0, "utf8").split("\n")) {
  for (const event of session.receive(line, 0, 0n)) {
    kinds[event.kind] = (kinds[event.kind] ?? 0) + 1;
    if (event.kind === "gap") gaps.push([event.symbol, event.reason]);
    if (event.kind === "book") symbols.add(event.symbol);
  }
}
const ready = [...symbols].filter((symbol) => session.book(symbol)?.ready).length;
const { mismatches } = session.statistics();
console.log(JSON.stringify({ kinds, gaps, mismatches, ready }));
