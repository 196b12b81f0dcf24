//! Names that rules use: fields, entities, roles, operations, and the rules' own ids.

use std::collections::HashSet;
use std::sync::Arc;

use dbal_schema::mapping::At;
use dbal_schema::{ColumnSet, Entity, Location, suggestion};
use dbal_shared::plan::Operation;

use super::Compiler;
use crate::roles::{RoleId, SYSTEM};
use crate::rule::Operations;

impl<'a> Compiler<'a> {
    /// The columns of a field list: `*` stands for `all`, `-name` takes away, whatever the order. Without a list: `all`.
    pub(crate) fn fields(
        &mut self,
        list: Option<&[At<String>]>,
        entity: &Entity,
        all: ColumnSet,
    ) -> ColumnSet {
        let Some(list) = list else { return all };
        let mut given = ColumnSet::new();
        let mut taken = ColumnSet::new();
        for At { at, value } in list {
            let (name, set) = match value.strip_prefix('-') {
                Some(name) => (name, &mut taken),
                None => (value.as_str(), &mut given),
            };
            if name == "*" {
                *set = set.union(&all);
            } else if let Some(column) = entity.column_by_name(name) {
                set.insert(column.id);
            } else {
                self.report.problem(at, unknown_field(entity, name));
            }
        }
        if let Some(At { at, .. }) = list.first().filter(|_| given.is_empty()) {
            self.report.warning(
                at,
                "this list only takes away, so it grants nothing; begin with \"*\"",
            );
        }
        given.difference(&taken)
    }

    pub(crate) fn id(
        &mut self,
        id: Option<&At<String>>,
        what: &str,
        nth: usize,
        at: &Location,
        ids: &mut HashSet<String>,
    ) -> Arc<str> {
        let (at, name) = match id {
            Some(id) => (&id.at, id.value.clone()),
            None => (at, format!("{what}[{nth}]")),
        };
        if !ids.insert(name.clone()) {
            self.report.problem(
                at,
                format!("the id `{name}` is taken; audit records must tell rules apart"),
            );
        }
        name.into()
    }

    /// The entities of these names; `*` means all.
    pub(crate) fn entities(&mut self, names: &[At<String>]) -> Vec<&'a Entity> {
        let mut entities = Vec::new();
        for At { at, value } in names {
            if value == "*" {
                return self.schema.entities().iter().collect();
            }
            let known = self.schema.by_name(value);
            if known.is_none() {
                let names = self.schema.entities().iter().map(|entity| entity.name.as_str());
                let hint = suggestion::hint(value, names);
                self.report.problem(at, format!("unknown entity `{value}`{hint}"));
            }
            entities.extend(known);
        }
        entities
    }

    pub(crate) fn role_ids(&mut self, names: &[At<String>]) -> Vec<RoleId> {
        names.iter().filter_map(|name| self.role_id(name)).collect()
    }

    pub(crate) fn role_id(&mut self, name: &At<String>) -> Option<RoleId> {
        let At { at, value } = name;
        if value == SYSTEM {
            self.report
                .warning(at, "nobody who comes over the network has the role `system`");
            return None;
        }
        let known = self.roles.by_name(value);
        if known.is_none() {
            let hint = suggestion::hint(value, self.roles.names());
            self.report
                .problem(at, format!("role `{value}` is not declared in `roles`{hint}"));
        }
        known
    }

    pub(crate) fn operations(&mut self, names: &[At<String>]) -> Operations {
        let mut operations = Operations::default();
        for At { at, value } in names {
            let known = Operation::ALL
                .into_iter()
                .find(|operation| operation.name() == value);
            match (value.as_str(), known) {
                ("*", _) => Operation::ALL
                    .into_iter()
                    .for_each(|operation| operations.insert(operation)),
                // Whoever may read any row by its key may list them: `list` alone is the narrower right.
                (_, Some(Operation::Read)) => {
                    operations.insert(Operation::Read);
                    operations.insert(Operation::List);
                }
                (_, Some(operation)) => operations.insert(operation),
                (_, None) => {
                    let names = Operation::ALL.into_iter().map(Operation::name);
                    let hint = suggestion::hint(value, names);
                    self.report
                        .problem(at, format!("unknown operation `{value}`{hint}"));
                }
            }
        }
        operations
    }
}

/// What to say of a field that the entity does not have.
pub(crate) fn unknown_field(entity: &Entity, name: &str) -> String {
    let names = entity.columns.iter().map(|column| column.name.as_str());
    format!(
        "`{}` has no field `{name}`{}",
        entity.name,
        suggestion::hint(name, names)
    )
}
