// What a query may say and what it answers, worked out by the compiler from the schema's types.

import type { Ref } from "./call.js";
import type { Json, Kind, SchemaLike } from "./schema.js";

/** Names of entities. */
export type EntityName<S> = keyof S & string;
/** What is read of a row. */
export type Row<S extends SchemaLike<S>, E extends keyof S> = S[E]["row"];
/** Names of fields. */
export type Field<S extends SchemaLike<S>, E extends keyof S> = keyof Row<S, E> & string;
/** Fields of which no two rows have the same value. */
export type UniqueField<S extends SchemaLike<S>, E extends keyof S> = S[E]["unique"] & Field<S, E>;
/** Names of relations. */
export type RelationName<S extends SchemaLike<S>, E extends keyof S> = keyof S[E]["relations"] & string;
type To<S extends SchemaLike<S>, E extends keyof S, R extends RelationName<S, E>> = S[E]["relations"][R]["to"] & keyof S;
type KindOf<S extends SchemaLike<S>, E extends keyof S, F extends Field<S, E>> = S[E]["kinds"][F];

/** What a field of a kind is compared with; `V` is what is read of it. */
type Operand<K extends Kind, V> =
  | (K extends "bigint"
      ? bigint | number | string
      : K extends "decimal"
        ? string | number
        : K extends "datetime"
          ? Date | string
          : K extends "bytes"
            ? Uint8Array | string
            : NonNullable<V>)
  | Ref<unknown>;

/** A value of a field, to find rows by. */
export type ValueOf<S extends SchemaLike<S>, E extends keyof S, F extends Field<S, E>> = Operand<
  KindOf<S, E, F>,
  Row<S, E>[F]
>;

interface Nullness {
  readonly isNull?: boolean;
}
interface Equality<V> extends Nullness {
  readonly eq?: V | null;
  readonly ne?: V | null;
  readonly in?: readonly V[];
  readonly notIn?: readonly V[];
}
interface Order<V> extends Equality<V> {
  readonly gt?: V;
  readonly gte?: V;
  readonly lt?: V;
  readonly lte?: V;
  readonly between?: readonly [V, V];
}
interface Matching<V> extends Order<V> {
  readonly contains?: string;
  readonly startsWith?: string;
  readonly endsWith?: string;
  readonly mode?: "insensitive";
}

type Conditions<K extends Kind, V> = K extends "json"
  ? Nullness
  : K extends "enum" | "boolean" | "bytes"
    ? Equality<V> | V
    : K extends "string" | "text" | "email" | "cuid"
      ? Matching<V> | V
      : Order<V> | V;

/** Which rows. All members must hold. */
export type Filter<S extends SchemaLike<S>, E extends keyof S> = {
  readonly [F in Field<S, E>]?: Conditions<KindOf<S, E, F>, ValueOf<S, E, F>> | null;
} & {
  // Of an unknown schema any name is a field.
  readonly [R in RelationName<S, E> as string extends R ? never : R]?: {
    readonly some?: Filter<S, To<S, E, R>>;
    readonly every?: Filter<S, To<S, E, R>>;
    readonly none?: Filter<S, To<S, E, R>>;
  };
} & {
  readonly AND?: readonly Filter<S, E>[];
  readonly OR?: readonly Filter<S, E>[];
  readonly NOT?: Filter<S, E> | readonly Filter<S, E>[];
};

/** In which order; by the first member first. */
export type Sort<S extends SchemaLike<S>, E extends keyof S> = { readonly [F in Field<S, E>]?: "asc" | "desc" };

/** Linked rows to bring along. */
export type Include<S extends SchemaLike<S>, E extends keyof S> = {
  readonly [R in RelationName<S, E>]?: true | LinkedQuery<S, To<S, E, R>>;
};

/** Which of the linked rows, and what of them. */
export interface LinkedQuery<S extends SchemaLike<S>, E extends keyof S> {
  readonly filter?: Filter<S, E>;
  readonly sort?: Sort<S, E>;
  readonly limit?: number;
  readonly select?: readonly Field<S, E>[];
  readonly include?: Include<S, E>;
}

/** What an include is inferred from; what it may say, `Exactly` says. */
export type Includes<S extends SchemaLike<S>, E extends keyof S> = { readonly [R in RelationName<S, E>]?: unknown };

/** `I` without anything that an include can't say. What is inferred is not held against its own type by the compiler. */
export type Exactly<S extends SchemaLike<S>, E extends keyof S, I> = {
  readonly [R in keyof I]: R extends RelationName<S, E>
    ? I[R] extends object
      ? ExactlyLinked<S, To<S, E, R>, I[R]>
      : true
    : never;
};
type ExactlyLinked<S extends SchemaLike<S>, E extends keyof S, O> = {
  readonly [P in keyof O]: P extends "include"
    ? Exactly<S, E, O[P]>
    : P extends "filter"
      ? { readonly [F in keyof O[P]]: F extends keyof Filter<S, E> ? Filter<S, E>[F] : never }
      : P extends "sort"
        ? { readonly [F in keyof O[P]]: F extends Field<S, E> ? "asc" | "desc" : never }
        : P extends keyof LinkedQuery<S, E>
          ? LinkedQuery<S, E>[P]
          : never;
};

/** What is read of one row. */
export interface ReadQuery<S extends SchemaLike<S>, E extends keyof S, K extends Field<S, E>, I extends Includes<S, E>> {
  /** Only these fields. */
  readonly select?: readonly K[];
  readonly include?: I & Exactly<S, E, I>;
}

/** Which row is the first. */
export interface FirstQuery<S extends SchemaLike<S>, E extends keyof S, K extends Field<S, E>, I extends Includes<S, E>>
  extends ReadQuery<S, E, K, I> {
  readonly filter?: Filter<S, E>;
  readonly sort?: Sort<S, E>;
}

