//! Numbers over rows.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::{Action, Function, Measure, Total};
use dbal_shared::predicate::Predicate;
use dbal_shared::value::Value;
use serde_json::json;

use super::{Bench, Ground, Told};
use crate::fixture::{ALICE, BOB, text};

impl<B: Bench> Ground<B> {
    fn aggregate(
        &self,
        filter: Predicate,
        groups: &[&str],
        count: Total,
        measures: &[(Function, &str)],
        limit: u32,
    ) -> serde_json::Value {
        let measure = |(function, name): &(Function, &str)| Measure {
            function: *function,
            column: self.fixture.column("Note", name),
        };
        let action = Action::Aggregate {
            filter,
            groups: self.fixture.projection("Note", groups),
            count,
            measures: measures.iter().map(measure).collect(),
            limit,
        };
        self.run((ALICE, "user"), "Note", action).unwrap()
    }
}

pub(in crate::database) fn rows_are_counted_summed_and_grouped<B: Bench>() {
    let ground = Ground::<B>::new();
    for (owner, slug, state, rank, price) in [
        (ALICE, "a", "draft", Value::Int(1), "10"),
        (ALICE, "b", "draft", Value::Int(4), "9.5"),
        (ALICE, "c", "published", Value::Null, "-1"),
        (BOB, "d", "published", Value::Int(7), "100"),
        (BOB, "e", "draft", Value::Int(1_000), "1"),
    ] {
        ground.note(
            owner,
            &[
                ("slug", text(slug)),
                ("state", text(state)),
                ("rank", rank),
                ("price", Value::Decimal(price.to_owned())),
                ("remark", text(slug)),
            ],
        );
    }
    let numbers = [
        (Function::Sum, "rank"),
        (Function::Min, "price"),
        (Function::Average, "rank"),
        (Function::Max, "price"),
        (Function::Max, "slug"),
    ];
    assert_eq!(
        ground.aggregate(Predicate::True, &["state"], Total::Counted, &numbers, 10),
        json!({
            "data": [
                {"group": {"state": "draft"}, "count": 2, "sum": {"rank": 5}, "avg": {"rank": 2.5},
                 "min": {"price": "9.5"}, "max": {"price": "10", "slug": "b"}},
                {"group": {"state": "published"}, "count": 2, "sum": {"rank": 7}, "avg": {"rank": 7.0},
                 "min": {"price": "-1"}, "max": {"price": "100", "slug": "d"}},
            ],
            "limit": 10,
            "hasMore": false,
        })
    );
    // Without groups one object, of no rows too.
    assert_eq!(
        ground.aggregate(Predicate::True, &[], Total::Skipped, &numbers[..1], 10),
        json!({"sum": {"rank": 12}})
    );
    let none = ground.fixture.eq("Note", "slug", text("z"));
    assert_eq!(
        ground.aggregate(none.clone(), &[], Total::Counted, &numbers[..1], 10),
        json!({"count": 0, "sum": {"rank": null}})
    );
    assert_eq!(
        ground.aggregate(none, &["state"], Total::Counted, &[], 10),
        json!({"data": [], "limit": 10, "hasMore": false})
    );
    // Another's remarks are hidden, so their rows are in no group of remarks.
    assert_eq!(
        ground.aggregate(Predicate::True, &["remark"], Total::Counted, &[], 2),
        json!({
            "data": [{"group": {"remark": "a"}, "count": 1}, {"group": {"remark": "b"}, "count": 1}],
            "limit": 2,
            "hasMore": true,
        })
    );
    assert_eq!(
        ground.aggregate(
            Predicate::True,
            &[],
            Total::Counted,
            &[(Function::Max, "remark")],
            10
        ),
        json!({"count": 3, "max": {"remark": "c"}})
    );
}

impl<B: Bench> Ground<B> {
    fn samples(rows: &[&[(&str, Value)]]) -> Self {
        let ground = Self::new();
        for (nth, row) in rows.iter().enumerate() {
            let mut values = vec![("id", Value::Int(i64::try_from(nth).unwrap()))];
            values.extend_from_slice(row);
            let action = Action::Create {
                values: ground.fixture.values("Sample", &values),
                projection: Vec::new(),
            };
            ground.run((ALICE, "admin"), "Sample", action).unwrap();
        }
        ground
    }

