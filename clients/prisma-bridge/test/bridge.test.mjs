// The bridge as it is started, on a real Prisma client and a real PostgreSQL.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as requestOverTls } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startPostgres } from "./postgres.mjs";

const TOKEN = "0123456789abcdef0123456789abcdef";
const MAIN = fileURLToPath(new URL("../main.mjs", import.meta.url));

let postgres, folder, program, port;

before(async () => {
  postgres = startPostgres();
  folder = mkdtempSync(join(tmpdir(), "bridge-"));
  writeFileSync(join(folder, "token"), `${TOKEN}\n`, { mode: 0o600 });
  ({ program, port } = await start({ BRIDGE_STATEMENT_MS: "1000", BRIDGE_POOL: "2" }));
  await ok({
    type: "nonquery",
    sql: `CREATE TABLE note (id uuid PRIMARY KEY, n int, big bigint, price numeric(10,2), at timestamptz, day date, data jsonb,
          raw bytea, ratio float8, yes boolean, title text, list bigint[])`,
  });
});

after(() => {
  program?.kill("SIGKILL");
  postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the bridge on any port and waits until it says where it listens. */
async function start(environment) {
  const program = spawn(process.execPath, [MAIN], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: postgres.url,
      BRIDGE_TOKEN_FILE: join(folder, "token"),
      BRIDGE_LISTEN: "127.0.0.1:0",
      ...environment,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  program.stderr.setEncoding("utf8");
  for await (const chunk of program.stderr.iterator({ destroyOnReturn: false })) {
    said += chunk;
    const port = /"port":(\d+)/.exec(said)?.[1];
    if (said.includes('"listening"') && said.endsWith("\n")) {
      program.said = said;
      program.stderr.on("data", (more) => (program.said += more));
      return { program, port: Number(port) };
    }
  }
  throw new Error(`the bridge did not start: ${said}`);
}

/** One request; `body` goes as JSON unless it is a text. */
function ask(body, { headers = {}, method = "POST", path = "/api/native-prisma", at = port, socketPath, ca } = {}) {
  return new Promise((resolve, reject) => {
    const sent = (ca ? requestOverTls : request)({
      ...(socketPath ? { socketPath } : { host: "127.0.0.1", port: at }),
      ca,
      path,
      method,
      agent: false,
      headers: { "content-type": "application/json", "x-dbal-native-prisma-token": TOKEN, ...headers },
    });
    sent.on("error", reject);
    sent.on("response", async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      resolve({ status: response.statusCode, body: JSON.parse(text) });
    });
    sent.end(typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body));
  });
}

async function ok(body) {
  const { status, body: answer } = await ask(body);
  assert.equal(status, 200, JSON.stringify(answer));
  return answer;
}

test("rows come back as they were written, and a count of what was changed", async () => {
  const id = "0199a000-0000-7000-8000-00000000000a";
  const params = [id, 7, "9223372036854775807", "12.50", "2024-01-15T10:30:00.000Z", "2024-01-15", '{"a":[1]}',
    { $bytes: "AP8=" }, 1.5, true, "O'Brien; DROP TABLE note --"];
  const places = params.map((_, nth) => `$${nth + 1}`).join(", ");
  assert.deepEqual(await ok({ type: "nonquery", sql: `INSERT INTO note VALUES (${places}, '{1,9007199254740993}')`, params }), {
    affected: 1,
  });
  const { rows } = await ok({ type: "query", sql: "SELECT * FROM note WHERE id = $1", params: [id] });
  assert.deepEqual(rows, [
    {
      id, n: 7, big: "9223372036854775807", price: "12.5", at: "2024-01-15T10:30:00.000Z", day: "2024-01-15T00:00:00.000Z",
      data: { a: [1] }, raw: "AP8=", ratio: 1.5, yes: true, title: "O'Brien; DROP TABLE note --",
      list: [1, "9007199254740993"],
    },
  ]);
  assert.deepEqual(await ok({ type: "nonquery", sql: "UPDATE note SET n = n WHERE n = $1", params: [8] }), { affected: 0 });
  assert.deepEqual(await ok({ type: "query", sql: "SELECT $1::text AS a, 'NaN'::float8 AS b", params: [null] }), {
    rows: [{ a: null, b: "NaN" }],
  });
});

test("a failed statement is told with its SQLSTATE and the next one works", async () => {
  const insert = { type: "nonquery", sql: "INSERT INTO note (id) VALUES ($1)", params: ["0199a000-0000-7000-8000-00000000000b"] };
  await ok(insert);
  const twice = await ask(insert);
  assert.equal(twice.status, 422);
  assert.equal(twice.body.error.sqlstate, "23505");
  assert.deepEqual(twice.body.error.constraint, { index: "note_pkey" });
  assert.equal(twice.body.error.table, "note");
  const wrong = await ask({ type: "query", sql: "SELECT nothing" });
  assert.deepEqual([wrong.status, wrong.body.error.sqlstate], [422, "42703"]);
  await ok({ type: "query", sql: "SELECT 1 AS one" });
});

test("nobody gets in without the token, and the body of a stranger is not read", async () => {
  for (const token of ["", "x", TOKEN.slice(0, -1), `${TOKEN}x`, TOKEN.toUpperCase()]) {
    const { status, body } = await ask({ type: "query", sql: "SELECT 1" }, { headers: { "x-dbal-native-prisma-token": token } });
    assert.deepEqual([status, body.error.code], [401, "unauthorized"], token);
  }
  // 1 TiB announced, nothing sent: answered at once and closed.
  const socket = connect(port, "127.0.0.1");
  socket.write("POST /api/native-prisma HTTP/1.1\r\nhost: x\r\ncontent-length: 1099511627776\r\n\r\n");
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  assert.match(text, /^HTTP\/1\.1 401 /);
});

test("whoever asks for leave to send a body is let or refused before sending it", async () => {
  for (const [token, wanted] of [["wrong", /^HTTP\/1\.1 401 /], [TOKEN, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400 /]]) {
    const socket = connect(port, "127.0.0.1");
    socket.write(
      `POST /api/native-prisma HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n` +
        `x-dbal-native-prisma-token: ${token}\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n`,
    );
    let text = "";
    for await (const chunk of socket.setEncoding("utf8")) {
      if (text === "" && token === TOKEN) socket.write("{}");
      text += chunk;
    }
    assert.match(text, wanted);
  }
});

test("what is not asked as it should be is refused and runs nothing", async () => {
  const good = { type: "query", sql: "SELECT 1" };
  const cases = [
    [404, good, { path: "/" }],
    [404, good, { path: "/api/native-prisma?x" }],
    [405, good, { method: "PUT" }],
    [415, good, { headers: { "content-type": "text/plain" } }],
    [413, good, { headers: { "content-length": String(8 * 1024 * 1024) } }],
    [413, Buffer.alloc(4 * 1024 * 1024 + 1, 32), { headers: { "transfer-encoding": "chunked" } }],
    [400, "{", {}],
    [400, "[]", {}],
    [400, "null", {}],
    [400, Buffer.from([0x22, 0xff, 0x22]), {}],
    [400, { ...good, more: 1 }, {}],
    [400, { sql: "SELECT 1" }, {}],
    [400, { ...good, type: "both" }, {}],
    [400, { ...good, sql: "" }, {}],
    [400, { ...good, sql: ["SELECT 1"] }, {}],
    [400, { ...good, sql: `SELECT '${"x".repeat(1024 * 1024)}'` }, {}],
    [400, { ...good, params: {} }, {}],
    [400, { ...good, params: [[1]] }, {}],
    [400, { ...good, params: [{ $bytes: "??" }] }, {}],
    [400, { ...good, params: [{ $bytes: "AP8=", x: 1 }] }, {}],
    [400, '{"type":"query","sql":"SELECT 1","params":[9007199254740993]}', {}],
  ];
  for (const [status, body, options] of cases) {
    const answer = await ask(body, options).catch((error) => ({ status: error.code }));
    assert.equal(answer.status, status, JSON.stringify([body, options]).slice(0, 200));
  }
});

test("a statement that takes too long ends in the database too", async () => {
  const started = Date.now();
  const slow = await ask({ type: "query", sql: "SELECT pg_sleep(60)::text AS late" });
  assert.deepEqual([slow.status, slow.body.error.code], [504, "timeout"]);
  assert.ok(Date.now() - started < 2_000);
  const { rows } = await ok({
    type: "query",
    sql: "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()",
  });
  assert.deepEqual(rows, [{ n: 0 }]);
});

test("more statements than there is room for are answered at once", async () => {
  // Two connections, eight places.
  const all = Array.from({ length: 20 }, () => ask({ type: "query", sql: "SELECT pg_sleep(0.1)::text AS x" }));
  const statuses = (await Promise.all(all)).map((answer) => answer.status);
  const count = (status) => statuses.filter((one) => one === status).length;
  assert.deepEqual([count(200), count(503)], [8, 12], JSON.stringify(statuses));
  await ok({ type: "query", sql: "SELECT 1 AS one" });
});

test("a request that does not come to its end does not stay", async () => {
  const socket = connect(port, "127.0.0.1");
  socket.write(`POST /api/native-prisma HTTP/1.1\r\nhost: x\r\nx-dbal-native-prisma-token: ${TOKEN}\r\n`);
  const started = Date.now();
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  assert.match(text, /^HTTP\/1\.1 408 /);
  assert.ok(Date.now() - started < 8_000);
});

test("no statement, no value and no token is in the log", () => {
  for (const secret of ["SELECT", "O'Brien", "DROP", TOKEN]) {
    assert.ok(!program.said.includes(secret), secret);
  }
  assert.match(program.said, /"status":422,"code":"statement_failed"/);
});

test("it does not start with a token that can be guessed, nor in the open without TLS", async () => {
  writeFileSync(join(folder, "short"), "secret");
  await assert.rejects(start({ BRIDGE_TOKEN_FILE: join(folder, "short") }), /at least 32 characters/);
  await assert.rejects(start({ BRIDGE_LISTEN: "0.0.0.0:0" }), /can be reached from elsewhere/);
});

test("a database that is not there is said to be so, and when it is back it is used", async () => {
  const nowhere = await start({ DATABASE_URL: "postgresql://postgres@127.0.0.1:1/postgres" });
  const answer = await ask({ type: "query", sql: "SELECT 1 AS one" }, { at: nowhere.port });
  nowhere.program.kill("SIGKILL");
  const { code, outcome } = answer.body.error;
  assert.deepEqual([answer.status, code, outcome], [503, "unreachable", "none"], JSON.stringify(answer.body));
  // Cut off from within: the next one gets a new connection.
  const cut = "SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
  await ok({ type: "query", sql: cut });
  await ok({ type: "query", sql: "SELECT 1 AS one" });
});

test("it speaks TLS with a certificate of its own, and only to those who trust it", async () => {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
    "-subj", "/CN=bridge", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert], { stdio: "ignore" });
  const other = await start({ BRIDGE_TLS_CERT: cert, BRIDGE_TLS_KEY: key, BRIDGE_LISTEN: "0.0.0.0:0" });
  const statement = { type: "query", sql: "SELECT 1 AS one" };
  const answer = await ask(statement, { at: other.port, ca: readFileSync(cert) });
  assert.deepEqual(answer.body, { rows: [{ one: 1 }] });
  await assert.rejects(ask(statement, { at: other.port, ca: [] }), /self-signed/);
  await assert.rejects(ask(statement, { at: other.port }), /socket hang up|ECONNRESET/);
  other.program.kill("SIGKILL");
});

