// The methods of the protocol, with the schema's types.

import { Call, type Asked, type CallOptions, type Places, type Send, type WriteOptions } from "./call.js";
import { answered, record, type DbalError } from "./error.js";
import type * as q from "./query.js";
import type { SchemaLike } from "./schema.js";
import { encode } from "./wire.js";

type Several = readonly Call<unknown>[];
/** What calls give, in their order. */
type Answers<C extends Several> = { -readonly [N in keyof C]: C[N] extends Call<infer T> ? T : never };
type Outcomes<C extends Several> = { -readonly [N in keyof C]: C[N] extends Call<infer T> ? Settled<T> : never };

/** What became of one call of a batch, as `Promise.allSettled` says it. */
export type Settled<T> =
  | { readonly status: "fulfilled"; readonly value: T }
  | { readonly status: "rejected"; readonly reason: DbalError };

export interface TransactionOptions extends WriteOptions {
  /** What it sees of others that run beside it, at least so strictly: `serializable`. */
  readonly isolation?: "read_committed" | "repeatable_read" | "serializable";
}

/** What the database and the daemon can do, and what of it the caller may use. */
export interface Capabilities {
  readonly adapter: string;
  readonly version: string;
  readonly daemon: string;
  readonly transactions: boolean;
  readonly joins: boolean;
  readonly fullTextSearch: boolean;
  readonly ttl: boolean;
  readonly jsonQueries: boolean;
  readonly aggregations: boolean;
  readonly relations: boolean;
  readonly methods: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly entities: readonly { readonly name: string; readonly operations: readonly string[] }[];
}

/** What would become of a call: docs/protocol.md, "Explain". */
export interface Explanation {
  readonly allowed: boolean;
  readonly method: string;
  readonly error?: { readonly code: number; readonly message: string; readonly details?: unknown };
  readonly [more: string]: unknown;
}

/** Calls in somebody's name. */
export class Calls<S extends SchemaLike<S>> {
  readonly #send: Send;
  readonly #namesWrites: boolean;

  /** @internal */
  constructor(send: Send, namesWrites: boolean) {
    this.#send = send;
    this.#namesWrites = namesWrites;
  }

  /** A new row; null where the policy does not show it to who made it. */
  create<E extends q.EntityName<S>>(
    entity: E,
    data: q.CreateData<S, E>,
    options?: WriteOptions,
  ): Call<q.Row<S, E> | null> {
    return this.#write("create", entity, { data }, options);
  }

  /** How many rows were made; 1,000 at most. */
  createMany<E extends q.EntityName<S>>(
    entity: E,
    rows: readonly q.CreateData<S, E>[],
    options?: WriteOptions,
  ): Call<number> {
    return this.#write("createMany", entity, { rows }, options);
  }

  /** The row with this key; `not_found` when there is none that the caller may see. */
  read<E extends q.EntityName<S>, const K extends q.Field<S, E> = q.Field<S, E>, const I extends q.Includes<S, E> = {}>(
    entity: E,
    id: q.KeyOf<S, E>,
    query: q.ReadQuery<S, E, K, I> = {},
    options?: CallOptions,
  ): Call<q.Result<S, E, K, I>> {
    return this.#read("read", entity, { id, options: query }, options);
  }

  /** The first row that the filter lets through, or null. */
  findFirst<E extends q.EntityName<S>, const K extends q.Field<S, E> = q.Field<S, E>, const I extends q.Includes<S, E> = {}>(
    entity: E,
    query: q.FirstQuery<S, E, K, I> = {},
    options?: CallOptions,
  ): Call<q.Result<S, E, K, I> | null> {
    const { filter, ...others } = query;
    return this.#read("findFirst", entity, { filter: filter ?? {}, options: others }, options);
  }

  /** The first row with this value, or null. A null value finds NULL. */
  findByField<
    E extends q.EntityName<S>,
    F extends q.Field<S, E>,
    const K extends q.Field<S, E> = q.Field<S, E>,
    const I extends q.Includes<S, E> = {},
  >(
    entity: E,
    field: F,
    value: q.ValueOf<S, E, F> | null,
    query: q.ReadQuery<S, E, K, I> = {},
    options?: CallOptions,
  ): Call<q.Result<S, E, K, I> | null> {
    return this.#read("findByField", entity, { field, value, options: query }, options);
  }