    fn numbers_of_samples(&self, groups: &[&str], measures: &[(Function, &str)]) -> Told {
        let measure = |(function, name): &(Function, &str)| Measure {
            function: *function,
            column: self.fixture.column("Sample", name),
        };
        let action = Action::Aggregate {
            filter: Predicate::True,
            groups: self.fixture.projection("Sample", groups),
            count: Total::Counted,
            measures: measures.iter().map(measure).collect(),
            limit: 100,
        };
        self.run((ALICE, "admin"), "Sample", action)
    }

    fn too_large(&self, columns: &[&str]) -> Told {
        let fault = |column: &&str| (self.fixture.column("Sample", column), Fault::SumTooLarge);
        Err((Code::Invalid, columns.iter().map(fault).collect()))
    }
}

pub(in crate::database) fn sums_are_exact_in_any_order_and_an_error_beyond_64_bits<B: Bench>() {
    let whole = |number: i64| [("whole", Value::Int(number))];
    let (max, min) = (i64::MAX, i64::MIN);
    for (numbers, sum, mean) in [
        // Sums on the way are beyond 64 bits, the last is not.
        (&[max, 1, -1][..], Some(max), 3.074_457_345_618_258_6e18),
        (&[max, max, min, min], Some(-2), -0.5),
        (&[1, 2], Some(3), 1.5),
        (&[max, 1], None, 4.611_686_018_427_388e18),
        (&[min, min], None, -9.223_372_036_854_776e18),
        (
            &[i64::MAX.saturating_sub(1), 1],
            Some(max),
            4.611_686_018_427_388e18,
        ),
    ] {
        let rows: Vec<_> = numbers.iter().map(|number| whole(*number)).collect();
        let rows: Vec<&[(&str, Value)]> = rows.iter().map(|row| &row[..]).collect();
        let ground = Ground::<B>::samples(&rows);
        let told = ground.numbers_of_samples(&[], &[(Function::Sum, "whole")]);
        match sum {
            Some(sum) => {
                let sum = if sum.abs() < 1 << 53 {
                    json!(sum)
                } else {
                    json!(sum.to_string())
                };
                let expected = json!({"count": numbers.len(), "sum": {"whole": sum}});
                assert_eq!(told.unwrap(), expected, "{numbers:?}");
            }
            None => assert_eq!(told, ground.too_large(&["whole"]), "{numbers:?}"),
        }
        let told = ground.numbers_of_samples(&[], &[(Function::Average, "whole")]);
        let expected = json!({"count": numbers.len(), "avg": {"whole": mean}});
        assert_eq!(told.unwrap(), expected, "{numbers:?}");
    }
}

pub(in crate::database) fn sums_of_decimals_are_exact_in_any_order<B: Bench>() {
    let row = |text: &str| [("exact", Value::Decimal(text.to_owned()))];
    for (decimals, sum, mean) in [
        (&["0.1", "0.2"][..], "0.3", 0.15),
        (&["-0.5", "0.5"], "0", 0.0),
        (
            &["12.5", "-0.000000000000000000000000000001"],
            "12.499999999999999999999999999999",
            6.25,
        ),
        (
            &["99999999999999999999.99", "0.01", "-100000000000000000001"],
            "-1",
            -0.333_333_333_333_333_3,
        ),
        // More digits than a column of MariaDB's has place for.
        (
            &[
                "99999999999999999999999999999999999",
                "99999999999999999999999999999999999",
            ],
            "199999999999999999999999999999999998",
            1e35,
        ),
        (
            &["12345678901234567890.1", "12345678901234567890.2"],
            "24691357802469135780.3",
            1.234_567_890_123_456_8e19,
        ),
    ] {
        let rows: Vec<_> = decimals.iter().map(|text| row(text)).collect();
        let mut rows: Vec<&[(&str, Value)]> = rows.iter().map(|row| &row[..]).collect();
        // NULL adds nothing and does not count.
        rows.push(&[]);
        let ground = Ground::<B>::samples(&rows);
        let numbers = [(Function::Sum, "exact"), (Function::Average, "exact")];
        assert_eq!(
            ground.numbers_of_samples(&[], &numbers).unwrap(),
            json!({"count": rows.len(), "sum": {"exact": sum}, "avg": {"exact": mean}}),
            "{decimals:?}"
        );
        // Of groups, too, for which some databases keep what they have added up so far in the column's own type.
        let groups = ground.numbers_of_samples(&["text", "flag"], &numbers).unwrap();
        assert_eq!(
            (
                &groups["data"][0]["sum"]["exact"],
                &groups["data"][0]["avg"]["exact"]
            ),
            (&json!(sum), &json!(mean)),
            "{decimals:?}"
        );
    }
    let ground = Ground::<B>::samples(&[&[]]);
    assert_eq!(
        ground
            .numbers_of_samples(&[], &[(Function::Sum, "exact")])
            .unwrap(),
        json!({"count": 1, "sum": {"exact": null}})
    );
}

