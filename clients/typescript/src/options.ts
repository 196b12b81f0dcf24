// What a client is told when it is made, with what holds where nothing is said.

import type { OpenSocket } from "./socket.js";

/** A token, or who gives one: asked before each connection, when one ends, and when the daemon refuses one. */
export type TokenSource = string | (() => string | Promise<string>);

/** How the token is shown. */
export type TokenIn =
  /** Beside the subprotocol, as browsers can. */
  | "subprotocol"
  /** `Authorization` of the upgrade; needs `socket`. */
  | "header"
  /** `?access_token=`; the daemon takes it only where `auth.token_in_query` is on. URLs are logged: the last choice. */
  | "query"
  /** With each message. */
  | "message";

/** What happened to the connection, for logs and metrics. */
export type ClientEvent =
  | { readonly type: "connected" }
  | { readonly type: "disconnected"; readonly code: number; readonly reason: string; readonly lost: number }
  | { readonly type: "connecting"; readonly attempt: number; readonly delayMs: number; readonly why: string }
  | { readonly type: "retrying"; readonly method: string; readonly attempt: number; readonly delayMs: number; readonly why: string };

/** How a client works. */
export interface ClientOptions {
  /** `wss://host:50051/`; `ws://` on this machine only. */
  readonly url: string | URL;
  /** Left out where a client certificate says enough, or where everything is public. */
  readonly token?: TokenSource;
  /** The token's subject, if the daemon shall compare it; with `tokenIn: "message"`. */
  readonly userId?: string;
  readonly tokenIn?: TokenIn;
  /** Makes the socket: for a CA of your own, a client certificate, headers, a proxy; and for Node 20, which has none of its own. */
  readonly socket?: OpenSocket;
  /** How long a call may take in all: 30,000. */
  readonly timeoutMs?: number;
  /** How long a connection may take to be made, and a token to be given: 10,000. */
  readonly connectTimeoutMs?: number;
  /** Silence after which the daemon is asked whether it is there; once more of it and the connection is lost: 15,000. 0: never. */
  readonly heartbeatMs?: number;
  /** Calls on the way at once: 64, as many as the daemon reads. */
  readonly maxInFlight?: number;
  /** Calls that wait for a place; one more is refused with `overloaded`: 1,000. */
  readonly maxQueued?: number;
  /** How often a call is sent at most, where sending it again does nothing twice: 5. */
  readonly maxAttempts?: number;
  /** The first pause before something is tried again; each further one is up to twice as long, and a random part of that: 100. */
  readonly backoffMs?: number;
  /** The longest: 10,000. */
  readonly maxBackoffMs?: number;
  /** Gives each write an idempotency key that has none, so that it can be sent again whatever happens. Costs the database a row each. */
  readonly autoIdempotency?: boolean;
  readonly onEvent?: (event: ClientEvent) => void;
}

/** All that is a number. */
export interface Limits {
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly maxInFlight: number;
  readonly maxQueued: number;
  readonly maxAttempts: number;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
}

const DEFAULTS: Limits = {
  timeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  heartbeatMs: 15_000,
  maxInFlight: 64,
  maxQueued: 1_000,
  maxAttempts: 5,
  backoffMs: 100,
  maxBackoffMs: 10_000,
};

/** `setTimeout` takes no more. */
export const LONGEST_MS = 2 ** 31 - 1;

export function limits(options: ClientOptions): Limits {
  const names = Object.keys(DEFAULTS) as (keyof Limits)[];
  const entries = names.map((name) => {
    const value = options[name] ?? DEFAULTS[name];
    const least = name === "heartbeatMs" || name === "maxQueued" ? 0 : 1;
    return [name, whole(value, name, least)];
  });
  return Object.fromEntries(entries) as Record<keyof Limits, number>;
}

/** A whole number from `least` on. */
export function whole(value: number, name: string, least: number): number {
  if (!Number.isInteger(value) || value < least || value > LONGEST_MS) {
    throw new TypeError(`${name} must be a whole number from ${least} to ${LONGEST_MS}`);
  }
  return value;
}

/** A random part of a pause that doubles: who waited together shall not come back together. */
export function pause({ backoffMs, maxBackoffMs }: Limits, failures: number): number {
  return Math.random() * Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures, 30));
}
