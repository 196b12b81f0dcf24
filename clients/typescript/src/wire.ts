// JavaScript's values → the protocol's JSON. What JSON would change without a word is refused.

import { Ref, type Places } from "./call.js";

/** The broker closes a connection that sends more, and every call on it would be lost. */
export const MESSAGE_BYTES = 1 << 20;
/** Deeper ones are malformed. */
const DEPTH = 32;

/** Members of which `undefined` must not vanish: `{ownerId: undefined}` is not "everybody's". */
const CONDITIONS: ReadonlySet<string> = new Set(["filter", "id", "value"]);

/** Parameters as they are sent. Throws a `TypeError` that names what can't be. */
export function encode(params: Readonly<Record<string, unknown>>, places?: Places): Record<string, unknown> {
  const members = Object.entries(params).filter(([name, value]) => value !== undefined || CONDITIONS.has(name));
  return Object.fromEntries(
    members.map(([name, value]) => [name, plain(value, name, CONDITIONS.has(name), places, 0)]),
  );
}

function plain(value: unknown, path: string, isCondition: boolean, places: Places | undefined, depth: number): unknown {
  if (depth > DEPTH) throw new TypeError(`${path} is nested more than ${DEPTH} deep`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw new TypeError(`${path} is ${value}, which JSON has no word for`);
      return value;
    case "bigint":
      return value.toString();
    case "object":
      break;
    default:
      throw new TypeError(`${path} is ${typeof value}`);
  }
  if (value === null) return null;
  if (value instanceof Ref) return reference(value, path, places);
  if (value instanceof Uint8Array) return base64(value);
  if (Array.isArray(value)) {
    return value.map((item, nth) => plain(item, `${path}[${nth}]`, isCondition, places, depth + 1));
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) throw new TypeError(`${path} is an invalid date`);
  if ("toJSON" in value && typeof value.toJSON === "function") {
    return plain(value.toJSON(), path, isCondition, places, depth + 1);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  // Maps, promises and such would become `{}`.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(`${path} is a ${value.constructor.name}, which is no JSON`);
  }
  const members = Object.entries(value).filter(([, member]) => isCondition || member !== undefined);
  return Object.fromEntries(
    members.map(([name, member]) => [
      name,
      plain(member, `${path}.${name}`, isCondition || name === "filter", places, depth + 1),
    ]),
  );
}

function reference({ call, field }: Ref<unknown>, path: string, places: Places | undefined): unknown {
  const place = places?.get(call);
  if (place === undefined) {
    throw new TypeError(`${path} refers to a call that does not come before it in the same transaction`);
  }
  return { $ref: `${place}.${field}` };
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Whether the broker would take it. Most texts need not be counted. */
export function fits(message: string): boolean {
  return message.length * 3 <= MESSAGE_BYTES || new TextEncoder().encode(message).length <= MESSAGE_BYTES;
}
