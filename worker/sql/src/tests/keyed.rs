//! Reads of several keys at once.

use dbal_shared::plan::{Action, Target};
use dbal_shared::value::Value;

use super::{Fixture, T, text};
use crate::{Dialect, Keyed, KeyedShape, MARIADB, POSTGRES, SQLITE, ValidPlan};

/// The statements that read several keys at once: one of them, then three where each is a parameter.
pub(super) fn statements(plan: &ValidPlan, dialect: &'static Dialect) -> Vec<(String, usize)> {
    let Some(keyed) = Keyed::of_plan(plan, dialect).unwrap() else {
        return Vec::new();
    };
    let several = keyed.of_each(&[text("MARKER1"), text("MARKER2"), text("MARKER3")]);
    let both = std::iter::once(keyed.statement()).chain(&several);
    both.map(|one| (one.sql().to_owned(), one.parameters().len()))
        .collect()
}

#[test]
fn reads_that_differ_in_the_key_become_one_of_a_few_statements() {
    let fixture = Fixture::new();
    let read = |target| {
        let projection = vec![fixture.column("title")];
        let includes = Vec::new();
        fixture.plan(
            &["writer"],
            Action::Read {
                target,
                projection,
                includes,
            },
        )
    };
    let plan = read(fixture.target());
    let begin = "SELECT T.`isbn`, T.`title` FROM T WHERE (T.`isbn` IN (";
    let mariadb = |keys: usize| {
        let keyed = Keyed::of_plan(&plan, &MARIADB).unwrap().unwrap();
        let keys: Vec<Value> = (0..keys).map(|nth| text(&nth.to_string())).collect();
        let statement = keyed.of_each(&keys).unwrap();
        let sql = statement.sql().replace("`the \"books\"`", "T");
        (sql, statement.parameters().to_vec())
    };
    let end = ")) AND (T.`author` = ?)";
    assert_eq!(mariadb(1).0, format!("{begin}?{end}"));
    assert_eq!(mariadb(2).0, format!("{begin}?, ?{end}"));
    let (sql, parameters) = mariadb(3);
    assert_eq!((sql, parameters.len()), (format!("{begin}?, ?, ?, ?{end}"), 5));
    assert_eq!(parameters[..4], [text("0"), text("1"), text("2"), text("2")]);
    assert_eq!(parameters[4], mariadb(1).1[1]);
    let keyed = Keyed::of_plan(&plan, &POSTGRES).unwrap().unwrap();
    assert_eq!(
        keyed.statement().sql().replace(T, "T"),
        r#"SELECT T."isbn", T."title" FROM T WHERE (T."isbn" = ANY($1)) AND (T."author" = $2::int8)"#
    );
    assert_eq!(
        keyed.of_each(&[text("0")]),
        None,
        "there the list is one parameter"
    );
    assert!(Keyed::of_plan(&plan, &SQLITE).unwrap().is_none());
    let id = Target {
        column: fixture.column("id"),
        value: Value::Int(7),
    };
    let shape = KeyedShape::of_plan(&plan, &MARIADB).unwrap();
    assert_eq!(shape.key_of(&plan), Some(&fixture.target().value));
    assert_eq!(shape.key_of(&read(id)), None, "another column");
    let others = Target {
        value: text("MARKER9"),
        ..fixture.target()
    };
    assert_eq!(shape.key_of(&read(others)), Some(&text("MARKER9")));
    assert!(KeyedShape::of_plan(&plan, &SQLITE).is_none());
}

/// What the statement is made of beside the key: who differs there would get another's answer.
#[test]
fn only_reads_that_differ_in_nothing_but_the_key_are_alike() {
    let fixture = Fixture::new();
    let read = |roles: &[&str], fields: &[&str]| {
        let action = Action::Read {
            target: Target {
                column: fixture.column("id"),
                value: Value::Int(7),
            },
            projection: fields.iter().map(|name| fixture.column(name)).collect(),
            includes: Vec::new(),
        };
        fixture.plan(roles, action)
    };
    let plan = read(&["writer"], &["title"]);
    let shape = KeyedShape::of_plan(&plan, &POSTGRES).unwrap();
    assert!(shape.key_of(&read(&["writer"], &["title"])).is_some());
    for (roles, fields) in [
        (&["writer"][..], &["title", "price"][..]),
        (&["writer"], &["price"]),
        (&["reader"], &["title"]),
    ] {
        let other = read(roles, fields);
        assert!(shape.key_of(&other).is_none(), "{roles:?} {fields:?}");
    }
    let of_another = fixture.plan_of("2", &["writer"], plan.action().clone());
    assert!(shape.key_of(&of_another).is_none(), "of another caller");
    // One who sees more rows sees some cells only in some of them.
    let masked = fixture.plan(&["writer", "reader"], plan.action().clone());
    assert!(shape.key_of(&masked).is_none());
    let schema_again = Fixture::new();
    let same_words = schema_again.plan(&["writer"], plan.action().clone());
    assert!(shape.key_of(&same_words).is_none(), "of another schema");
}
