//! What a caller may speak of: an entity, and the fields of it that exist for them. A hidden field and an unknown one
//! go the same way here, so nothing that comes later can tell them apart.

use dbal_policy::{Policy, Subject, Vocabulary};
use dbal_schema::{Column, ColumnSet, Entity, Relation, Write};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::json::Json;
use dbal_shared::plan::{Assignment, Operation, Plan, Projection, Target};
use dbal_shared::value::Value;

use super::arguments::shown;
use super::earlier;
use crate::refusal::{FieldFault, Kind, Refusal};

/// Who asks, as the policy sees it.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) policy: &'a Policy,
    pub(super) subject: &'a Subject,
    /// Within a transaction the calls before this one, to which it may refer.
    pub(super) earlier: Option<&'a [Plan]>,
}

/// One entity as one caller may speak of it for one operation.
pub(super) struct Scope<'a> {
    pub(super) entity: &'a Entity,
    vocabulary: Vocabulary,
    caller: Caller<'a>,
}

impl<'a> Caller<'a> {
    /// The entity, if the caller may know it and do this to it.
    pub(super) fn scope(&self, entity: &str, operation: Operation) -> Result<Scope<'a>, Refusal> {
        let known = self.policy.schema().by_name(entity).and_then(|found| {
            let vocabulary = self.policy.vocabulary(self.subject, found.id, operation)?;
            Some((found, vocabulary))
        });
        let Some((found, vocabulary)) = known else {
            return Err(Refusal::not_found(format!("unknown entity `{}`", shown(entity))));
        };
        if !vocabulary.is_permitted {
            return Err(Refusal::new(
                Kind::Code(Code::Forbidden),
                format!(
                    "Insufficient permissions for operation '{}' on entity '{}'",
                    operation.name(),
                    found.name
                ),
            ));
        }
        Ok(Scope {
            entity: found,
            vocabulary,
            caller: *self,
        })
    }
}

