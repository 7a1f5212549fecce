/** Order books in binary frames: docs/sbe.md, "Book". */

import { type Cursor, DECIMALS_MAX, EXPONENT_MAX, MANTISSA_MAX, plain } from "./cursor.js";
import { MalformedError } from "./json.js";
import { Book, type Head, Level } from "./ticks.js";

const BLOCK = { checksum: 44, depth: 48, part: 50, parts: 52, flags: 54 };
const LEVEL_BYTES = 18;
const WIDE_BYTES = 16;
const NULL_I64 = -(2n ** 63n);
/** Limits of the gateway's own reader. */
const ID_MAX = 24;
const PRICE_MAX = 10n ** 18n - 1n;
const PRICE_DECIMALS_MAX = 63;
const ZEROS_MAX = 127;

/** A frame of a book, or a part of one: which of how many, `[1, 1]` where it is whole. */
export class BookPart {
  constructor(
    readonly frame: Book,
    readonly part: readonly [number, number],
  ) {}
}

/** Reads the message where the cursor is. */
export function readBook(cursor: Cursor, head: Head): BookPart {
  const flags = cursor.u8(BLOCK.flags);
  const checksum = (flags & 4) === 0 ? null : cursor.u32(BLOCK.checksum);
  const depth = cursor.u16(BLOCK.depth);
  const part = [cursor.u16(BLOCK.part), cursor.u16(BLOCK.parts)] as const;
  const rows = [[...rowsOf(cursor)], [...rowsOf(cursor)]];
  const wides: bigint[] = [];
  for (const _ of cursor.group(WIDE_BYTES)) wides.push((cursor.i64(8) << 64n) + cursor.u64(0));
  wides.reverse();
  const details = {
    depth,
    first_id: idOf(cursor),
    last_id: idOf(cursor),
    maybe_bad: (flags & 2) !== 0,
    checksum,
  };
  const [bids = [], asks = []] = rows.map((side) => side.map((row) => levelOf(row, wides)));
  if (wides.length > 0) throw new MalformedError(NO_LEVEL);
  if (part[0] > part[1] || (part[1] > 0 && part[0] === 0)) {
    throw new MalformedError(`part: [${part[0]}, ${part[1]}]`);
  }
  return new BookPart(new Book(head, bids, asks, details), part[1] > 0 ? part : [1, 1]);
}

/** The venue's number of a message; null where there is none. */
function idOf(cursor: Cursor): string | null {
  const id = cursor.printable("a book's number");
  if (id.length > ID_MAX) throw new MalformedError(`a book's number of ${id.length} bytes`);
  return id || null;
}

const NO_LEVEL = "a level that no book can have";

interface Row {
  readonly price: string;
  /** Null: the next one of the wide quantities. */
  readonly qty: bigint | null;
  readonly exponent: number;
}

function* rowsOf(cursor: Cursor): Generator<Row> {
  for (const _ of cursor.group(LEVEL_BYTES)) {
    const [price, qty] = [cursor.i64(0), cursor.i64(8)];
    const exponent = cursor.i8(16);
    if (price > PRICE_MAX || price < -PRICE_MAX || exponent > 0 || exponent < -PRICE_DECIMALS_MAX) {
      throw new MalformedError(NO_LEVEL);
    }
    const sign = price < 0n ? "-" : "";
    yield {
      price: plain(sign, (price < 0n ? -price : price).toString(), exponent),
      qty: qty === NULL_I64 ? null : qty,
      exponent: cursor.i8(17),
    };
  }
}

/** `wides` are what is left of them, the next one last. */
function levelOf({ price, qty, exponent }: Row, wides: bigint[]): Level {
  const value = qty ?? wides.pop();
  if (value === undefined || value < 0n || value >= MANTISSA_MAX) {
    throw new MalformedError(NO_LEVEL);
  }
  if (exponent < -DECIMALS_MAX || exponent > EXPONENT_MAX) throw new MalformedError(NO_LEVEL);
  if (value === 0n) return new Level(price, "0");
  const digits = value.toString();
  const zeros = digits.length - digits.replace(/0+$/, "").length + Math.max(exponent, 0);
  if (zeros > ZEROS_MAX) throw new MalformedError(NO_LEVEL);
  return new Level(price, plain("", digits, exponent));
}
