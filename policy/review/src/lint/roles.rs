//! Roles that give nothing, and entities that nobody may touch.

use dbal_policy::Claim;
use dbal_policy::is_open;
use dbal_policy::slots::Slots;
use dbal_shared::plan::Operation;

use super::{Bench, Raised};
use crate::finding::Code;

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    idle_roles(bench, raised);
    for entity in bench.policy.schema().entities() {
        let is_offered = Operation::ALL
            .into_iter()
            .any(|operation| is_open(entity, operation));
        let has_rule = bench.policy.rules().iter().any(|rule| rule.entity == entity.id);
        if is_offered && !has_rule {
            raised.push(Raised::new(
                Code::NoRule,
                &entity.name,
                &entity.at,
                format!(
                    "no rule is about `{}`: nobody may do anything with it",
                    entity.name
                ),
                "write a rule for it, remove it, or accept this where it is for other programs only",
            ));
        }
    }
}

/// Roles of which neither a rule nor a restriction speaks. Conditions may ask which roles, or which level, a caller has: then a
/// role means something without a rule, and nothing is said.
fn idle_roles(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    let policy = bench.policy;
    if asks_for_roles(policy.slots(), policy.rules().iter().flat_map(|rule| &rule.needs))
        || asks_for_roles(
            policy.slots(),
            policy.restrictions().iter().flat_map(|wall| &wall.needs),
        )
    {
        return;
    }
    for declared in policy.declared_roles() {
        let Some(role) = policy.roles().by_name(&declared.value) else {
            continue;
        };
        let includes = policy.roles().includes(role);
        let is_named = policy
            .rules()
            .iter()
            .any(|rule| rule.roles.iter().any(|role| includes.contains(role)))
            || policy
                .restrictions()
                .iter()
                .any(|wall| wall.unless.iter().any(|role| includes.contains(role)));
        if !is_named {
            raised.push(Raised::new(
                Code::IdleRole,
                &declared.value,
                &declared.at,
                format!(
                    "role `{}` gives nothing: no rule and no restriction names it, or what it inherits",
                    declared.value
                ),
                "remove it, or write the rule that it is for",
            ));
        }
    }
}

fn asks_for_roles<'a>(
    slots: &Slots,
    mut needs: impl Iterator<Item = &'a dbal_policy::slots::SlotId>,
) -> bool {
    needs.any(|slot| {
        slots
            .slot(*slot)
            .is_some_and(|slot| matches!(slot.claim, Claim::Role | Claim::Roles | Claim::Level))
    })
}
