// A daemon of our own for each file of tests, with the example's entities, policy and users; and clients of it.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import WebSocket from "ws";

import { Client, type ClientOptions, type OpenSocket } from "@dbal/client";
import type { Schema } from "./schema.js";

const REPOSITORY = new URL("../../../../", import.meta.url).pathname;
/** Entities and policy that `dbal dev` has by itself. */
export const EXAMPLES = join(REPOSITORY, "policy/examples");
/** Where the programs are: `cargo build -p dbal -p dbal-broker -p dbal-worker` puts them there. */
export const DBAL = join(process.env["DBAL_BINARIES"] ?? join(REPOSITORY, "target/debug"), "dbal");

/** What `dbal dev --json` prints when it is ready. */
interface Ready {
  readonly endpoint: string;
  readonly ca: string;
  readonly users: Record<string, { readonly user_id: string; readonly token: string }>;
}

export class Daemon {
  readonly dir: string;
  readonly ready: Ready;
  #child: ChildProcess | undefined;

  private constructor(dir: string, ready: Ready, child: ChildProcess | undefined) {
    this.dir = dir;
    this.ready = ready;
    this.#child = child;
  }

  /** One that somebody else has started, where `DBAL_TEST_READY` says so. */
  static async given(): Promise<Daemon> {
    const ready = process.env["DBAL_TEST_READY"];
    return ready === undefined ? Daemon.start() : new Daemon("", JSON.parse(ready) as Ready, undefined);
  }

  static async start(more: readonly string[] = []): Promise<Daemon> {
    const dir = mkdtempSync(join(tmpdir(), "dbal-typescript-"));
    const [ready, child] = await serve(dir, "127.0.0.1:0", more);
    return new Daemon(dir, ready, child);
  }

  /** `127.0.0.1:PORT` */
  get address(): string {
    return new URL(this.ready.endpoint).host;
  }

  /** Stops it, and starts another on the same port and the same database, after something was done to its folder. */
  async restart(change?: (daemon: Daemon) => void): Promise<void> {
    const { address } = this;
    await this.#stop("SIGTERM");
    change?.(this);
    [, this.#child] = await serve(this.dir, address, []);
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return;
    await this.#stop("SIGTERM");
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The broker alone is ended; the daemon starts another. */
  killBroker(signal: NodeJS.Signals): void {
    const of = (pid: string): string[] => {
      try {
        return readFileSync(`/proc/${pid}/stat`, "utf8").split(/[()] ?/);
      } catch {
        return [];
      }
    };
    const broker = readdirSync("/proc").find((pid) => {
      const [, name, rest] = of(pid);
      return name === "dbal-broker" && rest?.split(" ")[1] === `${this.#child?.pid}`;
    });
    if (broker === undefined) throw new Error("there is no broker");
    process.kill(Number(broker), signal);
  }

  user(name: string): { readonly user_id: string; readonly token: string } {
    const user = this.ready.users[name];
    if (user === undefined) throw new Error(`there is no user ${name}`);
    return user;
  }

  /** A socket of `ws` that trusts the daemon's CA. */
  get socket(): OpenSocket {
    const ca = readFileSync(this.ready.ca);
    return (url, protocols, headers) => new WebSocket(url, protocols, { ca, headers });
  }

  /** A client in somebody's name. */
  client(name: string, options: Partial<ClientOptions> = {}): Client<Schema> {
    return new Client<Schema>({ url: this.ready.endpoint, token: this.user(name).token, socket: this.socket, ...options });
  }

  async #stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }
}

async function serve(dir: string, address: string, more: readonly string[]): Promise<[Ready, ChildProcess]> {
  const child = spawn(DBAL, ["dev", "--json", "--listen", address, "--dir", dir, ...more], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (text) => (said += String(text)));
  const line = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`dbal dev ended (${code}): ${said.slice(-2000)}`)));
    createInterface(child.stdout).once("line", resolve);
  });
  return [JSON.parse(line) as Ready, child];
}
