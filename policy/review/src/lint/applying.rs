//! Rules that grant nothing: they can never apply, or another one grants all of it.

use dbal_policy::rule::Rule;
use dbal_shared::plan::Operation;

use super::{Bench, Family, Raised};
use crate::finding::Code;

pub(super) fn lint(bench: &Bench<'_>, raised: &mut Vec<Raised>) {
    for (nth, family) in bench.families.iter().enumerate() {
        if let Some(why) = why_never(bench, family) {
            raised.push(Raised::new(
                Code::NeverApplies,
                &family.id,
                &family.at,
                format!("rule `{}` grants nothing to anybody: {why}", family.id),
                "remove it, or say what it was meant to say",
            ));
        } else if let Some(other) = shadow(bench, nth, family) {
            raised.push(Raised::new(
                Code::Shadowed,
                &family.id,
                &family.at,
                format!(
                    "rule `{}` grants nothing that `{}` ({}) does not grant, to the same callers, in the same rows and fields",
                    family.id, other.id, other.at
                ),
                "remove one of them, or narrow the broader one",
            ));
        }
    }
}

fn why_never(bench: &Bench<'_>, family: &Family<&Rule>) -> Option<&'static str> {
    let all = |is_so: &dyn Fn(&Rule) -> bool| family.members.iter().all(|rule| is_so(rule));
    if all(&|rule| rule.roles.is_empty()) {
        return Some("nobody who comes over the network has its role");
    }
    if all(&|rule| bench.granted(rule).is_empty()) {
        return Some("the entity file keeps its operations to the daemon (`read_only`, `system_only`)");
    }
    if all(&|rule| bench.never_applies(rule, &rule.rows))
        && !all(&|rule| bench.granted(rule) == [Operation::Create])
    {
        // A create asks for `check` alone, but an empty `rows` that only shuts the other operations is no way to say it.
        let creates = family.members.iter().any(|rule| {
            bench.granted(rule).contains(&Operation::Create) && !bench.never_applies(rule, &rule.check)
        });
        if !creates {
            return Some("no row can satisfy its `rows`");
        }
    }
    let writes_only = |rule: &Rule| {
        bench
            .granted(rule)
            .iter()
            .all(|operation| matches!(operation, Operation::Create | Operation::Update))
    };
    if all(&writes_only) && all(&|rule| bench.never_applies(rule, &rule.check)) {
        return Some("no written row can satisfy its `check`");
    }
    None
}

/// Another rule that grants all that this one does. Of two that grant the same, the first stays.
fn shadow<'b>(bench: &'b Bench<'_>, nth: usize, family: &Family<&Rule>) -> Option<&'b Family<&'b Rule>> {
    let candidates = bench.families.iter().enumerate().filter(|(at, _)| *at != nth);
    let covers = |broad: &Family<&Rule>, narrow: &Family<&Rule>| {
        narrow
            .members
            .iter()
            .all(|narrow| broad.members.iter().any(|broad| grants_all(bench, broad, narrow)))
    };
    candidates
        .filter(|(_, other)| covers(other, family))
        .find(|(at, other)| *at < nth || !covers(family, other))
        .map(|(_, other)| other)
}

fn grants_all(bench: &Bench<'_>, broad: &Rule, narrow: &Rule) -> bool {
    let roles = bench.policy.roles();
    let everybody = roles.by_name(dbal_policy::roles::PUBLIC);
    let is_held = |role| {
        roles
            .includes(role)
            .iter()
            .copied()
            .chain(everybody)
            .any(|held| broad.roles.contains(&held))
    };
    let granted = bench.granted(narrow);
    let does = |operations: &[Operation]| granted.iter().any(|operation| operations.contains(operation));
    let changes = does(&[Operation::Create, Operation::Update]);
    broad.entity == narrow.entity
        && narrow.roles.iter().all(|role| is_held(*role))
        && granted
            .iter()
            .all(|operation| broad.operations.contains(*operation))
        && broad.needs.iter().all(|slot| narrow.needs.contains(slot))
        && (!does(&[Operation::Read, Operation::List]) || narrow.read.difference(&broad.read).is_empty())
        && (!narrow.allows_unfiltered || broad.allows_unfiltered)
        && (!changes
            || (narrow.write.difference(&broad.write).is_empty()
                && same_presets(broad, narrow)
                && bench.implies(&narrow.check, &broad.check)))
        && bench.implies(&narrow.rows, &broad.rows)
}

fn same_presets(one: &Rule, other: &Rule) -> bool {
    one.presets.len() == other.presets.len()
        && one.presets.iter().zip(&other.presets).all(|(left, right)| {
            left.column == right.column
                && left.value == right.value
                && left.is_implied_by_rows == right.is_implied_by_rows
        })
}
