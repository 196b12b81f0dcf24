// The way to the daemon: makes connections, makes them again, and decides which calls may be sent once more.

import type { Asked } from "./call.js";
import { Connection, idle, type Ending } from "./connection.js";
import { Credentials, lifetimeMs } from "./credentials.js";
import { answered, DbalError } from "./error.js";
import { Job } from "./job.js";
import { LONGEST_MS, limits, pause, whole, type ClientEvent, type ClientOptions, type Limits, type TokenIn, type TokenSource } from "./options.js";
import { address, begin, opener, type OpenSocket } from "./socket.js";
import { fits } from "./wire.js";

/** The daemon ends every call then by itself. */
const DAEMON_MS = 29_000;
/** Of a call's time, what the daemon is told: its own answer says more than our silence, so it comes before. */
const TOLD = 0.9;
/** A connection is made anew so long before its token ends. */
const RENEWED_BEFORE_MS = 10_000;
/** The daemon stops and has answered all that it has read: what has no answer was not done (docs/protocol.md). */
const GOING_AWAY = { code: 1001, reason: "going away" };
const UNAUTHENTICATED = 4401;
/** Try again later; flooding. Not at once, then. */
const HEAVY: readonly number[] = [1013, 4429];
const HEAVY_FAILURES = 4;

interface Opener {
  readonly resolve: () => void;
  readonly reject: (error: DbalError) => void;
}

export class Link {
  readonly #url: string;
  readonly #tokenIn: TokenIn;
  readonly #open: OpenSocket;
  readonly #limits: Limits;
  readonly #credentials: Credentials;
  readonly #onEvent: ((event: ClientEvent) => void) | undefined;
  readonly #outstanding = new Set<Job>();
  readonly #retired = new Set<Connection>();
  #queue: Job[] = [];
  #openers: Opener[] = [];
  #current: Connection | undefined;
  #isConnecting = false;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  /** Connections in a row that came to nothing. */
  #failures = 0;
  #refusals = 0;
  /** How the last one ended. */
  #why = "not connected yet";
  #isClosed = false;

  constructor(options: ClientOptions) {
    this.#url = address(options.url);
    this.#tokenIn = options.tokenIn ?? "subprotocol";
    this.#open = opener(options.socket, this.#tokenIn);
    this.#limits = limits(options);
    this.#credentials = this.credentials(options.token, options.userId);
    this.#onEvent = options.onEvent;
  }

