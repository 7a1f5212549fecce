import assert from "node:assert/strict";
import { test } from "node:test";
import type { Event } from "../src/events.js";
import type { JsonObject } from "../src/json.js";
import { tick } from "../src/messages.js";
import { EventQueue } from "../src/queue.js";
import { Bbo, Book, Tick, Trade } from "../src/ticks.js";
import { NOW, Told, bbo, dice, kinds, trade } from "./support.js";

const lossless = ({ channel }: { channel: string }) => channel === "trade";

function read(message: object): Event {
  return tick(message as JsonObject, NOW);
}

function system(type: string, data: object): Event {
  const told = new Told();
  told.connect();
  return told.tell({ channel: "system", type, data: [data] })[0]!;
}

async function drain(queue: EventQueue): Promise<Event[]> {
  queue.end();
  const found: Event[] = [];
  for (let next = await queue.take(); !next.done; next = await queue.take()) found.push(next.value);
  return found;
}

test("who waits gets the event at once, in order; the end ends all", async () => {
  const queue = new EventQueue(4, lossless);
  const first = [queue.take(), queue.take(), queue.take()];
  queue.push(read(trade(1)));
  queue.push(read(trade(2)));
  queue.end();
  const [one, two, three] = await Promise.all(first);
  assert.deepEqual([(one!.value as Tick).seq, (two!.value as Tick).seq, three!.done], [1, 2, true]);
  assert.equal((await queue.take()).done, true);
});

test("below the bound nothing is touched", async () => {
  const queue = new EventQueue(100, lossless);
  for (let seq = 1; seq <= 100; seq++) queue.push(read(bbo(seq)));
  assert.deepEqual(
    (await drain(queue)).map((one) => (one as Tick).seq),
    Array.from({ length: 100 }, (_, at) => at + 1),
  );
});

test("a slow consumer gets the newest, and each record is accounted for", async () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = dice(seed);
    const max = random.one([2, 8, 50, 64]);
    const queue = new EventQueue(max, lossless);
    const topics = Array.from({ length: 1 + random.below(9) }, (_, at) => ({
      channel: random.one(["trade", "bbo"]),
      symbol: `S${at}.SIM`,
      seq: 0,
      seen: 0,
    }));
    const find = (event: { channel: string; symbol: string }) =>
      topics.find((one) => one.channel === event.channel && one.symbol === event.symbol)!;
    let most = 0;
    const account = (event: Event) => {
      if (event instanceof Trade || event instanceof Bbo) {
        const topic = find(event);
        assert.equal(event.seq, topic.seen + 1 + event.skipped, `seed ${seed}`);
        topic.seen = event.seq;
      } else if (event.kind === "gap") {
        assert.equal(event.reason, "consumer");
        const topic = find(event);
        assert.equal(event.from_seq, topic.seen + 1);
        assert.equal(event.lost, event.to_seq! - event.from_seq! + 1);
        topic.seen = event.to_seq!;
      }
    };
    for (let round = 0; round < 1500; round++) {
      const topic = random.one(topics);
      topic.seq++;
      const { seq, symbol } = topic;
      queue.push(read(topic.channel === "bbo" ? bbo(seq, { symbol }) : trade(seq, { symbol })));
      most = Math.max(most, queue.size);
      if (random.below(3) === 0) account((await queue.take()).value!);
    }
    (await drain(queue)).forEach(account);
    for (const topic of topics)
      assert.equal(topic.seen, topic.seq, `${topic.channel} seed ${seed}`);
    assert.ok(most <= Math.max(max, 2 * (max / 2 + 2 * topics.length)) + 1, `${most} of ${max}`);
    assert.ok(queue.conflated + queue.dropped > 0);
  }
});

test("many topics make room for themselves: a pass is not made for every event", () => {
  const queue = new EventQueue(4, lossless);
  const push = (at: number) => queue.push(read(bbo(1 + at, { symbol: `S${at % 100}.SIM` })));
  for (let at = 0; at < 150; at++) push(at);
  assert.deepEqual([queue.size, queue.conflated], [150, 0]);
  for (let at = 150; at < 10_000; at++) push(at);
  assert.ok(queue.size <= 200 && queue.conflated > 9000);
});

test("trades that nobody reads are one gap and the newest", async () => {
  const queue = new EventQueue(8, lossless);
  for (let seq = 1; seq <= 10_000; seq++) queue.push(read(trade(seq)));
  const [gap, ...rest] = (await drain(queue)).filter(
    (one) => one.kind !== "gap" || one.lost !== null,
  );
  assert.ok(gap?.kind === "gap" && rest.length <= 9);
  assert.ok(rest.filter((one) => one.kind === "gap").length <= 1);
});

