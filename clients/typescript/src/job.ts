// A call that somebody waits for, from the moment it is asked until it is settled, once.

import type { Asked } from "./call.js";
import type { Credentials } from "./credentials.js";
import { DbalError, type ErrorCode, type ErrorFacts } from "./error.js";

export class Job {
  readonly asked: Asked;
  /** Whose; its own where a call is made in another's name. */
  readonly credentials: Credentials | undefined;
  /** When it is over, by `performance.now()`. */
  readonly deadline: number;
  /** As they were when it was asked, whatever becomes of its caller's objects. */
  readonly params: Record<string, unknown>;
  attempts = 0;
  wasSent = false;
  /** Its token was refused once and another fetched. */
  wasRenewed = false;
  /** Version of the token with which it was sent. */
  version = 0;
  /** Why it was not done so far. */
  lastError: DbalError | undefined;
  readonly promise: Promise<unknown>;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  #isSettled = false;
  readonly #afterwards: (() => void)[] = [];

  constructor(asked: Asked, credentials: Credentials | undefined, timeoutMs: number) {
    this.asked = asked;
    this.params = asked.params();
    this.credentials = credentials;
    this.deadline = performance.now() + timeoutMs;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Sending it twice does nothing twice: it reads, or it has an idempotency key. */
  get isSafe(): boolean {
    return this.asked.isSafe;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  get remainingMs(): number {
    return this.deadline - performance.now();
  }

  /** To be done once it is settled. */
  afterwards(what: () => void): void {
    this.#afterwards.push(what);
  }

  succeed(value: unknown): void {
    if (this.#settle()) this.#resolve(value);
  }

  fail(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  /** An error of the client's own about this call. */
  error(code: ErrorCode, message: string, facts: ErrorFacts = {}): DbalError {
    const { method, entity } = this.asked;
    const what = entity === undefined ? method : `${method} ${entity}`;
    return new DbalError(code, `${what}: ${message}`, { method, ...(entity !== undefined && { entity }), ...facts });
  }

  /** What is known of a write that was sent and has no answer. */
  get outcome(): "not_done" | "unknown" {
    return this.wasSent && this.asked.effect === "write" ? "unknown" : "not_done";
  }

  #settle(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    for (const what of this.#afterwards) what();
    return true;
  }
}
