//! Calls by entity, operation and code since the start: for `dbal top`, on the administrative port. Not among Prometheus's labels:
//! a deployment with hundreds of entities would make thousands of series of each instance.

use std::sync::atomic::{AtomicU64, Ordering};

use dbal_schema::Entity;
use dbal_shared::fault::Code;
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;
use serde_json::{Value, json};

/// `ok`, and each code.
const CODES: usize = 1 + Code::ALL.len();
const OPERATIONS: usize = Operation::ALL.len();

/// A place for each, so that counting is one addition.
pub struct EntityCalls {
    entities: Vec<(String, [[AtomicU64; CODES]; OPERATIONS])>,
}

impl EntityCalls {
    /// Zeros. A reload never changes the entities.
    pub fn of(entities: &[Entity]) -> Self {
        let zeros = || std::array::from_fn(|_| std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            entities: entities
                .iter()
                .map(|entity| (entity.name.clone(), zeros()))
                .collect(),
        }
    }

    /// Counts one call; `code` is none where it was answered.
    pub(crate) fn count(&self, entity: EntityId, operation: Operation, code: Option<Code>) {
        let operation = Operation::ALL.iter().position(|other| *other == operation);
        let place = match code {
            None => Some(0),
            Some(code) => Code::ALL
                .iter()
                .position(|other| *other == code)
                .and_then(|place| place.checked_add(1)),
        };
        let counted = self.entities.get(usize::from(entity.0));
        if let (Some((_, counts)), Some(operation), Some(place)) = (counted, operation, place)
            && let Some(count) = counts.get(operation).and_then(|counts| counts.get(place))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All that were called: `[{"entity", "operation", "code", "calls"}]`.
    pub fn page(&self) -> String {
        let mut lines = Vec::new();
        for (entity, counts) in &self.entities {
            for (operation, counts) in Operation::ALL.iter().zip(counts) {
                for (code, count) in counts.iter().enumerate() {
                    let calls = count.load(Ordering::Relaxed);
                    if calls > 0 {
                        lines.push(json!({
                            "entity": entity,
                            "operation": operation.name(),
                            "code": named(code),
                            "calls": calls,
                        }));
                    }
                }
            }
        }
        Value::from(lines).to_string()
    }
}

/// As the metrics call it.
fn named(place: usize) -> String {
    let code = place.checked_sub(1).and_then(|place| Code::ALL.get(place));
    code.map_or_else(|| "ok".to_owned(), |code| code.number().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn calls_are_counted_where_they_belong_and_nowhere_else() {
        let policy = fixture::policy();
        let entities = policy.schema().entities();
        let calls = EntityCalls::of(entities);
        assert_eq!(calls.page(), "[]");
        let note = EntityId(1);
        calls.count(note, Operation::List, None);
        calls.count(note, Operation::List, None);
        calls.count(note, Operation::Delete, Some(Code::SandboxViolation));
        calls.count(EntityId(u16::MAX), Operation::List, None);
        let page: Value = serde_json::from_str(&calls.page()).unwrap();
        let name = &entities[1].name;
        assert_eq!(
            page,
            json!([
                {"entity": name, "operation": "list", "code": "ok", "calls": 2},
                {"entity": name, "operation": "delete", "code": "4031", "calls": 1},
            ])
        );
    }
}
