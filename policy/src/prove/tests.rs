//! The prover against rows: what it proves no row contradicts, and what it must prove it proves.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use dbal_schema::{Location, Schema};
use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Predicate, Quantifier};
use dbal_shared::principal::{ClaimValue, Principal};
use dbal_shared::value::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Callers, Effort, Prover, Verdict};
use crate::claims::{ClaimType, Claims, DeclaredClaim};
use crate::evaluate;
use crate::roles::{Declared, RoleId, Roles};
use crate::row_filter;
use crate::slots::{Filled, Slots};
use crate::template::Template;
use crate::tests::world::{ENTITIES, ME, OTHER, schema, text, uuid};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| schema(ENTITIES));

/// Doc and Team of the tests' world, and the roles user < editor < admin.
struct Lab {
    schema: Arc<Schema>,
    roles: Roles,
    claims: Claims,
    slots: Slots,
}

fn declared(name: &str, kind: &str) -> DeclaredClaim {
    DeclaredClaim {
        at: Location {
            file: "acl.yaml".into(),
            line: 1,
            column: 1,
        },
        name: name.to_owned(),
        kind: ClaimType::parse(kind).unwrap(),
        is_required: false,
    }
}

impl Lab {
    fn new() -> Self {
        let role = |name: &str, below: &[&str]| Declared {
            name: name.to_owned(),
            level: None,
            inherits: below.iter().map(|it| (*it).to_owned()).collect(),
        };
        let roles = [
            role("user", &[]),
            role("editor", &["user"]),
            role("admin", &["editor"]),
        ];
        Self {
            schema: Arc::clone(&SCHEMA),
            roles: Roles::new(&roles).unwrap(),
            claims: Claims::declared(vec![
                declared("tenantId", "text"),
                declared("rank", "integer"),
                declared("trial", "boolean"),
                declared("regions", "list of text"),
            ]),
            slots: Slots::default(),
        }
    }

    fn template(&mut self, written: &str) -> Template {
        let doc = self.schema.by_name("Doc").unwrap();
        row_filter::compile(written, doc, &self.schema, &self.claims, &mut self.slots)
            .unwrap_or_else(|mistake| panic!("{written}: {mistake:?}"))
    }

    fn role(&self, name: &str) -> RoleId {
        self.roles.by_name(name).unwrap()
    }

    /// For callers who are users, and perhaps editors, and never admins.
    fn proves(&mut self, premise: &Template, conclusion: &Template) -> Verdict {
        let callers = Callers::new(&self.roles, &[self.role("user")], &[self.role("editor")]);
        let mut effort = Effort::OF_A_POLICY;
        Prover::new(&self.schema, &self.slots, &callers, &mut effort).implies(premise, conclusion)
    }

    fn says(&mut self, premise: &str, conclusion: &str) -> Verdict {
        let (premise, conclusion) = (self.template(premise), self.template(conclusion));
        self.proves(&premise, &conclusion)
    }
}

