//! What a caller may speak of: an entity, and the fields of it that exist for them. A hidden field and an unknown one
//! go the same way here, so nothing that comes later can tell them apart.

use dbal_policy::{Policy, Subject, Vocabulary};
use dbal_schema::{Column, Entity, Write};
use dbal_shared::fault::{Code, Fault};
use dbal_shared::json::Json;
use dbal_shared::plan::{Assignment, Operation, Projection, Target};

use super::arguments::shown;
use crate::respond::{FieldFault, Kind, Refusal};

/// Who asks, as the policy sees it.
pub(super) struct Caller<'a> {
    pub(super) policy: &'a Policy,
    pub(super) subject: &'a Subject,
}

/// One entity as one caller may speak of it for one operation.
pub(super) struct Scope<'a> {
    pub(super) entity: &'a Entity,
    vocabulary: Vocabulary,
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
        let value = column
            .operand_from_json(value)
            .map_err(|fault| Refusal::invalid(vec![FieldFault::new("id", &fault)]))?;
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
        let value = column
            .operand_from_json(value)
            .map_err(|fault| Refusal::invalid(vec![FieldFault::new(field, &fault)]))?;
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
        self.entity
            .values_from_json(json, &visible, mode)
            .map_err(|mut faults| {
                if mode == Write::Create {
                    self.add_missing(json, &mut faults);
                }
                faults
                    .iter()
                    .map(|(name, fault)| FieldFault::new(format!("{path}{}", shown(name)), fault))
                    .collect()
            })
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
