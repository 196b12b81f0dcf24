// Every method of the protocol, by types, against a daemon.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Client } from "@dbal/client";
import type { Schema } from "./schema.js";
import { Daemon } from "./world.js";

let daemon: Daemon;
let alice: Client<Schema>;

before(async () => {
  daemon = await Daemon.given();
  alice = daemon.client("alice");
});
after(async () => {
  await alice.close();
  await daemon.stop();
});

test("a row is made, read, found, changed and removed", async () => {
  const made = await alice.create("Note", { title: "first", rank: 3 });
  assert.ok(made);
  assert.equal(made.ownerId, daemon.user("alice").user_id);
  assert.deepEqual(await alice.read("Note", made.id), made);
  assert.deepEqual(await alice.read("Note", made.id, { select: ["title"] }), { title: "first" });
  assert.deepEqual(await alice.findByField("Note", "title", "first"), made);
  assert.equal((await alice.findFirst("Note", { filter: { rank: { gt: 2 } }, sort: { rank: "desc" } }))?.id, made.id);
  assert.equal((await alice.update("Note", made.id, { body: "b" }))?.body, "b");
  assert.equal((await alice.updateByField("Note", "id", made.id, { body: null }))?.body, null);
  assert.equal(await alice.delete("Note", made.id), true);
  assert.equal(await alice.deleteByField("Note", "id", made.id), false);
});

test("linked rows come along, and filters reach through relations", async () => {
  const note = await alice.create("Note", { title: "linked", state: "published" });
  assert.ok(note);
  const comment = { noteId: note.id, authorId: daemon.user("alice").user_id };
  assert.equal(await alice.createMany("Comment", [{ ...comment, text: "one" }, { ...comment, text: "two" }]), 2);
  const found = await alice.read("Note", note.id, {
    select: ["title"],
    include: { owner: { select: ["username"] }, comments: { select: ["text"], sort: { text: "desc" }, limit: 1 } },
  });
  assert.deepEqual(found, { title: "linked", owner: { username: "alice" }, comments: [{ text: "two" }] });
  const titles = await alice.list("Note", { filter: { comments: { some: { text: "one" } } }, select: ["title"] });
  assert.deepEqual(titles.data, [{ title: "linked" }]);
  assert.equal(titles.total, 1);
  assert.equal(await alice.count("Comment", { filter: { note: { some: { title: { startsWith: "link" } } } } }), 2);
});

test("pages follow one another, by number and by cursor", async () => {
  const rows = Array.from({ length: 7 }, (_, rank) => ({ title: "paged", rank }));
  assert.equal(await alice.createMany("Note", rows), 7);
  const filter = { title: "paged" };
  const second = await alice.list("Note", { filter, sort: { rank: "asc" }, page: 2, limit: 3 });
  assert.deepEqual(second.data.map(({ rank }) => rank), [3, 4, 5]);
  assert.ok(second.hasMore && second.total === 7);
  const ranks: number[] = [];
  for await (const { rank } of alice.rows("Note", { filter, sort: { rank: "desc" }, limit: 3, select: ["rank"] })) {
    ranks.push(rank);
  }
  assert.deepEqual(ranks, [6, 5, 4, 3, 2, 1, 0]);
  const numbers = await alice.aggregate("Note", { filter, count: true, sum: ["rank"], avg: ["rank"], max: ["rank"] });
  assert.deepEqual(numbers, { count: 7, sum: { rank: 21 }, avg: { rank: 3 }, max: { rank: 6 } });
  const groups = await alice.aggregate("Note", { filter, groupBy: ["state"] });
  assert.deepEqual(groups.data, [{ group: { state: "draft" }, count: 7 }]);
  assert.equal(await alice.updateMany("Note", { ...filter, rank: { lt: 2 } }, { state: "published" }), 2);
  assert.equal(await alice.deleteMany("Note", filter), 7);
});

test("an upsert makes a row and then changes it", async () => {
  // What an admin may write is not what the types of a user say.
  type Users = { User: Omit<Schema["User"], "create"> & { create: { username: string; email: string } } };
  const admin = new Client<Users>({ url: daemon.ready.endpoint, token: daemon.user("admin").token, socket: daemon.socket });
  const upsert = () =>
    admin.upsert("User", { username: "dora" }, { username: "dora", email: "dora@example.com" }, { displayName: "Dora" });
  assert.equal((await upsert())?.displayName, null);
  assert.equal((await upsert())?.displayName, "Dora");
  assert.equal(await admin.deleteByField("User", "username", "dora"), true);
  await admin.close();
});

