//! What deciding costs: time and allocations of `decide`, which both daemons run for each call, as rules grow in number.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "all that it is given stands in this file or in the examples"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dbal_policy::{Policy, Subject};
use dbal_schema::{Schema, Source};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::{Action, Assignment, Direction, Page, Plan, SortKey, Target, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

/// Decisions of one batch, and batches of one line: the median batch counts.
const DECISIONS: u32 = 5_000;
const BATCHES: usize = 11;
/// Each entity of the made policies has the same fields.
const FIELDS: &str = "fields:\n  id: {type: uuid, primary: true, generated: true}\n  ownerId: {type: string, required: true}\n  \
                      title: {type: string, required: true}\n  rank: {type: integer, default: 0, index: true}\n  \
                      state: {type: enum, values: [draft, published], default: draft}\n";

fn main() {
    println!("| rules | about the entity and the caller | call | µs | allocations | bytes |");
    println!("|--:|--:|---|--:|--:|--:|");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let schema = Schema::load(&examples.join("entities")).expect("the examples' entities load");
    let policy =
        Policy::load(&examples.join("acl.yaml"), None, Arc::new(schema.schema)).expect("the example loads");
    let policy = policy.policy;
    measure(policy.rules().len(), "2 (example)", &policy, "Note");
    for (entities, rules, own) in [
        (1, 10, 2),
        (10, 100, 2),
        (100, 1_000, 2),
        (1, 1_000, 2),
        (1, 1_000, 10),
    ] {
        let policy = made(entities, rules, own);
        measure(rules, &own.to_string(), &policy, "E0");
    }
}

/// So many rules over so many entities; `own` of those on each entity are about users, in turn with and without a condition
/// on the row, and all others about roles that the caller lacks.
fn made(entities: usize, rules: usize, own: usize) -> Policy {
    let names: Vec<String> = (0..entities)
        .map(|nth| format!("entity: E{nth}\n{FIELDS}"))
        .collect();
    let mut text = "version: 1\nroles: {user: {}, staff: {}, audit: {}}\nrules:\n".to_owned();
    for nth in 0..rules {
        let (entity, place) = (nth % entities, nth / entities);
        let (role, rows) = match place {
            _ if place >= own => (["staff", "audit"][place % 2], format!("rank = {place}")),
            0 => ("user", "ownerId = $user.id".to_owned()),
            _ => ("user", format!("state = 'published' AND rank > {place}")),
        };
        writeln!(
            text,
            "  - {{id: r{nth}, entity: E{entity}, roles: [{role}], operations: ['*'], rows: \"{rows}\", check: \"true\"}}"
        )
        .expect("a string takes all");
    }
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let schema = Schema::parse(&[source("entities.yaml", &names.join("---\n"))]).expect("entities load");
    let policy = Policy::parse(&source("acl.yaml", &text), Arc::new(schema.schema)).expect("rules load");
    policy.policy
}

fn measure(rules: usize, own: &str, policy: &Policy, entity: &str) {
    let subject = policy.subject(&Principal {
        id: Some("0199a000-0000-7000-8000-00000000a11c".to_owned()),
        roles: vec!["user".to_owned()],
        ..Principal::default()
    });
    for (name, plan) in plans(policy, entity) {
        policy
            .decide(&subject, plan.clone())
            .unwrap_or_else(|denied| panic!("{name}: {}", denied.operator()));
        // The plan is the caller's; making it is no part of deciding.
        let copies: Vec<Plan> = vec![plan.clone(); 1];
        let used = allocation_counter::measure(|| {
            for plan in copies {
                drop(black_box(policy.decide(&subject, plan)));
            }
        });
        println!(
            "| {rules} | {own} | {name} | {:.2} | {} | {} |",
            microseconds(policy, &subject, &plan),
            used.count_total,
            used.bytes_total
        );
    }
}

fn microseconds(policy: &Policy, subject: &Subject, plan: &Plan) -> f64 {
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let plans: Vec<Plan> = (0..DECISIONS).map(|_| plan.clone()).collect();
            let began = Instant::now();
            for plan in plans {
                let _ = black_box(policy.decide(subject, plan));
            }
            began.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}

fn plans(policy: &Policy, entity: &str) -> Vec<(&'static str, Plan)> {
    let entity = policy.schema().by_name(entity).expect("an entity");
    let column = |name: &str| entity.column_by_name(name).expect("a field").id;
    let shown: Vec<ColumnId> = ["id", "ownerId", "title", "rank", "state"].map(column).to_vec();
    let target = || Target {
        column: entity.key,
        value: Value::Uuid([7; 16]),
    };
    let title = |text: &str| {
        vec![Assignment {
            column: column("title"),
            value: Value::Text(text.to_owned()),
        }]
    };
    let plan = |action| Plan {
        entity: entity.id,
        action,
    };
    vec![
        (
            "read",
            plan(Action::Read {
                target: target(),
                projection: shown.clone(),
                includes: Vec::new(),
            }),
        ),
        (
            "list, filtered and sorted",
            plan(Action::List {
                filter: Predicate::Compare {
                    column: column("rank"),
                    op: Comparison::Gt,
                    value: Value::Int(3),
                },
                order: vec![SortKey {
                    column: column("rank"),
                    direction: Direction::Descending,
                }],
                page: Page { number: 1, limit: 20 },
                total: Total::Counted,
                projection: shown.clone(),
                includes: Vec::new(),
                cursor: None,
            }),
        ),
        (
            "create",
            plan(Action::Create {
                values: title("a"),
                projection: shown.clone(),
            }),
        ),
        (
            "update",
            plan(Action::Update {
                target: target(),
                values: title("b"),
                projection: shown,
            }),
        ),
    ]
}
