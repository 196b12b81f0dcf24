//! A client's filter → a predicate over fields that exist for this caller, with every fault found at once.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::json::Json;
use dbal_shared::limits::PREDICATE_NODES;
use dbal_shared::predicate::{Link, Predicate, Quantifier};

use super::arguments::shown;
use super::operators;
use super::scope::Scope;
use crate::refusal::{FieldFault, Kind, Refusal};

/// The filter of a method that takes it as a parameter of its own.
pub(super) fn parameter(json: Option<&Json>, scope: &Scope<'_>) -> Result<Predicate, Refusal> {
    let mut faults = Vec::new();
    let predicate = parse(json, scope, "filter", &mut faults);
    if faults.is_empty() {
        bounded(predicate)
    } else {
        Err(Refusal::invalid(faults))
    }
}

/// Reads a filter; what is wrong with it goes to `faults`, and the predicate then means nothing.
pub(super) fn parse(
    json: Option<&Json>,
    scope: &Scope<'_>,
    path: &str,
    faults: &mut Vec<FieldFault>,
) -> Predicate {
    match json {
        None | Some(Json::Null) => Predicate::True,
        Some(filter) => Reader { scope, faults }.object(filter, path),
    }
}

/// Refuses what would cost more than any honest filter.
pub(super) fn bounded(predicate: Predicate) -> Result<Predicate, Refusal> {
    if nodes(&predicate) > PREDICATE_NODES {
        return Err(Refusal::new(
            Kind::Code(Code::TooLarge),
            format!("the filter has more than {PREDICATE_NODES} conditions and values in lists"),
        ));
    }
    Ok(predicate)
}

fn nodes(predicate: &Predicate) -> usize {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => {
            parts.iter().map(nodes).fold(1, usize::saturating_add)
        }
        Predicate::Not(inner) => nodes(inner).saturating_add(1),
        Predicate::Related { predicate, .. } => nodes(predicate).saturating_add(1),
        Predicate::True
        | Predicate::False
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull { .. }
        | Predicate::Between { .. } => 1,
    }
}

const QUANTIFIERS: &str = "must be an object of some, every or none";

struct Reader<'a, 'b> {
    scope: &'a Scope<'a>,
    faults: &'b mut Vec<FieldFault>,
}

impl Reader<'_, '_> {
    /// All members must hold.
    fn object(&mut self, json: &Json, path: &str) -> Predicate {
        let Json::Object(members) = json else {
            return self.fault(path.to_owned(), format!("must be an object, not {}", json.kind()));
        };
        members.iter().fold(Predicate::True, |all, (name, value)| {
            all.and(self.member(name, value, &format!("{path}.{}", shown(name))))
        })
    }

    fn member(&mut self, name: &str, value: &Json, path: &str) -> Predicate {
        match name {
            "AND" => self.each(value, path, Predicate::True, Predicate::and),
            "OR" => self.each(value, path, Predicate::False, Predicate::or),
            // Several: none of them holds.
            "NOT" => {
                let any = if matches!(value, Json::List(_)) {
                    self.each(value, path, Predicate::False, Predicate::or)
                } else {
                    self.object(value, path)
                };
                not(any)
            }
            field => match self.scope.readable(field) {
                Some(column) => match operators::condition(self.scope, column, value, path) {
                    Ok(predicate) => predicate,
                    Err(more) => {
                        self.faults.extend(more);
                        Predicate::False
                    }
                },
                None => match self.scope.relation(field) {
                    Some((relation, scope)) => self.related(relation.link, &scope, value, path),
                    None => self.fault(path.to_owned(), Fault::Unknown.to_string()),
                },
            },
        }
    }

    /// `{"some": {…}, "every": {…}, "none": {…}}`: conditions on linked rows. All members must hold.
    fn related(&mut self, link: Link, scope: &Scope<'_>, json: &Json, path: &str) -> Predicate {
        let members = if let Json::Object(members) = json {
            members.as_slice()
        } else {
            &[]
        };
        if members.is_empty() {
            return self.fault(path.to_owned(), QUANTIFIERS.to_owned());
        }
        members.iter().fold(Predicate::True, |all, (name, value)| {
            let path = format!("{path}.{}", shown(name));
            let quantifier = match name.as_str() {
                "some" => Quantifier::Some,
                "every" => Quantifier::Every,
                "none" => Quantifier::None,
                _ => return self.fault(path, QUANTIFIERS.to_owned()),
            };
            let mut linked = Reader {
                scope,
                faults: self.faults,
            };
            let predicate = Box::new(linked.object(value, &path));
            all.and(Predicate::Related {
                link,
                quantifier,
                within: Box::new(Predicate::True),
                predicate,
            })
        })
    }

    fn each(
        &mut self,
        json: &Json,
        path: &str,
        none: Predicate,
        join: fn(Predicate, Predicate) -> Predicate,
    ) -> Predicate {
        let Json::List(items) = json else {
            // One condition may stand without brackets.
            if matches!(json, Json::Object(_)) {
                return self.object(json, path);
            }
            let error = format!("must be an array of objects, not {}", json.kind());
            return self.fault(path.to_owned(), error);
        };
        items.iter().enumerate().fold(none, |joined, (position, item)| {
            join(joined, self.object(item, &format!("{path}[{position}]")))
        })
    }

    fn fault(&mut self, field: String, error: String) -> Predicate {
        self.faults.push(FieldFault { field, error });
        Predicate::False
    }
}

/// Negation without needless nodes, so that `NOT: {}` is not mistaken for a condition.
fn not(predicate: Predicate) -> Predicate {
    if predicate == Predicate::True {
        Predicate::False
    } else if predicate == Predicate::False {
        Predicate::True
    } else {
        Predicate::Not(Box::new(predicate))
    }
}