#[test]
fn what_follows_is_proven() {
    for (premise, conclusion) in [
        ("ownerId = $user.id", "ownerId = $user.id"),
        ("ownerId = $user.id", "$user.id = ownerId"),
        ("ownerId = $user.id AND rank > 3", "ownerId = $user.id"),
        (
            "ownerId = $user.id AND rank > 3",
            "rank > 3 AND ownerId = $user.id",
        ),
        ("ownerId = $user.id", "ownerId = $user.id OR state = 'published'"),
        ("state = 'draft'", "state <> 'published'"),
        ("state = 'draft'", "state IN ('draft', 'published')"),
        ("state IN ('draft')", "state = 'draft'"),
        ("state NOT IN ('draft', 'published')", "state <> 'draft'"),
        (
            "NOT (state = 'draft' OR rank > 2)",
            "rank <= 2 AND state <> 'draft'",
        ),
        ("rank > 3", "rank >= 3"),
        ("rank > 3", "rank > 2"),
        ("rank >= 3 AND rank <= 3", "rank = 3"),
        ("rank < 3", "rank <> 3"),
        ("rank > 3 AND rank < 2", "tenant = 'nowhere'"),
        ("rank IN (1, 2)", "rank < 3 AND rank > 0"),
        ("rank = 1", "rank IS NOT NULL"),
        ("title IS NULL", "NOT title IS NOT NULL"),
        (
            "title = tenant AND tenant = $user.tenantId",
            "title = $user.tenantId",
        ),
        ("title = tenant AND tenant = 'a'", "title <> 'b'"),
        // A claim is the same in two columns of one type.
        (
            "slug = tenant AND slug = $user.tenantId",
            "tenant = $user.tenantId",
        ),
        // Both ways of an OR.
        (
            "(tenant = 'a' AND rank = 1) OR (tenant = 'b' AND rank = 2)",
            "rank IN (1, 2) AND tenant IN ('a', 'b')",
        ),
        (
            "(ownerId = $user.id OR state = 'published') AND tenant = $user.tenantId",
            "tenant = $user.tenantId AND (state = 'published' OR ownerId = $user.id)",
        ),
        // Linked rows: as written, and by what is said of them.
        ("team.leadId = $user.id", "team.leadId = $user.id"),
        (
            "team.leadId = $user.id",
            "teamId IN (SELECT id FROM Team WHERE leadId = $user.id)",
        ),
        (
            "team.leadId = $user.id AND team.closed = false",
            "teamId IN (SELECT id FROM Team WHERE closed = false AND leadId = $user.id)",
        ),
        (
            "teamId IN (SELECT id FROM Team WHERE closed = false AND leadId = $user.id)",
            "team.closed = false",
        ),
        ("team.leadId = $user.id", "teamId IN (SELECT id FROM Team)"),
        (
            "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.id)",
            "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.id AND closed = true)",
        ),
        ("team.leadId = $user.id", "teamId IS NOT NULL"),
        ("team.closed = true AND team.closed = false", "rank = 1"),
        // Of the caller.
        ("$user.level >= 4", "rank = 1"),
        ("$user.role = 'admin'", "rank = 1"),
        ("rank = 1 OR 'admin' IN $user.roles", "rank = 1"),
        ("rank = 1", "'user' IN $user.roles"),
        ("$user.level >= 2", "$user.level > 0"),
        (
            "$user.trial = false AND ownerId = $user.id",
            "$user.trial <> true",
        ),
        ("'editor' IN $user.roles", "'editor' IN $user.roles OR rank = 1"),
        ("tenant IN $user.regions AND rank = 1", "tenant IN $user.regions"),
        (
            "'a' IN $user.regions AND 'b' IN $user.regions",
            "'b' IN $user.regions",
        ),
    ] {
        let verdict = Lab::new().says(premise, conclusion);
        assert_eq!(verdict, Verdict::Proven, "{premise}  =>  {conclusion}");
    }
}

