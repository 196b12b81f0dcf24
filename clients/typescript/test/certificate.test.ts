// A client certificate instead of a token, by the socket's own options.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import WebSocket from "ws";

import { Client } from "@dbal/client";
import type { Schema } from "./schema.js";
import { Daemon, DBAL } from "./world.js";

let daemon: Daemon;

before(async () => {
  daemon = await Daemon.start();
  await daemon.restart(({ dir }) => {
    const openssl = (words: string) => execFileSync("openssl", words.split(" "), { cwd: dir, stdio: "pipe" });
    const key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(`req -x509 ${key} -keyout clients.key -out clients.crt -subj /CN=clients`);
    openssl(`req ${key} -keyout known.key -out known.csr -subj /CN=known`);
    writeFileSync(join(dir, "known.ext"), "subjectAltName=DNS:known.test\nextendedKeyUsage=clientAuth\n");
    openssl("x509 -req -in known.csr -CA clients.crt -CAkey clients.key -days 2 -extfile known.ext -out known.crt");
    const config = join(dir, "broker.yaml");
    const clients = "  key: server.key\n  clients: {ca: clients.crt, alone: true}\n";
    writeFileSync(config, readFileSync(config, "utf8").replace("  key: server.key\n", clients));
    const name = `{name: "dns:known.test", subject: ${daemon.user("alice").user_id}, roles: [user]}`;
    const script = join(dir, "certificates.sed");
    writeFileSync(script, `/^auth:$/a\\\n  certificates: {trust_broker: true, names: [${name}]}\n`);
    execFileSync(DBAL, ["config", "edit", "--identity", "identity", "worker.yaml.age"], {
      cwd: dir,
      env: { ...process.env, VISUAL: `sed -i -f ${script}` },
      stdio: "pipe",
    });
  });
});
after(() => daemon.stop());

test("who shows a certificate needs no token, and who shows none is nobody", async () => {
  const ca = readFileSync(daemon.ready.ca);
  const [cert, key] = ["known.crt", "known.key"].map((file) => readFileSync(join(daemon.dir, file)));
  assert.ok(cert && key);
  const url = daemon.ready.endpoint;
  const known = new Client<Schema>({ url, socket: (url, protocols) => new WebSocket(url, protocols, { ca, cert, key }) });
  assert.equal((await known.create("Note", { title: "by a certificate" }))?.ownerId, daemon.user("alice").user_id);
  await known.close();
  const nobody = new Client<Schema>({ url, socket: daemon.socket });
  await assert.rejects(async () => nobody.count("Note"), { code: "unauthenticated", status: 401 });
  await nobody.close();
});
