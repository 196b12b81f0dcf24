//! The law of a diff, on random policies: what it calls no wider shows no caller of one role a row or field that was not shown.

use std::cell::Cell;
use std::fmt::Write as _;

use dbal_policy::{Policy, evaluate};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Page, Plan, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::diff;
use crate::fixture::policy;

const ENTITIES: &str = r"
entity: Note
fields:
  id: {type: integer, primary: true}
  owner: {type: string, nullable: true}
  tenant: {type: string, nullable: true}
  rank: {type: integer, nullable: true}
";
const CONDITIONS: [&str; 8] = [
    "owner = $user.id",
    "tenant = $user.tenantId",
    "owner = $user.id OR rank > 1",
    "tenant = $user.tenantId AND rank > 1",
    "rank IN (1, 2)",
    "rank = 2",
    "tenant = $user.tenantId AND $user.level >= 2",
    "'admin' IN $user.roles OR rank < 2",
];
const FIELDS: [&str; 4] = ["id", "owner", "tenant", "rank"];

type Row = [Value; 4];

fn rules() -> impl Strategy<Value = String> {
    let condition = || prop::sample::select(CONDITIONS.to_vec());
    let fields = prop::sample::subsequence(FIELDS.to_vec(), 1..=4);
    let rule = (condition(), fields, prop::sample::select(vec!["user", "admin"]));
    (vec(rule, 1..3), option::of(condition())).prop_map(|(rules, wall)| {
        let mut text = "version: 1\nroles: {user: {}, admin: {inherits: [user]}}\nrules:\n".to_owned();
        for (nth, (rows, fields, role)) in rules.iter().enumerate() {
            writeln!(
                text,
                "  - {{id: r{nth}, entity: Note, roles: [{role}], operations: [list], rows: \"{rows}\", fields: {{read: [{}]}}}}",
                fields.join(", ")
            )
            .unwrap();
        }
        if let Some(rows) = wall {
            writeln!(text, "restrict: [{{entity: Note, rows: \"{rows}\"}}]").unwrap();
        }
        text
    })
}

fn row() -> impl Strategy<Value = Row> {
    let word = || {
        prop::sample::select(vec![
            Value::Text("a".into()),
            Value::Text("b".into()),
            Value::Null,
        ])
    };
    let rank = prop_oneof![4 => (0_i64..4).prop_map(Value::Int), 1 => Just(Value::Null)];
    (word(), word(), rank).prop_map(|(owner, tenant, rank)| [Value::Int(1), owner, tenant, rank])
}

fn caller() -> impl Strategy<Value = Principal> {
    let word = || option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
    (
        word(),
        word(),
        prop::sample::select(vec!["user", "admin", "public"]),
    )
        .prop_map(|(id, tenant, role)| Principal {
            id,
            tenant,
            roles: vec![role.to_owned()],
            ..Principal::default()
        })
}

/// The fields that a list shows of the row.
fn shown(policy: &Policy, caller: &Principal, row: &Row) -> Vec<usize> {
    let action = Action::List {
        filter: Predicate::True,
        order: Vec::new(),
        page: Page { number: 1, limit: 1 },
        total: Total::Skipped,
        projection: (0..4).map(ColumnId).collect(),
        includes: Vec::new(),
        cursor: None,
    };
    let entity = policy.schema().by_name("Note").unwrap().id;
    let Ok(grant) = policy.decide(&policy.subject(caller), Plan { entity, action }) else {
        return Vec::new();
    };
    let value = |column: ColumnId| row.get(usize::from(column.0));
    let is_true = |predicate| evaluate(predicate, &value) == Some(true);
    let read = &grant.terms().read;
    if !is_true(&read.rows) {
        return Vec::new();
    }
    let Action::List { projection, .. } = &grant.terms().plan.action else {
        panic!()
    };
    let is_shown = |column: &&ColumnId| {
        let mask = read.masks.iter().find(|mask| mask.column == **column);
        mask.is_none_or(|mask| is_true(&mask.shown_when))
    };
    projection
        .iter()
        .filter(is_shown)
        .map(|column| usize::from(column.0))
        .collect()
}

#[test]
fn nobody_sees_more_under_a_policy_that_is_called_no_wider() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(600));
    let told = Cell::new(0_u32);
    let outcome = runner.run(
        &(rules(), rules(), vec((caller(), row()), 30)),
        |(old, new, tries)| {
            let (before, after) = (policy(ENTITIES, &old), policy(ENTITIES, &new));
            let found = diff(&before, &after);
            for (caller, row) in tries {
                let widened: Vec<&String> = found
                    .changes
                    .iter()
                    .filter(|change| change.direction.widens() && change.roles.contains(&caller.roles[0]))
                    .flat_map(|change| &change.fields)
                    .collect();
                let was = shown(&before, &caller, &row);
                for nth in shown(&after, &caller, &row) {
                    let is_told = widened.iter().any(|field| *field == FIELDS[nth]);
                    told.set(told.get() + u32::from(!is_told));
                    prop_assert!(
                        was.contains(&nth) || is_told,
                        "{}\n{}\n{:?} {:?} {}",
                        old,
                        new,
                        caller,
                        row,
                        FIELDS[nth]
                    );
                }
            }
            Ok(())
        },
    );
    // Without the tries, which are many.
    assert!(outcome.is_ok(), "{:.1500}", format!("{outcome:?}"));
    assert!(
        told.get() > 200,
        "only {} fields were shown that are not called wider",
        told.get()
    );
}
