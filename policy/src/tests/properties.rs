//! Laws that hold for all plans and policies, tried on many.

use std::fmt::Write as _;
use std::sync::LazyLock;

use dbal_schema::ColumnSet;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::plan::{
    Action, Assignment, Direction, Function, Include, Measure, Operation, Page, Plan, Projection, SortKey,
    Target, Total,
};
use dbal_shared::predicate::{Case, Comparison, Link, Predicate, Quantifier, TextPosition};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::world::{ME, OTHER, World, docs, principal, text, uuid};
use crate::{Asked, Effect, Hurdle, Reason, evaluate};

// Any plan at all.

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        "-?[0-9.]{0,9}".prop_map(Value::Decimal),
        "[a-z\\x00]{0,3}".prop_map(Value::Text),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Timestamp),
        "[{}0-9]{0,3}".prop_map(Value::Json),
        vec(any::<u8>(), 0..3).prop_map(Value::Bytes),
    ]
}

fn column() -> impl Strategy<Value = ColumnId> {
    prop_oneof![9 => 0_u16..16, 1 => any::<u16>()].prop_map(ColumnId)
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Ne};
    prop::sample::select(vec![Eq, Ne, Lt, Lte, Gt, Gte])
}

/// The foreign key of the entities, in both directions, and what is none.
fn link() -> impl Strategy<Value = Link> {
    let link = |column, entity, foreign| Link {
        column: ColumnId(column),
        entity: EntityId(entity),
        foreign: ColumnId(foreign),
    };
    prop_oneof![
        4 => Just(link(2, 1, 0)),
        4 => Just(link(0, 0, 2)),
        1 => (0_u16..16, 0_u16..3, 0_u16..16).prop_map(move |(column, entity, foreign)| link(column, entity, foreign)),
    ]
}

fn quantifier() -> impl Strategy<Value = Quantifier> {
    prop::sample::select(vec![Quantifier::Some, Quantifier::Every, Quantifier::None])
}

fn includes() -> impl Strategy<Value = Vec<Include>> {
    let flat = (link(), predicate(), order(), 0_u32..9, projection());
    let include = flat.prop_map(|(link, filter, order, limit, projection)| Include {
        link,
        filter,
        order,
        limit,
        projection,
        includes: Vec::new(),
    });
    let nested = include.prop_recursive(3, 6, 2, |inner| {
        (inner.clone(), vec(inner, 0..2)).prop_map(|(outer, includes)| Include { includes, ..outer })
    });
    prop_oneof![2 => Just(Vec::new()), 1 => vec(nested, 0..3)]
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let leaf = prop_oneof![
        Just(Predicate::True),
        Just(Predicate::False),
        (column(), comparison(), value()).prop_map(|(column, op, value)| Predicate::Compare {
            column,
            op,
            value
        }),
        (column(), comparison(), column()).prop_map(|(left, op, right)| Predicate::CompareColumns {
            left,
            op,
            right
        }),
        (column(), vec(value(), 0..4)).prop_map(|(column, values)| Predicate::In { column, values }),
        (column(), "[a%]{0,2}").prop_map(|(column, text)| Predicate::Matches {
            column,
            position: TextPosition::Contains,
            text,
            case: Case::Insensitive
        }),
        column().prop_map(|column| Predicate::IsNull { column }),
        (column(), value(), value()).prop_map(|(column, low, high)| Predicate::Between { column, low, high }),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 0..4).prop_map(Predicate::And),
            4 => vec(inner.clone(), 0..4).prop_map(Predicate::Or),
            4 => inner.clone().prop_map(|inner| Predicate::Not(Box::new(inner))),
            2 => (link(), quantifier(), inner).prop_map(|(link, quantifier, inner)| Predicate::Related {
                link,
                quantifier,
                within: Box::new(Predicate::True),
                predicate: Box::new(inner),
            }),
        ]
    })
}

fn values() -> impl Strategy<Value = Vec<Assignment>> {
    vec(
        (column(), value()).prop_map(|(column, value)| Assignment { column, value }),
        0..4,
    )
}

fn target() -> impl Strategy<Value = Target> {
    (column(), value()).prop_map(|(column, value)| Target { column, value })
}

fn projection() -> impl Strategy<Value = Projection> {
    vec(column(), 0..5)
}

fn order() -> impl Strategy<Value = Vec<SortKey>> {
    vec(
        column().prop_map(|column| SortKey {
            column,
            direction: Direction::Ascending,
        }),
        0..3,
    )
}

