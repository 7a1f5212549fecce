/** A place in a binary frame: messages one after the other, their fields, groups and texts. */

import { MalformedError } from "./json.js";

const SCHEMA_ID = 1;
const HEADER = 8;
/** Limits of the gateway's own reader. */
export const DECIMALS_MAX = 127;
export const EXPONENT_MAX = 100;
export const MANTISSA_MAX = 10n ** 38n;

const NO_EXPONENT = 127;
const NULL_U64 = 0xffff_ffff_ffff_ffffn;
const ZEROS = "0".repeat(DECIMALS_MAX + 1);

const UTF8 = new TextDecoder("utf-8", { fatal: true });

/** A place in a frame: fields by their offset in the block, then texts one after the other. */
export class Cursor {
  template = 0;
  /** Of the last text. */
  textBytes = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private block = 0;
  private at = 0;

  /** @param blocks bytes of the fixed fields of each message that is known. */
  constructor(
    frame: Uint8Array | ArrayBuffer,
    private readonly blocks: ReadonlyMap<number, number>,
  ) {
    this.bytes = frame instanceof Uint8Array ? frame : new Uint8Array(frame);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  more(): boolean {
    return this.at < this.bytes.length;
  }

  /** Goes to the next message; whether this client knows it. */
  message(): boolean {
    const { view, at } = this;
    this.need(at + HEADER);
    const size = view.getUint16(at, true);
    const schema = view.getUint16(at + 4, true);
    if (schema !== SCHEMA_ID) throw new MalformedError(`schema ${schema}, not ${SCHEMA_ID}`);
    this.template = view.getUint16(at + 2, true);
    const known = this.blocks.get(this.template);
    if (known === undefined) return false;
    if (size < known) {
      throw new MalformedError(`template ${this.template}: a block of ${size} bytes`);
    }
    this.block = at + HEADER;
    this.at = this.block + size;
    this.need(this.at);
    return true;
  }

  private need(end: number): void {
    if (end > this.bytes.length) {
      throw new MalformedError(`the frame of ${this.bytes.length} bytes ends inside a message`);
    }
  }

  u8(offset: number): number {
    return this.view.getUint8(this.block + offset);
  }

  i8(offset: number): number {
    return this.view.getInt8(this.block + offset);
  }

  u16(offset: number): number {
    return this.view.getUint16(this.block + offset, true);
  }

  u32(offset: number): number {
    return this.view.getUint32(this.block + offset, true);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(this.block + offset, true);
  }

  i64(offset: number): bigint {
    return this.view.getBigInt64(this.block + offset, true);
  }

  /** A u64 that a double holds exactly. */
  safe(offset: number, name: string): number {
    const at = this.block + offset;
    const high = this.view.getUint32(at + 4, true);
    if (high >= 1 << 21) throw new MalformedError(`${name}: beyond 2^53 - 1`);
    return high * 2 ** 32 + this.view.getUint32(at, true);
  }

  /** An optional count: undefined where it is left out. */
  countOf(offset: number): number | bigint | undefined {
    const value = this.u64(offset);
    return value === NULL_U64 ? undefined : integer(value);
  }

  /** 1 or 0; anything else is refused. */
  yes(offset: number): boolean {
    const value = this.u8(offset);
    if (value > 1) throw new MalformedError("a yes or no that is neither");
    return value === 1;
  }

  /** In plain digits, null where there is none; a flag says that a zero is negative. */
  decimal(offset: number, negativeZero: number): string | null {
    const at = this.block + offset;
    const { view } = this;
    const exponent = view.getInt8(at + 16);
    if (exponent === NO_EXPONENT) return null;
    if (exponent < -DECIMALS_MAX || exponent > EXPONENT_MAX) {
      throw new MalformedError(`a decimal's exponent of ${exponent}`);
    }
    const low = view.getUint32(at, true);
    const second = view.getUint32(at + 4, true);
    let digits: string;
    let sign = negativeZero === 0 ? "" : "-";
    if (
      view.getUint32(at + 8, true) === 0 &&
      view.getUint32(at + 12, true) === 0 &&
      second < 1 << 21
    ) {
      const mantissa = second * 2 ** 32 + low;
      if (mantissa !== 0) sign = "";
      digits = String(mantissa);
    } else {
      const mantissa = (view.getBigInt64(at + 8, true) << 64n) + view.getBigUint64(at, true);
      if (mantissa >= MANTISSA_MAX || mantissa <= -MANTISSA_MAX) {
        throw new MalformedError("a decimal of more than 38 digits");
      }
      sign = mantissa < 0n ? "-" : "";
      digits = (mantissa < 0n ? -mantissa : mantissa).toString();
    }
    return plain(sign, digits, exponent);
  }

  /** The next text, in UTF-8. */
  text(): string {
    const bytes = this.take();
    try {
      return UTF8.decode(bytes);
    } catch {
      throw new MalformedError("a text that is not UTF-8");
    }
  }

  /** The next text, which is printable ASCII. */
  printable(name: string): string {
    let found = "";
    for (const byte of this.take()) {
      if (byte < 0x20 || byte > 0x7e) throw new MalformedError(`${name} beyond printable ASCII`);
      found += String.fromCharCode(byte);
    }
    return found;
  }

  private take(): Uint8Array {
    this.need(this.at + 1);
    const from = this.at + 1;
    const end = from + this.view.getUint8(this.at);
    this.need(end);
    this.at = end;
    this.textBytes = end - from;
    return this.bytes.subarray(from, end);
  }

  /** Goes to each row of the next group; `size` bytes of a row are known here. */
  *group(size: number): Generator<void> {
    this.need(this.at + 4);
    const each = this.view.getUint16(this.at, true);
    const rows = this.view.getUint16(this.at + 2, true);
    if (rows > 0 && each < size) throw new MalformedError(`rows of ${each} bytes`);
    this.block = this.at + 4;
    this.at = this.block + each * rows;
    this.need(this.at);
    for (let row = 0; row < rows; row++) {
      yield;
      this.block += each;
    }
  }
}

/** A number in plain digits. */
export function plain(sign: string, digits: string, exponent: number): string {
  if (exponent >= 0) return sign + digits + (digits === "0" ? "" : ZEROS.slice(0, exponent));
  const point = digits.length + exponent;
  if (point > 0) return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
  return `${sign}0.${ZEROS.slice(0, -point)}${digits}`;
}

/** As the JSON reader gives integers. */
export function integer(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
