// What goes wrong on the way, against a daemon: cut and silent connections, wrong tokens, deadlines, restarts.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { inspect, promisify } from "node:util";

import { Client, DbalError, type ClientEvent } from "@dbal/client";
import { Proxy, until } from "./proxy.js";
import type { Schema } from "./schema.js";
import { Daemon } from "./world.js";

let daemon: Daemon;
let proxy: Proxy;

before(async () => {
  daemon = await Daemon.start();
  proxy = await Proxy.start(daemon.address);
});
after(async () => {
  proxy.stop();
  await daemon.stop();
});

/** A call that the daemon has done and whose answer is lost: the connection is cut once another client sees the row. */
async function lost(client: Client<Schema>, title: string, options: { idempotencyKey?: string }): Promise<unknown> {
  const witness = daemon.client("alice");
  await client.open();
  proxy.isDeaf = true;
  const answer = client.create("Note", { title }, options).then(
    (row) => row,
    (error: unknown) => error,
  );
  await until(async () => (await witness.count("Note", { filter: { title } })) === 1, "the row is there");
  proxy.isDeaf = false;
  proxy.cut();
  const outcome = await answer;
  assert.equal(await witness.count("Note", { filter: { title } }), 1, "it was done once");
  await witness.close();
  return outcome;
}

test("a write whose answer is lost is not sent again, and is told as unknown", async () => {
  const client = daemon.client("alice", { url: proxy.url });
  const error = await lost(client, "cut", {});
  assert.ok(error instanceof DbalError);
  assert.equal(error.code, "connection_lost");
  assert.equal(error.outcome, "unknown");
  assert.equal(error.retryable, false);
  // The next call makes the next connection.
  assert.equal(await client.count("Note", { filter: { title: "cut" } }), 1);
  await client.close();
});

test("a write with an idempotency key is sent again, and done once", async () => {
  const client = daemon.client("alice", { url: proxy.url });
  const row = await lost(client, "keyed", { idempotencyKey: "keyed" });
  assert.equal((row as { title: string }).title, "keyed");
  await client.close();
  const naming = daemon.client("alice", { url: proxy.url, autoIdempotency: true });
  assert.equal(((await lost(naming, "named", {})) as { title: string }).title, "named");
  await naming.close();
});

test("reads survive connections that are cut again and again", async () => {
  let cuts = 0;
  const onEvent = ({ type }: ClientEvent) => {
    // In the middle of what is sent as soon as there is a connection.
    if (type === "connected" && ++cuts <= 5) setTimeout(() => proxy.cut(), 2);
  };
  const client = daemon.client("alice", { url: proxy.url, backoffMs: 1, maxAttempts: 20, maxInFlight: 10, onEvent });
  const counts = await Promise.all(Array.from({ length: 300 }, () => client.count("Note")));
  assert.ok(counts.every((count) => count === counts[0]));
  assert.ok(cuts > 3, "it was cut");
  await client.close();
});

test("a connection on which nothing comes any more is given up", async () => {
  const events: ClientEvent[] = [];
  const client = daemon.client("alice", { url: proxy.url, heartbeatMs: 100, onEvent: (event) => events.push(event) });
  await client.open();
  proxy.isDeaf = true;
  const reading = client.count("Note");
  await until(() => events.some((event) => event.type === "disconnected"), "it is given up");
  proxy.isDeaf = false;
  assert.equal(typeof (await reading), "number");
  assert.ok(events.some((event) => event.type === "disconnected" && event.reason === "no answer to a heartbeat"));
  await client.close();
  // A daemon that is there answers, and nothing is cut.
  const quiet: ClientEvent[] = [];
  const patient = daemon.client("alice", { heartbeatMs: 100, onEvent: (event) => quiet.push(event) });
  await patient.open();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(typeof (await patient.count("Note")), "number");
  assert.deepEqual(quiet, [{ type: "connected" }]);
  await patient.close();
});

test("a call ends at its deadline and when its caller ends it", async () => {
  const client = daemon.client("alice", { url: proxy.url });
  await client.open();
  proxy.isDeaf = true;
  const late = { code: "timeout", status: undefined };
  await assert.rejects(async () => client.count("Note", {}, { timeoutMs: 50 }), { ...late, outcome: "not_done", retryable: true });
  const write = async () => client.create("Note", { title: "late" }, { timeoutMs: 50 });
  await assert.rejects(write, { ...late, outcome: "unknown", retryable: false });
  const controller = new AbortController();
  const ended = assert.rejects(async () => client.count("Note", {}, { signal: controller.signal }), {
    code: "aborted",
    cause: "no more",
  });
  controller.abort("no more");
  await ended;
  await assert.rejects(async () => client.count("Note", {}, { signal: AbortSignal.abort() }), { code: "aborted" });
  proxy.isDeaf = false;
  // What comes late belongs to nobody, and the connection goes on.
  assert.equal(typeof (await client.count("Note")), "number");
  await client.close();
});

test("a wrong token is told at once, and whoever gives tokens is asked for another", async () => {
  const wrong = daemon.client("alice", { token: "dbal_wrong" });
  await assert.rejects(async () => wrong.count("Note"), { code: "unauthenticated", status: 401 });
  await wrong.close();
  let asked = 0;
  const { token } = daemon.user("alice");
  const renewing = daemon.client("alice", { token: async () => (++asked === 1 ? "dbal_old" : token) });
  assert.equal(typeof (await renewing.count("Note")), "number");
  assert.equal(asked, 2);
  await renewing.close();
  for (const tokenIn of ["subprotocol", "message"] as const) {
    let given = 0;
    const stubborn = daemon.client("alice", { tokenIn, token: () => `dbal_wrong${++given}` });
    await assert.rejects(async () => stubborn.count("Note"), { code: "unauthenticated" });
    assert.equal(given, 2, "it is not asked on and on");
    await stubborn.close();
  }
  const failing = daemon.client("alice", { token: () => Promise.reject(new Error("no issuer")) });
  await assert.rejects(async () => failing.count("Note"), { code: "unauthenticated" });
  await failing.close();
});

