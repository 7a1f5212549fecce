/** What a session has seen, over all its connections. */
export interface Statistics {
  /** Everything that came. */
  readonly messages: number;
  /** Records among them. */
  readonly ticks: number;
  /** Records that the ticks' own `skipped` stand for. */
  readonly skipped: number;
  readonly gaps: number;
  /** Records that are missing besides, by the gaps that this client found itself. */
  readonly lost: number;
  /** Messages, or elements of them, that are not the protocol's. */
  readonly malformed: number;
  /** Frames after which a book did not have the sum that the gateway says. */
  readonly mismatches: number;
  /** Strings subscribed to. */
  readonly wanted: number;
  /** Topics with a record since they were last subscribed to. */
  readonly topics: number;
}