test("a transaction does all or nothing, and later calls use what earlier ones answer", async () => {
  const note = alice.create("Note", { title: "whole" });
  const authorId = daemon.user("alice").user_id;
  const comment = alice.create("Comment", { noteId: note.ref("id"), authorId, text: "of it" });
  const count = alice.count("Note", { filter: { title: "whole" } });
  const [made, written, counted] = await alice.transaction([note, comment, count], { isolation: "serializable" });
  assert.ok(made && written);
  assert.equal(written.noteId, made.id);
  assert.equal(counted, 1);
  await assert.rejects(async () => note, TypeError, "it was sent with others");
  const failing = alice.transaction([
    alice.create("Note", { title: "half" }),
    alice.create("Note", { title: "" }),
  ]);
  await assert.rejects(async () => failing, { code: "invalid", call: 1, fields: [{ field: "title", error: "must not be empty" }] });
  assert.equal(await alice.count("Note", { filter: { title: "half" } }), 0);
  const misplaced = alice.create("Note", { title: "x" });
  const before = alice.create("Comment", { noteId: misplaced.ref("id"), authorId, text: "too early" });
  await assert.rejects(async () => alice.transaction([before, misplaced]), TypeError);
});

test("each call of a batch is its own", async () => {
  const [made, missing, count] = await alice.batch([
    alice.create("Note", { title: "batched" }, { idempotencyKey: "batched" }),
    alice.read("Note", crypto.randomUUID()),
    alice.count("Note", { filter: { title: "batched" } }),
  ]);
  assert.ok(made.status === "fulfilled" && made.value?.title === "batched");
  assert.ok(missing.status === "rejected" && missing.reason.code === "not_found");
  assert.deepEqual(count, { status: "fulfilled", value: 1 });
});

test("what would become of a call is told, and the call can be made afterwards", async () => {
  const call = alice.create("Note", { title: "explained" });
  const told = await alice.explain(call);
  assert.equal(told.allowed, true);
  assert.equal((await call)?.title, "explained");
  const capabilities = await alice.getCapabilities();
  assert.equal(capabilities.adapter, process.env["DBAL_TEST_ADAPTER"] ?? "sqlite");
  assert.ok(capabilities.transactions && capabilities.methods.includes("aggregate"));
  assert.deepEqual(capabilities.entities.map(({ name }) => name), ["Comment", "Note", "User"]);
  const document = await alice.discover();
  assert.equal(document["openrpc"], "1.3.2");
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  assert.equal(typeof (await alice.count("Note", {}, { traceparent })), "number");
});

test("errors say what a program decides by", async () => {
  const id = crypto.randomUUID();
  await assert.rejects(async () => alice.create("Note", { title: "", rank: 1001 }), {
    name: "DbalError",
    code: "invalid",
    status: 422,
    method: "create",
    entity: "Note",
    retryable: false,
    outcome: "not_done",
    fields: [
      { field: "title", error: "must not be empty" },
      { field: "rank", error: "must be at most 1000" },
    ],
  });
  await assert.rejects(async () => alice.read("Note", id), { code: "not_found", status: 404 });
  await assert.rejects(async () => alice.delete("User", id), (error: { code: string; decision?: string }) => {
    assert.equal(error.code, "forbidden");
    assert.equal(typeof error.decision, "string");
    return true;
  });
  await assert.rejects(async () => alice.updateByField("User", "username", "alice", { email: "bob@example.com" }), {
    code: "conflict",
    status: 409,
  });
});

test("one connection carries calls in several names", async () => {
  const bob = alice.as(daemon.user("bob").token, daemon.user("bob").user_id);
  const [mine, his] = await Promise.all([
    alice.create("Note", { title: "whose" }),
    bob.create("Note", { title: "whose" }),
  ]);
  assert.equal(mine?.ownerId, daemon.user("alice").user_id);
  assert.equal(his?.ownerId, daemon.user("bob").user_id);
  const another = alice.as(daemon.user("bob").token, daemon.user("alice").user_id);
  await assert.rejects(async () => another.count("Note"), { code: "unauthenticated" });
  await assert.rejects(async () => alice.as("dbal_nobody").count("Note"), { code: "unauthenticated" });
  assert.equal(await alice.count("Note", { filter: { title: "whose" } }), 1);
});

test("a token is shown by header, subprotocol, message and address", async () => {
  for (const tokenIn of ["header", "subprotocol", "message", "query"] as const) {
    const client = daemon.client("bob", { tokenIn });
    assert.equal((await client.findFirst("User", { filter: { username: "bob" } }))?.email !== undefined, true, tokenIn);
    await client.close();
  }
});