  /** Somebody's, to make calls by. */
  credentials(token: TokenSource | undefined, userId: string | undefined): Credentials {
    if (token === "") throw new TypeError("token is empty");
    return new Credentials(token, userId, this.#limits.connectTimeoutMs);
  }

  /** Makes a connection, if there is none. Fails if the first attempt does. */
  opened(): Promise<void> {
    if (this.#isClosed) return Promise.reject(new DbalError("closed", "the client is closed"));
    if (this.#current?.isOpen) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#openers.push({ resolve, reject });
      this.#pump();
    });
  }

  /** Sends a call, as soon as there is a place for it. */
  submit(asked: Asked, credentials: Credentials | undefined): Promise<unknown> {
    const { signal, timeoutMs = this.#limits.timeoutMs } = asked.options;
    whole(timeoutMs, "timeoutMs", 1);
    const own = credentials ?? (this.#tokenIn === "message" ? this.#credentials : undefined);
    const job = new Job(asked, own, timeoutMs);
    if (this.#isClosed) job.fail(job.error("closed", "the client is closed"));
    else if (signal?.aborted) job.fail(job.error("aborted", "aborted", { cause: signal.reason }));
    else if (this.#outstanding.size >= this.#limits.maxInFlight + this.#limits.maxQueued) {
      job.fail(job.error("overloaded", `${this.#outstanding.size} calls are waiting`, { retryable: true }));
    } else this.#begin(job, signal, timeoutMs);
    return job.promise;
  }

  /** Waits for what was asked, so long at most, and closes. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise((resolve) => (timer = setTimeout(resolve, graceMs)));
    await Promise.race([Promise.allSettled([...this.#outstanding].map((job) => job.promise)), enough]);
    clearTimeout(timer);
    clearTimeout(this.#renewal);
    for (const connection of this.#connections()) connection.close();
    for (const job of [...this.#outstanding]) job.fail(job.error("closed", "the client was closed", { outcome: job.outcome }));
    this.#refuseOpeners(new DbalError("closed", "the client was closed"));
  }

  #begin(job: Job, signal: AbortSignal | undefined, timeoutMs: number): void {
    this.#outstanding.add(job);
    const timer = setTimeout(() => {
      const where = this.#current?.isOpen ? "" : `; there is no connection: ${this.#why}`;
      const { outcome, lastError } = job;
      const facts = { outcome, retryable: outcome === "not_done", ...(lastError !== undefined && { cause: lastError }) };
      this.#giveUp(job, job.error("timeout", `no answer within ${timeoutMs} ms${where}`, facts));
    }, timeoutMs);
    const abort = () =>
      this.#giveUp(job, job.error("aborted", "aborted", { outcome: job.outcome, cause: signal?.reason }));
    signal?.addEventListener("abort", abort, { once: true });
    job.afterwards(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#outstanding.delete(job);
    });
    this.#enqueue(job);
  }

  #giveUp(job: Job, error: DbalError): void {
    job.fail(error);
    const place = this.#queue.indexOf(job);
    if (place >= 0) this.#queue.splice(place, 1);
    for (const connection of this.#connections()) connection.abandon(job);
    this.#pump();
  }

  /** Into the queue, once the token that goes with it is known. */
  #enqueue(job: Job): void {
    if (job.credentials === undefined) {
      this.#queue.push(job);
      this.#pump();
      return;
    }
    job.credentials.current().then(
      () => {
        if (!job.isSettled) this.#queue.push(job);
        this.#pump();
      },
      (error: unknown) => job.fail(error),
    );
  }

  #connections(): Connection[] {
    return this.#current === undefined ? [...this.#retired] : [this.#current, ...this.#retired];
  }

  #pump(): void {
    const current = this.#current;
    if (current === undefined) {
      if (this.#queue.length > 0 || this.#openers.length > 0) this.#connect();
      return;
    }
    while (current.isOpen && current.count < this.#limits.maxInFlight) {
      const job = this.#queue.shift();
      if (job === undefined) return;
      this.#send(job, current);
    }
  }

  #send(job: Job, connection: Connection): void {
    const { method, options } = job.asked;
    const { params } = job;
    const told = Math.max(1, Math.floor(job.remainingMs * TOLD));
    const meta = {
      ...(told < DAEMON_MS && { timeoutMs: told }),
      ...(options.traceparent !== undefined && { traceparent: options.traceparent }),
      ...(options.idempotencyKey !== undefined && { idempotencyKey: options.idempotencyKey }),
    };
    const auth = job.credentials?.proof();
    const id = connection.nextId();
    const message = JSON.stringify({
      id,
      method,
      params: Object.keys(meta).length === 0 ? params : { ...params, _meta: meta },
      ...(auth !== undefined && { auth }),
    });
    if (!fits(message)) {
      job.fail(job.error("too_large", "the message is larger than 1 MiB"));
      return;
    }
    job.attempts += 1;
    job.version = job.credentials?.version ?? connection.version;
    connection.send(job, id, message);
  }

  #connect(): void {
    if (this.#isConnecting) return;
    this.#isConnecting = true;
    const delayMs = this.#failures === 0 ? 0 : pause(this.#limits, this.#failures - 1);
    if (this.#failures > 0) this.#tell({ type: "connecting", attempt: this.#failures + 1, delayMs, why: this.#why });
    setTimeout(() => void this.#connectNow(), delayMs);
  }

  async #connectNow(): Promise<void> {
    try {
      const isShown = this.#tokenIn !== "message";
      const token = isShown ? await this.#credentials.current() : undefined;
      // Who asked may have given up meanwhile.
      if (this.#queue.length === 0 && this.#openers.length === 0) return;
      const socket = begin(this.#open, this.#url, this.#tokenIn, token);
      const { connectTimeoutMs, heartbeatMs } = this.#limits;
      const version = this.#credentials.version;
      this.#current = new Connection(socket, version, connectTimeoutMs, heartbeatMs, {
        opened: (connection) => {
          this.#plan(connection, token);
          this.#tell({ type: "connected" });
          for (const { resolve } of this.#openers.splice(0)) resolve();
          this.#pump();
        },
        answered: (connection, job, answer) => this.#answered(connection, job, answer),
        ended: (connection, ending, unanswered) => this.#ended(connection, ending, unanswered),
      });
    } catch (error) {
      if (error instanceof DbalError) this.#refuseWaiting(error);
      else this.#failed(error instanceof Error ? error.message : String(error));
    } finally {
      this.#isConnecting = false;
      this.#pump();
    }
  }

  /** Makes another connection before the token of this one ends: an end in the middle would leave writes in doubt. */
  #plan(connection: Connection, token: string | undefined): void {
    clearTimeout(this.#renewal);
    const lifetime = token === undefined || !this.#credentials.isRenewable ? undefined : lifetimeMs(token);
    if (lifetime === undefined || lifetime <= 0 || lifetime > LONGEST_MS) return;
    this.#renewal = setTimeout(() => {
      this.#credentials.renew(connection.version);
      this.#retire(connection);
      this.#pump();
    }, Math.max(lifetime / 2, lifetime - RENEWED_BEFORE_MS));
    idle(this.#renewal);
  }

  #retire(connection: Connection): void {
    if (this.#current !== connection) return;
    this.#current = undefined;
    this.#retired.add(connection);
    connection.retire();
  }

  #answered(connection: Connection, job: Job, answer: { result: unknown } | { error: unknown }): void {
    if ("result" in answer) {
      this.#failures = this.#refusals = 0;
      job.succeed(answer.result);
    } else {
      const error = answered(answer.error, job.asked.method, job.asked.entity);
      if (error.code === "unauthenticated") this.#refused(connection, job, error);
      else {
        this.#failures = 0;
        if (error.retryable) job.wasSent = false;
        if (error.retryable || (error.outcome === "unknown" && job.isSafe)) this.#again(job, error);
        else job.fail(error);
      }
    }
    this.#pump();
  }

  /** Nothing was done, so another token may be tried, once. */
  #refused(connection: Connection, job: Job, error: DbalError): void {
    const credentials = job.credentials ?? this.#credentials;
    if (!credentials.isRenewable || job.wasRenewed) {
      job.fail(error);
      return;
    }
    job.wasRenewed = true;
    job.wasSent = false;
    credentials.renew(job.version);
    if (job.credentials === undefined) this.#retire(connection);
    this.#enqueue(job);
  }

