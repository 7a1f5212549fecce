// The socket to the gateway: asks, listens, notices silence, comes back. What it needs of the world is
// given to it, so that a test can be the world.

export const SILENT_MS = 5000; // the gateway speaks each second: a link that says less is dead
export const RETRY_MIN_MS = 500;
export const RETRY_MAX_MS = 15000;
const CHANNELS = ["ops", "slo"];

// Twice as long each time, and never at the same moment as everybody else.
export function backoff(attempt, random) {
  return Math.min(RETRY_MIN_MS * 2 ** attempt, RETRY_MAX_MS) * (0.5 + random / 2);
}

export class Feed {
  // `on` has link(name, retry_ms), message(body) and ready(), each called when it is so.
  constructor(on, {
    open, random = Math.random, later = (call, ms) => setTimeout(call, ms), never = (timer) => clearTimeout(timer),
  }) {
    Object.assign(this, { on, open, random, later, never });
    this.attempt = 0;
    this.asked = 0;
    this.pending = new Map(); // req_id -> {resolve, reject}
    this.socket = null;
  }

  connect() {
    const socket = this.open();
    this.socket = socket;
    this.on.link("connecting", 0);
    this.listen();
    socket.onopen = () => {
      for (const channel of CHANNELS) this.send("subscribe", { channel, symbol: ["*"] });
      this.on.ready();
    };
    socket.onmessage = (event) => {
      this.listen();
      this.take(JSON.parse(event.data));
    };
    socket.onclose = () => this.lost(socket);
  }

  // Lost if nothing comes from here on: a socket that is cut off may never say so itself.
  listen() {
    this.never(this.silence);
    const socket = this.socket;
    this.silence = this.later(() => {
      socket.close();
      this.lost(socket);
    }, SILENT_MS);
  }

  take(message) {
    if (message.channel === "ops") {
      this.attempt = 0; // it is us that it talks to: the next loss is a new one
      this.on.link("live", 0);
    }
    const waiting = this.pending.get(message.req_id);
    if (waiting !== undefined && message.method !== undefined) {
      this.pending.delete(message.req_id);
      if (message.success) waiting.resolve(message);
      else waiting.reject(new Error(message.error?.message ?? "refused"));
    } else {
      this.on.message(message);
    }
  }

  lost(socket) {
    if (socket !== this.socket) return; // already given up
    this.socket = null;
    this.never(this.silence);
    for (const { reject } of this.pending.values()) reject(new Error("disconnected"));
    this.pending.clear();
    const retry_ms = backoff(this.attempt, this.random());
    this.attempt += 1;
    this.on.link("waiting", retry_ms);
    this.later(() => this.connect(), retry_ms);
  }

  send(method, params) {
    this.asked += 1;
    this.socket.send(JSON.stringify({ method, req_id: this.asked, params }));
    return this.asked;
  }

  // A reply, or an error where none will come.
  request(method, params) {
    if (this.socket === null || this.socket.readyState !== 1) return Promise.reject(new Error("disconnected"));
    return new Promise((resolve, reject) => {
      this.pending.set(this.send(method, params), { resolve, reject });
    });
  }
}
