// POST /api/native-prisma: one statement with its parameters in, rows or a count out. Whoever holds the token may run any
// SQL, so the token is asked for before anything else is read, and everything that comes is bounded.

import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";

export const PATH = "/api/native-prisma";
export const TOKEN_HEADER = "x-dbal-native-prisma-token";
/** A token that can be guessed is none: 32 characters, as `openssl rand -hex 32` gives twice over. */
export const TOKEN_LENGTH = 32;

/** What one request may take. Times in milliseconds, sizes in bytes. */
export const LIMITS = {
  bodyBytes: 4 * 1024 * 1024,
  /** A thousand rows that are made by one statement have about half of it. */
  sqlBytes: 1024 * 1024,
  /** PostgreSQL's own bound. */
  params: 65_535,
  answerBytes: 16 * 1024 * 1024,
  /** Statements at once; more are answered 503 at once. */
  inFlight: 64,
  connections: 256,
  /** From the first byte of a request to its last. */
  requestMs: 10_000,
  /** From a whole request to its answer. The database's own timeout should be a little shorter. */
  statementMs: 30_000,
  idleMs: 60_000,
};

/** An answer that is no result. `close`: what is left of the request is not worth reading. */
class Refusal extends Error {
  constructor(status, code, message, more = {}) {
    super(message);
    Object.assign(this, { status, code, more });
  }
}

/**
 * A server that does not listen yet. `client` is a PrismaClient; `tls` is `{ cert, key }` or nothing.
 */
export function bridge({ client, token, limits = {}, tls, log = () => {} }) {
  if (typeof token !== "string" || token.length < TOKEN_LENGTH) {
    throw new Error(`the token must have at least ${TOKEN_LENGTH} characters`);
  }
  const bounds = { ...LIMITS, ...limits };
  const isToken = comparer(token);
  let inFlight = 0;

  const answer = async (request, response) => {
    const started = performance.now();
    let outcome;
    try {
      admit(request, isToken, bounds);
      const statement = parse(await body(request, bounds), bounds);
      if (inFlight >= bounds.inFlight) {
        throw new Refusal(503, "busy", "too many statements are running", { retryable: true });
      }
      inFlight += 1;
      // The place is taken until the database is done, not only until somebody has been answered.
      const running = run(client, statement).finally(() => (inFlight -= 1));
      outcome = { status: 200, text: shown(await within(running, bounds.statementMs), bounds) };
    } catch (error) {
      outcome = refused(error);
    }
    // Never the statement and never a value: a log is read by more people than the database.
    log({ status: outcome.status, code: outcome.code, error: outcome.error?.name, ms: Math.round(performance.now() - started) });
    send(request, response, outcome);
  };

  const options = { maxHeaderSize: 8 * 1024, ...tls };
  const server = tls ? createTlsServer(options, answer) : createServer(options, answer);
  server.maxConnections = bounds.connections;
  server.headersTimeout = Math.min(5_000, bounds.requestMs);
  server.requestTimeout = bounds.requestMs;
  // Whoever does not fetch an answer does not keep it in our memory.
  server.timeout = bounds.statementMs + bounds.idleMs;
  server.keepAliveTimeout = bounds.idleMs;
  server.connectionsCheckingInterval = 1_000;
  // Without a listener Node would say 400 to whoever asks for leave to send a body, or let them send it unasked.
  server.on("checkContinue", (request, response) => {
    try {
      admit(request, isToken, bounds);
      response.writeContinue();
      answer(request, response);
    } catch (error) {
      send(request, response, refused(error));
    }
  });
  return server;
}

/** Compares digests, which are all as long: neither how much of a token is right nor its length can be measured. */
function comparer(token) {
  const digest = (text) => createHash("sha256").update(text).digest();
  const right = digest(token);
  return (given) => timingSafeEqual(digest(given), right);
}

/** What can be said before the body is read. */
function admit(request, isToken, bounds) {
  const given = request.headers[TOKEN_HEADER];
  if (typeof given !== "string" || !isToken(given)) {
    throw new Refusal(401, "unauthorized", `${TOKEN_HEADER} is missing or wrong`);
  }
  if (request.url !== PATH) {
    throw new Refusal(404, "not_found", `there is only ${PATH}`);
  }
  if (request.method !== "POST") {
    throw new Refusal(405, "method_not_allowed", "only POST");
  }
  if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
    throw new Refusal(415, "unsupported_media_type", "content-type must be application/json");
  }
  if (Number(request.headers["content-length"] ?? 0) > bounds.bodyBytes) {
    throw tooLarge(bounds);
  }
}

function tooLarge(bounds) {
  return new Refusal(413, "too_large", `a body has at most ${bounds.bodyBytes} bytes`);
}

