//! What invariants promise holds of all that `decide` grants, tried on random rules, callers, rows and writes.

use std::cell::Cell;
use std::fmt::Write as _;

use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::world::{ENTITIES, ME, OTHER, World, docs, rules, schema, source, text, uuid};
use crate::{Policy, Subject, evaluate};

const NAMES: [&str; 4] = ["ownerId", "tenant", "title", "rank"];
/// Values of these, in order.
type Row = [Value; 4];

/// What rules and restrictions say.
const CONDITIONS: [&str; 11] = [
    "ownerId = $user.id",
    "tenant = $user.tenantId",
    "tenant = $user.tenantId AND rank > 1",
    "tenant = $user.tenantId AND (title = 'b' OR ownerId = $user.id)",
    "tenant = 'a'",
    "title IS NULL",
    "rank IN (1, 2)",
    "tenant = title AND title = $user.tenantId",
    "NOT (tenant <> $user.tenantId OR rank <= 1)",
    "tenant = $user.tenantId AND 'editor' IN $user.roles",
    "rank = 1 AND $user.level >= 2",
];
/// What must hold. Without OR beside a claim: there an absent one means something else in a rule, and rules judge here.
const DEMANDS: [&str; 6] = [
    "tenant = $user.tenantId",
    "ownerId = $user.id",
    "rank > 0",
    "rank IN (1, 2, 3)",
    "tenant IS NOT NULL",
    "tenant = $user.tenantId AND rank > 0",
];
const PRESETS: [&str; 4] = [
    "",
    ", set: {tenant: $user.tenantId}",
    ", set: {ownerId: $user.id, rank: 1}",
    ", set: {rank: 2}",
];

fn policy() -> impl Strategy<Value = String> {
    let condition = || prop::sample::select(CONDITIONS.to_vec());
    let rule = (
        condition(),
        option::of(condition()),
        prop::sample::subsequence(NAMES.to_vec(), 0..=4),
        prop::sample::select(PRESETS.to_vec()),
        prop::sample::select(vec!["user", "editor"]),
        prop::sample::select(vec!["'*'", "read", "update", "create", "delete"]),
    );
    let wall = (condition(), any::<bool>());
    (vec(rule, 1..3), option::of(wall)).prop_map(|(rules, wall)| {
        let mut text = "rules:\n".to_owned();
        for (nth, (rows, check, write, set, role, operation)) in rules.iter().enumerate() {
            let check = check.map_or_else(String::new, |it| format!(", check: \"{it}\""));
            writeln!(
                text,
                "  - {{id: r{nth}, entity: Doc, roles: [{role}], operations: [{operation}], rows: \"{rows}\"{check}, \
                 fields: {{write: [{}]}}{set}}}",
                write.join(", ")
            )
            .unwrap();
        }
        if let Some((rows, is_for_all)) = wall {
            let unless = if is_for_all { "" } else { ", unless_roles: [editor]" };
            writeln!(text, "restrict: [{{entity: Doc, rows: \"{rows}\"{unless}}}]").unwrap();
        }
        text
    })
}

fn row() -> impl Strategy<Value = Row> {
    let word = || prop::sample::select(vec![text("a"), text("b"), Value::Null]);
    let owner = prop::sample::select(vec![uuid(ME), uuid(OTHER), Value::Null]);
    (owner, word(), word(), (0_i64..4).prop_map(Value::Int))
        .prop_map(|(owner, tenant, title, rank)| [owner, tenant, title, rank])
}

fn caller() -> impl Strategy<Value = Principal> {
    let tenant = option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
    let roles = prop::sample::select(vec![vec![], vec!["user"], vec!["editor"]]);
    (option::of(Just(ME.to_owned())), tenant, roles).prop_map(|(id, tenant, roles)| Principal {
        id,
        tenant,
        roles: roles.into_iter().map(str::to_owned).collect(),
        ..Principal::default()
    })
}

/// Rows that come out of what one caller is granted, each with what it was done to.
struct Reached<'a> {
    world: &'a World,
    subject: Subject,
}

