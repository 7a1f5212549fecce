/** What a client says to be let in: a token, fresh for each connection. */

import { ConnectFailed } from "./errors.js";

/** A token, or what gives one, also later. */
export type Token = string | (() => string | Promise<string>);

/** Those of one client; without a token nothing is said. */
export class Credentials {
  constructor(private readonly token: Token | undefined) {}

  private async fresh(): Promise<string> {
    return typeof this.token === "function" ? await this.token() : (this.token ?? "");
  }

  /** Dials with the subprotocols that say who the client is; at once where it says nothing. */
  dial(dial: (words: string[]) => Promise<void>, url: string): Promise<void> {
    if (this.token === undefined) return dial([]);
    return this.fresh().then(
      (token) => dial([`bearer.${token}`]),
      (error: unknown) => {
        throw new ConnectFailed(`${url}: no token: ${String(error)}`, true);
      },
    );
  }

  /** Brings another token; where there is none the connection ends, and the next one asks. */
  renew(bring: (token: string) => void): void {
    if (typeof this.token === "function") this.fresh().then(bring, () => undefined);
  }
}
