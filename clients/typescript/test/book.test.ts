import assert from "node:assert/strict";
import { test } from "node:test";
import { OrderBook, checksum } from "../src/book.js";
import { Book, Level } from "../src/ticks.js";
import { Told, dice, gaps, kinds, trade } from "./support.js";

type Pair = [string, string];

/** By the words of the protocol, one after the other. */
function naiveChecksum(bids: Pair[], asks: Pair[], levels: number): number {
  const strip = (text: string) => text.replace(".", "").replace(/^(-?)0+/, "$1");
  const sides = [...asks.slice(0, levels), ...bids.slice(0, levels)];
  return crcOf(sides.map(([price, qty]) => strip(price) + strip(qty)).join(""));
}

/** Bit by bit. */
function crcOf(text: string): number {
  let crc = 0xffff_ffff;
  for (const byte of Buffer.from(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

function frame(
  seq: number,
  type: string,
  bids: Pair[],
  asks: Pair[],
  more: object = {},
  outer: object = {},
): object {
  return trade(seq, {
    channel: "book",
    type,
    data: [{ bids, asks, depth: 10, ...more }],
    ...outer,
  });
}

const texts = (side: readonly Level[]): Pair[] => side.map((one) => [one.price_text, one.qty_text]);

test("the checksum of Kraken's documentation", () => {
  const level = (price: string) => new Level(price, "0.00000500");
  const asks = ["05", "10", "15", "20", "25", "30", "35", "40", "45", "50"].map((one) =>
    level(`0.050${one}`),
  );
  const bids = ["5000", "4995", "4990", "4980", "4975", "4970", "4965", "4960", "4955", "4950"];
  assert.equal(
    checksum(
      bids.map((one) => level(`0.0${one}`)),
      asks,
    ),
    974947235,
  );
  assert.equal(checksum([], []), 0);
  assert.equal(
    crcOf("123456789"),
    0xcbf43926,
    "the naive one, by the check value of its catalogue",
  );
});

/** The gateway's side of one book, as simple as can be. */
class Venue {
  readonly levels = [new Map<number, Pair>(), new Map<number, Pair>()];
  /** What the client has. */
  has: Pair[][] = [[], []];
  seq = 0;

  constructor(
    private readonly random: ReturnType<typeof dice>,
    private readonly depth: number,
    private readonly price: (tick: number) => string,
  ) {}

  step(): void {
    this.seq++;
    for (let count = this.random.below(6); count > 0; count--) {
      const side = this.random.below(2);
      const tick = (side === 0 ? 1000 : 1001) + this.random.below(30) * (side === 0 ? -1 : 1);
      if (this.random.below(3) === 0) this.levels[side]!.delete(tick);
      else
        this.levels[side]!.set(tick, [
          this.price(tick),
          `${this.random.below(99) + 1}.${this.random.below(100)}0`,
        ]);
    }
  }

  window(side: number): Pair[] {
    const order = side === 0 ? -1 : 1;
    const sorted = [...this.levels[side]!]
      .sort(([a], [b]) => (a - b) * order)
      .map(([, level]) => level);
    return this.depth === 0 ? sorted : sorted.slice(0, this.depth);
  }

  /** What takes the client from what it has to the present state. */
  changes(side: number, all: boolean): Pair[] {
    const now = this.window(side);
    if (all) return now;
    const there = new Set([...this.levels[side]!.values()].map(([price]) => price));
    const gone = this.has[side]!.filter(([price]) => !there.has(price));
    const before = new Map(this.has[side]!.map(([price, qty]) => [price, qty]));
    return [
      ...gone.map(([price]): Pair => [price, "0"]),
      ...now.filter(([price, qty]) => before.get(price) !== qty),
    ];
  }

  render(type: string, skipped: number): object {
    const [bids, asks] = [
      this.changes(0, type === "snapshot"),
      this.changes(1, type === "snapshot"),
    ];
    this.has = [this.window(0), this.window(1)];
    const levels = this.depth > 0 && this.depth < 10 ? this.depth : 10;
    const sum = naiveChecksum(this.has[0]!, this.has[1]!, levels);
    return frame(this.seq, type, bids, asks, { depth: this.depth, checksum: sum }, { skipped });
  }
}

test("random walks at each depth: the client has what the gateway has, after every frame", () => {
  let frames = 0;
  for (let seed = 0; seed < 40; seed++) {
    const random = dice(seed);
    const depth = random.one([1, 5, 10, 25, 0]);
    const price = random.one<(tick: number) => string>([
      (tick) => `${tick}`,
      (tick) => `0.0${tick + 1000}`,
      (tick) => `-${9999 - tick}.50`,
      (tick) => `-0.0${9999 - tick}`,
      // More digits than a double tells apart.
      (tick) => `123456789012345678901234567890.${tick + 1000}`,
    ]);
    const venue = new Venue(random, depth, price);
    const told = new Told();
    told.connect();
    told.subscribed("book", "A.SIM", { depth: 10 });
    venue.step();
    told.tell(venue.render("snapshot", 0));
    for (let round = 0; round < 100; round++) {
      let skipped = 0;
      venue.step();
      while (random.below(3) === 0) {
        venue.step();
        skipped++;
      }
      const events = told.tell(
        venue.render(random.below(20) === 0 ? "snapshot" : "update", skipped),
      );
      assert.deepEqual(kinds(events), ["book"], `seed ${seed}`);
      const book = told.session.book("A.SIM")!;
      assert.ok((events[0] as Book).book === book && book.ready);
      assert.deepEqual(
        [texts(book.bids), texts(book.asks)],
        venue.has,
        `seed ${seed} round ${round}`,
      );
      frames++;
    }
  }
  assert.equal(frames, 4000);
});

test("a level is found by its number, not by its digits", () => {
  const book = new OrderBook("A.SIM");
  const put = (price: string, qty: string) =>
    book.apply({ bids: [new Level(price, qty)], asks: [] });
  for (const [price, qty] of [
    ["0.1", "1"],
    ["0.10", "2"],
    ["0.100", "3"],
    ["0.3", "1"],
    ["0.20", "1"],
  ])
    put(price!, qty!);
  assert.deepEqual(texts(book.bids), [
    ["0.3", "1"],
    ["0.20", "1"],
    ["0.100", "3"],
  ]);
  assert.equal(book.bids[0]?.price_float, 0.3);
  put("0.30", "0.000");
  put("0.7", "0");
  assert.deepEqual(texts(book.bids), [
    ["0.20", "1"],
    ["0.100", "3"],
  ]);
});

test("elements behind a quantity: orders, and what a later version adds", () => {
  const told = new Told();
  told.connect();
  const [one] = told.tell(frame(1, "snapshot", [["1", "2", 7, "new"] as unknown as Pair], []));
  assert.ok(one instanceof Book);
  assert.deepEqual(
    [one.bids[0]?.orders, one.details.checksum, one.details.maybe_bad],
    [7, null, false],
  );
});

test("parts count after the last one, under one seq", () => {
  const told = new Told();
  told.connect();
  const sum = naiveChecksum(
    [
      ["2", "1"],
      ["1", "1"],
    ],
    [["3", "1"]],
    10,
  );
  assert.deepEqual(
    told.tell(frame(5, "snapshot", [["2", "1"]], [["3", "1"]], {}, { part: [1, 3] })),
    [],
  );
  assert.equal(told.session.book("A.SIM")?.ready, false);
  assert.deepEqual(told.tell(frame(5, "snapshot", [["1", "1"]], [], {}, { part: [2, 3] })), []);
  const [whole] = told.tell(frame(5, "snapshot", [], [], { checksum: sum }, { part: [3, 3] }));
  assert.ok(whole instanceof Book);
  assert.deepEqual(
    [texts(whole.bids), texts(whole.asks)],
    [
      [
        ["2", "1"],
        ["1", "1"],
      ],
      [["3", "1"]],
    ],
  );
  assert.equal(told.session.book("A.SIM")?.ready, true);
  assert.deepEqual(kinds(told.tell(frame(6, "update", [["2", "0"]], [], {}))), ["book"]);
  assert.deepEqual(texts(told.session.book("A.SIM")!.bids), [["1", "1"]]);
  assert.equal(told.session.statistics().ticks, 2);
  for (const part of [[0, 2], [3, 2], [1, 99999], "x", [1]]) {
    assert.deepEqual(kinds(told.tell(frame(7, "snapshot", [], [], {}, { part }))), ["malformed"]);
  }
});

test("each part tells the same number of skipped updates", () => {
  const told = new Told();
  told.connect();
  told.tell(frame(1, "snapshot", [["2", "1"]], []));
  const part = (number: number) => ({ part: [number, 2], skipped: 3 });
  assert.deepEqual(told.tell(frame(5, "snapshot", [["1", "1"]], [], {}, part(1))), []);
  const [whole, ...more] = told.tell(frame(5, "snapshot", [], [], {}, part(2)));
  assert.ok(whole instanceof Book);
  assert.deepEqual([whole.seq, whole.skipped, more], [5, 3, []]);
});

test("a whole frame ends the parts before it", () => {
  const told = new Told();
  told.connect();
  told.tell(frame(5, "snapshot", [["2", "1"]], [], {}, { part: [1, 2] }));
  told.tell(frame(5, "snapshot", [["1", "1"]], []));
  assert.deepEqual(kinds(told.tell(frame(5, "snapshot", [], [], {}, { part: [2, 2] }))), ["gap"]);
});

/** What is asked for now, which the gateway accepts. */
function answered(told: Told): object[] {
  return told.due().map((one) => {
    told.accept(one);
    return one.params;
  });
}

test("a hole among parts, and one among updates, bring a new snapshot", () => {
  const told = new Told();
  told.connect();
  told.subscribed("book", "A.SIM", { depth: 10 });
  told.tell(frame(5, "snapshot", [["2", "1"]], [], {}, { part: [1, 3] }));
  assert.deepEqual(gaps(told.tell(frame(5, "snapshot", [], [], {}, { part: [3, 3] }))), [
    ["sequence", null, null, null],
  ]);
  assert.deepEqual(answered(told), [{ channel: "book", symbol: ["A.SIM"], depth: 10 }]);
  for (const [seq, part] of [
    [6, [2, 2]],
    [5, [2, 3]],
  ] as const) {
    told.tell(frame(5, "snapshot", [["2", "1"]], [], {}, { part: [1, 2] }));
    assert.deepEqual(kinds(told.tell(frame(seq, "snapshot", [], [], {}, { part }))), ["gap"]);
    assert.equal(answered(told).length, 1);
  }
  told.tell(frame(6, "snapshot", [["2", "1"]], []));
  assert.deepEqual(gaps(told.tell(frame(8, "update", [["1", "1"]], []))), [["sequence", 7, 7, 1]]);
  const book = told.session.book("A.SIM")!;
  assert.deepEqual([book.ready, texts(book.bids)], [false, [["2", "1"]]]);
  assert.equal(answered(told).length, 1);
  told.tell(frame(9, "snapshot", [["1", "1"]], []));
  assert.deepEqual([book.ready, texts(book.bids)], [true, [["1", "1"]]]);
});

test("a wrong sum is told, is asked for again, and at last only each half minute", () => {
  const told = new Told();
  told.connect();
  told.subscribed("book", "A.SIM");
  told.tell(frame(1, "snapshot", [["1", "1"]], []));
  const book = told.session.book("A.SIM")!;
  const wrong = (seq: number) =>
    told.tell(frame(seq, "snapshot", [["1", "1"]], [], { checksum: 1 }));
  for (const seq of [2, 3]) {
    assert.deepEqual(gaps(wrong(seq)), [["checksum", null, null, null]]);
    assert.equal(book.ready, false);
    assert.equal(answered(told).length, 1);
  }
  wrong(4);
  assert.deepEqual(told.due(), []);
  told.now_ms += 30_000;
  assert.equal(answered(told).length, 1);
  const sum = naiveChecksum([["1", "2"]], [], 10);
  assert.deepEqual(kinds(told.tell(frame(5, "snapshot", [["1", "2"]], [], { checksum: sum }))), [
    "book",
  ]);
  assert.equal(book.ready, true);
  assert.equal(told.session.statistics().mismatches, 3);
  wrong(6);
  assert.equal(answered(told).length, 1, "a good one between makes it soon again");
});

test("after a reconnect a book is in doubt until its snapshot; one left is forgotten", () => {
  const told = new Told();
  told.connect();
  told.subscribed("book", "A.SIM");
  told.tell(frame(1, "snapshot", [["1", "1"]], []));
  assert.equal(told.session.book("A.SIM")?.ready, true);
  told.session.disconnected();
  assert.equal(told.session.book("A.SIM")?.ready, false);
  told.connect();
  const [update] = told.tell(frame(1, "update", [["1", "1"]], []));
  assert.ok(
    update instanceof Book && update.book === null,
    "a client without a snapshot has no book",
  );
  const [request] = told.session.unsubscribe("book", "A.SIM");
  told.accept(JSON.parse(request!.text));
  assert.equal(told.session.book("A.SIM"), null);
});

test("a book ends with its last subscription, be that a name or a pattern", () => {
  const told = new Told();
  told.connect();
  const leave = (symbol: string) => {
    const [request] = told.session.unsubscribe("book", symbol);
    told.accept(JSON.parse(request!.text));
  };
  told.subscribed("book", ["A~*.SIM", "*.SIM"], { depth: 10 });
  for (const symbol of ["A*.SIM", "B.SIM"]) {
    told.tell(frame(1, "snapshot", [["1", "1"]], [], {}, { symbol }));
  }
  leave("*.SIM");
  assert.equal(told.session.book("B.SIM"), null);
  assert.equal(told.session.book("A*.SIM")?.ready, true);
  told.subscribed("book", "A*", { depth: 10 });
  leave("A~*.SIM");
  assert.equal(told.session.book("A*.SIM")?.ready, true, "the pattern covers it");
  leave("A*");
  assert.equal(told.session.book("A*.SIM"), null);
});
