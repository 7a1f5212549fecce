/** Times: this host's clock in nanoseconds, and its offset to the gateway's. */

/** What to add to this host's clock to get the gateway's, and by how much that may be wrong. */
export interface Offset {
  readonly offset_ns: bigint;
  readonly error_ns: bigint;
}

/** Sent and received by our clock (t0, t3), received and answered by the gateway's (t1, t2). */
export interface Ping {
  readonly t0: bigint;
  readonly t1: bigint;
  readonly t2: bigint;
  readonly t3: bigint;
}

/** A wall clock that was set shows as a difference beyond this to the one that counts on. */
const STEP_MS = 20;

/** Nanoseconds since the Unix epoch, as fine as the platform's monotonic clock. */
export class Clock {
  /** The Unix time at which the monotonic clock was 0. */
  private origin_ms: number;
  private origin_ns: bigint;

  /**
   * @param now milliseconds of a monotonic clock.
   * @param wall milliseconds since the Unix epoch.
   */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly wall: () => number = () => Date.now(),
  ) {
    // The platform knows it finer than the wall clock's milliseconds, for as long as it is true.
    this.origin_ms = performance.timeOrigin;
    this.origin_ns = nanoseconds(this.origin_ms);
  }

  /** Monotonic milliseconds. */
  mono_ms(): number {
    return this.now();
  }

  /** Nanoseconds since the Unix epoch. */
  real_ns(): bigint {
    const now_ms = this.now();
    const wall_ms = this.wall();
    if (Math.abs(this.origin_ms + now_ms - wall_ms) > STEP_MS) {
      this.origin_ms = wall_ms - now_ms;
      this.origin_ns = nanoseconds(wall_ms) - nanoseconds(now_ms);
    }
    return this.origin_ns + BigInt(Math.round(now_ms * 1e6));
  }
}

/** Whole milliseconds apart from the rest: a double has no room for both. */
function nanoseconds(ms: number): bigint {
  const whole = Math.floor(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6));
}

/**
 * The offset by the fastest of the pings; null of none.
 *
 * Queueing only ever adds to a round trip, so the fastest one knows best, and it is wrong by at
 * most half of it (Cristian, 1989). A round trip below zero shows that a clock was set meanwhile.
 */
export function estimate(pings: Iterable<Ping>): Offset | null {
  let best: Ping | null = null;
  for (const ping of pings) {
    if (trip(ping) >= 0n && (best === null || trip(ping) < trip(best))) best = ping;
  }
  if (best === null) return null;
  const twice = best.t1 - best.t0 + best.t2 - best.t3;
  return { offset_ns: twice / 2n, error_ns: (trip(best) + 1n) / 2n };
}

function trip(ping: Ping): bigint {
  return ping.t3 - ping.t0 - (ping.t2 - ping.t1);
}
