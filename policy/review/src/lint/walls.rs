//! Restrictions that are missing, that keep nothing out, or that keep everything out.

use std::collections::BTreeSet;

use dbal_policy::Claim;
use dbal_policy::rule::{Restriction, Rule};
use dbal_policy::template::Template;
use dbal_schema::Entity;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::Operation;
use dbal_shared::predicate::{Comparison, Predicate, Quantifier};

use super::{Bench, Raised, listed};
use crate::finding::Code;

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.walls {
        if family.members.iter().all(|wall| bench.never_holds(&wall.rows)) && !family.members.is_empty() {
            raised.push(Raised::new(
                Code::WallBarsAll,
                &family.id,
                &family.at,
                format!(
                    "no row can satisfy restriction `{}`: it leaves nothing to anybody",
                    family.id
                ),
                "correct its `rows`; to close an entity, grant nothing on it",
            ));
        }
        let all = Template::Fixed(Predicate::True);
        let keeps_nothing = |wall: &&Restriction| wall.needs.is_empty() && bench.implies(&all, &wall.rows);
        if family.members.iter().all(keeps_nothing) && !family.members.is_empty() {
            raised.push(Raised::new(
                Code::IdleWall,
                &family.id,
                &family.at,
                format!(
                    "every row satisfies restriction `{}`: it keeps nobody out",
                    family.id
                ),
                "correct its `rows`, or remove it",
            ));
        }
    }
    missing(bench, raised);
    passed(bench, raised);
}

/// References that a rule lets be written, to rows that are kept apart, with nothing that says whose they must be.
fn passed(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.families {
        let mut found = BTreeSet::new();
        let mut beyond = BTreeSet::new();
        for rule in family.members.iter().filter(|rule| writes(bench, rule)) {
            let Some(entity) = bench.entity(rule.entity) else {
                continue;
            };
            for column in &entity.columns {
                let Some(reference) = column.references else {
                    continue;
                };
                let is_forced = rule.presets.iter().any(|preset| preset.column == column.id);
                let is_open = rule.write.contains(column.id) && !is_forced;
                if is_open
                    && is_kept_apart(bench, reference.entity)
                    && !says_whose(&rule.check, column.id)
                    && !is_passed_by_wall(bench, entity, column.id)
                {
                    found.insert(format!("{}.{}", entity.name, column.name));
                    beyond.insert(reference.entity);
                }
            }
        }
        if found.is_empty() {
            continue;
        }
        let found = listed(found.iter().map(String::as_str));
        raised.push(Raised::new(
            Code::UnwalledReference,
            &family.id,
            &family.at,
            format!(
                "rule `{}` lets {found} be written, and nothing says that the rows of {} that they name must be the caller's own",
                family.id,
                bench.names(beyond),
            ),
            "say so in its `check`: `projectId IN (SELECT id FROM Project WHERE tenantId = $user.tenantId)`; or accept it where keys can't be guessed",
        ));
    }
}

fn writes(bench: &Bench<'_>, rule: &Rule) -> bool {
    let granted = bench.granted(rule);
    (granted.contains(&Operation::Create) || granted.contains(&Operation::Update))
        && !bench.never_applies(rule, &rule.rows)
}

/// Whether a wall around the entity lets some callers have other rows than others.
fn is_kept_apart(bench: &Bench<'_>, entity: EntityId) -> bool {
    let walls = bench.policy.restrictions().iter();
    walls
        .filter(|wall| wall.entity == entity)
        .any(|wall| compares_rows(&wall.rows))
}

/// Whether something of a row is compared with a claim.
fn compares_rows(template: &Template) -> bool {
    match template {
        Template::Compare { .. } | Template::Related { .. } => true,
        Template::In { slots, .. } => !slots.is_empty(),
        Template::All(parts) | Template::Any(parts) => parts.iter().any(compares_rows),
        Template::Caller { .. } | Template::Fixed(_) => false,
    }
}

/// Whether a wall around the entity that refers says whose the row must be.
fn is_passed_by_wall(bench: &Bench<'_>, entity: &Entity, column: ColumnId) -> bool {
    let walls = bench.policy.restrictions().iter();
    walls
        .filter(|wall| wall.entity == entity.id)
        .any(|wall| says_whose(&wall.rows, column))
}

/// Whether a row that satisfies the condition refers to one that a claim of the caller points out, or to none; but for callers of whom
/// the condition says otherwise.
fn says_whose(template: &Template, wanted: ColumnId) -> bool {
    match template {
        Template::Compare { column, op, .. } => *column == wanted && *op == Comparison::Eq,
        Template::In {
            column, is_negated, ..
        } => *column == wanted && !is_negated,
        Template::Related {
            link,
            quantifier,
            inner,
        } => link.column == wanted && *quantifier == Quantifier::Some && points_out(inner),
        Template::All(parts) => parts.iter().any(|part| says_whose(part, wanted)),
        Template::Any(parts) => {
            parts.iter().any(|part| says_whose(part, wanted))
                && parts
                    .iter()
                    .all(|part| says_whose(part, wanted) || is_another_matter(part, wanted))
        }
        Template::Caller { .. } | Template::Fixed(_) => false,
    }
}