fn page() -> impl Strategy<Value = Page> {
    prop_oneof![(1_u32..5, 1_u32..50), (any::<u32>(), any::<u32>())]
        .prop_map(|(number, limit)| Page { number, limit })
}

fn function() -> impl Strategy<Value = Function> {
    use Function::{Average, Max, Min, Sum};
    prop::sample::select(vec![Sum, Average, Min, Max])
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (target(), projection(), includes()).prop_map(|(target, projection, includes)| Action::Read {
            target,
            projection,
            includes
        }),
        (predicate(), order(), projection(), includes()).prop_map(|(filter, order, projection, includes)| {
            Action::FindFirst {
                filter,
                order,
                projection,
                includes,
            }
        }),
        (predicate(), order(), page(), projection(), includes()).prop_map(
            |(filter, order, page, projection, includes)| {
                Action::List {
                    filter,
                    order,
                    page,
                    total: Total::Counted,
                    projection,
                    includes,
                    cursor: None,
                }
            }
        ),
        (
            predicate(),
            vec(column(), 0..3),
            vec((function(), column()), 0..3),
            0_u32..9
        )
            .prop_map(|(filter, groups, measures, limit)| Action::Aggregate {
                filter,
                groups,
                count: Total::Counted,
                measures: measures
                    .into_iter()
                    .map(|(function, column)| Measure { function, column })
                    .collect(),
                limit,
            }),
        predicate().prop_map(|filter| Action::Count { filter }),
        (values(), projection()).prop_map(|(values, projection)| Action::Create { values, projection }),
        vec(values(), 0..3).prop_map(|rows| Action::CreateMany { rows }),
        (target(), values(), projection()).prop_map(|(target, values, projection)| Action::Update {
            target,
            values,
            projection
        }),
        (predicate(), values()).prop_map(|(filter, values)| Action::UpdateMany { filter, values }),
        target().prop_map(|target| Action::Delete { target }),
        predicate().prop_map(|filter| Action::DeleteMany { filter }),
        (target(), values(), values(), projection()).prop_map(|(target, create, update, projection)| {
            Action::Upsert {
                target,
                create,
                update,
                projection,
            }
        }),
    ]
}

static OWN_AND_ALL: LazyLock<World> = LazyLock::new(|| {
    docs(
        "rules:\n  \
             - {id: own, entity: Doc, roles: [user], operations: ['*'], rows: \"ownerId = $user.id\", set: {ownerId: $user.id}}\n  \
             - {id: all, entity: '*', roles: [admin], operations: ['*'], allow_unfiltered: true}\n",
    )
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_plan_makes_decide_panic_or_name_what_is_never_exposed(
        entity in 0_u16..4,
        action in action(),
        role in prop::sample::select(vec!["user", "admin", "nobody"]),
    ) {
        let world = &*OWN_AND_ALL;
        let plan = Plan { entity: EntityId(entity), action };
        let subject = world.subject(&[role]);
        let operation = plan.action.operation();
        let asked = Asked { entity: plan.entity, operation, plan: Some(&plan), refused: ColumnSet::new() };
        for tried in world.policy.trace(&principal(&[role]), &subject, &asked) {
            prop_assert!(!tried.words.is_empty());
        }
        match world.decide(&[role], plan) {
            Ok(grant) => {
                let said = format!("{:?}", grant.terms());
                let hash = format!("{:?}", world.column("Doc", "hash"));
                // No other entity has so many columns, so it is nobody else's name.
                prop_assert!(!said.contains(&hash), "{}", said);
            }
            Err(denied) => {
                denied.client();
                denied.operator();
            }
        }
    }
}

// Terms against a reading of the rules that knows nothing of terms.

/// Columns in play; `ROW` below gives them values.
const NAMES: [&str; 5] = ["ownerId", "tenant", "title", "state", "rank"];

type Row = [Value; 5];

fn row() -> impl Strategy<Value = Row> {
    let owner = prop::sample::select(vec![Value::Null, uuid(ME), uuid(OTHER)]);
    let tenant = prop::sample::select(vec![Value::Null, text("a"), text("b")]);
    let title = prop::sample::select(vec![Value::Null, text("x"), text("y")]);
    let state = prop::sample::select(vec![text("draft"), text("published")]);
    let rank = (0_i64..5).prop_map(Value::Int);
    (owner, tenant, title, state, rank)
        .prop_map(|(owner, tenant, title, state, rank)| [owner, tenant, title, state, rank])
}

/// Row expressions, each beside its meaning as plain code. None is SQL's unknown.
type Meaning = fn(&Row, &Principal) -> Option<bool>;
const EXPRESSIONS: [(&str, Meaning); 8] = [
    ("true", |_, _| Some(true)),
    ("ownerId = $user.id", |[owner, ..], _| {
        known(owner).map(|it| *it == uuid(ME))
    }),
    ("ownerId <> $user.id", |[owner, ..], _| {
        known(owner).map(|it| *it != uuid(ME))
    }),
    ("state = 'published'", |[_, _, _, state, _], _| {
        Some(*state == text("published"))
    }),
    ("tenant = $user.tenantId", |[_, tenant, ..], me| {
        let mine = me.tenant.as_ref()?;
        known(tenant).map(|it| *it == text(mine))
    }),
    (
        "NOT (tenant = $user.tenantId OR rank > 2)",
        |[_, tenant, _, _, rank], me| {
            let mine = me.tenant.as_ref()?;
            let is_small = matches!(rank, Value::Int(..=2));
            match known(tenant) {
                _ if !is_small => Some(false),
                None => None,
                Some(it) => Some(*it != text(mine)),
            }
        },
    ),
    (
        "title IS NULL AND rank IN (1, 2, 3)",
        |[_, _, title, _, rank], _| Some(*title == Value::Null && matches!(rank, Value::Int(1..=3))),
    ),
    (
        "title NOT IN ('x') OR rank = 0",
        |[_, _, title, _, rank], _| match known(title) {
            _ if *rank == Value::Int(0) => Some(true),
            None => None,
            Some(it) => Some(*it != text("x")),
        },
    ),
];

fn known(value: &Value) -> Option<&Value> {
    (*value != Value::Null).then_some(value)
}

#[derive(Clone, Debug)]
struct NaiveRule {
    rows: usize,
    check: Option<usize>,
    read: Vec<usize>,
    write: Vec<usize>,
}

fn naive_rule() -> impl Strategy<Value = NaiveRule> {
    let columns = || prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 0..=NAMES.len());
    (
        0..EXPRESSIONS.len(),
        option::of(0..EXPRESSIONS.len()),
        columns(),
        columns(),
    )
        .prop_map(|(rows, check, read, write)| NaiveRule {
            rows,
            check,
            read,
            write,
        })
}

