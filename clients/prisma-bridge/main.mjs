#!/usr/bin/env node
// Starts the bridge from the environment. README.md has the table.

import { lstatSync, readFileSync, rmSync } from "node:fs";
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "@prisma/client";
import { LIMITS, bridge } from "./server.mjs";

const environment = (name, otherwise) => {
  const value = process.env[name] ?? otherwise;
  if (value === undefined) {
    throw new Error(`${name} is not set`);
  }
  return value;
};

const number = (name, otherwise) => {
  const value = Number(environment(name, String(otherwise)));
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`${name} must be a whole number from 1 on`);
  }
  return value;
};

const log = (fields) => console.error(JSON.stringify({ time: new Date().toISOString(), ...fields }));

async function main() {
  // A file, since every process of the user can read another's environment.
  const token = readFileSync(environment("BRIDGE_TOKEN_FILE"), "utf8").trim();
  const statementMs = number("BRIDGE_STATEMENT_MS", LIMITS.statementMs);
  const connections = number("BRIDGE_POOL", 10);
  const adapter = new PrismaPg({
    connectionString: environment("DATABASE_URL"),
    max: connections,
    // The database itself ends what takes too long; a little before whoever waits is told.
    statement_timeout: Math.max(1, statementMs - 100),
    connectionTimeoutMillis: 5_000,
    // What the worker relies on, whatever the server's and the role's own settings are. `options` in DATABASE_URL comes before it.
    options: "-c TimeZone=UTC -c extra_float_digits=1 -c bytea_output=hex",
  });
  const client = new PrismaClient({ adapter });
  const certificate = process.env.BRIDGE_TLS_CERT;
  const tls = certificate && {
    cert: readFileSync(certificate),
    key: readFileSync(environment("BRIDGE_TLS_KEY")),
    minVersion: "TLSv1.2",
  };
  const server = bridge({ client, token, tls, log, limits: { statementMs, inFlight: connections * 4 } });

  const listen = environment("BRIDGE_LISTEN", "127.0.0.1:7411");
  const port = /^(.*):(\d+)$/.exec(listen);
  const isLocal = port === null || ["127.0.0.1", "[::1]", "localhost"].includes(port[1]);
  if (!isLocal && !tls) {
    throw new Error(`${listen} can be reached from elsewhere: set BRIDGE_TLS_CERT and BRIDGE_TLS_KEY`);
  }
  if (port === null) {
    // One that a killed bridge left behind. Anything else of that name is somebody's.
    if (lstatSync(listen, { throwIfNoEntry: false })?.isSocket()) {
      rmSync(listen);
    }
    // From its first moment on, nobody else can connect.
    process.umask(0o117);
  }
  const where = port === null ? { path: listen } : { host: port[1].replace(/^\[|\]$/g, ""), port: Number(port[2]) };
  await new Promise((resolve, reject) => server.once("error", reject).listen(where, resolve));
  log({ listening: port === null ? listen : server.address() });

  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => {
      // Answers what was asked, then ends.
      server.close(async () => {
        await client.$disconnect();
        process.exit(0);
      });
      server.closeIdleConnections();
    });
  }
}

main().catch((error) => {
  console.error(`dbal-prisma-bridge: ${error.message}`);
  process.exit(1);
});