/// Whether a claim of the caller tells rows that satisfy the condition from others by what they have in common with it.
fn points_out(template: &Template) -> bool {
    match template {
        Template::Compare { op, .. } => *op == Comparison::Eq,
        Template::In {
            slots, is_negated, ..
        } => !slots.is_empty() && !is_negated,
        Template::Related {
            quantifier, inner, ..
        } => *quantifier == Quantifier::Some && points_out(inner),
        Template::All(parts) => parts.iter().any(points_out),
        Template::Any(parts) => parts
            .iter()
            .all(|part| points_out(part) || *part == Template::Fixed(Predicate::False)),
        Template::Caller { .. } | Template::Fixed(_) => false,
    }
}

/// Whether it lets pass no reference by what the row says.
fn is_another_matter(template: &Template, wanted: ColumnId) -> bool {
    match template {
        Template::Caller { .. } => true,
        Template::Fixed(predicate) => refers_to_nothing(predicate, wanted),
        Template::Compare { .. }
        | Template::In { .. }
        | Template::Related { .. }
        | Template::All(_)
        | Template::Any(_) => false,
    }
}

fn refers_to_nothing(predicate: &Predicate, wanted: ColumnId) -> bool {
    match predicate {
        Predicate::False => true,
        Predicate::IsNull { column } => *column == wanted,
        Predicate::And(all) => all.iter().any(|one| refers_to_nothing(one, wanted)),
        Predicate::Or(any) => any.iter().all(|one| refers_to_nothing(one, wanted)),
        Predicate::True
        | Predicate::Compare { .. }
        | Predicate::CompareColumns { .. }
        | Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::Between { .. }
        | Predicate::Related { .. }
        | Predicate::Not(_) => false,
    }
}

/// Entities with a field that other entities are walled by, and no wall that speaks of it.
fn missing(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.walls {
        let Some((field, claim)) = family.members.iter().find_map(|wall| tie(bench, wall)) else {
            continue;
        };
        for entity in bench.policy.schema().entities() {
            let Some(column) = entity.column_by_name(&field) else {
                continue;
            };
            let is_used = bench.policy.rules().iter().any(|rule| rule.entity == entity.id);
            if !is_used || is_walled(bench, entity, column.id) {
                continue;
            }
            let others = family.members.iter().map(|wall| wall.entity);
            raised.push(Raised::new(
                Code::NoTenantWall,
                &entity.name,
                &entity.at,
                format!(
                    "`{}` has the field `{field}`, and no restriction compares it with {claim}, as `{}` ({}) does for {}",
                    entity.name,
                    family.id,
                    family.at,
                    bench.names(others)
                ),
                format!("add it to the `entity` of `{}`, or take it off `except`", family.id),
            ));
        }
    }
}

/// The field that a wall ties to a claim.
fn tie(bench: &Bench<'_>, wall: &Restriction) -> Option<(String, Claim)> {
    let entity = bench.entity(wall.entity)?;
    // A key of its own is no field that others share.
    let (column, slot) = equality(&wall.rows).filter(|(column, _)| *column != entity.key)?;
    let claim = bench.policy.slots().slot(slot)?.claim.clone();
    // `ownerId = $user.id` is about owners, whom other entities may well have without a wall.
    let is_of_many = match claim {
        Claim::Tenant | Claim::Named(_) => true,
        Claim::Id | Claim::Role | Claim::Roles | Claim::Level => false,
    };
    is_of_many.then(|| Some((entity.column(column)?.name.clone(), claim)))?
}

fn equality(template: &Template) -> Option<(ColumnId, dbal_policy::slots::SlotId)> {
    match template {
        Template::Compare {
            column,
            op: Comparison::Eq,
            slot,
        } => Some((*column, *slot)),
        Template::All(parts) => parts.iter().find_map(equality),
        Template::Fixed(_)
        | Template::Compare { .. }
        | Template::In { .. }
        | Template::Caller { .. }
        | Template::Related { .. }
        | Template::Any(_) => None,
    }
}

/// Whether any wall around the entity says something of the column: then its author has thought of it.
fn is_walled(bench: &Bench<'_>, entity: &Entity, column: ColumnId) -> bool {
    let walls = bench.policy.restrictions().iter();
    walls
        .filter(|wall| wall.entity == entity.id)
        .any(|wall| mentions(&wall.rows, column))
}

fn mentions(template: &Template, wanted: ColumnId) -> bool {
    match template {
        Template::Compare { column, .. } | Template::In { column, .. } => *column == wanted,
        Template::Related { link, .. } => link.column == wanted,
        Template::All(parts) | Template::Any(parts) => parts.iter().any(|part| mentions(part, wanted)),
        // Without a claim it is no wall between tenants.
        Template::Caller { .. } | Template::Fixed(_) => false,
    }
}
