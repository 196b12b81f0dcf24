// Why a call has no result: one class, with what a program decides by.

/** What kind of error; stable. The last four are the client's own, all others the daemon's. */
export type ErrorCode =
  | "malformed"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "too_large"
  | "invalid"
  | "rate_limited"
  | "internal"
  | "unsupported"
  | "unavailable"
  | "timeout"
  | "quota_exceeded"
  | "sandbox_violation"
  | "unknown_code"
  | "aborted"
  | "overloaded"
  | "connection_lost"
  | "closed";

/** Numbers of the protocol. */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [400, "malformed"],
  [401, "unauthenticated"],
  [403, "forbidden"],
  [404, "not_found"],
  [409, "conflict"],
  [413, "too_large"],
  [422, "invalid"],
  [429, "rate_limited"],
  [500, "internal"],
  [501, "unsupported"],
  [503, "unavailable"],
  [504, "timeout"],
  [507, "quota_exceeded"],
  [4031, "sandbox_violation"],
]);

/** What is wrong with one field of the request. */
export interface FieldFault {
  readonly field: string;
  readonly error: string;
}

/** Whether a write was done: `unknown` means that it may have been. Reads never change anything. */
export type Outcome = "not_done" | "unknown";

/** What is known besides code and message. */
export interface ErrorFacts {
  readonly status?: number;
  readonly method?: string;
  readonly entity?: string;
  readonly reason?: string;
  readonly fields?: readonly FieldFault[];
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly outcome?: Outcome;
  readonly call?: number;
  readonly capability?: string;
  readonly decision?: string;
  readonly incident?: string;
  readonly cause?: unknown;
}

/** A call without a result. Nothing in it, printed in whatever way, holds a token. */
export class DbalError extends Error {
  override readonly name = "DbalError";
  /** What kind; stable. */
  readonly code: ErrorCode;
  /** The protocol's number; none where the client itself ended the call. */
  readonly status: number | undefined;
  /** Of the call. */
  readonly method: string | undefined;
  readonly entity: string | undefined;
  /** The daemon's sentence. */
  readonly reason: string | undefined;
  /** Every field that is wrong, with `invalid` and `conflict`. */
  readonly fields: readonly FieldFault[];
  /** Nothing was done, and the same call may succeed later. The client has tried again already where there was time. */
  readonly retryable: boolean;
  /** When trying again makes sense, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** `unknown`: the write may have been done. Look, or ask again with the same idempotency key. */
  readonly outcome: Outcome;
  /** Which call of a transaction failed, from 0. */
  readonly call: number | undefined;
  /** What the database can't do, with `unsupported`. */
  readonly capability: string | undefined;
  /** Names the refusal: `dbal policy why` tells the operator more. */
  readonly decision: string | undefined;
  /** With `internal`: the operator finds it in the log. */
  readonly incident: string | undefined;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.status = facts.status;
    this.method = facts.method;
    this.entity = facts.entity;
    this.reason = facts.reason;
    this.fields = facts.fields ?? [];
    this.retryable = facts.retryable ?? false;
    this.retryAfterMs = facts.retryAfterMs;
    this.outcome = facts.outcome ?? "not_done";
    this.call = facts.call;
    this.capability = facts.capability;
    this.decision = facts.decision;
    this.incident = facts.incident;
  }

  /** For logs. */
  toJSON(): Record<string, unknown> {
    const { name, message, cause: _, stack: __, ...facts } = this;
    return { name, message, ...facts };
  }
}

/** The `error` of an answer, of which nothing is believed but what has the right type. */
export function answered(error: unknown, method: string, entity: string | undefined): DbalError {
  const { code: status, message, details } = record(error);
  const told = record(details);
  const fields = Array.isArray(told["fields"]) ? told["fields"].flatMap(fieldFault) : [];
  const code = (typeof status === "number" && CODES.get(status)) || "unknown_code";
  const reason = text(told["reason"]);
  const retryAfter = told["retryAfter"];
  const retryAfterMs = typeof retryAfter === "number" && retryAfter >= 0 ? retryAfter * 1000 : undefined;
  const why = reason ?? fields.map(({ field, error }) => (error === "" ? field : `${field} ${error}`)).join("; ");
  const what = entity === undefined ? method : `${method} ${entity}`;
  return new DbalError(code, `${what}: ${text(message) ?? "error"}${why === "" ? "" : ` (${why})`}`, {
    ...(typeof status === "number" && { status }),
    method,
    ...(entity !== undefined && { entity }),
    ...(reason !== undefined && { reason }),
    fields,
    retryable: told["retryable"] === true || code === "rate_limited",
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    outcome: told["outcome"] === "unknown" ? "unknown" : "not_done",
    ...(typeof told["call"] === "number" && { call: told["call"] }),
    ...optional("capability", told),
    ...optional("decision", told),
    ...optional("incident", told),
  });
}

function fieldFault(fault: unknown): FieldFault[] {
  // A conflict names fields only.
  if (typeof fault === "string") return [{ field: fault, error: "" }];
  const { field, error } = record(fault);
  return typeof field === "string" ? [{ field, error: text(error) ?? "" }] : [];
}

function optional<K extends string>(name: K, of: Record<string, unknown>): { [P in K]?: string } {
  const value = text(of[name]);
  return value === undefined ? {} : ({ [name]: value } as { [P in K]?: string });
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** Its members, if it has any. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
