// One connection: what is on the way on it, whether the daemon is still there, how it ends.

import { record } from "./error.js";
import type { Job } from "./job.js";
import type { SocketLike } from "./socket.js";

/** How a connection ended. `wasOpen`: it had been made. */
export interface Ending {
  readonly code: number;
  readonly reason: string;
  readonly wasOpen: boolean;
}

/** Who is told. */
export interface Listener {
  opened(connection: Connection): void;
  answered(connection: Connection, job: Job, answer: { result: unknown } | { error: unknown }): void;
  ended(connection: Connection, ending: Ending, unanswered: Job[]): void;
}

/** What a socket that is not there any more is said to have ended with (RFC 6455 §7.1.5). */
const ABNORMAL = 1006;

export class Connection {
  /** Version of the token with which it was made. */
  readonly version: number;
  readonly #socket: SocketLike;
  readonly #listener: Listener;
  readonly #inFlight = new Map<string, Job>();
  readonly #heartbeatMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: "opening" | "open" | "retired" | "ended" = "opening";
  #isAsked = false;
  #number = 0;
  #trouble = "";
  /** Whether it has answered anything: the token holds. */
  hasAnswered = false;

  constructor(socket: SocketLike, version: number, connectMs: number, heartbeatMs: number, listener: Listener) {
    this.#socket = socket;
    this.version = version;
    this.#listener = listener;
    this.#heartbeatMs = heartbeatMs;
    this.#timer = setTimeout(() => this.#cut("it took too long to connect"), connectMs);
    socket.onopen = () => {
      this.#state = "open";
      this.#listen();
      this.#listener.opened(this);
    };
    socket.onmessage = (event: { data: unknown }) => this.#hear(event.data);
    // `onclose` follows. Only Node's sockets say what it was.
    socket.onerror = (event: { message?: unknown; error?: { message?: unknown } } | undefined) => {
      const message = event?.message ?? event?.error?.message;
      if (typeof message === "string") this.#trouble = message;
    };
    socket.onclose = (event: { code?: unknown; reason?: unknown }) => {
      const code = typeof event.code === "number" ? event.code : ABNORMAL;
      this.#end(code, typeof event.reason === "string" && event.reason !== "" ? event.reason : this.#trouble);
    };
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  get count(): number {
    return this.#inFlight.size;
  }

  /** An id that no other call of this connection has. */
  nextId(): string {
    return `${++this.#number}`;
  }

  /** Sends it; what can't be sent is as if the connection had ended. */
  send(job: Job, id: string, message: string): void {
    this.#inFlight.set(id, job);
    job.wasSent = true;
    this.#say(message);
  }

  /** Nobody waits for it any more: the daemon need not go on. */
  abandon(job: Job): void {
    if (this.#state === "ended") return;
    for (const [id, other] of this.#inFlight) {
      if (other !== job) continue;
      this.#inFlight.delete(id);
      this.#say(JSON.stringify({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id } }));
      this.#closeIfDone();
      return;
    }
  }

  /** Takes no more calls, and closes when those on the way are answered. */
  retire(): void {
    if (this.#state !== "open") return;
    this.#state = "retired";
    this.#closeIfDone();
  }

  /** Closes at once. Calls on the way are given back as unanswered. */
  close(): void {
    this.#cut("closed", 1000);
  }

  #hear(data: unknown): void {
    if (this.#state === "ended") return;
    this.#listen();
    let message: Record<string, unknown>;
    try {
      message = record(JSON.parse(String(data)));
    } catch {
      // Not the protocol: nothing that comes behind it can be trusted to be.
      this.#cut("an answer that is no JSON");
      return;
    }
    const { id } = message;
    const job = typeof id === "string" ? this.#inFlight.get(id) : undefined;
    // An answer to a heartbeat, or to a call that was abandoned.
    if (typeof id !== "string" || job === undefined) return;
    this.#inFlight.delete(id);
    this.hasAnswered ||= !("error" in message);
    this.#listener.answered(this, job, "error" in message ? { error: message["error"] } : { result: message["result"] });
    this.#closeIfDone();
  }

  #say(message: string): void {
    try {
      this.#socket.send(message);
    } catch {
      // A socket that is closing; `onclose` is on its way, or comes never.
      this.#cut("it can't be written to");
    }
  }

  #closeIfDone(): void {
    if (this.#state === "retired" && this.#inFlight.size === 0) this.close();
  }

  /** A silence begins: in its middle the daemon is asked, at its end it is gone. */
  #listen(): void {
    clearTimeout(this.#timer);
    this.#isAsked = false;
    if (this.#heartbeatMs > 0) this.#timer = setTimeout(() => this.#doubt(), this.#heartbeatMs);
    idle(this.#timer);
  }

  #doubt(): void {
    if (this.#isAsked) {
      this.#cut("no answer to a heartbeat");
      return;
    }
    this.#isAsked = true;
    this.#timer = setTimeout(() => this.#doubt(), this.#heartbeatMs);
    idle(this.#timer);
    // The cheapest question that there is: it costs no token of a rate limit and asks no database.
    this.#say(JSON.stringify({ id: "heartbeat", method: "$/cancelRequest", params: { id: "heartbeat" } }));
  }

  #cut(why: string, code = ABNORMAL): void {
    const socket = this.#socket as SocketLike & { terminate?: () => void };
    try {
      // A peer that is gone answers no closing handshake; `ws` would wait for it for half a minute.
      if (code === ABNORMAL && typeof socket.terminate === "function") socket.terminate();
      else socket.close(1000);
    } catch {
      // It was closed before.
    }
    this.#end(code, why);
  }

  #end(code: number, reason: string): void {
    if (this.#state === "ended") return;
    const wasOpen = this.#state !== "opening";
    this.#state = "ended";
    clearTimeout(this.#timer);
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    // Kept: a socket of `ws` without a listener for errors ends the process.
    socket.onerror = () => {};
    const unanswered = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#listener.ended(this, { code, reason, wasOpen }, unanswered);
  }
}

/** A timer that alone keeps no process of Node alive. */
export function idle(timer: unknown): void {
  const { unref } = timer as { unref?: () => void };
  if (typeof unref === "function") unref.call(timer);
}
