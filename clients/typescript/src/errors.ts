/** What a program may meet. */

/** No connection; `retryable` says whether trying again may help. */
export class ConnectFailed extends Error {
  override name = "ConnectFailed";

  constructor(
    message: string,
    readonly retryable: boolean,
    readonly code = 1006,
  ) {
    super(message);
  }
}

/**
 * The connection ended before the reply, or there is none; what is wanted is asked for with the
 * next.
 */
export class ConnectionLost extends Error {
  override name = "ConnectionLost";
}

/** The gateway refused a whole request; the text has its code and message. */
export class RequestRefused extends Error {
  override name = "RequestRefused";
}
