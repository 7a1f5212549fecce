/** The client of the Tickgate gateway, for browsers and Node. */

export { Backoff, reconnects } from "./backoff.js";
export { type BookChange, OrderBook, checksum } from "./book.js";
export {
  Client,
  type ClientOptions,
  ConnectFailed,
  ConnectionLost,
  type Token,
  RequestRefused,
  type SocketConstructor,
  type SocketLike,
} from "./client.js";
export { type Offset, type Ping, estimate } from "./clock.js";
export type {
  Conflation,
  Disconnected,
  Event,
  FeedHealth,
  Gap,
  Health,
  Hello,
  Listed,
  Malformed,
  ReplayCompleted,
  Reply,
  Report,
  Result,
  Retired,
  ServerError,
  Slo,
  Slow,
  System,
} from "./events.js";
export { type Json, type JsonObject, MalformedError, parse } from "./json.js";
export type { Params, Request } from "./requests.js";
export { SbeReader } from "./sbe.js";
export { ClientSession, type Due, type Encoding } from "./session.js";
export type { Statistics } from "./statistics.js";
export {
  type AnyTick,
  Bbo,
  Book,
  Candle,
  Instrument,
  InstrumentHealth,
  Level,
  RawTick,
  Status,
  Tick,
  Trade,
} from "./ticks.js";
export { escape, isPattern, matchPattern } from "./topics.js";