test("it listens on a Unix socket that is its user's and group's, and takes nobody's file away for it", async () => {
  const socketPath = join(folder, "socket");
  for (let nth = 0; nth < 2; nth += 1) {
    const other = await start({ BRIDGE_LISTEN: socketPath });
    assert.equal(statSync(socketPath).mode & 0o777, 0o660);
    const answer = await ask({ type: "query", sql: "SELECT 1 AS one" }, { socketPath });
    assert.deepEqual(answer.body, { rows: [{ one: 1 }] });
    // Killed, it leaves its socket behind, and the next one takes it.
    other.program.kill("SIGKILL");
    await once(other.program, "exit");
  }
  await assert.rejects(start({ BRIDGE_LISTEN: join(folder, "token") }), /EADDRINUSE/);
  assert.equal(readFileSync(join(folder, "token"), "utf8").trim(), TOKEN);
});

test("SIGTERM answers what was asked and ends", async () => {
  const other = await start({});
  const slow = ask({ type: "query", sql: "SELECT pg_sleep(0.5)::text AS x" }, { at: other.port });
  await new Promise((resolve) => setTimeout(resolve, 200));
  other.program.kill("SIGTERM");
  assert.equal((await slow).status, 200);
  const [code] = await once(other.program, "exit");
  assert.equal(code, 0);
});
