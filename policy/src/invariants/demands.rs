//! What an invariant says, names resolved and expressions typed: of which callers, and of what, entity by entity.

use std::collections::HashSet;
use std::sync::Arc;

use dbal_schema::mapping::At;
use dbal_schema::report::Report;
use dbal_schema::{ColumnSet, Location, Scalar, Schema};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;

use crate::compile::names::unknown_field;
use crate::compile::{Compiled, Compiler};
use crate::invariants_file::{DeclaredDemand, DeclaredInvariant, DeclaredWho, InvariantsFile, Verb};
use crate::roles::{PUBLIC, RoleId, Roles, SYSTEM};
use crate::rule::Operations;
use crate::slots::Slots;
use crate::template::Template;

/// One invariant.
#[derive(Debug)]
pub(super) struct Invariant {
    pub(super) id: Arc<str>,
    pub(super) at: Location,
    pub(super) callers: Whom,
    pub(super) bounds: Vec<Bound>,
}

/// The callers of whom it speaks: all who hold no other roles than these. Whoever holds more of them may do more, so that
/// what those may not do who hold all of them, none of them may.
#[derive(Debug)]
pub(super) struct Whom {
    pub(super) roles: Vec<RoleId>,
    /// Only callers who proved nothing.
    pub(super) is_anonymous: bool,
}

/// What it demands of one entity.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) entity: EntityId,
    pub(super) operations: Operations,
    /// Only rules that show, or write, one of these; none: all rules.
    pub(super) fields: Option<ColumnSet>,
    pub(super) demand: Demand,
}

/// What it demands.
#[derive(Debug)]
pub(super) enum Demand {
    /// No row is reached of which this is true.
    Never(Template),
    /// This is true of each row that is reached.
    Within(Template),
}

/// The invariants, and the slots of their expressions beside those of the rules.
pub(super) fn compile(
    file: &InvariantsFile,
    of: &Compiled,
    schema: &Schema,
    report: &mut Report,
) -> (Vec<Invariant>, Slots) {
    let mut compiler = Compiler {
        schema,
        claims: &of.claims,
        roles: of.roles.clone(),
        // Beside those of the rules: a caller has no more slots for what is only proven.
        slots: of.slots.clone(),
        report,
    };
    let mut ids = HashSet::new();
    let invariants = file
        .invariants
        .iter()
        .enumerate()
        .map(|(nth, declared)| {
            let DeclaredInvariant { at, id, who, demand } = declared;
            Invariant {
                id: compiler.id(Some(id), "invariants", nth, at, &mut ids),
                at: at.clone(),
                callers: compiler.whom(who, at),
                bounds: compiler.bounds(demand, at),
            }
        })
        .collect();
    (invariants, compiler.slots)
}

