// A PostgreSQL of the test's own, on a Unix socket in a folder that goes away with it.

import { execFileSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function startPostgres() {
  const programs = folderOfPrograms();
  const folder = mkdtempSync(join(tmpdir(), "bridge-pg-"));
  // It refuses to run as root.
  const isRoot = process.getuid() === 0;
  const user = isRoot ? Number(execFileSync("id", ["-u", "postgres"], { encoding: "utf8" })) : process.getuid();
  const group = isRoot ? Number(execFileSync("id", ["-g", "postgres"], { encoding: "utf8" })) : process.getgid();
  chownSync(folder, user, group);
  const run = (program, ...args) =>
    execFileSync(join(programs, program), args, { uid: user, gid: group, cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const data = join(folder, "data");
  run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync");
  const settings = `-c listen_addresses='' -c fsync=off -k ${folder}`;
  run("pg_ctl", "-D", data, "-l", join(folder, "log"), "-o", settings, "-w", "start");
  return {
    url: `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`,
    stop() {
      try {
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop");
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  };
}

function folderOfPrograms() {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(debian, version, "bin")).find((folder) => existsSync(join(folder, "initdb")));
  if (found === undefined) {
    throw new Error("no PostgreSQL: apt-get install postgresql");
  }
  return found;
}
