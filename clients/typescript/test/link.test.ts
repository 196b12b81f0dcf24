// What is sent again and what is not, told by a daemon that says whatever a test wants.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, DbalError, type ClientEvent, type ClientOptions, type SocketLike } from "@dbal/client";
import { until } from "./proxy.js";
import type { Schema } from "./schema.js";

/** What a client has sent. */
interface Sent {
  readonly id?: string;
  readonly method: string;
  readonly params: Record<string, unknown>;
  readonly auth?: { readonly token: string };
}

/** A socket whose other end is the test. */
class Fake implements SocketLike {
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  readonly sent: Sent[] = [];
  readonly protocols: readonly string[];
  readonly #hear: (socket: Fake, sent: Sent) => void;

  constructor(protocols: readonly string[], hear: (socket: Fake, sent: Sent) => void) {
    this.protocols = protocols;
    this.#hear = hear;
    queueMicrotask(() => this.onopen?.({}));
  }

  send(message: string): void {
    const sent = JSON.parse(message) as Sent;
    this.sent.push(sent);
    queueMicrotask(() => this.#hear(this, sent));
  }

  close(): void {
    this.end(1000, "");
  }

  end(code: number, reason: string): void {
    this.onclose?.({ code, reason });
  }

  answer({ id }: Sent, answer: { result: unknown } | { error: unknown }): void {
    this.onmessage?.({ data: JSON.stringify({ id, ...answer }) });
  }
}

/** A client of a daemon that does these things, one for each call that it hears, and answers 1 afterwards. */
function world(does: ((socket: Fake, sent: Sent) => void)[], options: Partial<ClientOptions> = {}) {
  const sockets: Fake[] = [];
  const heard: Sent[] = [];
  const events: ClientEvent[] = [];
  const client = new Client<Schema>({
    url: "wss://daemon/",
    token: "token",
    backoffMs: 1,
    onEvent: (event) => events.push(event),
    socket: (_, protocols) => {
      const socket = new Fake(protocols, (socket, sent) => {
        heard.push(sent);
        const act = does.shift() ?? ((socket: Fake, sent: Sent) => socket.answer(sent, { result: 1 }));
        act(socket, sent);
      });
      sockets.push(socket);
      return socket;
    },
    ...options,
  });
  return { client, sockets, heard, events };
}

const refuse = (code: number, details: object) => (socket: Fake, sent: Sent) =>
  socket.answer(sent, { error: { code, message: "no", details } });
const end = (code: number, reason: string) => (socket: Fake) => socket.end(code, reason);
const title = { title: "x" };

async function code(call: PromiseLike<unknown>): Promise<string> {
  try {
    await call;
    return "done";
  } catch (error) {
    assert.ok(error instanceof DbalError, String(error));
    return `${error.code} ${error.outcome}`;
  }
}

test("what is known not to have been done is sent again, by whatever it was ended", async () => {
  for (const [what, does] of [
    ["the daemon went away", end(1001, "going away")],
    ["no worker was there", refuse(503, { retryable: true })],
    ["it took too long before anything was done", refuse(504, { retryable: true })],
    ["the rate limit", refuse(429, { retryAfter: 0 })],
  ] as const) {
    const { client, heard } = world([does]);
    assert.equal(await code(client.create("Note", title)), "done", what);
    assert.equal(heard.length, 2, what);
  }
});

test("a write that may have been done is sent again only by its key", async () => {
  for (const [what, does, told] of [
    ["the connection broke", end(1006, ""), "connection_lost unknown"],
    ["the daemon waited no longer", end(1001, "going away; what has no answer may have been done"), "connection_lost unknown"],
    ["somebody else went away", end(1001, ""), "connection_lost unknown"],
    ["the worker was lost", refuse(503, { outcome: "unknown" }), "unavailable unknown"],
    ["it took too long", refuse(504, { outcome: "unknown" }), "timeout unknown"],
  ] as const) {
    const without = world([does]);
    assert.equal(await code(without.client.create("Note", title)), told, what);
    assert.equal(without.heard.length, 1, what);
    const keyed = world([does]);
    assert.equal(await code(keyed.client.create("Note", title, { idempotencyKey: "k" })), "done", what);
    assert.deepEqual(keyed.heard.map(({ params }) => (params["_meta"] as { idempotencyKey: string }).idempotencyKey), ["k", "k"]);
    const named = world([does], { autoIdempotency: true });
    assert.equal(await code(named.client.transaction([named.client.create("Note", title)])), "done", what);
    const keys = named.heard.map(({ params }) => (params["_meta"] as { idempotencyKey: string }).idempotencyKey);
    assert.ok(keys[0] !== undefined && keys[0] === keys[1], what);
    const read = world([does]);
    assert.equal(await code(read.client.count("Note")), "done", what);
  }
});

test("a batch is sent again if each of its writes has a key, and a read is always", async () => {
  const lost = end(1006, "");
  const batch = async ({ client }: ReturnType<typeof world>, options: { idempotencyKey?: string }) =>
    code(client.batch([client.count("Note"), client.create("Note", title, options)]));
  assert.equal(await batch(world([lost]), {}), "connection_lost unknown");
  assert.equal(await batch(world([lost]), { idempotencyKey: "k" }), "done");
  assert.equal(await batch(world([lost], { autoIdempotency: true }), {}), "done");
});

test("nothing is sent again without end, nor when there is no time for it", async () => {
  const busy = Array.from({ length: 10 }, () => refuse(503, { retryable: true }));
  const { client, heard } = world(busy, { maxAttempts: 3 });
  assert.equal(await code(client.count("Note")), "unavailable not_done");
  assert.equal(heard.length, 3);
  const waiting = world([refuse(429, { retryAfter: 60 })]);
  const error = await waiting.client.count("Note").catch((error: unknown) => error);
  assert.ok(error instanceof DbalError && error.retryable && error.retryAfterMs === 60_000, "at once, with when to come again");
  const unchanging = world([refuse(422, { fields: [{ field: "a", error: "b" }] })]);
  assert.equal(await code(unchanging.client.count("Note")), "invalid not_done");
  assert.equal(unchanging.heard.length, 1);
});

test("a daemon that has no room is not asked again at once", async () => {
  const { client, events } = world([end(1013, "try again later")], { backoffMs: 10 });
  const random = Math.random;
  Math.random = () => 1;
  try {
    assert.equal(await code(client.count("Note")), "done");
  } finally {
    Math.random = random;
  }
  const pauses = events.flatMap((event) => (event.type === "connecting" ? [event.delayMs] : []));
  assert.deepEqual(pauses, [80]);
});

test("a connection is made anew before its token ends, and calls on the old one are answered", async () => {
  const jwt = (ms: number) => `e30.${btoa(JSON.stringify({ exp: (Date.now() + ms) / 1000 })).replace(/=+$/, "")}.s${ms}`;
  let asked = 0;
  let answer = () => {};
  const slow = (socket: Fake, sent: Sent) => (answer = () => socket.answer(sent, { result: 7 }));
  const { client, sockets } = world([slow], { token: () => jwt(++asked === 1 ? 100 : 3_600_000) });
  const first = client.count("Note").then((count) => count);
  await until(() => asked === 1 && sockets.length === 1, "it is connected");
  await new Promise((resolve) => setTimeout(resolve, 80));
  assert.equal(await client.count("Note"), 1);
  assert.equal(sockets.length, 2);
  assert.equal(asked, 2);
  assert.notEqual(sockets[0]?.protocols[1], sockets[1]?.protocols[1]);
  answer();
  assert.equal(await first, 7);
  await client.close();
});

test("a connection that is closed for its token is made with another, once", async () => {
  let asked = 0;
  const options = { token: () => `token${++asked}` };
  const renewing = world([end(4401, "the token does not hold")], options);
  assert.equal(await code(renewing.client.count("Note")), "done");
  assert.deepEqual(renewing.sockets.map(({ protocols }) => protocols[1]), ["dbal.bearer.token1", "dbal.bearer.token2"]);
  const refused = world(Array.from({ length: 9 }, () => end(4401, "the token does not hold")), options);
  assert.equal(await code(refused.client.count("Note")), "unauthenticated not_done");
  assert.equal(refused.sockets.length, 2);
  const given = world([end(4401, "the token does not hold")]);
  assert.equal(await code(given.client.count("Note")), "unauthenticated not_done");
  assert.equal(given.sockets.length, 1);
  // Of a connection without a token of its own it says no more than that nothing was asked for long.
  const silent = world([end(4401, "no proof was shown in time")], { tokenIn: "message" });
  assert.equal(await code(silent.client.count("Note")), "done");
  assert.deepEqual(silent.heard.map(({ auth }) => auth), [{ token: "token" }, { token: "token" }]);
});

test("whoever gives no token in time is asked again by the next call", async () => {
  let asked = 0;
  const token = () => (++asked === 1 ? new Promise<string>(() => {}) : "token");
  const { client, sockets } = world([], { token, connectTimeoutMs: 20 });
  assert.equal(await code(client.count("Note")), "unauthenticated not_done");
  assert.equal(sockets.length, 0);
  assert.equal(await code(client.count("Note")), "done");
});

test("what a deadline or a caller ends is ended in the daemon", async () => {
  const { client, sockets } = world([() => {}]);
  assert.equal(await code(client.create("Note", title, { timeoutMs: 20 })), "timeout unknown");
  const [call, cancel] = sockets[0]?.sent ?? [];
  const { timeoutMs } = call?.params["_meta"] as { timeoutMs: number };
  assert.ok(timeoutMs >= 1 && timeoutMs <= 18, "the daemon's own answer would come before");
  assert.deepEqual([cancel?.method, cancel?.params, cancel?.id], ["$/cancelRequest", { id: call?.id }, undefined]);
});

test("what JSON would change without a word is refused before it is sent", async () => {
  const { client, heard } = world([]);
  const undefinedId = { ownerId: undefined } as unknown as { ownerId: string };
  for (const call of [
    () => client.deleteMany("Note", undefinedId),
    () => client.list("Note", { filter: { AND: [undefinedId] } }),
    () => client.list("Note", { include: { comments: { filter: { text: undefined as unknown as string } } } }),
    () => client.read("Note", undefined as unknown as string),
    () => client.create("Note", { title: "x", rank: Number.NaN }),
    () => client.create("Note", { title: new Map() as unknown as string }),
    () => client.create("Note", { title: new Date(Number.NaN) as unknown as string }),
    () => client.create("Note", { title: client.create("Note", title).ref("title") }),
    () => client.count("Note", {}, { timeoutMs: 0 }),
  ]) {
    await assert.rejects(async () => call(), TypeError);
  }
  assert.equal(heard.length, 0);
  type Odd = { Odd: { row: {}; create: object; update: {}; kinds: {}; key: ""; unique: ""; relations: {} } };
  const odd = client as unknown as Client<Odd>;
  await odd.create("Odd", {
    big: 2n ** 63n - 1n,
    bytes: new Uint8Array([1, 2, 255]),
    at: new Date(0),
    absent: undefined,
    json: JSON.parse('{"__proto__": {"a": [null]}}') as object,
  });
  assert.equal(
    JSON.stringify(heard[0]?.params["data"]),
    '{"big":"9223372036854775807","bytes":"AQL/","at":"1970-01-01T00:00:00.000Z","json":{"__proto__":{"a":[null]}}}',
  );
});

test("what a daemon should not say does no harm", async () => {
  const say = (data: string) => (socket: Fake, sent: Sent) => {
    socket.onmessage?.({ data });
    socket.answer(sent, { result: 1 });
  };
  for (const data of ["null", "[]", '{"id":null,"error":{"code":400}}', '{"id":"nobody","result":1}', '{"id":{},"result":1}']) {
    assert.equal(await code(world([say(data)]).client.count("Note")), "done", data);
  }
  // What is no JSON ends the connection, and the call is made on the next.
  const { client, sockets } = world([say("{")]);
  assert.equal(await code(client.count("Note")), "done");
  assert.equal(sockets.length, 2);
  for (const error of [null, 7, {}, { code: "x", message: {}, details: { fields: "no", retryAfter: -1, retryable: "yes" } }]) {
    const odd = world([(socket, sent) => socket.answer(sent, { error })]);
    assert.equal(await code(odd.client.count("Note")), "unknown_code not_done");
  }
});

test("a listener that throws breaks nothing of the client", async () => {
  const thrown: unknown[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => thrown.push(error));
  const { client } = world([], {
    onEvent: () => {
      throw new Error("mine");
    },
  });
  assert.equal(await code(client.count("Note")), "done");
  await until(() => thrown.length === 1, "it is heard of");
  process.setUncaughtExceptionCaptureCallback(null);
});
