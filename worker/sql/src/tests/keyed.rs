//! Reads of several keys at once.

use dbal_shared::plan::{Action, Target};
use dbal_shared::value::Value;

use super::{Fixture, T, text};
use crate::{Dialect, Keyed, MARIADB, POSTGRES, SQLITE, ValidPlan};

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
    let other = Keyed::of_plan(&read(id), &MARIADB).unwrap().unwrap();
    let one = Keyed::of_plan(&plan, &MARIADB).unwrap().unwrap();
    assert!(!one.is_alike(&other) && one.is_alike(&Keyed::of_plan(&plan, &MARIADB).unwrap().unwrap()));
}