impl Reached<'_> {
    fn is_true(&self, predicate: &Predicate, row: &Row) -> bool {
        let value = |column: ColumnId| {
            let nth = NAMES
                .iter()
                .position(|name| self.world.column("Doc", name) == column)?;
            row.get(nth)
        };
        evaluate(predicate, &value) == Some(true)
    }

    /// Whether a list shows the row.
    fn shows(&self, row: &Row) -> bool {
        let plan = self.world.list("Doc", Predicate::True, &["id"]);
        let grant = self.world.policy.decide(&self.subject, plan);
        grant.is_ok_and(|grant| self.is_true(&grant.terms().read.rows, row))
    }

    /// The rows that are reached: read, deleted, changed (before and after), made.
    fn rows(&self, row: &Row, new: &Row, written: &[usize]) -> Vec<Row> {
        let mut reached = Vec::new();
        if self.shows(row) {
            reached.push(row.clone());
        }
        let decide = |plan| self.world.policy.decide(&self.subject, plan);
        if let Ok(grant) = decide(self.world.delete("Doc", ME))
            && grant
                .terms()
                .write
                .iter()
                .any(|way| self.is_true(&way.before, row))
        {
            reached.push(row.clone());
        }
        let values: Vec<(&str, Value)> = written
            .iter()
            .map(|nth| (NAMES[*nth], new[*nth].clone()))
            .collect();
        if let Ok(grant) = decide(self.world.update("Doc", ME, &values)) {
            let Action::Update { values, .. } = &grant.terms().plan.action else {
                panic!()
            };
            let after = self.with(row.clone(), values);
            let is_done = grant
                .terms()
                .write
                .iter()
                .any(|way| self.is_true(&way.before, row) && self.is_true(&way.after, &after));
            if is_done {
                reached.extend([row.clone(), after]);
            }
        }
        if let Ok(grant) = decide(self.world.create("Doc", &values)) {
            let Action::Create { values, .. } = &grant.terms().plan.action else {
                panic!()
            };
            let made = self.with([Value::Null, Value::Null, Value::Null, Value::Int(0)], values);
            if self.is_true(&grant.terms().create, &made) {
                reached.push(made);
            }
        }
        reached
    }

    fn with(&self, mut row: Row, values: &[Assignment]) -> Row {
        for Assignment { column, value } in values {
            if let Some(nth) = NAMES
                .iter()
                .position(|name| self.world.column("Doc", name) == *column)
            {
                row[nth] = value.clone();
            }
        }
        row
    }
}

#[test]
fn nothing_that_is_granted_breaks_an_invariant_that_was_proven() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1_000));
    let kept = Cell::new(0_u32);
    let written = prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..=3);
    let cases = (
        policy(),
        prop::sample::select(DEMANDS.to_vec()),
        any::<bool>(),
        vec((caller(), row(), row(), written), 25),
    );
    let outcome = runner.run(&cases, |(these, demand, is_for_all, tries)| {
        let unless = if is_for_all {
            ""
        } else {
            ", unless_roles: [editor]"
        };
        let invariants = format!(
            "version: 1\ninvariants: [{{id: it, within: {{entity: Doc, rows: \"{demand}\"{unless}}}}}]\n"
        );
        let loaded = Policy::uphold(
            &source("acl.yaml", &rules(&these)),
            Some(&source("invariants.yaml", &invariants)),
            schema(ENTITIES),
        );
        let Ok(loaded) = loaded else { return Ok(()) };
        kept.set(kept.get() + 1);
        let world = World {
            schema: schema(ENTITIES),
            policy: loaded.policy,
        };
        let judge = docs(&format!(
            "rules: [{{id: it, entity: Doc, roles: [public], operations: [read], rows: \"{demand}\"}}]\n"
        ));
        for (caller, row, new, written) in tries {
            if !is_for_all && caller.roles.iter().any(|role| role == "editor") {
                continue;
            }
            let reached = Reached {
                subject: world.policy.subject(&caller),
                world: &world,
            };
            let judging = Reached {
                subject: judge.policy.subject(&caller),
                world: &judge,
            };
            for found in reached.rows(&row, &new, &written) {
                prop_assert!(
                    judging.shows(&found),
                    "{}\n{}\n{:?}\n{:?} {:?} {:?}",
                    these,
                    demand,
                    caller,
                    row,
                    new,
                    found
                );
            }
        }
        Ok(())
    });
    // Without the tries, which are many.
    assert!(outcome.is_ok(), "{:.1500}", format!("{outcome:?}"));
    assert!(kept.get() > 100, "only {} were proven", kept.get());
}