impl Compiler<'_> {
    fn whom(&mut self, who: &DeclaredWho, at: &Location) -> Whom {
        let DeclaredWho {
            roles,
            unless_roles,
            is_anonymous,
        } = who;
        let named = match roles {
            None => self.roles.ids().collect(),
            Some(names) if names.iter().any(|name| name.value == "*") => self.roles.ids().collect(),
            Some(names) => self.role_ids(names),
        };
        if *is_anonymous && (roles.is_some() || !unless_roles.is_empty()) {
            let text = "who proved nothing has no role but `public`; leave `roles` and `unless_roles` out beside `anonymous`";
            self.report.problem(at, text);
        }
        let named = if *is_anonymous { Vec::new() } else { named };
        let unless = self.role_ids(unless_roles);
        let roles = left(&self.roles, &named, &unless);
        if roles.is_empty() {
            self.report
                .problem(at, "`unless_roles` leaves no caller of whom this would be said");
        }
        Whom {
            roles,
            is_anonymous: *is_anonymous,
        }
    }

    fn bounds(&mut self, demand: &DeclaredDemand, at: &Location) -> Vec<Bound> {
        match demand {
            DeclaredDemand::Never {
                targets,
                except,
                rows,
            } => {
                let except = self.ids_of(except);
                let mut bounds = Vec::new();
                for (verb, names) in targets {
                    for name in names {
                        bounds.extend(self.forbidden(*verb, name, &except, rows.as_ref()));
                    }
                }
                bounds
            }
            DeclaredDemand::Within {
                entities,
                except,
                operations,
                fields,
                rows,
            } => {
                let except = self.ids_of(except);
                let operations = match operations {
                    Some(names) => self.operations(names),
                    // Deleting a row is not done to a field.
                    None if fields.is_some() => every(&[
                        Operation::Read,
                        Operation::List,
                        Operation::Create,
                        Operation::Update,
                    ]),
                    None => every(&Operation::ALL),
                };
                if fields.is_some() && operations.contains(Operation::Delete) {
                    self.report
                        .problem(at, "rows are deleted, not `fields`; leave either out");
                }
                let mut bounds = Vec::new();
                for entity in self.entities(entities) {
                    if except.contains(&entity.id) {
                        continue;
                    }
                    let fields = fields
                        .as_ref()
                        .map(|names| self.fields(Some(names), entity, entity.all_columns()));
                    if let Some(template) = self.template(Some(rows), entity) {
                        bounds.push(Bound {
                            entity: entity.id,
                            operations,
                            fields,
                            demand: Demand::Within(template),
                        });
                    }
                }
                bounds
            }
        }
    }

    /// `Entity`, `Entity.field`, `*` or `*.field`.
    fn forbidden(
        &mut self,
        verb: Verb,
        target: &At<String>,
        except: &[EntityId],
        rows: Option<&Scalar>,
    ) -> Vec<Bound> {
        let At { at, value } = target;
        let (entity, field) = match value.split_once('.') {
            Some((entity, field)) => (entity, Some(field)),
            None => (value.as_str(), None),
        };
        if field.is_some() && verb == Verb::Delete {
            self.report
                .problem(at, format!("rows are deleted, not fields: name `{entity}`"));
        }
        let operations = match verb {
            Verb::Read => every(&[Operation::Read, Operation::List]),
            Verb::Create => every(&[Operation::Create]),
            Verb::Update => every(&[Operation::Update]),
            Verb::Delete => every(&[Operation::Delete]),
            Verb::Write if field.is_some() => every(&[Operation::Create, Operation::Update]),
            Verb::Write => every(&[Operation::Create, Operation::Update, Operation::Delete]),
        };
        let named = At {
            at: at.clone(),
            value: entity.to_owned(),
        };
        let mut bounds = Vec::new();
        for found in self.entities(std::slice::from_ref(&named)) {
            if except.contains(&found.id) {
                continue;
            }
            let fields = match field {
                None => None,
                Some(name) => match found.column_by_name(name) {
                    Some(column) => Some(std::iter::once(column.id).collect()),
                    // Of all entities those are meant that have it.
                    None if entity == "*" => continue,
                    None => {
                        self.report.problem(at, unknown_field(found, name));
                        continue;
                    }
                },
            };
            if let Some(template) = self.template(rows, found) {
                bounds.push(Bound {
                    entity: found.id,
                    operations,
                    fields,
                    demand: Demand::Never(template),
                });
            }
        }
        if let (true, Some(field), "*") = (bounds.is_empty(), field, entity) {
            self.report
                .problem(at, format!("no entity has a field `{field}`"));
        }
        bounds
    }

    fn ids_of(&mut self, names: &[At<String>]) -> Vec<EntityId> {
        self.entities(names).into_iter().map(|entity| entity.id).collect()
    }
}

fn every(several: &[Operation]) -> Operations {
    let mut operations = Operations::default();
    for operation in several {
        operations.insert(*operation);
    }
    operations
}

/// All roles that a caller may hold who has none but `named`, what they inherit and `public`, and none of `unless`.
fn left(roles: &Roles, named: &[RoleId], unless: &[RoleId]) -> Vec<RoleId> {
    let public = roles.by_name(PUBLIC);
    if public.is_some_and(|public| unless.contains(&public)) {
        return Vec::new();
    }
    let mut all: Vec<RoleId> = named
        .iter()
        .flat_map(|role| roles.includes(*role))
        .copied()
        .chain(public)
        .filter(|role| roles.name(*role) != SYSTEM)
        .filter(|role| !roles.includes(*role).iter().any(|held| unless.contains(held)))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}
