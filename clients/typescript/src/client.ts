/// <reference lib="esnext.disposable" preserve="true" />
// A client: one connection, and calls over it.

import { Calls } from "./calls.js";
import { Link } from "./link.js";
import type { ClientOptions, TokenSource } from "./options.js";
import type { SchemaLike } from "./schema.js";

/** A client of a daemon whose entities are those of the schema `S`. Makes its connection when a call needs one. */
export class Client<S extends SchemaLike<S>> extends Calls<S> {
  readonly #link: Link;
  readonly #namesWrites: boolean;

  constructor(options: ClientOptions) {
    const link = new Link(options);
    const namesWrites = options.autoIdempotency ?? false;
    super(async (asked) => link.submit(asked, undefined), namesWrites);
    this.#link = link;
    this.#namesWrites = namesWrites;
  }

  /** The same connection in another's name: their token goes with each message, and counts for it alone. */
  as(token: TokenSource, userId?: string): Calls<S> {
    const credentials = this.#link.credentials(token, userId);
    return new Calls<S>(async (asked) => this.#link.submit(asked, credentials), this.#namesWrites);
  }

  /** Makes a connection before a call needs one, and says why if it can't be made. */
  open(): Promise<void> {
    return this.#link.opened();
  }

  /** Refuses further calls, waits for those that were asked, so long at most, and closes. */
  close({ graceMs = 5_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    return this.#link.close(graceMs);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
