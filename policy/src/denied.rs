//! A refusal: what the client may be told, and what the operator must know.

use dbal_schema::Entity;
use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::Operation;

use crate::cost::Cost;

/// Why a plan was refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// No such entity, or none of which the caller may know.
    UnknownEntity,
    /// No rule grants the caller this operation.
    NotGranted,
    /// The schema keeps the entity from being written, or the operation from being asked for from outside.
    Forbidden,
    /// No single rule lets the caller write all of these columns.
    NotWritable(Vec<ColumnId>),
    /// A rule forces a value on this column, and the caller wants another.
    Forced(ColumnId),
    /// All rows were to be changed, and no rule allows that.
    Unfiltered,
    /// A restriction leaves no row.
    Restricted,
    /// Single fields are wrong. Hidden and unknown ones look alike.
    Fields(Vec<(ColumnId, Fault)>),
    /// The plan asks for more work than the caller's roles allow.
    TooComplex {
        /// Of this plan, line by line.
        cost: Box<Cost>,
        /// For this caller.
        max: u32,
    },
    /// A bound of `dbal_shared::limits` is exceeded.
    TooLarge(&'static str),
    /// The plan makes no sense. The message was read, so it is no malformed one to whoever sent it.
    Malformed(&'static str),
    /// The plan makes sense, but isn't served yet.
    Unsupported(&'static str),
    /// The subject was made by another policy: the caller's session is older than the rules.
    StaleSubject,
    /// The grant could not be encoded, so its digest can't be told.
    Unencodable,
}

/// A plan that was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    reason: Reason,
    operation: Operation,
    entity: String,
    /// Names of the reason's columns.
    columns: String,
    rule: Option<String>,
}

impl Denied {
    pub(crate) fn new(reason: Reason, operation: Operation, entity: Option<&Entity>) -> Self {
        let columns = entity.map_or_else(String::new, |entity| named(entity, &reason));
        let entity = entity.map_or_else(String::new, |entity| entity.name.clone());
        Self {
            reason,
            operation,
            entity,
            columns,
            rule: None,
        }
    }

    pub(crate) fn too_complex(cost: Cost, max: u32, operation: Operation, entity: Option<&Entity>) -> Self {
        let cost = Box::new(cost);
        Self::new(Reason::TooComplex { cost, max }, operation, entity)
    }

    pub(crate) fn by(self, rule: &str) -> Self {
        Self {
            rule: Some(rule.to_owned()),
            ..self
        }
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What the plan would cost, where it is refused for that.
    pub fn cost(&self) -> Option<Cost> {
        if let Reason::TooComplex { cost, max: _ } = &self.reason {
            Some(**cost)
        } else {
            None
        }
    }

    /// The operation that was refused; of an upsert, the one of its two.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The code and text for the client. They tell nothing that the caller may not know.
    pub fn client(&self) -> (Code, String) {
        match &self.reason {
            Reason::UnknownEntity => (Code::NotFound, "Unknown entity".to_owned()),
            Reason::NotGranted
            | Reason::Forbidden
            | Reason::NotWritable(_)
            | Reason::Forced(_)
            | Reason::Restricted => (
                Code::Forbidden,
                format!(
                    "Insufficient permissions for operation '{}' on entity '{}'",
                    self.operation.name(),
                    self.entity
                ),
            ),
            Reason::Unfiltered => (
                Code::Forbidden,
                format!(
                    "Insufficient permissions for operation '{}' on all rows of entity '{}'; name some by a filter",
                    self.operation.name(),
                    self.entity
                ),
            ),
            Reason::Fields(_) => (Code::Invalid, Code::Invalid.message().to_owned()),
            Reason::TooComplex { cost, max } => (
                Code::TooLarge,
                format!("complexity {} exceeds {max}", cost.total()),
            ),
            Reason::TooLarge(what) => (Code::TooLarge, (*what).to_owned()),
            Reason::Malformed(what) => (Code::Invalid, (*what).to_owned()),
            Reason::Unsupported(what) => (Code::Unsupported, (*what).to_owned()),
            Reason::StaleSubject => (Code::Unavailable, "The policy has changed".to_owned()),
            Reason::Unencodable => (Code::Internal, Code::Internal.message().to_owned()),
        }
    }

    /// Faults of single fields; the caller may know each of these columns, or the fault is [`Fault::Unknown`].
    pub fn fields(&self) -> &[(ColumnId, Fault)] {
        if let Reason::Fields(fields) = &self.reason {
            fields
        } else {
            &[]
        }
    }

    /// The reason in full, for the operator's log and the audit. No values.
    pub fn operator(&self) -> String {
        let Self {
            reason,
            operation,
            entity,
            columns,
            rule: _,
        } = self;
        let operation = operation.name();
        match reason {
            Reason::UnknownEntity => "no such entity, or nothing is granted on it".to_owned(),
            Reason::NotGranted => format!("no rule grants {operation} on {entity}"),
            Reason::Forbidden => {
                format!("the schema keeps {operation} on {entity} closed: read_only or system_only")
            }
            Reason::NotWritable(_) => format!("no single rule lets {operation} on {entity} write {columns}"),
            Reason::Forced(_) => {
                format!("{operation} on {entity} wants another value than the forced one in {columns}")
            }
            Reason::Unfiltered => format!("no rule allows {operation} of all rows of {entity} at once"),
            Reason::Restricted => format!("restrictions leave no row for {operation} on {entity}"),
            Reason::Fields(_) => format!("{operation} on {entity} has wrong or hidden fields: {columns}"),
            Reason::TooComplex { cost, max } => {
                format!(
                    "{operation} on {entity} has complexity {}; {max} is allowed",
                    cost.total()
                )
            }
            Reason::TooLarge(what) | Reason::Malformed(what) | Reason::Unsupported(what) => {
                format!("{operation} on {entity}: {what}")
            }
            Reason::StaleSubject => "the session was opened under another policy".to_owned(),
            Reason::Unencodable => "the grant could not be encoded".to_owned(),
        }
    }

    /// The rule or restriction that decided, if one did.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }
}

fn named(entity: &Entity, reason: &Reason) -> String {
    let name = |column: &ColumnId| {
        entity
            .column(*column)
            .map_or_else(|| format!("column {}", column.0), |column| column.name.clone())
    };
    let names: Vec<String> = match reason {
        Reason::NotWritable(columns) => columns.iter().map(name).collect(),
        Reason::Forced(column) => vec![name(column)],
        Reason::Fields(fields) => fields
            .iter()
            .map(|(column, fault)| format!("{} {fault}", name(column)))
            .collect(),
        Reason::UnknownEntity
        | Reason::NotGranted
        | Reason::Forbidden
        | Reason::Unfiltered
        | Reason::Restricted
        | Reason::TooComplex { .. }
        | Reason::TooLarge(_)
        | Reason::Malformed(_)
        | Reason::Unsupported(_)
        | Reason::StaleSubject
        | Reason::Unencodable => Vec::new(),
    };
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Item;

    #[test]
    fn the_client_learns_less_than_the_operator() {
        let denied = |reason| Denied {
            reason,
            operation: Operation::Create,
            entity: "User".to_owned(),
            columns: "secret".to_owned(),
            rule: Some("rule".to_owned()),
        };
        let mut two = Cost::default();
        two.add(Item::Plan, 2);
        let forbidden = "Insufficient permissions for operation 'create' on entity 'User'";
        for (reason, code, text) in [
            (Reason::UnknownEntity, Code::NotFound, "Unknown entity"),
            (Reason::NotGranted, Code::Forbidden, forbidden),
            (Reason::Forbidden, Code::Forbidden, forbidden),
            (Reason::NotWritable(vec![ColumnId(1)]), Code::Forbidden, forbidden),
            (Reason::Forced(ColumnId(1)), Code::Forbidden, forbidden),
            (
                Reason::Unfiltered,
                Code::Forbidden,
                "Insufficient permissions for operation 'create' on all rows of entity 'User'; name some by a filter",
            ),
            (Reason::Restricted, Code::Forbidden, forbidden),
            (Reason::Fields(Vec::new()), Code::Invalid, "Validation failed"),
            (
                Reason::TooComplex {
                    cost: Box::new(two),
                    max: 1,
                },
                Code::TooLarge,
                "complexity 2 exceeds 1",
            ),
            (Reason::Malformed("no sense"), Code::Invalid, "no sense"),
        ] {
            let denied = denied(reason);
            assert_eq!(denied.client(), (code, text.to_owned()));
            assert_ne!(denied.operator(), text);
        }
        assert!(denied(Reason::Forced(ColumnId(1))).operator().contains("secret"));
    }
}
