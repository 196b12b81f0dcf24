//! Rules file and inline acls → compiled rules. All names are resolved and all expressions typed here, or nothing loads.

pub(crate) mod names;
mod presets;

use std::collections::HashSet;
use std::sync::Arc;

use dbal_schema::mapping::At;
use dbal_schema::report::Report;
use dbal_schema::yaml::{Key, Node};
use dbal_schema::{Column, ColumnSet, Entity, Location, Scalar, Schema, suggestion};
use dbal_shared::predicate::Predicate;

use crate::claims::Claims;
use crate::inline_acl;
use crate::limits::PartialLimits;
use crate::pinpoint::pinpoint;
use crate::roles::{self, Cycle, Declared, RoleId, Roles};
use crate::row_filter;
use crate::rule::{Accepted, Operations, Preset, PresetValue, Restriction, Rule, Written, implies};
use crate::rules_file::{
    DeclaredAcceptance, DeclaredLimits, DeclaredRestriction, DeclaredRole, DeclaredRule, RulesFile,
};
use crate::slots::{SlotId, Slots};
use crate::template::Template;

/// Everything that `Policy` keeps.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) claims: Claims,
    pub(crate) roles: Roles,
    pub(crate) slots: Slots,
    pub(crate) rules: Vec<Rule>,
    pub(crate) restrictions: Vec<Restriction>,
    pub(crate) limits: Vec<(RoleId, PartialLimits)>,
    /// Roles that the file itself names, with their places.
    pub(crate) declared_roles: Vec<At<String>>,
    pub(crate) accepted: Vec<Accepted>,
}

/// Compiles the file and the schema's inline acls; what is wrong with them is in the report.
pub(crate) fn compile<'a>(file: &'a RulesFile, schema: &'a Schema, report: &'a mut Report) -> Compiled {
    let RulesFile {
        claims,
        roles,
        rules,
        restrictions,
        limits,
        accepts,
    } = file;
    let declared_roles = roles.iter().map(|role| role.name.clone()).collect();
    let roles = compile_roles(roles, schema, report);
    let mut compiler = Compiler {
        schema,
        claims,
        roles,
        slots: Slots::default(),
        report,
    };
    let mut accepted = Vec::new();
    let mut all: Vec<Rule> = Vec::new();
    let mut ids = HashSet::new();
    for (nth, rule) in rules.iter().enumerate() {
        all.extend(compiler.rule(nth, rule, &mut ids, &mut accepted));
    }
    for entity in schema.entities() {
        all.extend(inline_acl::rules(entity, &mut compiler));
    }
    let mut walls = Vec::new();
    for (nth, restriction) in restrictions.iter().enumerate() {
        walls.extend(compiler.restriction(nth, restriction, &mut ids, &mut accepted));
    }
    for (about, accepts) in accepts {
        let is_rule = |rule: &Rule| *rule.id == *about.value;
        let is_wall = |wall: &Restriction| *wall.id == *about.value;
        let is_known =
            schema.by_name(&about.value).is_some() || compiler.roles.by_name(&about.value).is_some();
        if !is_known && !all.iter().any(is_rule) && !walls.iter().any(is_wall) {
            let names = schema.entities().iter().map(|entity| entity.name.as_str());
            let ids = all.iter().map(|rule| &*rule.id);
            let hint = suggestion::hint(&about.value, names.chain(ids));
            let text = format!(
                "no entity, rule, restriction or role is called `{}`{hint}",
                about.value
            );
            compiler.report.problem(&about.at, text);
        }
        accept(&about.value, accepts, &mut accepted);
    }
    let limits = limits
        .iter()
        .filter_map(|limits| compiler.limits(limits))
        .collect();
    let Compiler { roles, slots, .. } = compiler;
    Compiled {
        claims: claims.clone(),
        roles,
        slots,
        rules: all,
        restrictions: walls,
        limits,
        declared_roles,
        accepted,
    }
}

