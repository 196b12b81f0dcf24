//! Updates by which rows go that the caller may not delete: who sets the time at which a row expires has it removed.

use std::collections::BTreeSet;

use dbal_policy::roles::RoleId;
use dbal_policy::rule::Rule;
use dbal_schema::Entity;
use dbal_shared::plan::Operation;

use super::{Bench, Raised, listed};
use crate::finding::Code;
use crate::rights::rights;

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.families {
        let mut set = BTreeSet::new();
        for rule in family.members.iter().filter(|rule| updates(bench, rule)) {
            let Some(entity) = bench.entity(rule.entity) else {
                continue;
            };
            let by = entity.expires_by().filter(|by| rule.write.contains(by.id));
            if let Some(by) = by.filter(|by| !by.is_immutable)
                && !rule
                    .roles
                    .iter()
                    .all(|role| may_delete(bench, *role, rule, entity))
            {
                set.insert(format!("{}.{}", entity.name, by.name));
            }
        }
        if set.is_empty() {
            continue;
        }
        raised.push(Raised::new(
            Code::RemovesByTime,
            &family.id,
            &family.at,
            format!(
                "rule `{}` lets its roles set {}, by which the worker removes rows (`ttl`), and no rule lets them delete all of those",
                family.id,
                listed(set.iter().map(String::as_str))
            ),
            "leave the field out of `fields.write`, grant the delete, or accept this",
        ));
    }
}

fn updates(bench: &Bench<'_>, rule: &Rule) -> bool {
    bench.granted(rule).contains(&Operation::Update) && !bench.never_applies(rule, &rule.rows)
}

/// Whether the role may delete each row that the rule lets it update. Walls are the same for both.
fn may_delete(bench: &Bench<'_>, role: RoleId, by: &Rule, entity: &Entity) -> bool {
    let deletes = rights(bench.policy, role, entity, Operation::Delete).rules;
    deletes.iter().any(|rule| {
        rule.needs.iter().all(|slot| by.needs.contains(slot))
            && bench.implies_for(&[role], &by.rows, &rule.rows)
    })
}
