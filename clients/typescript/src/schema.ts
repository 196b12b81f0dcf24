// What `dbal schema typescript` writes, as types: one member for each entity.

/** Any JSON. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** Types of entity files. */
export type Kind =
  | "uuid"
  | "cuid"
  | "string"
  | "text"
  | "email"
  | "enum"
  | "integer"
  | "bigint"
  | "float"
  | "decimal"
  | "boolean"
  | "date"
  | "datetime"
  | "json"
  | "bytes";

/** One entity. */
export interface EntityTypes {
  /** What is read of a row. */
  row: object;
  /** What a new row is made of. */
  create: object;
  /** What of a row can be changed. */
  update: object;
  /** The entity file's types of what is read. */
  kinds: { [field: string]: Kind };
  /** The primary key. */
  key: string;
  /** Fields of which no two rows have the same value. */
  unique: string;
  /** Linked rows. `partly`: a row that hides the field that leads to them has no member for them. */
  relations: { [name: string]: { to: string; many: boolean; partly?: true } };
}

/** A schema: `Client<Schema>` with the interface that `dbal schema typescript` has written. */
export type SchemaLike<S> = { [E in keyof S]: EntityTypes };

/** Of an entity whose types nobody has written. */
export interface AnyEntity {
  row: Record<string, any>;
  create: Record<string, any>;
  update: Record<string, any>;
  kinds: Record<string, any>;
  key: string;
  unique: string;
  relations: Record<string, any>;
}

/** `Client<AnySchema>`: any names, and any values. The daemon judges them, as always. */
export type AnySchema = Record<string, AnyEntity>;