  /** A page of rows. */
  list<E extends q.EntityName<S>, const K extends q.Field<S, E> = q.Field<S, E>, const I extends q.Includes<S, E> = {}>(
    entity: E,
    query: q.ListQuery<S, E, K, I> = {},
    options?: CallOptions,
  ): Call<q.Page<q.Result<S, E, K, I>>> {
    return this.#read("list", entity, { options: query }, options);
  }

  /** All rows, page after page by cursor; one page is in memory at a time. */
  async *rows<E extends q.EntityName<S>, const K extends q.Field<S, E> = q.Field<S, E>, const I extends q.Includes<S, E> = {}>(
    entity: E,
    query: q.RowsQuery<S, E, K, I> = {},
    options?: CallOptions,
  ): AsyncGenerator<q.Result<S, E, K, I>, void, undefined> {
    let cursor: string | undefined;
    do {
      const page: q.Page<q.Result<S, E, K, I>> = await this.list<E, K, I>(
        entity,
        { ...query, total: false, ...(cursor !== undefined && { cursor }) },
        options,
      );
      yield* page.data;
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** How many rows the filter lets through. */
  count<E extends q.EntityName<S>>(
    entity: E,
    query: { readonly filter?: q.Filter<S, E> } = {},
    options?: CallOptions,
  ): Call<number> {
    return this.#read("count", entity, { options: query }, options);
  }

  /** Numbers over rows: one object, or with `groupBy` one for each group. */
  aggregate<
    E extends q.EntityName<S>,
    const G extends q.Field<S, E> = never,
    const C extends boolean = false,
    const U extends q.NumberField<S, E> = never,
    const A extends q.NumberField<S, E> = never,
    const L extends q.OrderedField<S, E> = never,
    const M extends q.OrderedField<S, E> = never,
  >(
    entity: E,
    query: q.AggregateQuery<S, E, G, C, U, A, L, M> = {},
    options?: CallOptions,
  ): Call<[G] extends [never] ? q.Numbers<S, E, G, C, U, A, L, M> : q.Groups<q.Numbers<S, E, G, C, U, A, L, M>>> {
    return this.#read("aggregate", entity, { options: query }, options);
  }

  /** The changed row, null where the policy does not show it; `not_found` when there is none that the caller may change. */
  update<E extends q.EntityName<S>>(
    entity: E,
    id: q.KeyOf<S, E>,
    data: q.UpdateData<S, E>,
    options?: WriteOptions,
  ): Call<q.Row<S, E> | null> {
    return this.#write("update", entity, { id, data }, options);
  }

  /** The same, found by a unique field. */
  updateByField<E extends q.EntityName<S>, F extends q.UniqueField<S, E>>(
    entity: E,
    field: F,
    value: q.ValueOf<S, E, F>,
    data: q.UpdateData<S, E>,
    options?: WriteOptions,
  ): Call<q.Row<S, E> | null> {
    return this.#write("updateByField", entity, { field, value, data }, options);
  }

  /** How many rows were changed. */
  updateMany<E extends q.EntityName<S>>(
    entity: E,
    filter: q.Filter<S, E>,
    data: q.UpdateData<S, E>,
    options?: WriteOptions,
  ): Call<number> {
    return this.#write("updateMany", entity, { filter, data }, options);
  }

  /** Changes the row of which a unique field has this value, or makes it. */
  upsert<E extends q.EntityName<S>>(
    entity: E,
    filter: q.UniqueFilter<S, E>,
    createData: q.CreateData<S, E>,
    updateData: q.UpdateData<S, E>,
    options?: WriteOptions,
  ): Call<q.Row<S, E> | null> {
    return this.#write("upsert", entity, { filter, createData, updateData }, options);
  }

  /** Whether there was such a row; it is gone. */
  delete<E extends q.EntityName<S>>(entity: E, id: q.KeyOf<S, E>, options?: WriteOptions): Call<boolean> {
    return this.#write("delete", entity, { id }, options);
  }

  /** The same, found by a unique field. */
  deleteByField<E extends q.EntityName<S>, F extends q.UniqueField<S, E>>(
    entity: E,
    field: F,
    value: q.ValueOf<S, E, F>,
    options?: WriteOptions,
  ): Call<boolean> {
    return this.#write("deleteByField", entity, { field, value }, options);
  }

  /** How many rows were removed. `{}` means all of them, which the policy must allow by name. */
  deleteMany<E extends q.EntityName<S>>(entity: E, filter: q.Filter<S, E>, options?: WriteOptions): Call<number> {
    return this.#write("deleteMany", entity, { filter }, options);
  }

  /** All of these calls or none of them, in their order, in one transaction: give them without awaiting them. */
  transaction<const C extends Several>(calls: C, options: TransactionOptions = {}): Call<Answers<C>> {
    const members = calls.map(Call.take);
    const { isolation, ...others } = options;
    const places = (until: number): Places => new Map(calls.slice(0, until).map((call, nth) => [call, nth]));
    const params = () => ({
      calls: members.map((asked, nth) => member(asked, places(nth))),
      ...(isolation !== undefined && { options: { isolation } }),
    });
    const effect = members.some((asked) => asked.effect === "write") ? "write" : "read";
    return new Call({ method: "transaction", params, options: others, effect, isSafe: isSafe(effect, others) }, this.#dispatch);
  }

  /** These calls, one after the other, each for itself, by one message: give them without awaiting them. */
  batch<const C extends Several>(calls: C, options: CallOptions = {}): Call<Outcomes<C>> {
    const members = calls.map((call) => this.#named(Call.take(call)));
    const asked: Asked = {
      method: "batch",
      params: () => ({ calls: members.map((one) => member(one)) }),
      options,
      effect: members.some((one) => one.effect === "write") ? "write" : "read",
      isSafe: members.every((one) => one.isSafe),
    };
    const settle = (answer: unknown, nth: number): Settled<unknown> => {
      const { error, result } = record(answer);
      if (error === undefined) return { status: "fulfilled", value: result };
      const { method = "", entity } = members[nth] ?? {};
      return { status: "rejected", reason: answered(error, method, entity) };
    };
    const send = async (all: Asked) => {
      const answers = await this.#send(all);
      return (Array.isArray(answers) ? answers : []).map(settle);
    };
    return new Call(asked, send);
  }

  /** What would become of this call. Nothing of it is done, and it can be sent afterwards. */
  explain(call: Call<unknown>, options: CallOptions = {}): Call<Explanation> {
    const { method, params } = Call.peek(call);
    return new Call(
      { method: "explain", params: () => ({ method, params: params() }), options, effect: "read", isSafe: true },
      this.#dispatch,
    );
  }

  /** What the database can do, and what the caller may use. */
  getCapabilities(options?: CallOptions): Call<Capabilities> {
    return this.#read("getCapabilities", undefined, {}, options);
  }

  /** The same as an OpenRPC document. */
  discover(options?: CallOptions): Call<Record<string, unknown>> {
    return this.#read("rpc.discover", undefined, {}, options);
  }

  #read<T>(method: string, entity: string | undefined, params: object, options: CallOptions = {}): Call<T> {
    return this.#call(method, entity, params, options, "read");
  }

  #write<T>(method: string, entity: string, params: object, options: WriteOptions = {}): Call<T> {
    return this.#call(method, entity, params, options, "write");
  }

  #call<T>(method: string, entity: string | undefined, params: object, options: WriteOptions, effect: Asked["effect"]): Call<T> {
    const named = { ...(entity !== undefined && { entity }), ...params };
    const asked = {
      method,
      ...(entity !== undefined && { entity }),
      params: (places?: Places) => encode(named, places),
      options,
      effect,
      isSafe: isSafe(effect, options),
    };
    return new Call<T>(asked, this.#dispatch);
  }

  readonly #dispatch: Send = (asked) => this.#send(this.#named(asked));

  /** With an idempotency key, if this client gives one to each write. */
  #named(asked: Asked): Asked {
    if (!this.#namesWrites || asked.isSafe) return asked;
    return { ...asked, options: { ...asked.options, idempotencyKey: crypto.randomUUID() }, isSafe: true };
  }
}

function isSafe(effect: Asked["effect"], { idempotencyKey }: WriteOptions): boolean {
  return effect === "read" || idempotencyKey !== undefined;
}

/** A call within another: what is said about patience is said once, of the whole. */
function member({ method, params, options }: Asked, places?: Places): Record<string, unknown> {
  const { idempotencyKey, traceparent, ...others } = options;
  if (Object.values(others).some((value) => value !== undefined) || (places !== undefined && idempotencyKey !== undefined)) {
    throw new TypeError(`${method}: within others a call has no options of its own`);
  }
  const meta = { ...(idempotencyKey !== undefined && { idempotencyKey }), ...(traceparent !== undefined && { traceparent }) };
  const named = params(places);
  return { method, params: Object.keys(meta).length === 0 ? named : { ...named, _meta: meta } };
}
