//! Every place of a plan where a value stands: there, what an earlier call answers can be put in.

use crate::plan::{Action, Assignment, Include, Target};
use crate::predicate::Predicate;
use crate::value::{Earlier, Value};

impl Action {
    /// What it refers to, in the order in which it stands there.
    pub fn refers_to(&self) -> Vec<Earlier> {
        let mut found = Vec::new();
        // A copy, so that one walk serves for looking and for changing; plans of transactions are small.
        self.clone().each_value(&mut |value| {
            if let Value::Earlier(earlier) = value {
                found.push(*earlier);
            }
        });
        found
    }

    /// The same action with everything put in that it refers to, or the first error of `find`.
    pub fn resolved<E>(&self, mut find: impl FnMut(Earlier) -> Result<Value, E>) -> Result<Action, E> {
        let mut resolved = self.clone();
        let mut failed = None;
        resolved.each_value(&mut |value| {
            if let Value::Earlier(earlier) = value
                && failed.is_none()
            {
                match find(*earlier) {
                    Ok(found) => *value = found,
                    Err(error) => failed = Some(error),
                }
            }
        });
        failed.map_or(Ok(resolved), Err)
    }

    fn each_value(&mut self, visit: &mut dyn FnMut(&mut Value)) {
        match self {
            Action::Read {
                target,
                projection: _,
                includes,
            } => {
                of_target(target, visit);
                of_includes(includes, visit);
            }
            Action::Delete { target } => of_target(target, visit),
            Action::FindFirst {
                filter,
                order: _,
                projection: _,
                includes,
            }
            | Action::List {
                filter,
                order: _,
                page: _,
                total: _,
                projection: _,
                includes,
                cursor: _,
            } => {
                of_filter(filter, visit);
                of_includes(includes, visit);
            }
            Action::Count { filter }
            | Action::DeleteMany { filter }
            | Action::Aggregate {
                filter,
                groups: _,
                count: _,
                measures: _,
                limit: _,
            } => of_filter(filter, visit),
            Action::Create {
                values,
                projection: _,
            } => of_row(values, visit),
            Action::CreateMany { rows } => rows.iter_mut().for_each(|row| of_row(row, visit)),
            Action::Update {
                target,
                values,
                projection: _,
            } => {
                of_target(target, visit);
                of_row(values, visit);
            }
            Action::UpdateMany { filter, values } => {
                of_filter(filter, visit);
                of_row(values, visit);
            }
            Action::Upsert {
                target,
                create,
                update,
                projection: _,
            } => {
                of_target(target, visit);
                of_row(create, visit);
                of_row(update, visit);
            }
        }
    }
}

fn of_includes(includes: &mut [Include], visit: &mut dyn FnMut(&mut Value)) {
    for include in includes {
        let Include {
            link: _,
            filter,
            order: _,
            limit: _,
            projection: _,
            includes,
        } = include;
        of_filter(filter, visit);
        of_includes(includes, visit);
    }
}

fn of_target(target: &mut Target, visit: &mut dyn FnMut(&mut Value)) {
    visit(&mut target.value);
}

fn of_row(row: &mut [Assignment], visit: &mut dyn FnMut(&mut Value)) {
    for one in row {
        visit(&mut one.value);
    }
}

/// Its depth is bounded by the decoder.
fn of_filter(filter: &mut Predicate, visit: &mut dyn FnMut(&mut Value)) {
    match filter {
        Predicate::Compare {
            column: _,
            op: _,
            value,
        } => visit(value),
        Predicate::In { column: _, values } => values.iter_mut().for_each(visit),
        Predicate::Between { column: _, low, high } => {
            visit(low);
            visit(high);
        }
        Predicate::Related {
            link: _,
            quantifier: _,
            // Not the caller's to write.
            within: _,
            predicate,
        } => of_filter(predicate, visit),
        Predicate::And(parts) | Predicate::Or(parts) => {
            for part in parts {
                of_filter(part, visit);
            }
        }
        Predicate::Not(inner) => of_filter(inner, visit),
        Predicate::True
        | Predicate::False
        | Predicate::CompareColumns { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ColumnId;
    use crate::predicate::Comparison;

    fn earlier(call: u16) -> Value {
        Value::Earlier(Earlier {
            call,
            column: ColumnId(call),
        })
    }

    fn is(value: Value) -> Predicate {
        Predicate::Compare {
            column: ColumnId(0),
            op: Comparison::Eq,
            value,
        }
    }

    #[test]
    fn what_is_referred_to_is_found_wherever_it_stands_and_put_in_there() {
        let filter = Predicate::And(vec![
            Predicate::Not(Box::new(is(earlier(1)))),
            Predicate::Or(vec![
                Predicate::In {
                    column: ColumnId(0),
                    values: vec![Value::Int(7), earlier(2)],
                },
                Predicate::Between {
                    column: ColumnId(0),
                    low: earlier(3),
                    high: earlier(4),
                },
            ]),
        ]);
        let row = |value| {
            vec![Assignment {
                column: ColumnId(0),
                value,
            }]
        };
        let target = |value| Target {
            column: ColumnId(0),
            value,
        };
        for (action, found) in [
            (
                Action::UpdateMany {
                    filter,
                    values: row(earlier(5)),
                },
                vec![1, 2, 3, 4, 5],
            ),
            (
                Action::Upsert {
                    target: target(earlier(1)),
                    create: row(earlier(2)),
                    update: row(earlier(3)),
                    projection: Vec::new(),
                },
                vec![1, 2, 3],
            ),
            (
                Action::CreateMany {
                    rows: vec![row(earlier(1)), row(Value::Null), row(earlier(2))],
                },
                vec![1, 2],
            ),
            (
                Action::Delete {
                    target: target(earlier(1)),
                },
                vec![1],
            ),
        ] {
            let calls: Vec<u16> = action.refers_to().iter().map(|earlier| earlier.call).collect();
            assert_eq!(calls, found, "{action:?}");
            let resolved = action.resolved(|earlier| Ok::<_, ()>(Value::Int(earlier.call.into())));
            let resolved = resolved.unwrap();
            assert!(resolved.refers_to().is_empty() && resolved != action);
            assert_eq!(action.resolved(|earlier| Err(earlier.call)), Err(1));
        }
    }
}