#[test]
fn what_does_not_follow_is_not_proven() {
    for (premise, conclusion) in [
        ("state = 'published'", "tenant = $user.tenantId"),
        (
            "tenant = $user.tenantId OR state = 'published'",
            "tenant = $user.tenantId",
        ),
        ("ownerId = $user.id", "tenant = $user.tenantId"),
        ("rank >= 3", "rank > 3"),
        // NULL is neither.
        ("rank IS NOT NULL", "title = 'a' OR title <> 'a'"),
        ("NOT (tenant = 'a' AND rank = 1)", "tenant <> 'a'"),
        ("title <> 'a'", "title = 'b'"),
        // An absent claim makes a comparison unknown.
        ("rank = 1", "tenant = $user.tenantId OR tenant <> $user.tenantId"),
        (
            "tenant <> 'x'",
            "tenant = $user.tenantId OR tenant <> $user.tenantId",
        ),
        // Two leads of two teams, were the key not unique; here of the other way round.
        (
            "teamId IN (SELECT id FROM Team WHERE closed = true)",
            "team.leadId = $user.id",
        ),
        (
            "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.id AND closed = true)",
            "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.id)",
        ),
        (
            "ownerId IN (SELECT leadId FROM Team WHERE closed = true) AND ownerId IN (SELECT leadId FROM Team WHERE closed = false)",
            "rank = 1",
        ),
        ("'editor' IN $user.roles OR rank = 1", "rank = 1"),
        // A list may hold several, or none.
        ("'a' IN $user.regions AND 'b' IN $user.regions", "rank = 1"),
        (
            "tenant IN $user.regions AND title IN $user.regions",
            "tenant = title",
        ),
        ("tenant = 'a'", "'a' IN $user.regions OR 'a' NOT IN $user.regions"),
        ("$user.level >= 2", "rank = 1"),
        ("$user.level >= 1", "$user.level >= 2"),
        // A whole number could be 2.5 in a column of others.
        ("rank > 2", "rank >= 3"),
    ] {
        let verdict = Lab::new().says(premise, conclusion);
        assert!(
            matches!(verdict, Verdict::Open(_)),
            "{premise}  =>  {conclusion}: {verdict:?}"
        );
    }
}

#[test]
fn long_lists_are_looked_through_and_endless_cases_are_given_up() {
    let list = |range: std::ops::Range<u32>| {
        let numbers: Vec<String> = range.map(|it| it.to_string()).collect();
        format!("rank IN ({})", numbers.join(", "))
    };
    assert_eq!(Lab::new().says(&list(0..200), &list(0..300)), Verdict::Proven);
    assert!(matches!(
        Lab::new().says(&list(0..200), &list(0..199)),
        Verdict::Open(_)
    ));
    // Only what is said of the linked row is a contradiction, and that is looked at last, in each of 2^13 cases.
    let choices: Vec<String> = (0..13)
        .map(|nth| format!("(tenant <> '{nth}' OR title <> '{nth}')"))
        .collect();
    let premise = format!(
        "{} AND team.closed = true AND team.closed = false",
        choices.join(" AND ")
    );
    assert_eq!(Lab::new().says(&premise, "rank = 1"), Verdict::TooHard);
}

/// Values of (ownerId, teamId, tenant, title, rank).
type Row = [Value; 5];
const NAMES: [&str; 5] = ["ownerId", "teamId", "tenant", "title", "rank"];
/// Values of (id, leadId, closed).
type Team = [Value; 3];

const ATOMS: [&str; 39] = [
    "ownerId = $user.id",
    "ownerId <> $user.id",
    "tenant = $user.tenantId",
    "tenant <> $user.tenantId",
    "title = $user.tenantId",
    "tenant = 'a'",
    "tenant <> 'a'",
    "title = 'a'",
    "tenant = title",
    "tenant <> title",
    "tenant IN ('a', 'b')",
    "tenant NOT IN ('b', $user.tenantId)",
    "tenant IN $user.roles",
    "tenant NOT IN $user.roles",
    "tenant IN $user.regions",
    "tenant NOT IN ('b', $user.regions)",
    "'a' IN $user.regions",
    "'b' IN $user.regions",
    "'a' NOT IN $user.regions",
    "title IS NULL",
    "title IS NOT NULL",
    "rank < 2",
    "rank >= 2",
    "rank > 0",
    "rank = 1",
    "rank <> 1",
    "rank IN (0, 1)",
    "rank > $user.rank",
    "rank <= $user.rank",
    "team.leadId = $user.id",
    "team.closed = true",
    "team.closed <> true",
    "teamId IN (SELECT id FROM Team WHERE closed = false AND leadId = $user.id)",
    "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.id)",
    "ownerId IN (SELECT leadId FROM Team WHERE closed = true)",
    "'editor' IN $user.roles",
    "'admin' NOT IN $user.roles",
    "$user.level >= 2",
    "$user.role = 'user'",
];

