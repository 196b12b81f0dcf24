// A way to the daemon that can be cut, and that can swallow what goes over it.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

export class Proxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** What the daemon says goes nowhere. */
  isDeaf = false;
  /** Connections so far. */
  count = 0;

  private constructor(to: string) {
    const { hostname, port } = new URL(`tcp://${to}`);
    this.#server = createServer((client) => {
      this.count += 1;
      const daemon = connect(Number(port), hostname);
      const pair = [client, daemon] as const;
      this.#pairs.add(pair);
      client.on("data", (bytes) => daemon.write(bytes));
      daemon.on("data", (bytes) => {
        if (!this.isDeaf) client.write(bytes);
      });
      const end = () => {
        this.#pairs.delete(pair);
        for (const socket of pair) socket.destroy();
      };
      for (const socket of pair) socket.on("error", end).on("close", end);
    });
  }

  static async start(to: string): Promise<Proxy> {
    const proxy = new Proxy(to);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `wss://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Ends all connections, in the middle of whatever they do. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }
}

/** Waits until something holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never: ${what}`);
}