  /** Sends it again after a pause, if there is time for that. */
  #again(job: Job, error: DbalError): void {
    const delayMs = Math.max(error.retryAfterMs ?? 0, 0) + pause(this.#limits, job.attempts - 1);
    if (job.attempts >= this.#limits.maxAttempts || delayMs >= job.remainingMs) {
      job.fail(error);
      return;
    }
    job.lastError = error;
    this.#tell({ type: "retrying", method: job.asked.method, attempt: job.attempts + 1, delayMs, why: error.code });
    const timer = setTimeout(() => this.#enqueue(job), delayMs);
    job.afterwards(() => clearTimeout(timer));
  }

  #ended(connection: Connection, { code, reason, wasOpen }: Ending, unanswered: Job[]): void {
    const wasCurrent = this.#current === connection;
    if (wasCurrent) this.#current = undefined;
    this.#retired.delete(connection);
    const isUndone = code === GOING_AWAY.code && reason === GOING_AWAY.reason;
    const why = reason === "" ? `closed with ${code}` : reason;
    const again: Job[] = [];
    for (const job of unanswered) {
      if (isUndone) job.wasSent = false;
      const { outcome, isSafe } = job;
      const error = job.error("connection_lost", `the connection was lost (${why})`, {
        outcome,
        retryable: outcome === "not_done",
      });
      if ((outcome === "not_done" || isSafe) && job.attempts < this.#limits.maxAttempts && !this.#isClosed) {
        job.lastError = error;
        again.push(job);
      } else job.fail(error);
    }
    this.#tell({ type: "disconnected", code, reason, lost: unanswered.length });
    this.#queue.unshift(...again);
    if (wasCurrent) {
      if (isUndone) this.#failures = 0;
      else this.#failed(why, connection.hasAnswered, wasOpen);
      if (HEAVY.includes(code)) this.#failures = Math.max(this.#failures, HEAVY_FAILURES);
      if (code === UNAUTHENTICATED) this.#rejected(connection, reason);
    }
    this.#pump();
  }

  /** The daemon has closed the connection for its token. */
  #rejected(connection: Connection, reason: string): void {
    if (this.#tokenIn === "message") return;
    this.#credentials.renew(connection.version);
    this.#refusals = connection.hasAnswered ? 1 : this.#refusals + 1;
    if (this.#credentials.isRenewable && this.#refusals < 2) {
      this.#failures = 0;
      return;
    }
    this.#refuseWaiting(new DbalError("unauthenticated", `the daemon closed the connection: ${reason}`, { status: 401 }));
  }

  #failed(why: string, wasGood = false, wasOpen = false): void {
    this.#failures = wasGood ? 1 : this.#failures + 1;
    this.#why = why;
    if (!wasOpen) this.#refuseOpeners(new DbalError("connection_lost", `no connection: ${why}`, { retryable: true }));
  }

  #refuseWaiting(error: DbalError): void {
    const { code, message, status } = error;
    for (const job of this.#queue.splice(0)) {
      const facts = { outcome: job.outcome, cause: error, ...(status !== undefined && { status }) };
      job.fail(job.error(code, message, facts));
    }
    this.#refuseOpeners(error);
  }

  #refuseOpeners(error: DbalError): void {
    for (const { reject } of this.#openers.splice(0)) reject(error);
  }

  /** Who listens must not be able to break what it listens to. */
  #tell(event: ClientEvent): void {
    try {
      this.#onEvent?.(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}
