// A daemon whose policy allows little.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { DbalError, type ClientEvent } from "@dbal/client";
import { Daemon, EXAMPLES } from "./world.js";

let daemon: Daemon;
const folder = mkdtempSync(join(tmpdir(), "dbal-limits-"));

before(async () => {
  const [rules] = readFileSync(join(EXAMPLES, "acl.yaml"), "utf8").split("\nlimits:");
  const policy = join(folder, "acl.yaml");
  writeFileSync(policy, `${rules}\nlimits:\n  user: {requests_per_minute: 60, burst: 4, max_complexity: 1000, max_rows: 100}\n`);
  daemon = await Daemon.start(["--entities", join(EXAMPLES, "entities"), "--policy", policy]);
});
after(async () => {
  await daemon.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("calls beyond the rate limit are made when the daemon says, or told so where there is no time", async () => {
  const events: ClientEvent[] = [];
  const client = daemon.client("alice", { onEvent: (event) => events.push(event) });
  const began = Date.now();
  const answers = await Promise.all(Array.from({ length: 5 }, async () => client.create("Note", { title: "limited" })));
  assert.equal(answers.length, 5);
  assert.ok(Date.now() - began >= 900, "the fifth has waited");
  const retries = events.filter((event) => event.type === "retrying");
  assert.ok(retries.length >= 1 && retries.every((event) => event.why === "rate_limited"));
  const hurried = daemon.client("bob");
  const calls = Array.from({ length: 6 }, async () => hurried.count("Note", {}, { timeoutMs: 900 }));
  const refused = (await Promise.allSettled(calls)).flatMap((call) => (call.status === "rejected" ? [call.reason as DbalError] : []));
  assert.ok(refused.length > 0);
  for (const error of refused) {
    assert.deepEqual([error.code, error.status, error.retryable], ["rate_limited", 429, true]);
    assert.ok((error.retryAfterMs ?? 0) >= 1000);
  }
  await client.close();
  await hurried.close();
});