async function body(request, bounds) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > bounds.bodyBytes) {
      throw tooLarge(bounds);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

/** `{"sql","params","type"}` and nothing else. */
function parse(bytes, bounds) {
  const invalid = (message) => new Refusal(400, "invalid", message);
  let given;
  try {
    given = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw invalid("the body is no JSON");
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) {
    throw invalid("the body must be an object");
  }
  const unknown = Object.keys(given).find((key) => !["sql", "params", "type"].includes(key));
  if (unknown !== undefined) {
    throw invalid("the body may hold only `sql`, `params` and `type`");
  }
  const { sql, params = [], type } = given;
  if (typeof sql !== "string" || sql === "" || sql.includes("\0") || Buffer.byteLength(sql) > bounds.sqlBytes) {
    throw invalid(`\`sql\` must be a text of at most ${bounds.sqlBytes} bytes`);
  }
  if (type !== "query" && type !== "nonquery") {
    throw invalid("`type` must be `query` or `nonquery`");
  }
  if (!Array.isArray(params) || params.length > bounds.params) {
    throw invalid(`\`params\` must be a list of at most ${bounds.params} values`);
  }
  return { sql, type, params: params.map((value, nth) => parameter(value, nth, invalid)) };
}

/** A text, a number, true, false or null; or `{"$bytes": "…"}` in base64. */
function parameter(value, nth, invalid) {
  if (value === null || typeof value === "string" || typeof value === "boolean") {
    return value;
  }
  if (typeof value === "number") {
    // A larger one has lost digits already, when it was read.
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw invalid(`parameter ${nth + 1}: send a number beyond 2^53 as text`);
    }
    return value;
  }
  const bytes = Object.keys(value).length === 1 && Object.hasOwn(value, "$bytes") ? value.$bytes : undefined;
  if (typeof bytes === "string" && Buffer.from(bytes, "base64").toString("base64") === bytes) {
    return Buffer.from(bytes, "base64");
  }
  throw invalid(`parameter ${nth + 1} must be a text, a number, true, false, null or {"$bytes": base64}`);
}

/** "Unsafe" is Prisma's word for a statement that it did not put together; the values still go as parameters. */
async function run(client, { sql, params, type }) {
  if (type === "query") {
    return { rows: await client.$queryRawUnsafe(sql, ...params) };
  }
  return { affected: await client.$executeRawUnsafe(sql, ...params) };
}

async function within(promise, ms) {
  let timer;
  const deadline = new Promise((_, reject) => {
    const late = new Refusal(504, "timeout", "the statement took too long", { outcome: "unknown" });
    timer = setTimeout(() => reject(late), ms);
  });
  // It may still fail after the deadline, when nobody waits for it any more.
  promise.catch(() => {});
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function shown(result, bounds) {
  const text = JSON.stringify(result, plain);
  if (Buffer.byteLength(text) > bounds.answerBytes) {
    throw new Refusal(413, "answer_too_large", `an answer has at most ${bounds.answerBytes} bytes`);
  }
  return text;
}

/** What JSON has no word for: integers beyond 2^53 and decimals go as text, times in ISO 8601, bytes in base64. */
function plain(key, value) {
  const raw = this[key];
  if (typeof raw === "bigint") {
    const number = Number(raw);
    return Number.isSafeInteger(number) ? number : raw.toString();
  }
  if (raw instanceof Uint8Array) {
    return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("base64");
  }
  if (typeof raw === "number" && !Number.isFinite(raw)) {
    return String(raw);
  }
  return value;
}

const NEVER_CONNECTED = ["DatabaseNotReachable", "TlsConnectionError"];

function refused(error) {
  if (error instanceof Refusal) {
    const { status, code, message, more } = error;
    return { status, code, text: JSON.stringify({ error: { code, message, ...more } }), close: status !== 503 };
  }
  // What Prisma knows of a failed statement. The worker turns it into its own codes and shows clients none of it.
  const cause = error?.meta?.driverAdapterError?.cause;
  const sqlstate = cause?.originalCode ?? error?.meta?.code;
  if (typeof sqlstate === "string") {
    const isTimeout = sqlstate === "57014";
    const code = isTimeout ? "timeout" : "statement_failed";
    const message = cause?.originalMessage ?? error?.meta?.message ?? "";
    const { constraint, table } = cause ?? {};
    return {
      status: isTimeout ? 504 : 422,
      code,
      text: JSON.stringify({ error: { code, sqlstate, message, constraint, table } }),
    };
  }
  const isGone = typeof error?.code === "string" && error.code.startsWith("P1");
  if (isGone || cause !== undefined) {
    // Nobody who listens, nobody who lets us in: then nothing was run. Anything else may have come in the middle.
    const outcome = NEVER_CONNECTED.includes(cause?.kind) || error?.code === "P1001" ? "none" : "unknown";
    const told = { code: "unreachable", message: "the database does not answer", outcome };
    return { status: 503, code: "unreachable", text: JSON.stringify({ error: told }) };
  }
  return { status: 500, code: "internal", text: '{"error":{"code":"internal","message":"see the bridge\'s log"}}', error };
}

function send(request, response, { status, text, close }) {
  if (response.destroyed || response.headersSent) {
    return;
  }
  const bytes = Buffer.from(text);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
    "cache-control": "no-store",
    ...(close ? { connection: "close" } : {}),
    ...(status === 503 ? { "retry-after": "1" } : {}),
  });
  // A body that nobody read is not waited for either.
  response.end(bytes, () => close && request.destroy());
}