/** Which rows, all of them in their order. */
export interface RowsQuery<S extends SchemaLike<S>, E extends keyof S, K extends Field<S, E>, I extends Includes<S, E>>
  extends FirstQuery<S, E, K, I> {
  /** Rows of one answer. */
  readonly limit?: number;
}

/** Which rows of a list. */
export interface ListQuery<S extends SchemaLike<S>, E extends keyof S, K extends Field<S, E>, I extends Includes<S, E>>
  extends RowsQuery<S, E, K, I> {
  /** From 1; not beside `cursor`. */
  readonly page?: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string;
  /** `false` saves the counting. */
  readonly total?: boolean;
}

type Simplify<T> = { [K in keyof T]: T[K] } & {};

type Partly<S extends SchemaLike<S>, E extends keyof S, R extends RelationName<S, E>> = S[E]["relations"][R] extends {
  partly: true;
}
  ? R
  : never;
type Brought<S extends SchemaLike<S>, E extends keyof S, R extends RelationName<S, E>, O> =
  S[E]["relations"][R]["many"] extends true ? Linked<S, To<S, E, R>, O>[] : Linked<S, To<S, E, R>, O> | null;

/** A row as a query answers it. */
export type Result<S extends SchemaLike<S>, E extends keyof S, K extends Field<S, E>, I> = Simplify<
  Pick<Row<S, E>, K> & {
    [R in keyof I & RelationName<S, E> as Exclude<R, Partly<S, E, R>>]: Brought<S, E, R, I[R]>;
  } & {
    [R in keyof I & RelationName<S, E> as Partly<S, E, R>]?: Brought<S, E, R, I[R]>;
  }
>;
type Linked<S extends SchemaLike<S>, E extends keyof S, O> = Result<
  S,
  E,
  O extends { readonly select: readonly (infer K)[] } ? K & Field<S, E> : Field<S, E>,
  O extends { readonly include: infer I } ? I : {}
>;

/** A page of a list. */
export interface Page<R> {
  readonly data: R[];
  /** How many there are in all; missing where `total: false`. */
  readonly total?: number;
  readonly page?: number;
  readonly limit: number;
  readonly hasMore: boolean;
  readonly nextCursor?: string;
}

type Referable<T> = { readonly [K in keyof T]: Json extends NonNullable<T[K]> ? T[K] : T[K] | Ref<NonNullable<T[K]>> };
/** A new row. */
export type CreateData<S extends SchemaLike<S>, E extends keyof S> = Referable<S[E]["create"]>;
/** Changes of a row. */
export type UpdateData<S extends SchemaLike<S>, E extends keyof S> = Referable<S[E]["update"]>;
/** A row's primary key. */
export type KeyOf<S extends SchemaLike<S>, E extends keyof S> = ValueOf<S, E, S[E]["key"] & Field<S, E>>;
/** One unique field and its value. */
export type UniqueFilter<S extends SchemaLike<S>, E extends keyof S> = {
  [F in UniqueField<S, E>]: { readonly [P in F]: ValueOf<S, E, F> };
}[UniqueField<S, E>];

type OfKind<S extends SchemaLike<S>, E extends keyof S, K extends Kind> = {
  [F in Field<S, E>]: KindOf<S, E, F> extends K ? F : never;
}[Field<S, E>];
/** Fields that have sums and means. */
export type NumberField<S extends SchemaLike<S>, E extends keyof S> = OfKind<
  S,
  E,
  "integer" | "bigint" | "float" | "decimal"
>;
/** Fields that have a smallest and a largest value. */
export type OrderedField<S extends SchemaLike<S>, E extends keyof S> = OfKind<
  S,
  E,
  Exclude<Kind, "enum" | "boolean" | "bytes" | "json" | "uuid">
>;

/** Numbers over rows. */
export interface AggregateQuery<
  S extends SchemaLike<S>,
  E extends keyof S,
  G extends Field<S, E>,
  C extends boolean,
  U extends NumberField<S, E>,
  A extends NumberField<S, E>,
  L extends OrderedField<S, E>,
  M extends OrderedField<S, E>,
> {
  readonly filter?: Filter<S, E>;
  readonly groupBy?: readonly G[];
  readonly count?: C;
  readonly sum?: readonly U[];
  readonly avg?: readonly A[];
  readonly min?: readonly L[];
  readonly max?: readonly M[];
  /** Groups of the answer. */
  readonly limit?: number;
}

/** Numbers over all rows, or over those of one group. A number that JSON would round comes as text. */
export type Numbers<
  S extends SchemaLike<S>,
  E extends keyof S,
  G extends Field<S, E>,
  C extends boolean,
  U extends string,
  A extends string,
  L extends Field<S, E>,
  M extends Field<S, E>,
> = Simplify<
  ([G] extends [never] ? {} : { group: Pick<Row<S, E>, G> }) &
    // Counted where nothing else is asked for.
    (true extends C ? { count: number } : [U | A | L | M] extends [never] ? { count: number } : {}) &
    ([U] extends [never] ? {} : { sum: { [F in U]: number | string | null } }) &
    ([A] extends [never] ? {} : { avg: { [F in A]: number | null } }) &
    ([L] extends [never] ? {} : { min: { [F in L]: NonNullable<Row<S, E>[F]> | null } }) &
    ([M] extends [never] ? {} : { max: { [F in M]: NonNullable<Row<S, E>[F]> | null } })
>;

/** Groups, in the order of their fields. */
export interface Groups<R> {
  readonly data: R[];
  readonly limit: number;
  readonly hasMore: boolean;
}
