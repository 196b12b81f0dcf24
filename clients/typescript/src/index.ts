// What the package offers.

export { Client } from "./client.js";
export { Call, Ref, type CallOptions, type WriteOptions } from "./call.js";
export { Calls, type Capabilities, type Explanation, type Settled, type TransactionOptions } from "./calls.js";
export { DbalError, type ErrorCode, type FieldFault, type Outcome } from "./error.js";
export type { ClientEvent, ClientOptions, TokenIn, TokenSource } from "./options.js";
export type { CreateData, Field, Filter, Groups, Include, Page, Result, Row, Sort, UpdateData } from "./query.js";
export type { AnySchema, EntityTypes, Json, Kind, SchemaLike } from "./schema.js";
export type { OpenSocket, SocketLike } from "./socket.js";
