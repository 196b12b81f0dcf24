// A call: what is asked, not yet sent. Awaiting it sends it, once; a transaction or a batch sends it with others.

/** What may be said of any call. */
export interface CallOptions {
  /** Ends the call, here and in the database. */
  readonly signal?: AbortSignal;
  /** How long it may take in all, attempts and waiting included. */
  readonly timeoutMs?: number;
  /** W3C Trace Context, for the daemon's traces. */
  readonly traceparent?: string;
}

/** What may be said of a write. */
export interface WriteOptions extends CallOptions {
  /** The caller's name for this write: under it, it is done once however often it is asked for. 1 to 255 bytes. */
  readonly idempotencyKey?: string;
}

/** What is asked. */
export interface Asked {
  readonly method: string;
  readonly entity?: string;
  /** Parameters by name, as they are sent. Throws a `TypeError` where they can't be; `places` of calls that came before. */
  readonly params: (places?: Places) => Record<string, unknown>;
  readonly options: WriteOptions;
  /** It reads, or it writes. Of several calls: what they do together. */
  readonly effect: "read" | "write";
  /** Sending it twice does nothing twice. */
  readonly isSafe: boolean;
}

/** Where calls stand in a transaction. */
export type Places = ReadonlyMap<Call<unknown>, number>;

/** Sends what is asked. */
export type Send = (asked: Asked) => Promise<unknown>;

const TAKEN = "a call is sent once: by itself when it is awaited, or with others";

/** A call that is sent when somebody waits for it. `await` it, or give it to `transaction`, `batch` or `explain`. */
export class Call<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = "Call";
  readonly #asked: Asked;
  readonly #send: Send;
  #answer: Promise<T> | undefined;
  #isTaken = false;

  /** @internal */
  constructor(asked: Asked, send: Send) {
    this.#asked = asked;
    this.#send = send;
  }

  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (this.#isTaken) return Promise.reject(new TypeError(TAKEN)).then(done, failed);
    this.#answer ??= this.#send(this.#asked) as Promise<T>;
    return this.#answer.then(done, failed);
  }

  catch<B = never>(failed?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.then(undefined, failed);
  }

  finally(after?: (() => void) | null): Promise<T> {
    return this.then().finally(after);
  }

  /** A field of the row that this call will answer, for a later call of the same transaction. */
  ref<K extends keyof NonNullable<T> & string>(field: K): Ref<NonNullable<NonNullable<T>[K]>> {
    return new Ref(this, field);
  }

  /** @internal What is asked, to be sent with others and not by itself. */
  static take(call: Call<unknown>): Asked {
    if (call.#answer !== undefined || call.#isTaken) throw new TypeError(TAKEN);
    call.#isTaken = true;
    return call.#asked;
  }

  /** @internal What is asked. */
  static peek(call: Call<unknown>): Asked {
    return call.#asked;
  }
}

/** Stands for a value that an earlier call of the same transaction will answer. */
export class Ref<out V> {
  /** Only a type. */
  declare readonly value: V;
  /** @internal */
  readonly call: Call<unknown>;
  /** @internal */
  readonly field: string;

  /** @internal */
  constructor(call: Call<unknown>, field: string) {
    this.call = call;
    this.field = field;
  }
}
