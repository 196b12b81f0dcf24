//! Every bound that two processes must agree on, with the argument for the number.

/// Longest frame from broker to worker, in bytes: a client message (1 MiB) in typed form, with room for its policy proof.
pub const FRAME_TO_WORKER_BYTES: usize = 2 * 1024 * 1024;
/// Longest frame from worker to broker, in bytes: the largest answer (8 MiB of row JSON) and its header.
pub const FRAME_TO_BROKER_BYTES: usize = ANSWER_BYTES + 64 * 1024;
/// Most row JSON in one answer, in bytes. Beyond it the caller is told to ask for fewer rows.
pub const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Longest text message that a client may send, in bytes.
pub const CLIENT_MESSAGE_BYTES: usize = 1024 * 1024;
/// Deepest nesting of JSON in a client's message. Real filters nest fewer than ten levels.
pub const JSON_DEPTH: usize = 32;
/// Deepest nesting of lists and boxes in a frame; a predicate of `JSON_DEPTH` levels needs two for each.
pub const FRAME_DEPTH: usize = 96;
/// Most nodes of one predicate tree. Rendered SQL, bind variables and cost stay linear in it.
pub const PREDICATE_NODES: usize = 2_000;
/// Most values in one `in` list.
pub const IN_LIST_VALUES: usize = 1_000;
/// Deepest nesting of conditions on linked rows, and of included rows: each step is a join that the database must do.
pub const RELATION_DEPTH: usize = 3;
/// Most conditions on linked rows in one filter: each repeats the policy of its entity in the statement.
pub const RELATIONS: usize = 16;
/// Most relations that one answer brings along, nested ones included: each is a statement.
pub const INCLUDES: usize = 8;
/// Most rows that one of them brings along for all rows together. Beyond it the caller is told to ask for fewer.
pub const INCLUDED_ROWS: u32 = 10_000;
/// Most rows in one `createMany`.
pub const ROWS_PER_CREATE_MANY: usize = 1_000;
/// Most rows that any answer may hold, whatever the entity or the policy allow.
pub const ROWS_PER_ANSWER: u32 = 1_000;
/// Rows of a `list` that names no limit.
pub const DEFAULT_ROWS: u32 = 20;
/// Deepest offset that `page` and `limit` may reach together, in rows; beyond it scanning costs more than it tells.
pub const OFFSET_ROWS: u32 = 1_000_000;
/// Most fields that `aggregate` may group by.
pub const GROUP_KEYS: usize = 8;
/// Most sums, averages, minima and maxima of one `aggregate`.
pub const MEASURES: usize = 32;
/// Longest cursor, in bytes: it holds the values of the sort keys of one row. Where they are longer, none is given.
pub const CURSOR_BYTES: usize = 8 * 1024;
/// Most calls in one JSON-RPC batch.
pub const BATCH_CALLS: usize = 32;
/// Longest idempotency key, in bytes: a UUID or a short sentence.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;
/// How long the answer to a write with an idempotency key is kept, in milliseconds: a day, as clients expect of such keys.
pub const IDEMPOTENCY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Bytes that the answer to a write with an idempotency key may have beyond twice what the write says: it is kept, and a short write could
/// else have a long row, or all that a transaction reads, written into the database each time.
pub const IDEMPOTENT_ANSWER_BYTES: usize = 64 * 1024;
/// Most calls that the broker keeps outstanding on the channel; more are answered 503.
pub const CALLS_IN_FLIGHT: usize = 4_096;
/// Most sessions that a worker keeps; at about 1 KiB each they stay under 64 MiB.
pub const SESSIONS: usize = 65_536;
/// Longest bearer token, in bytes. Real tokens stay below 4 KiB.
pub const TOKEN_BYTES: usize = 8 * 1024;
/// Longest time that one call may take, in milliseconds: existing clients give up after 30 s.
pub const CALL_BUDGET_MS: u32 = 29_000;
/// Most rules that one audit record names with what kept them from granting: real entities have fewer for one operation.
pub const TRIED: usize = 16;
/// Most entities in a schema and most columns in an entity; both fit a `u16` with room.
pub const ENTITIES: usize = 1_024;
/// See [`ENTITIES`].
pub const COLUMNS: usize = 512;
/// Most fields that one `list` may sort by.
pub const SORT_KEYS: usize = 8;