pub(in crate::database) fn a_sum_of_floats_that_is_infinite_is_the_same_error<B: Bench>() {
    let row = |real: f64, whole: i64| [("real", Value::Float(real)), ("whole", Value::Int(whole))];
    let ground = Ground::<B>::samples(&[&row(1.7e308, 1), &row(1.7e308, 2)]);
    for function in [Function::Sum, Function::Average] {
        let told = ground.numbers_of_samples(&[], &[(Function::Sum, "whole"), (function, "real")]);
        assert_eq!(told, ground.too_large(&["real"]), "{function:?}");
    }
    assert_eq!(
        ground
            .numbers_of_samples(
                &["whole"],
                &[(Function::Sum, "real"), (Function::Average, "real")]
            )
            .unwrap()["data"],
        json!([
            {"group": {"whole": 1}, "count": 1, "sum": {"real": 1.7e308}, "avg": {"real": 1.7e308}},
            {"group": {"whole": 2}, "count": 1, "sum": {"real": 1.7e308}, "avg": {"real": 1.7e308}},
        ])
    );
}

pub(in crate::database) fn rows_are_grouped_by_values_of_every_type_with_null_first<B: Bench>() {
    let full = [
        ("whole", Value::Int(i64::MIN)),
        ("real", Value::Float(-0.0)),
        ("exact", Value::Decimal("12345678901234567890.5".to_owned())),
        ("flag", Value::Bool(false)),
        ("text", text("e\u{301} ")),
        ("day", Value::Date(-719_162)),
        ("time", Value::Timestamp(-62_135_596_800_000)),
        ("key", Value::Uuid([0xff; 16])),
        ("bytes", Value::Bytes(vec![0, 255])),
    ];
    let ground = Ground::<B>::samples(&[&full, &[], &full, &[]]);
    let told = ground.run(
        (ALICE, "admin"),
        "Sample",
        ground
            .fixture
            .list("Sample", Predicate::True, &full.clone().map(|(name, _)| name)),
    );
    let row = &told.unwrap()["data"][0];
    for (name, _) in &full {
        let list = ground.numbers_of_samples(&[name], &[]).unwrap();
        assert_eq!(
            list["data"],
            json!([
                {"group": {*name: null}, "count": 2},
                {"group": {*name: row[name]}, "count": 2},
            ]),
            "{name}"
        );
        if ["flag", "key", "bytes"].contains(name) {
            continue;
        }
        let extremes = [(Function::Min, *name), (Function::Max, *name)];
        assert_eq!(
            ground.numbers_of_samples(&[], &extremes).unwrap(),
            json!({"count": 4, "min": {*name: row[name]}, "max": {*name: row[name]}}),
            "{name}"
        );
    }
    let zeros = [-0.0, 0.0].map(|zero| [("real", Value::Float(zero))]);
    let ground = Ground::<B>::samples(&[&zeros[0], &zeros[1]]);
    let list = ground.numbers_of_samples(&["real"], &[]).unwrap();
    assert_eq!(
        list["data"].as_array().map(Vec::len),
        Some(1),
        "both zeros are one"
    );
}
