/**
 * How long to wait before the next try: exponential, capped, with full jitter. No clock, no sleep.
 */
export class Backoff {
  private bound_s: number;

  /**
   * @param base_s the first bound.
   * @param cap_s the last bound.
   * @param random draws from 0 up to 1.
   */
  constructor(
    private readonly base_s = 1,
    private readonly cap_s = 30,
    private readonly random: () => number = Math.random,
  ) {
    this.bound_s = base_s;
  }

  /** Seconds to wait before the next attempt; the range doubles with each call. */
  next_s(): number {
    const bound_s = Math.min(this.cap_s, this.bound_s);
    this.bound_s = Math.min(this.cap_s, bound_s * 2);
    return this.random() * bound_s;
  }

  /** Seconds to add to a time that was asked for: at most the base, however often. */
  jitter_s(): number {
    return this.random() * this.base_s;
  }

  /** Begins again at the base, after a spell of health. */
  reset(): void {
    this.bound_s = this.base_s;
  }
}

/** RFC 6455 section 7.4.1: the server says that this client is wrong; it would be wrong again. */
const CLIENT_FAULTS = new Set([1002, 1003, 1007, 1008, 1009]);

/**
 * Whether a client may connect again after this close code.
 *
 * 4000-4499 yes, 4500-4999 no; 1000 is the end; of the others all but the client's own faults. 1006
 * stands for a connection that ended without a close frame.
 */
export function reconnects(code: number): boolean {
  return code !== 1000 && !CLIENT_FAULTS.has(code) && !(code >= 4500 && code <= 4999);
}

/**
 * How many requests the client makes by itself: so many at once, then so many a second, which is
 * half of what a gateway takes of one client by default.
 */
export class Pace {
  private tokens: number;
  private at_ms = -Infinity;

  constructor(
    private readonly burst = 64,
    private readonly per_s = 25,
  ) {
    this.tokens = burst;
  }

  /** Takes one, if there is one. */
  take(now_ms: number): boolean {
    const passed_ms = Math.max(0, now_ms - this.at_ms);
    this.tokens = Math.min(this.burst, this.tokens + (passed_ms / 1000) * this.per_s);
    this.at_ms = now_ms;
    if (this.tokens < 1) return false;
    this.tokens--;
    return true;
  }
}
