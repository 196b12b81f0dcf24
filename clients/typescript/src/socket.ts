// What is used of a WebSocket, and how one is asked for: the address, and where the token stands.

import { without } from "./credentials.js";
import { DbalError } from "./error.js";
import type { TokenIn } from "./options.js";

/** What is used of a WebSocket: the standard one of browsers and Node 22, and that of `ws`, have it. */
export interface SocketLike {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(message: string): void;
  close(code?: number, reason?: string): void;
}

/** Makes a socket. `headers` are empty unless `tokenIn` is `header`. */
export type OpenSocket = (url: string, protocols: string[], headers: Record<string, string>) => SocketLike;

/** RFC 9110 §5.6.2: what a subprotocol may be made of. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Of the upgrade. It fixes nothing but the dialect of answers to what can't be read. */
const PROTOCOL = "dbal.v1.native";
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** The address, if a token may be sent there. */
export function address(given: string | URL): string {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new TypeError("url must be an address such as wss://host:50051/");
  }
  const isPlain = url.protocol === "ws:" && LOOPBACK.test(url.hostname);
  if (url.protocol !== "wss:" && !isPlain) {
    throw new TypeError("url must begin with wss://; ws:// would show the token to everybody on the way");
  }
  if (url.username !== "" || url.password !== "" || url.searchParams.has("access_token")) {
    throw new TypeError("url must hold no secret: say it as `token`");
  }
  url.hash = "";
  return url.href;
}

/** Who makes sockets where the caller doesn't say. */
export function opener(given: OpenSocket | undefined, tokenIn: TokenIn): OpenSocket {
  if (given !== undefined) return given;
  if (tokenIn === "header") throw new TypeError("a standard WebSocket sends no headers: say `socket`, for example with `ws`");
  const Standard = (globalThis as { WebSocket?: new (url: string, protocols: string[]) => SocketLike }).WebSocket;
  if (Standard === undefined) throw new TypeError("there is no WebSocket here (Node before 22): say `socket`, for example with `ws`");
  return (url, protocols) => new Standard(url, protocols);
}

/** A socket on its way, with the token where it belongs. No error that comes of it holds the token. */
export function begin(open: OpenSocket, url: string, tokenIn: TokenIn, token: string | undefined): SocketLike {
  const protocols = [PROTOCOL];
  const headers: Record<string, string> = {};
  let target = url;
  if (token !== undefined) {
    switch (tokenIn) {
      case "subprotocol":
        if (!TOKEN.test(token)) {
          throw new DbalError("unauthenticated", "the token can't stand in a subprotocol: say `tokenIn: \"header\"` or `\"message\"`");
        }
        protocols.push(`dbal.bearer.${token}`);
        break;
      case "header":
        headers["authorization"] = `Bearer ${token}`;
        break;
      case "query":
        target += `${url.includes("?") ? "&" : "?"}access_token=${encodeURIComponent(token)}`;
        break;
      case "message":
        break;
    }
  }
  try {
    return open(target, protocols, headers);
  } catch (error) {
    // Browsers put the subprotocol, or the address, into what they throw.
    throw new Error(without(token, error instanceof Error ? error.message : String(error)));
  }
}
