/**
 * Prints what reading a record costs, from JSON and from binary frames; the lowest of several
 * rounds.
 */

import { readFileSync } from "node:fs";
import { parse } from "../src/json.js";
import { SbeReader } from "../src/sbe.js";
import { ClientSession } from "../src/session.js";

interface Frames {
  readonly hello: string;
  /** Of each kind, one record as JSON and as a binary frame (hexadecimal). */
  readonly records: Record<string, { json: string; sbe: string; announcement: string }>;
}

const FRAMES = 20_000;
/** The lowest of so many rounds, which may be given. */
const ROUNDS = Number(process.argv[2] ?? 15);
const NOW = 1_723_161_255_342_000_000n;

/** Nanoseconds of one call, as CPU time of the process: its garbage collection is in it. */
function best(run: (index: number) => unknown): number {
  let lowest = Infinity;
  let kept: unknown;
  for (let round = 0; round < ROUNDS; round++) {
    const from = process.cpuUsage();
    for (let index = 0; index < FRAMES; index++) kept = run(index);
    const { user, system } = process.cpuUsage(from);
    lowest = Math.min(lowest, ((user + system) * 1000) / FRAMES);
  }
  if (kept === undefined) throw new Error("nothing was read");
  return lowest;
}

/** Records that follow each other, as a socket gives them: no text is the same object twice. */
function chain(text: string): string[] {
  return Array.from({ length: FRAMES }, (_, index) =>
    Buffer.from(text.replace(/"seq":[0-9]+/, `"seq":${index + 8813}`)).toString(),
  );
}

/** The same of binary frames. */
function frames(hexadecimal: string): Uint8Array[] {
  return Array.from({ length: FRAMES }, (_, index) => {
    const frame = Uint8Array.from(Buffer.from(hexadecimal, "hex"));
    new DataView(frame.buffer).setBigUint64(8, BigInt(index + 8813), true);
    return frame;
  });
}

const golden = readFileSync(process.env["TICKGATE_GOLDEN"] as string, "utf8");
const { hello, records } = (JSON.parse(golden) as { bench: Frames }).bench;
const rows: [string, number][] = [];
for (const [kind, record] of Object.entries(records)) {
  const texts = chain(record.json);
  const binary = frames(record.sbe);
  const announcement = Uint8Array.from(Buffer.from(record.announcement, "hex"));
  rows.push([
    `${kind} json JSON.parse`,
    best((index) => JSON.parse(texts[index] as string) as unknown),
  ]);
  rows.push([`${kind} json parse`, best((index) => parse(texts[index] as string))]);
  const json = new ClientSession("json");
  json.connected(0);
  json.receive(hello, 0, NOW);
  rows.push([`${kind} json client`, best((index) => json.receive(texts[index] as string, 0, NOW))]);
  const reader = new SbeReader();
  reader.read(announcement, NOW);
  rows.push([`${kind} sbe parse`, best((index) => reader.read(binary[index] as Uint8Array, NOW))]);
  const sbe = new ClientSession("sbe");
  sbe.connected(0);
  sbe.receive(hello, 0, NOW);
  sbe.receive(announcement, 0, NOW);
  rows.push([
    `${kind} sbe client`,
    best((index) => sbe.receive(binary[index] as Uint8Array, 0, NOW)),
  ]);
}
for (const [name, ns] of rows) console.log(`${name.padEnd(24)} ${ns.toFixed(0).padStart(6)} ns`);