fn accept(about: &str, accepts: &[DeclaredAcceptance], accepted: &mut Vec<Accepted>) {
    accepted.extend(
        accepts
            .iter()
            .map(|DeclaredAcceptance { code, reason }| Accepted {
                at: code.at.clone(),
                about: about.into(),
                code: code.value.clone(),
                reason: reason.clone(),
            }),
    );
}

/// The file's roles, or the levels where it names none; and roles that only inline acls know.
fn compile_roles(declared: &[DeclaredRole], schema: &Schema, report: &mut Report) -> Roles {
    let mut known: Vec<Declared> = declared
        .iter()
        .map(|role| Declared {
            name: role.name.value.clone(),
            level: role.level,
            inherits: role.inherits.iter().map(|name| name.value.clone()).collect(),
        })
        .collect();
    if known.is_empty() {
        known = roles::levels();
    }
    for entity in schema.entities() {
        inline_acl::add_unknown_roles(entity, &mut known, report);
    }
    Roles::new(&known).unwrap_or_else(|Cycle(name)| {
        if let Some(role) = declared.iter().find(|role| role.name.value == name) {
            report.problem(&role.name.at, format!("role `{name}` inherits itself in the end"));
        }
        Roles::none()
    })
}

/// What is known while rules are compiled, and what comes of it besides them.
pub(crate) struct Compiler<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) claims: &'a Claims,
    pub(crate) roles: Roles,
    pub(crate) slots: Slots,
    pub(crate) report: &'a mut Report,
}

/// A rule, entity and roles resolved, the rest as written.
pub(crate) struct Draft<'a> {
    pub(crate) id: Arc<str>,
    pub(crate) at: &'a Location,
    pub(crate) entity: &'a Entity,
    pub(crate) roles: Vec<RoleId>,
    pub(crate) operations: Operations,
    pub(crate) rows: Option<Scalar>,
    pub(crate) check: Option<Scalar>,
    pub(crate) read: ColumnSet,
    pub(crate) write: ColumnSet,
    pub(crate) set: &'a [(Key, Node)],
    pub(crate) allows_unfiltered: bool,
}

impl<'a> Compiler<'a> {
    fn rule(
        &mut self,
        nth: usize,
        declared: &'a DeclaredRule,
        ids: &mut HashSet<String>,
        accepted: &mut Vec<Accepted>,
    ) -> Vec<Rule> {
        let DeclaredRule {
            at,
            id,
            entities,
            roles,
            operations,
            rows,
            check,
            read,
            write,
            set,
            allows_unfiltered,
            accepts,
        } = declared;
        let id = self.id(id.as_ref(), "rule", nth, at, ids);
        accept(&id, accepts, accepted);
        let roles = self.role_ids(roles);
        let operations = self.operations(operations);
        let mut compiled = Vec::new();
        for entity in self.entities(entities) {
            let draft = Draft {
                id: Arc::clone(&id),
                at,
                entity,
                roles: roles.clone(),
                operations,
                rows: rows.clone(),
                check: check.clone(),
                read: self.fields(read.as_deref(), entity, entity.all_columns()),
                write: self.fields(write.as_deref(), entity, written_by_clients(entity)),
                set,
                allows_unfiltered: *allows_unfiltered,
            };
            compiled.extend(self.finish(draft));
        }
        compiled
    }

