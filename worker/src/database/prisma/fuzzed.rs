//! For the fuzz targets, in no build but theirs (`--cfg fuzzing`): what the adapter makes of a bridge's answer.

use dbal_schema::Entity;
use dbal_shared::value::Value;
use hyper::body::Bytes;

use super::exchange::Answered;
use super::protocol::{Kind, Part, Told, read};
use super::tables::Tables;
use super::trouble::trouble;
use super::values::{self, Storage};
use crate::database::postgres::json_row::JsonRow;
use crate::job::Refusal;

/// An answer to a question for rows of `entity` or for their number: the cells that are of the types of its columns, or the refusal.
pub fn answer(status: u16, body: &[u8], is_query: bool, entity: &Entity) -> Result<Vec<Value>, Refusal> {
    let answered = Answered {
        status,
        body: Bytes::copy_from_slice(body),
    };
    let kind = if is_query { Kind::Query } else { Kind::NonQuery };
    match read(&answered, kind) {
        Told::Rows(parts) => {
            let rows = parts.iter().filter_map(|Part { n: _, r }| JsonRow::read(r).ok());
            Ok(rows.flat_map(|row| cells(&row, entity)).collect())
        }
        Told::Affected(_) | Told::Other { .. } => Ok(Vec::new()),
        Told::Refused(refused) => {
            let (trouble, _, _) = trouble(&refused, entity, &Tables::default());
            Err(trouble.into_refusal())
        }
    }
}

fn cells(row: &JsonRow<'_>, entity: &Entity) -> Vec<Value> {
    let mut cells = Vec::new();
    for (nth, column) in entity.columns.iter().enumerate() {
        let Some(json) = row.json(nth) else { break };
        let _ = values::finer(json);
        for storage in [Storage::Plain, Storage::Single, Storage::Padded] {
            cells.extend(values::read(column.kind, storage, json));
        }
    }
    cells
}
