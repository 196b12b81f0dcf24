// A token and who gives it. Kept where nothing prints it: no inspector, no JSON, no error shows private fields.

import { DbalError } from "./error.js";
import type { TokenSource } from "./options.js";

export class Credentials {
  readonly #source: TokenSource | undefined;
  readonly #userId: string | undefined;
  readonly #patienceMs: number;
  #current: Promise<string | undefined> | undefined;
  #known: string | undefined;
  #version = 0;

  /** `patienceMs`: so long may whoever gives tokens take. */
  constructor(source: TokenSource | undefined, userId: string | undefined, patienceMs: number) {
    this.#source = source;
    this.#userId = userId;
    this.#patienceMs = patienceMs;
  }

  /** Whether another token may come of asking again. */
  get isRenewable(): boolean {
    return typeof this.#source === "function";
  }

  /** The token; whoever gives it is asked once, and again after `renew`. */
  current(): Promise<string | undefined> {
    const asked = (this.#current ??= this.#ask());
    asked.then(
      (token) => (this.#known = token),
      () => {
        if (this.#current === asked) this.#current = undefined;
      },
    );
    return asked;
  }

  /** Which token it is: one more each time that another is asked for. */
  get version(): number {
    return this.#version;
  }

  /** Forgets the token of this version: it doesn't hold. */
  renew(version: number): void {
    if (!this.isRenewable || version !== this.#version) return;
    this.#version += 1;
    this.#current = undefined;
  }

  /** What goes with a message, once the token is known. */
  proof(): { token: string; user_id?: string } | undefined {
    if (this.#known === undefined) return undefined;
    return { token: this.#known, ...(this.#userId !== undefined && { user_id: this.#userId }) };
  }

  async #ask(): Promise<string | undefined> {
    if (typeof this.#source !== "function") return this.#source;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, this.#patienceMs)));
    let token: unknown;
    try {
      token = await Promise.race([this.#source(), late]);
    } catch (cause) {
      throw new DbalError("unauthenticated", "no token was to be had", { cause });
    } finally {
      clearTimeout(timer);
    }
    if (typeof token !== "string" || token === "") throw new DbalError("unauthenticated", "no token was to be had");
    return token;
  }
}

/** How long a JSON Web Token still holds by its own words, in milliseconds; undefined for other tokens. Nothing is verified. */
export function lifetimeMs(token: string): number | undefined {
  try {
    const [, payload, signature] = token.split(".");
    if (payload === undefined || signature === undefined) return undefined;
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const ends = (claims as { exp?: unknown } | null)?.exp;
    return typeof ends === "number" ? ends * 1000 - Date.now() : undefined;
  } catch {
    return undefined;
  }
}

/** A text in which the token may stand, without it. */
export function without(token: string | undefined, text: string): string {
  if (token === undefined) return text;
  return text.replaceAll(token, "…").replaceAll(encodeURIComponent(token), "…");
}