/// A policy, read rule by rule.
#[derive(Clone, Debug)]
struct Naive {
    rules: Vec<NaiveRule>,
    wall: Option<usize>,
    tenant: Option<String>,
}

fn naive() -> impl Strategy<Value = Naive> {
    let tenant = option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
    (vec(naive_rule(), 1..4), option::of(0..EXPRESSIONS.len()), tenant)
        .prop_map(|(rules, wall, tenant)| Naive { rules, wall, tenant })
}

impl Naive {
    fn me(&self) -> Principal {
        Principal {
            tenant: self.tenant.clone(),
            ..principal(&["user"])
        }
    }

    fn world(&self) -> World {
        let names = |columns: &[usize]| {
            columns
                .iter()
                .map(|nth| NAMES[*nth])
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut rules = "rules:\n".to_owned();
        for (
            nth,
            NaiveRule {
                rows,
                check,
                read,
                write,
            },
        ) in self.rules.iter().enumerate()
        {
            let check = check.map_or_else(String::new, |it| format!("check: \"{}\", ", EXPRESSIONS[it].0));
            writeln!(
                rules,
                "  - {{id: r{nth}, entity: Doc, roles: [user], operations: ['*'], rows: \"{}\", {check}fields: {{read: [{}], write: [{}]}}}}",
                EXPRESSIONS[*rows].0,
                names(read),
                names(write),
            )
            .unwrap();
        }
        if let Some(wall) = self.wall {
            writeln!(
                rules,
                "restrict: [{{entity: Doc, rows: \"{}\"}}]",
                EXPRESSIONS[wall].0
            )
            .unwrap();
        }
        docs(&rules)
    }

    /// Whether the expression is true of the row; never, if it asks for a claim that is absent.
    fn is_true(&self, expression: usize, row: &Row) -> bool {
        (EXPRESSIONS[expression].1)(row, &self.me()) == Some(true)
    }

    fn applies(&self, rule: &NaiveRule) -> bool {
        let needs_tenant = |nth: usize| EXPRESSIONS[nth].0.contains("tenantId");
        let needs = needs_tenant(rule.rows) || rule.check.is_some_and(needs_tenant);
        self.tenant.is_some() || !needs
    }

    fn walled(&self, row: &Row) -> bool {
        self.wall.is_none_or(|wall| self.is_true(wall, row))
    }

    fn rules(&self) -> impl Iterator<Item = &NaiveRule> {
        self.rules.iter().filter(|rule| self.applies(rule))
    }

    fn shows_row(&self, row: &Row) -> bool {
        self.walled(row) && self.rules().any(|rule| self.is_true(rule.rows, row))
    }

    fn shows(&self, row: &Row, column: usize) -> bool {
        self.walled(row)
            && self
                .rules()
                .any(|rule| rule.read.contains(&column) && self.is_true(rule.rows, row))
    }

    fn changes(&self, before: &Row, after: &Row, written: &[usize]) -> bool {
        self.walled(before)
            && self.walled(after)
            && self.rules().any(|rule| {
                written.iter().all(|column| rule.write.contains(column))
                    && self.is_true(rule.rows, before)
                    && self.is_true(rule.check.unwrap_or(rule.rows), after)
            })
    }

    fn makes(&self, after: &Row, written: &[usize]) -> bool {
        self.walled(after)
            && self.rules().any(|rule| {
                written.iter().all(|column| rule.write.contains(column))
                    && self.is_true(rule.check.unwrap_or(rule.rows), after)
            })
    }
}

fn says(world: &World, predicate: &Predicate, row: &Row) -> Option<bool> {
    let columns = world.columns("Doc", &NAMES);
    evaluate(predicate, &|column| {
        columns.iter().position(|it| *it == column).map(|nth| &row[nth])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn reads_show_exactly_what_some_rule_shows(
        naive in naive(),
        rows in vec(row(), 8),
        wanted in prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..=NAMES.len()),
        probed in option::of(0..NAMES.len()),
    ) {
        let world = naive.world();
        let subject = world.policy.subject(&naive.me());
        let names: Vec<&str> = wanted.iter().map(|nth| NAMES[*nth]).collect();
        let is_null = |nth: usize| Predicate::IsNull { column: world.column("Doc", NAMES[nth]) };
        // Says something of the column either way, so that every row would pass if only it were seen.
        let filter = probed.map_or(Predicate::True, |nth| Predicate::Or(vec![is_null(nth), Predicate::Not(Box::new(is_null(nth)))]));
        let readable: ColumnSet = naive.rules().flat_map(|rule| &rule.read).map(|nth| world.column("Doc", NAMES[*nth])).collect();
        let decided = world.policy.decide(&subject, world.list("Doc", filter, &names));
        let is_probed_readable = probed.is_none_or(|nth| readable.contains(world.column("Doc", NAMES[nth])));
        let is_any_readable = world.columns("Doc", &names).iter().any(|column| readable.contains(*column));
        prop_assert_eq!(decided.is_ok(), is_probed_readable && is_any_readable, "{:?}", decided);
        let Ok(grant) = decided else { return Ok(()) };
        let terms = grant.terms();
        let Action::List { projection, .. } = &terms.plan.action else { panic!() };
        for row in &rows {
            let is_shown = says(&world, &terms.read.rows, row) == Some(true);
            let expected = naive.shows_row(row) && probed.is_none_or(|nth| naive.shows(row, nth));
            prop_assert_eq!(is_shown, expected, "{:?}\n{:?}", row, terms);
            for nth in wanted.iter().filter(|_| is_shown) {
                let column = world.column("Doc", NAMES[*nth]);
                let mask = terms.read.masks.iter().find(|mask| mask.column == column);
                let is_unmasked = mask.is_none_or(|mask| says(&world, &mask.shown_when, row) == Some(true));
                let is_column_shown = projection.contains(&column) && is_unmasked;
                prop_assert_eq!(is_column_shown, naive.shows(row, *nth), "{} of {:?}\n{:?}", NAMES[*nth], row, terms);
            }
        }
    }

    #[test]
    fn writes_do_exactly_what_one_rule_allows(
        naive in naive(),
        rows in vec(row(), 8),
        new in row(),
        written in prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..=3),
    ) {
        let world = naive.world();
        let subject = world.policy.subject(&naive.me());
        let values: Vec<(&str, Value)> =
            written.iter().map(|nth| (NAMES[*nth], new[*nth].clone())).collect();
        let update = world.policy.decide(&subject, world.update("Doc", ME, &values));
        let create = world.policy.decide(&subject, world.create("Doc", &values));
        let delete = world.policy.decide(&subject, world.delete("Doc", ME));
        for before in &rows {
            let mut after = before.clone();
            for nth in &written {
                after[*nth] = new[*nth].clone();
            }
            let ways = update.as_ref().map_or(&[][..], |grant| &grant.terms().write);
            let is_changed = ways.iter().any(|way| {
                says(&world, &way.before, before) == Some(true) && says(&world, &way.after, &after) == Some(true)
            });
            prop_assert_eq!(is_changed, naive.changes(before, &after, &written), "{:?}\n{:?}", before, update);
            let is_made = create.as_ref().is_ok_and(|grant| says(&world, &grant.terms().create, &after) == Some(true));
            prop_assert_eq!(is_made, naive.makes(&after, &written), "{:?}\n{:?}", after, create);
            let ways = delete.as_ref().map_or(&[][..], |grant| &grant.terms().write);
            let is_deleted = ways.iter().any(|way| says(&world, &way.before, before) == Some(true));
            prop_assert_eq!(is_deleted, naive.shows_row(before), "{:?}\n{:?}", before, delete);
        }
    }
}

/// What a trace says of each rule, beside what the decision made of it.
fn agrees(world: &World, me: &Principal, plan: Plan) -> Result<(), TestCaseError> {
    let subject = world.policy.subject(me);
    let operation = plan.action.operation();
    let asked = Asked {
        entity: plan.entity,
        operation,
        plan: Some(&plan),
        refused: ColumnSet::new(),
    };
    let tried = world.policy.trace(me, &subject, &asked);
    let ids = |wanted: fn(Effect) -> bool| -> Vec<&str> {
        let found = tried.iter().filter(|it| wanted(it.effect)).map(|it| &*it.id);
        found.collect()
    };
    let is_read = matches!(operation, Operation::Read | Operation::List);
    // A rule whose condition is false for the caller still has its say, and so has one that hides what rows are found by.
    let granting = if is_read {
        ids(|it| {
            matches!(
                it,
                Effect::Grants | Effect::Hindered(Hurdle::NoRow | Hurdle::Hides(_))
            )
        })
    } else {
        ids(|it| matches!(it, Effect::Grants | Effect::Hindered(Hurdle::NoRow)))
    };
    match world.policy.decide(&subject, plan.clone()) {
        Ok(grant) => prop_assert_eq!(grant.rules().collect::<Vec<_>>(), granting, "{:?}", tried),
        Err(denied) => match denied.reason() {
            Reason::UnknownEntity | Reason::NotGranted | Reason::NotWritable(_) => {
                prop_assert!(granting.is_empty(), "{:?} {:?}", denied, tried);
            }
            // Rules cover what is written, and no row is left of theirs.
            Reason::Restricted => prop_assert!(!granting.is_empty(), "{:?} {:?}", denied, tried),
            // Of hidden fields, which no rule shows or lets be written.
            Reason::Fields(_) => prop_assert!(
                ids(|it| it == Effect::Grants).is_empty() || is_read,
                "{:?} {:?}",
                denied,
                tried
            ),
            Reason::Forbidden
            | Reason::Forced(_)
            | Reason::Unfiltered
            | Reason::TooComplex { .. }
            | Reason::TooLarge(_)
            | Reason::Malformed(_)
            | Reason::Unsupported(_)
            | Reason::StaleSubject
            | Reason::Unencodable => prop_assert!(false, "no such plan was made: {:?}", denied),
        },
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_trace_says_of_each_rule_what_the_decision_made_of_it(
        naive in naive(),
        new in row(),
        written in prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..=3),
        wanted in prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 1..=NAMES.len()),
        probed in 0..NAMES.len(),
    ) {
        let world = naive.world();
        let names: Vec<&str> = wanted.iter().map(|nth| NAMES[*nth]).collect();
        let values: Vec<(&str, Value)> =
            written.iter().map(|nth| (NAMES[*nth], new[*nth].clone())).collect();
        let filter = Predicate::IsNull { column: world.column("Doc", NAMES[probed]) };
        for plan in [
            world.list("Doc", Predicate::True, &names),
            world.list("Doc", filter, &names),
            world.update("Doc", ME, &values),
            world.create("Doc", &values),
            world.delete("Doc", ME),
        ] {
            agrees(&world, &naive.me(), plan)?;
        }
    }
}

#[test]
fn the_operations_of_the_naive_reading_are_those_of_the_policy() {
    // `['*']` above stands for all five; a sixth would need a law of its own.
    assert_eq!(Operation::ALL.len(), 5);
}