impl<'a> Scope<'a> {
    /// The column of that name, if the caller may read it: for filters, sorts and targets.
    pub(super) fn readable(&self, name: &str) -> Option<&'a Column> {
        self.entity
            .column_by_name(name)
            .filter(|column| self.vocabulary.readable.contains(column.id))
    }

    /// The relation of that name and the linked entity, if the caller may list it and read the columns that link. Else
    /// the name means nothing, like a hidden field's.
    pub(super) fn relation(&self, name: &str) -> Option<(&'a Relation, Scope<'a>)> {
        let relation = self.entity.relation_by_name(name)?;
        let Caller {
            policy,
            subject,
            earlier: _,
        } = self.caller;
        let entity = policy.schema().entity(relation.link.entity)?;
        let vocabulary = policy.vocabulary(subject, entity.id, Operation::List)?;
        let is_followed = vocabulary.is_permitted
            && self.vocabulary.readable.contains(relation.link.column)
            && vocabulary.readable.contains(relation.link.foreign);
        is_followed.then_some((
            relation,
            Scope {
                entity,
                caller: self.caller,
                vocabulary,
            },
        ))
    }

    /// Every column that the caller may read, in the schema's order.
    pub(super) fn projection(&self) -> Projection {
        let columns = self.entity.columns.iter().map(|column| column.id);
        columns
            .filter(|column| self.vocabulary.readable.contains(*column))
            .collect()
    }

    /// The row with this primary key.
    pub(super) fn by_key(&self, value: &Json) -> Result<Target, Refusal> {
        let column = self
            .entity
            .column(self.entity.key)
            .ok_or_else(|| Refusal::silent(Code::Internal, "an entity without key"))?;
        // Whether a caller that may not read the key can name rows by it is for the policy to say.
        let value = self
            .operand(column, value, "id")
            .map_err(|fault| Refusal::invalid(vec![fault]))?;
        Ok(Target {
            column: column.id,
            value,
        })
    }

    /// The row with this value in a unique column.
    pub(super) fn by_field(&self, field: &str, value: &Json) -> Result<Target, Refusal> {
        let column = self.column_for_lookup(field)?;
        if !self.entity.is_unique(column.id) {
            return Err(Refusal::invalid(vec![FieldFault::text(
                shown(field),
                "must be a unique field",
            )]));
        }
        let value = self
            .operand(column, value, field)
            .map_err(|fault| Refusal::invalid(vec![fault]))?;
        Ok(Target {
            column: column.id,
            value,
        })
    }

    /// The column that a lookup names.
    pub(super) fn column_for_lookup(&self, field: &str) -> Result<&'a Column, Refusal> {
        self.readable(field)
            .ok_or_else(|| Refusal::invalid(vec![FieldFault::new(shown(field), &Fault::Unknown)]))
    }

    /// Whether values may refer to what earlier calls answer.
    pub(super) fn is_in_transaction(&self) -> bool {
        self.caller.earlier.is_some()
    }

    /// A value that is compared with a column: its own, or what an earlier call answers. `path` names it in a fault.
    pub(super) fn operand(&self, column: &Column, json: &Json, path: &str) -> Result<Value, FieldFault> {
        match earlier::reference(&self.caller, column, json) {
            Some(reference) => reference.map_err(|error| FieldFault::text(path, error)),
            None => column
                .operand_from_json(json)
                .map_err(|fault| FieldFault::new(path, &fault)),
        }
    }

    /// The values of a written row, or everything that is wrong with it. `path` stands before the fields' names.
    pub(super) fn values(
        &self,
        json: &Json,
        mode: Write,
        path: &str,
    ) -> Result<Vec<Assignment>, Vec<FieldFault>> {
        let Vocabulary {
            readable,
            writable,
            preset,
            is_permitted: _,
        } = &self.vocabulary;
        let visible = readable.union(writable).union(preset);
        let (references, rest) = self.without_references(json, &visible, path);
        let values = self
            .entity
            .values_from_json(rest.as_ref().unwrap_or(json), &visible, mode);
        match (values, references) {
            (Ok(mut values), Ok(references)) => {
                values.extend(references);
                Ok(values)
            }
            (values, references) => {
                let mut faults = values.err().unwrap_or_default();
                if mode == Write::Create {
                    self.add_missing(json, &mut faults);
                }
                let named = faults
                    .iter()
                    .map(|(name, fault)| FieldFault::new(format!("{path}{}", shown(name)), fault));
                Err(named.chain(references.err().unwrap_or_default()).collect())
            }
        }
    }

    /// The fields that get what an earlier call answers, and the other ones. Outside of a transaction there are none.
    fn without_references(
        &self,
        json: &Json,
        visible: &ColumnSet,
        path: &str,
    ) -> (Result<Vec<Assignment>, Vec<FieldFault>>, Option<Json>) {
        let Json::Object(members) = json else {
            return (Ok(Vec::new()), None);
        };
        if self.caller.earlier.is_none() {
            return (Ok(Vec::new()), None);
        }
        let mut references = Vec::new();
        let mut faults = Vec::new();
        let mut rest = Vec::with_capacity(members.len());
        for (name, json) in members {
            let column = self
                .entity
                .column_by_name(name)
                .filter(|column| visible.contains(column.id));
            match column.and_then(|column| Some((column, earlier::reference(&self.caller, column, json)?))) {
                None => rest.push((name.clone(), json.clone())),
                Some((column, Ok(value))) => references.push(Assignment {
                    column: column.id,
                    value,
                }),
                Some((_, Err(error))) => {
                    faults.push(FieldFault::text(format!("{path}{}", shown(name)), error));
                }
            }
        }
        let references = if faults.is_empty() {
            Ok(references)
        } else {
            Err(faults)
        };
        (references, Some(Json::Object(rest)))
    }

    /// A row that is wrong never reaches the policy, so nobody else says which required fields it lacks.
    fn add_missing(&self, json: &Json, faults: &mut Vec<(String, Fault)>) {
        for column in &self.entity.columns {
            let is_filled = column.generated.is_some()
                || column.default.is_some()
                || self.vocabulary.preset.contains(column.id);
            if column.is_required
                && !is_filled
                && self.vocabulary.writable.contains(column.id)
                && json.member(&column.name).is_none()
                && !faults.iter().any(|(name, _)| *name == column.name)
            {
                faults.push((column.name.clone(), Fault::Required));
            }
        }
    }
}
