//! Deletes that take along, or change, rows which the caller may not delete or change.

use std::collections::BTreeSet;

use dbal_policy::roles::RoleId;
use dbal_policy::rule::Rule;
use dbal_schema::{Column, Entity, OnDelete};
use dbal_shared::ids::EntityId;
use dbal_shared::plan::Operation;

use super::{Bench, Raised, listed};
use crate::finding::Code;
use crate::rights::{Rights, rights};

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for family in &bench.families {
        let mut reached = BTreeSet::new();
        let mut from = BTreeSet::new();
        for rule in family.members.iter().filter(|rule| deletes(bench, rule)) {
            for role in &rule.roles {
                for (entity, column, consequence) in consequences(bench, rule.entity) {
                    if !may(bench, *role, rule, entity, column, consequence) {
                        reached.insert(format!("{}.{}", entity.name, column.name));
                        from.insert(rule.entity);
                    }
                }
            }
        }
        if reached.is_empty() {
            continue;
        }
        raised.push(Raised::new(
            Code::ReachesByReference,
            &family.id,
            &family.at,
            format!(
                "who deletes {} by rule `{}` also deletes or changes the rows that refer to it by {} (`on_delete`), and no rule \
                 lets its roles do that to all of them",
                bench.names(from),
                family.id,
                listed(reached.iter().map(String::as_str))
            ),
            "make the foreign key `restrict`, or accept this where the rows belong together",
        ));
    }
}

fn deletes(bench: &Bench<'_>, rule: &Rule) -> bool {
    bench.granted(rule).contains(&Operation::Delete) && !bench.never_applies(rule, &rule.rows)
}

/// Foreign keys by which rows go or change when a row of `entity` goes, directly or because others went.
fn consequences<'a>(bench: &Bench<'a>, entity: EntityId) -> Vec<(&'a Entity, &'a Column, OnDelete)> {
    let mut found = Vec::new();
    let mut gone = vec![entity];
    let mut next = 0;
    while let Some(going) = gone.get(next).copied() {
        next = next.saturating_add(1);
        for referring in bench.policy.schema().entities() {
            for column in &referring.columns {
                let Some(reference) = column.references.filter(|it| it.entity == going) else {
                    continue;
                };
                match reference.on_delete {
                    OnDelete::Restrict => {}
                    OnDelete::SetNull => found.push((referring, column, OnDelete::SetNull)),
                    OnDelete::Cascade => {
                        found.push((referring, column, OnDelete::Cascade));
                        if !gone.contains(&referring.id) {
                            gone.push(referring.id);
                        }
                    }
                }
            }
        }
    }
    found
}

/// Whether the role may do to every row what the reference does to it. A wall around both entities is taken for one that divides
/// them alike.
fn may(
    bench: &Bench<'_>,
    role: RoleId,
    by: &Rule,
    entity: &Entity,
    column: &Column,
    consequence: OnDelete,
) -> bool {
    let operation = match consequence {
        OnDelete::Cascade => Operation::Delete,
        OnDelete::SetNull => Operation::Update,
        OnDelete::Restrict => return true,
    };
    let Rights { rules, walls } = rights(bench.policy, role, entity, operation);
    let is_enough = |rule: &&Rule| {
        bench.reaches_all(rule)
            && rule.needs.iter().all(|slot| by.needs.contains(slot))
            && (operation == Operation::Delete || rule.write.contains(column.id))
    };
    let own = bench
        .policy
        .restrictions()
        .iter()
        .filter(|wall| wall.entity == by.entity);
    let around: BTreeSet<&str> = own.map(|wall| &*wall.id).collect();
    rules.iter().any(is_enough) && walls.iter().all(|wall| around.contains(&*wall.id))
}