fn expression() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(ATOMS.to_vec()).prop_map(str::to_owned);
    atom.prop_recursive(3, 6, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
            3 => vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            1 => inner.prop_map(|inner| format!("NOT {inner}")),
        ]
    })
}

/// A premise, and something near it.
fn implication() -> impl Strategy<Value = (String, String)> {
    let near = |(one, other, more): (String, String, String)| {
        prop_oneof![
            Just((format!("{one} AND {other}"), format!("{other} OR {more}"))),
            Just((
                format!("({one} OR {other}) AND {more}"),
                format!("({one} AND {more}) OR {other}")
            )),
            Just((one.clone(), other.clone())),
            Just((format!("{one} AND {more}"), other.clone())),
            Just((format!("NOT ({one} OR {other})"), format!("NOT {other}"))),
        ]
    };
    (expression(), expression(), expression()).prop_flat_map(near)
}

fn id() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![uuid(ME), uuid(OTHER), Value::Null])
}

fn word() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![text("a"), text("b"), text("user"), Value::Null])
}

fn row() -> impl Strategy<Value = Row> {
    let rank = prop_oneof![4 => (-1_i64..4).prop_map(Value::Int), 1 => Just(Value::Null)];
    (id(), id(), word(), word(), rank)
        .prop_map(|(owner, team, tenant, title, rank)| [owner, team, tenant, title, rank])
}

fn team() -> impl Strategy<Value = Team> {
    let closed = prop::sample::select(vec![Value::Bool(true), Value::Bool(false), Value::Null]);
    (prop::sample::select(vec![uuid(ME), uuid(OTHER)]), id(), closed)
        .prop_map(|(id, lead, closed)| [id, lead, closed])
}

fn caller() -> impl Strategy<Value = Principal> {
    let claim = option::of((0_i64..4).prop_map(|rank| ("rank".to_owned(), ClaimValue::Int(rank))));
    let regions = option::of(vec(
        prop::sample::select(vec!["a".to_owned(), "b".to_owned()]),
        0..3,
    ));
    let regions = regions.prop_map(|regions| regions.map(|it| ("regions".to_owned(), ClaimValue::Texts(it))));
    let tenant = option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
    (
        option::of(Just(ME.to_owned())),
        tenant,
        any::<bool>(),
        claim,
        regions,
    )
        .prop_map(|(id, tenant, is_editor, claim, regions)| Principal {
            id,
            tenant,
            roles: [Some("user"), is_editor.then_some("editor")]
                .into_iter()
                .flatten()
                .map(str::to_owned)
                .collect(),
            claims: claim.into_iter().chain(regions).collect(),
        })
}

/// One moment: rows of both entities, and a caller.
struct Moment<'a> {
    lab: &'a Lab,
    row: &'a Row,
    teams: &'a [Team],
    filled: Filled,
}