test("only so many calls wait", async () => {
  const client = daemon.client("alice", { maxInFlight: 2, maxQueued: 3 });
  const answers = await Promise.allSettled(Array.from({ length: 7 }, () => client.count("Note")));
  assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 5);
  const refused = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason as DbalError] : []));
  assert.deepEqual(refused.map(({ code, outcome }) => [code, outcome]), [["overloaded", "not_done"], ["overloaded", "not_done"]]);
  await client.close();
});

test("a message that the daemon would close the connection for is not sent", async () => {
  const client = daemon.client("alice");
  const [large, small] = await Promise.allSettled([
    client.create("Note", { title: "large", body: "x".repeat(2 ** 20) }),
    client.count("Note"),
  ]);
  assert.equal(large.status === "rejected" && (large.reason as DbalError).code, "too_large");
  assert.equal(small.status, "fulfilled");
  await client.close();
});

test("no token is in anything that is printed", async () => {
  const token = "a secret that is no subprotocol";
  const client = daemon.client("alice", { token });
  const failures: unknown[] = [await client.count("Note").catch((error: unknown) => error)];
  assert.equal((failures[0] as DbalError).code, "unauthenticated");
  const query = new Client({ url: "wss://127.0.0.1:1/", token, tokenIn: "query", socket: daemon.socket });
  failures.push(await query.open().catch((error: unknown) => error));
  const breaking = new Client({
    url: "wss://127.0.0.1:1/",
    token,
    tokenIn: "query",
    socket: (url) => {
      throw new SyntaxError(`${url} is wrong`);
    },
  });
  failures.push(await breaking.open().catch((error: unknown) => error));
  for (const thing of [client, client.as(token), query, client.count("Note"), ...failures]) {
    const printed = inspect(thing, { depth: 20, showHidden: true }) + JSON.stringify(thing) + String(thing);
    assert.ok(!printed.includes(token) && !printed.includes(encodeURIComponent(token)), printed);
  }
  assert.ok(failures.every((failure) => failure instanceof DbalError));
  assert.match((failures[2] as DbalError).message, /is wrong/);
  for (const one of [client, query, breaking]) await one.close({ graceMs: 0 });
  assert.throws(() => new Client({ url: "wss://host/", token: "", socket: daemon.socket }), TypeError);
  for (const url of ["https://host/", "ws://host/", "wss://me:secret@host/", "wss://host/?access_token=x", "nonsense"]) {
    assert.throws(() => new Client({ url, socket: daemon.socket }), TypeError, url);
  }
});

test("a client that is closed waits for its calls and takes no more", async () => {
  const client = daemon.client("alice");
  const count = client.count("Note").then((value) => value);
  await client.close();
  assert.equal(typeof (await count), "number");
  await assert.rejects(async () => client.count("Note"), { code: "closed", outcome: "not_done" });
  await assert.rejects(client.open(), { code: "closed" });
});

test("calls go on while the daemon is restarted, and none is done twice", async () => {
  const client = daemon.client("alice", { backoffMs: 20 });
  await client.open();
  let isOver = false;
  const failures: unknown[] = [];
  let done = 0;
  const loops = Array.from({ length: 8 }, async (_, lane) => {
    for (let round = 0; !isOver; round += 1) {
      const title = `restart ${lane} ${round}`;
      // No key: the daemon says that what it has not answered was not done, and so it may be sent again.
      await client.create("Note", { title }).then(
        () => (done += 1),
        (error: unknown) => failures.push(error),
      );
    }
  });
  await until(() => done > 20, "calls are done");
  await daemon.restart();
  const before = done;
  await until(() => done > before + 20, "calls are done again");
  isOver = true;
  await Promise.all(loops);
  assert.deepEqual(failures, []);
  assert.equal(await client.count("Note", { filter: { title: { startsWith: "restart" } } }), done);
  await client.close();
});

test("a broker that is killed costs reads and named writes nothing", async () => {
  const client = daemon.client("alice", { autoIdempotency: true, backoffMs: 20, maxAttempts: 50 });
  await client.open();
  let done = 0;
  const calls = Array.from({ length: 60 }, async (_, nth) => {
    await client.create("Note", { title: `killed ${nth}` });
    done += 1;
  });
  await until(() => done > 0, "a call is done");
  daemon.killBroker("SIGKILL");
  await Promise.all(calls);
  assert.equal(await client.count("Note", { filter: { title: { startsWith: "killed" } } }), 60);
  await client.close();
});

test("the standard WebSocket will do", async () => {
  const script = `
    import { Client } from "@dbal/client";
    const db = new Client({ url: process.env.URL, token: process.env.TOKEN });
    console.log(typeof await db.count("Note"), (await db.create("Note", { title: "" }).catch((error) => error)).code);
    await db.close();`;
  const flags = process.versions.node.startsWith("20.") ? ["--experimental-websocket", "--no-warnings"] : [];
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--input-type=module", "-e", script], {
    cwd: new URL("../../", import.meta.url),
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: daemon.ready.ca,
      URL: daemon.ready.endpoint,
      TOKEN: daemon.user("alice").token,
    },
    timeout: 20_000,
  });
  assert.equal(stdout, "number invalid\n");
});
