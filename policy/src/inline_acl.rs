//! The `acl:` of entity files → rules, beside those of the rules file.

use std::sync::Arc;

use dbal_schema::report::Report;
use dbal_schema::{ColumnSet, Entity, InlineGrant, InlineOperation, InlineRule, Location, Scalar, Who};
use dbal_shared::plan::Operation;

use crate::compile::{Compiler, Draft, written_by_clients};
use crate::roles::{Declared, PUBLIC, SYSTEM};
use crate::rule::{Operations, Rule};

/// Roles that only this acl names: they inherit nothing, and give what the acl says.
pub(crate) fn add_unknown_roles(entity: &Entity, known: &mut Vec<Declared>, report: &mut Report) {
    let grants = entity.acl.rules.iter().flat_map(|rule| &rule.grants);
    for InlineGrant { at, who, .. } in grants {
        let Who::Role(name) = who else { continue };
        let is_known = known
            .iter()
            .any(|role| role.name == *name || role.inherits.contains(name))
            || is_special(name);
        if !is_known {
            report.warning(
                at,
                format!("role `{name}` is not declared in the rules file; it inherits nothing"),
            );
            known.push(Declared {
                name: name.clone(),
                ..Declared::default()
            });
        }
    }
}

fn is_special(name: &str) -> bool {
    name == PUBLIC || name == SYSTEM
}

/// The rules of one entity's acl.
pub(crate) fn rules(entity: &Entity, compiler: &mut Compiler<'_>) -> Vec<Rule> {
    let acl = &entity.acl;
    let each = acl
        .rules
        .iter()
        .flat_map(|rule| rule.grants.iter().map(move |grant| (rule, grant)));
    each.filter_map(|(rule, grant)| grant_rule(entity, rule, grant, compiler))
        .collect()
}

fn grant_rule(
    entity: &Entity,
    rule: &InlineRule,
    grant: &InlineGrant,
    compiler: &mut Compiler<'_>,
) -> Option<Rule> {
    let InlineGrant {
        at,
        who,
        row_level,
        writable_fields,
    } = grant;
    let own = format!(
        "{} = $user.id",
        entity.columns.get(usize::from(entity.key.0))?.name
    );
    let (holder, label, implied) = match who {
        Who::System => return None,
        Who::Role(name) if name == SYSTEM => return None,
        Who::Public => (PUBLIC, "public", None),
        // Without a proof there is no `$user.id`, so `self` never means the public.
        Who::SelfRow => (PUBLIC, "self", Some(own)),
        Who::Role(name) => (name.as_str(), name.as_str(), None),
    };
    if implied.is_some() && row_level.is_none() {
        warn_of_self(entity, at, compiler.report);
    }
    let rows = match (row_level, implied) {
        (Some(row_level), _) => Some(row_level.clone()),
        (None, Some(text)) => Some(Scalar::implied(at.clone(), text)),
        (None, None) => None,
    };
    let mut operations = Operations::default();
    let name = match rule.operation {
        InlineOperation::Create => allow(&mut operations, &[Operation::Create]),
        InlineOperation::Read => allow(&mut operations, &[Operation::Read, Operation::List]),
        InlineOperation::List => allow(&mut operations, &[Operation::List]),
        InlineOperation::Update => allow(&mut operations, &[Operation::Update]),
        InlineOperation::Delete => allow(&mut operations, &[Operation::Delete]),
    };
    let write: ColumnSet = match writable_fields {
        Some(columns) => columns.iter().copied().collect(),
        None => written_by_clients(entity),
    };
    compiler.finish(Draft {
        id: Arc::from(format!("{}.acl.{name}.{label}", entity.name)),
        at,
        entity,
        roles: compiler.roles.by_name(holder).into_iter().collect(),
        operations,
        rows,
        check: None,
        read: entity.all_columns(),
        write,
        set: &[],
        allows_unfiltered: false,
    })
}

/// Adds them, and tells the name of the first.
fn allow(operations: &mut Operations, granted: &[Operation]) -> &'static str {
    for operation in granted {
        operations.insert(*operation);
    }
    granted.first().map_or("", |operation| operation.name())
}

/// For people, whose key is `$user.id`, `self` says enough.
fn warn_of_self(entity: &Entity, at: &Location, report: &mut Report) {
    if entity.name != "User" {
        let key = entity
            .column(entity.key)
            .map_or("", |column| column.name.as_str());
        report.warning(
            at,
            format!("`self` without `row_level` means `{key} = $user.id`; is that meant?"),
        );
    }
}