impl Moment<'_> {
    /// Whether a rule with this condition applies and reaches the row: all its claims must be there.
    fn reaches(&self, template: &Template) -> bool {
        let mut needs = Vec::new();
        template.slots(&mut needs);
        needs.iter().all(|slot| self.filled.all(*slot).is_some())
            && self.predicate(&template.fill(&self.filled)) == Some(true)
    }

    /// What an invariant says of the row: an absent claim is NULL.
    fn says(&self, template: &Template) -> Option<bool> {
        match template {
            Template::All(parts) => joined(parts.iter().map(|part| self.says(part)), false),
            Template::Any(parts) => joined(parts.iter().map(|part| self.says(part)), true),
            Template::In {
                column,
                values,
                slots,
                is_negated,
            } if slots.iter().any(|slot| self.filled.all(*slot).is_none()) => {
                let present = slots.iter().filter_map(|slot| self.filled.all(*slot)).flatten();
                let values = values.iter().chain(present).cloned().collect();
                let is_in = self.predicate(&Predicate::In {
                    column: *column,
                    values,
                });
                (is_in == Some(true)).then_some(!is_negated)
            }
            Template::Compare { slot, .. } | Template::Caller { slot, .. }
                if self.filled.all(*slot).is_none() =>
            {
                None
            }
            leaf @ (Template::Fixed(_)
            | Template::Compare { .. }
            | Template::In { .. }
            | Template::Caller { .. }
            | Template::Related { .. }) => self.predicate(&leaf.fill(&self.filled)),
        }
    }

    fn predicate(&self, predicate: &Predicate) -> Option<bool> {
        let doc = self.lab.schema.by_name("Doc").unwrap();
        let value = |column: ColumnId| {
            let nth = NAMES
                .iter()
                .position(|name| doc.column_by_name(name).unwrap().id == column);
            Some(&self.row[nth.unwrap()])
        };
        match predicate {
            Predicate::Related {
                link,
                quantifier,
                predicate,
                ..
            } => {
                let own = value(link.column).unwrap();
                let count = self.teams.iter().filter(|team| {
                    let column = |column: ColumnId| Some(&team[usize::from(column.0)]);
                    let foreign = column(link.foreign).unwrap();
                    *own != Value::Null && own == foreign && evaluate(predicate, &column) == Some(true)
                });
                Some((count.count() > 0) == (*quantifier == Quantifier::Some))
            }
            Predicate::And(parts) => joined(parts.iter().map(|part| self.predicate(part)), false),
            Predicate::Or(parts) => joined(parts.iter().map(|part| self.predicate(part)), true),
            Predicate::Not(inner) => self.predicate(inner).map(|is_true| !is_true),
            leaf @ (Predicate::True
            | Predicate::False
            | Predicate::Compare { .. }
            | Predicate::CompareColumns { .. }
            | Predicate::In { .. }
            | Predicate::Matches { .. }
            | Predicate::IsNull { .. }
            | Predicate::Between { .. }) => evaluate(leaf, &value),
        }
    }
}

/// AND, of which one false part decides, or OR, of which a true one does; else an unknown part leaves it unknown.
fn joined(parts: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let parts: Vec<Option<bool>> = parts.collect();
    if parts.contains(&Some(decisive)) {
        Some(decisive)
    } else {
        (!parts.contains(&None)).then_some(!decisive)
    }
}

#[test]
fn no_row_contradicts_what_is_proven() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1_500));
    let proven = Cell::new(0_u32);
    let cases = (implication(), vec((row(), vec(team(), 0..3), caller()), 60));
    runner
        .run(&cases, |((premise, conclusion), moments)| {
            let mut lab = Lab::new();
            let (from, to) = (lab.template(&premise), lab.template(&conclusion));
            if lab.proves(&from, &to) != Verdict::Proven {
                return Ok(());
            }
            proven.set(proven.get() + 1);
            for (row, teams, caller) in moments {
                // One team of each key: a key is unique.
                let mut unique: Vec<Team> = Vec::new();
                for team in teams {
                    if unique.iter().all(|known| known[0] != team[0]) {
                        unique.push(team);
                    }
                }
                let held = lab.roles.held(&caller);
                let moment = Moment {
                    filled: lab
                        .slots
                        .fill(&lab.schema, &lab.claims, &lab.roles, &held, &caller),
                    lab: &lab,
                    row: &row,
                    teams: &unique,
                };
                if moment.reaches(&from) {
                    prop_assert_eq!(
                        moment.says(&to),
                        Some(true),
                        "{}  =>  {}\n{:?} {:?} {:?}",
                        premise,
                        conclusion,
                        row,
                        unique,
                        caller
                    );
                }
            }
            Ok(())
        })
        .unwrap();
    // Else the law above would hold of a prover that proves nothing.
    assert!(proven.get() > 400, "only {} were proven", proven.get());
}