test("what was taken is let go, also where the queue is never empty", async () => {
  const queue = new EventQueue(8, lossless);
  for (let seq = 1; seq <= 5; seq++) queue.push(read(trade(seq)));
  for (let seq = 6; seq <= 5000; seq++) {
    queue.push(read(trade(seq)));
    assert.equal(((await queue.take()).value as Tick).seq, seq - 5);
  }
  assert.ok((queue as unknown as { events: Event[] }).events.length < 50);
});

test("notices of one kind are merged, and gaps keep their sum", async () => {
  const queue = new EventQueue(4, lossless);
  const row = { channel: "bbo", symbol: "A.SIM" };
  for (let round = 0; round < 50; round++) {
    queue.push({ kind: "malformed", reason: `${round}` });
    queue.push(system("slow", { level: round, was: 0 }));
    queue.push(system("gap", { ...row, reason: "lapped", from: round * 2, to: round * 2 + 1 }));
    queue.push(system("conflation", { class: round % 2, interval_ms: round, was_ms: 0 }));
  }
  assert.ok(queue.size <= 11);
  const events = await drain(queue);
  assert.deepEqual(
    events
      .filter((one) => one.kind === "slow")
      .map((one) => one.level)
      .at(-1),
    49,
  );
  const lost = events.reduce((sum, one) => sum + (one.kind === "gap" ? (one.lost ?? 0) : 0), 0);
  assert.equal(lost, 100);
  assert.equal(new Set(kinds(events)).size, 4);
});

test("changes of a book that the client does not have are dropped with a gap", async () => {
  const queue = new EventQueue(4, lossless);
  const data = [{ bids: [["1", "1"]], asks: [], depth: 10 }];
  for (let seq = 1; seq <= 5; seq++) queue.push(read(trade(seq, { channel: "book", data })));
  const [gap, ...rest] = await drain(queue);
  assert.ok(gap?.kind === "gap" && gap.lost === 3 && gap.channel === "book");
  assert.deepEqual(
    rest.map((one) => (one as Book).seq),
    [4, 5],
  );
});

test("a book that waits becomes a snapshot of what it is by then", async () => {
  const told = new Told();
  told.connect();
  const queue = new EventQueue(3, lossless);
  const push = (seq: number, type: string, bids: string[][]) => {
    const data = [{ bids, asks: [], depth: 10 }];
    for (const event of told.tell(trade(seq, { channel: "book", type, data }))) queue.push(event);
  };
  push(1, "snapshot", [["1", "1"]]);
  push(2, "update", [["2", "1"]]);
  push(3, "update", [["1", "0"]]);
  push(4, "update", [["3", "5"]]);
  push(5, "update", [["4", "4"]]);
  const [merged, next] = await drain(queue);
  assert.ok(merged instanceof Book && next instanceof Book);
  assert.deepEqual([merged.type, merged.seq, merged.skipped], ["snapshot", 4, 3]);
  assert.deepEqual(
    merged.bids.map((one) => one.price_text),
    ["3", "2"],
  );
  assert.deepEqual([next.type, next.seq, next.bids.length], ["update", 5, 1]);
});

test("what stands for several says of the book what is true by then", async () => {
  const told = new Told();
  told.connect();
  const push = (queue: EventQueue, seq: number, type: string, more: object = {}) => {
    const data = [{ bids: [["1", `${seq}`]], asks: [], depth: 10, first_id: `${seq}`, ...more }];
    for (const event of told.tell(trade(seq, { channel: "book", type, data }))) queue.push(event);
  };
  const queue = new EventQueue(8, lossless);
  push(queue, 1, "snapshot");
  for (let seq = 2; seq <= 9; seq++) push(queue, seq, "update", { maybe_bad: seq === 9 });
  const [merged, ...others] = await drain(queue);
  assert.ok(merged instanceof Book && others.length === 0);
  assert.deepEqual([merged.type, merged.seq, merged.skipped], ["snapshot", 9, 8]);
  assert.deepEqual(merged.details, {
    depth: 10,
    first_id: null,
    last_id: null,
    maybe_bad: true,
    checksum: told.session.book("A.SIM")!.checksum(),
  });

  const snapshots = new EventQueue(8, lossless);
  for (let seq = 10; seq <= 18; seq++) push(snapshots, seq, "snapshot");
  const [newest] = await drain(snapshots);
  assert.ok(newest instanceof Book && newest.book !== null);
  assert.deepEqual([newest.type, newest.seq, newest.skipped], ["snapshot", 18, 8]);
  assert.equal(newest.details.first_id, "18", "a snapshot stays as it was");

  const doubtful = new EventQueue(8, lossless);
  for (let seq = 19; seq <= 26; seq++) push(doubtful, seq, "update");
  push(doubtful, 27, "update", { checksum: 1 });
  const [last, gap] = await drain(doubtful);
  assert.ok(last instanceof Book && gap?.kind === "gap" && gap.reason === "checksum");
  assert.deepEqual([last.type, last.seq, last.skipped, last.book], ["update", 26, 7, null]);
  assert.deepEqual(
    last.bids.map((one) => one.qty_text),
    ["26"],
  );
});