    /// The compiled rule, or problems.
    pub(crate) fn finish(&mut self, draft: Draft<'_>) -> Option<Rule> {
        let Draft {
            id,
            at,
            entity,
            roles,
            operations,
            rows,
            check,
            read,
            write,
            set,
            allows_unfiltered,
        } = draft;
        let written = Written { rows, check };
        let rows = self.template(written.rows.as_ref(), entity);
        let check = match &written.check {
            Some(check) => self.template(Some(check), entity),
            None => rows.clone(),
        };
        let presets = self.presets(set, entity);
        let (rows, check) = (rows?, check?);
        let presets: Vec<Preset> = presets
            .into_iter()
            .map(|(column, value)| {
                let is_implied_by_rows = implies(&rows, column, &value);
                Preset {
                    column,
                    value,
                    is_implied_by_rows,
                }
            })
            .collect();
        self.warn_of_immutable_presets(at, entity, operations, &presets);
        let mut needs: Vec<SlotId> = presets
            .iter()
            .filter_map(|preset| match preset.value {
                PresetValue::Claim(slot) => Some(slot),
                PresetValue::Fixed(_) => None,
            })
            .collect();
        rows.slots(&mut needs);
        check.slots(&mut needs);
        needs.sort_unstable();
        needs.dedup();
        let read = read.difference(&never_exposed(entity));
        Some(Rule {
            id,
            at: at.clone(),
            entity: entity.id,
            roles,
            operations,
            rows,
            check,
            written,
            read,
            write,
            presets,
            allows_unfiltered,
            needs,
        })
    }

    fn restriction(
        &mut self,
        nth: usize,
        declared: &DeclaredRestriction,
        ids: &mut HashSet<String>,
        accepted: &mut Vec<Accepted>,
    ) -> Vec<Restriction> {
        let DeclaredRestriction {
            at,
            id,
            entities,
            except,
            rows,
            unless_roles,
            accepts,
        } = declared;
        let id = self.id(id.as_ref(), "restrict", nth, at, ids);
        accept(&id, accepts, accepted);
        let except: Vec<_> = self
            .entities(except)
            .into_iter()
            .map(|entity| entity.id)
            .collect();
        let unless = self.role_ids(unless_roles);
        let mut walls = Vec::new();
        for entity in self.entities(entities) {
            if except.contains(&entity.id) {
                continue;
            }
            let Some(template) = self.template(Some(rows), entity) else {
                continue;
            };
            let mut needs = Vec::new();
            template.slots(&mut needs);
            walls.push(Restriction {
                id: Arc::clone(&id),
                at: at.clone(),
                entity: entity.id,
                rows: template,
                written: rows.clone(),
                unless: unless.clone(),
                needs,
            });
        }
        walls
    }

    fn limits(&mut self, declared: &DeclaredLimits) -> Option<(RoleId, PartialLimits)> {
        let DeclaredLimits {
            role,
            requests_per_minute,
            burst,
            max_complexity,
            max_rows,
            max_in_flight,
            complexity_per_request,
        } = declared;
        let role = self.role_id(role)?;
        let limits = PartialLimits {
            requests_per_minute: *requests_per_minute,
            burst: *burst,
            max_complexity: *max_complexity,
            max_rows: *max_rows,
            max_in_flight: *max_in_flight,
            complexity_per_request: *complexity_per_request,
        };
        Some((role, limits))
    }

    /// The compiled expression; every row where there is none.
    pub(crate) fn template(&mut self, scalar: Option<&Scalar>, entity: &Entity) -> Option<Template> {
        let Some(scalar) = scalar else {
            return Some(Template::Fixed(Predicate::True));
        };
        match row_filter::compile(&scalar.text, entity, self.schema, self.claims, &mut self.slots) {
            Ok(template) => Some(template),
            Err(mistake) => {
                let (at, message) = pinpoint(scalar, &mistake);
                self.report.problem(&at, message);
                None
            }
        }
    }
}

/// What `*` means in `write`: columns that the daemon fills and columns that are never shown must be named one by one.
pub(crate) fn written_by_clients(entity: &Entity) -> ColumnSet {
    let is_ours =
        |column: &&Column| column.generated.is_none() && !column.is_auto_update && !column.is_never_exposed;
    entity
        .columns
        .iter()
        .filter(is_ours)
        .map(|column| column.id)
        .collect()
}

fn never_exposed(entity: &Entity) -> ColumnSet {
    entity
        .columns
        .iter()
        .filter(|column| column.is_never_exposed)
        .map(|column| column.id)
        .collect()
}
