//! Rights that reach far: writing without a proof, sensitive fields of others, all rows at once.

use dbal_policy::Claim;
use dbal_policy::roles::{PUBLIC, RoleId};
use dbal_policy::rule::Rule;
use dbal_policy::slots::{SlotId, Slots};
use dbal_policy::template::Template;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::{Comparison, Predicate, Quantifier};

use super::{Bench, Family, Raised, listed};
use crate::finding::Code;
use crate::rights::rights;

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.families {
        public_writes(bench, family, raised);
        sensitive_fields(bench, family, raised);
        unfiltered(bench, family, raised);
    }
}

fn public_writes(bench: &Bench<'_>, family: &Family<&Rule>, raised: &mut Vec<Raised>) {
    let public = bench.policy.roles().by_name(PUBLIC);
    let slots = bench.policy.slots();
    let is_writing = |operation: &Operation| {
        matches!(
            operation,
            Operation::Create | Operation::Update | Operation::Delete
        )
    };
    let open: Vec<&Rule> = family
        .members
        .iter()
        .copied()
        .filter(|rule| public.is_some_and(|public| rule.roles.contains(&public)))
        .filter(|rule| bench.granted(rule).iter().any(is_writing))
        .filter(|rule| is_without_proof(slots, &rule.needs))
        // A restriction that asks for a claim leaves nothing to who has none.
        .filter(|rule| {
            let walls = bench.policy.restrictions().iter();
            walls
                .filter(|wall| wall.entity == rule.entity)
                .filter(|wall| !public.is_some_and(|public| wall.unless.contains(&public)))
                .all(|wall| is_without_proof(slots, &wall.needs))
        })
        .filter(|rule| !bench.never_applies(rule, &rule.rows))
        .collect();
    let Some(first) = open.first() else { return };
    let granted = bench.granted(first);
    let operations = listed(granted.iter().filter(|it| is_writing(it)).map(|it| it.name()));
    raised.push(Raised::new(
        Code::PublicWrite,
        &family.id,
        &family.at,
        format!(
            "rule `{}` lets anybody, without a token, {operations} {}",
            family.id,
            bench.names(open.iter().map(|rule| rule.entity))
        ),
        "name a role that only people with a token have",
    ));
}

/// Whether somebody without a proof has all of these: there are only roles then.
fn is_without_proof(slots: &Slots, needs: &[SlotId]) -> bool {
    needs.iter().all(|slot| {
        slots
            .slot(*slot)
            .is_some_and(|slot| matches!(slot.claim, Claim::Role | Claim::Roles | Claim::Level))
    })
}

fn sensitive_fields(bench: &Bench<'_>, family: &Family<&Rule>, raised: &mut Vec<Raised>) {
    let mut shown: Vec<String> = Vec::new();
    let mut roles = Vec::new();
    for rule in &family.members {
        let reads = bench
            .granted(rule)
            .iter()
            .any(|operation| matches!(operation, Operation::Read | Operation::List));
        if !reads || is_of_caller(&rule.rows, bench.policy.slots()) || bench.never_applies(rule, &rule.rows) {
            continue;
        }
        let Some(entity) = bench.entity(rule.entity) else {
            continue;
        };
        let sees_others = |role: &RoleId| {
            let walls = rights(bench.policy, *role, entity, Operation::List).walls;
            !walls
                .iter()
                .any(|wall| is_of_caller(&wall.rows, bench.policy.slots()))
        };
        let seeing: Vec<RoleId> = rule.roles.iter().copied().filter(sees_others).collect();
        let sensitive = entity
            .columns
            .iter()
            .filter(|column| column.is_sensitive && rule.read.contains(column.id));
        if !seeing.is_empty() {
            shown.extend(sensitive.map(|column| format!("{}.{}", entity.name, column.name)));
            roles.extend(seeing);
        }
    }
    roles.sort_unstable();
    roles.dedup();
    if shown.is_empty() {
        return;
    }
    raised.push(Raised::new(
        Code::SensitiveReadable,
        &family.id,
        &family.at,
        format!(
            "rule `{}` shows {}, marked `sensitive`, to {} in rows that need not be their own",
            family.id,
            listed(shown.iter().map(String::as_str)),
            bench.role_names(&roles)
        ),
        "take the field away (`\"-field\"` in `fields.read`), or say in `rows` whose rows they are",
    ));
}

/// Whether each row that satisfies it is tied to the caller by `field = $user.id`, its own or of the row that it refers to.
fn is_of_caller(template: &Template, slots: &Slots) -> bool {
    let is_id = |slot| slots.slot(slot).is_some_and(|slot| slot.claim == Claim::Id);
    match template {
        Template::Compare { op, slot, .. } => *op == Comparison::Eq && is_id(*slot),
        Template::In {
            values,
            slots: claims,
            is_negated,
            ..
        } => !is_negated && values.is_empty() && claims.iter().all(|slot| is_id(*slot)),
        Template::Related {
            quantifier, inner, ..
        } => *quantifier == Quantifier::Some && is_of_caller(inner, slots),
        Template::All(parts) => parts.iter().any(|part| is_of_caller(part, slots)),
        // An alternative that is never true adds no row.
        Template::Any(parts) => parts
            .iter()
            .all(|part| *part == Template::Fixed(Predicate::False) || is_of_caller(part, slots)),
        Template::Fixed(_) | Template::Caller { .. } => false,
    }
}

fn unfiltered(bench: &Bench<'_>, family: &Family<&Rule>, raised: &mut Vec<Raised>) {
    let reaching: Vec<&Rule> = family
        .members
        .iter()
        .copied()
        .filter(|rule| rule.allows_unfiltered)
        .filter(|rule| {
            bench
                .granted(rule)
                .iter()
                .any(|operation| matches!(operation, Operation::Update | Operation::Delete))
        })
        .collect();
    let Some(first) = reaching.first() else { return };
    let is_walled = |rule: &Rule| {
        bench
            .policy
            .restrictions()
            .iter()
            .any(|wall| wall.entity == rule.entity)
    };
    let rows = if bench.reaches_all(first) && !reaching.iter().any(|rule| is_walled(rule)) {
        "every row"
    } else {
        "all rows that it reaches"
    };
    raised.push(Raised::new(
        Code::AllowUnfiltered,
        &family.id,
        &family.at,
        format!(
            "rule `{}` lets {} change or delete {rows} of {} by one call that names none of them",
            family.id,
            bench.role_names(&first.roles),
            bench.names(reaching.iter().map(|rule| rule.entity))
        ),
        "remove `allow_unfiltered`: a filter that all rows satisfy is easily written when it is meant",
    ));
}
