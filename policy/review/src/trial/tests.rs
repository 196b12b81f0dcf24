//! Cases that pass, cases that fail and say why, and the shipped example.

use std::path::Path;
use std::sync::Arc;

use dbal_schema::Schema;

use super::*;
use crate::fixture::policy;

const ENTITIES: &str = r"
entity: Note
fields:
  id: {type: integer, primary: true}
  owner: {type: string}
  state: {type: enum, values: [draft, published], default: draft}
  secret: {type: string, nullable: true}
";

const RULES: &str = r#"
version: 1
roles: {user: {}}
rules:
  - {id: own, entity: Note, roles: [user], operations: ["*"], rows: "owner = $user.id"}
  - {id: open, entity: Note, roles: [user], operations: [read], rows: "state = 'published'", fields: {read: [id, state]}}
"#;

const ROWS: &str = "
version: 1
rows: {Note: [{id: 1, owner: a, secret: s}, {id: 2, owner: b, state: published}, {id: 3, owner: b}]}
people: {a: {id: a, roles: [user]}}
cases:
";

fn source(text: String) -> Source {
    Source {
        name: "tests.yaml".to_owned(),
        text,
    }
}

/// Expected and got, where the case fails.
fn tried(case: &str) -> Option<(String, String)> {
    let tested = test(
        &policy(ENTITIES, RULES),
        &source(format!("{ROWS}  - {{name: it, as: a, {case}}}\n")),
    );
    let tested = tested.unwrap_or_else(|problems| panic!("{problems}"));
    let failure = tested.cases[0].failure.clone();
    failure.map(|failure| (failure.expected, failure.got))
}

#[test]
fn what_is_expected_passes() {
    for case in [
        "do: {method: list, entity: Note}, expect: {rows: [1, 2], count: 2}",
        "do: {method: list, entity: Note}, expect: {rows: [{id: 2, owner: null}, {id: 1, secret: s}]}",
        "do: {method: list, entity: Note, options: {sort: {id: desc}}}, expect: {rows: [2, 1]}",
        "do: {method: list, entity: Note, options: {page: 2, limit: 1}}, expect: {rows: [2], count: 2}",
        "do: {method: list, entity: Note, options: {filter: {id: 2}}}, expect: {fields: [id, state]}",
        "do: {method: read, entity: Note, id: 3}, expect: denied",
        "do: {method: findFirst, entity: Note, filter: {secret: s}}, expect: {rows: [1]}",
        "do: {method: count, entity: Note}, expect: {count: 2}",
        "do: {method: create, entity: Note, data: {id: 9, owner: a}}, expect: {rows: [{id: 9, state: draft}]}",
        "do: {method: create, entity: Note, data: {id: 9, owner: b}}, expect: 403",
        "do: {method: create, entity: Note, data: {id: 1, owner: a}}, expect: 409",
        "do: {method: create, entity: Note, data: {id: x, owner: a}}, expect: 422",
        "do: {method: update, entity: Note, id: 1, data: {owner: b}}, expect: 403",
        "do: {method: update, entity: Note, id: 2, data: {state: draft}}, expect: 404",
        "do: {method: updateMany, entity: Note, filter: {state: draft}, data: {secret: x}}, expect: {count: 1}",
        "do: {method: deleteMany, entity: Note, filter: {id: {gt: 1}}}, expect: denied",
        "do: {method: delete, entity: Note, id: 1}, expect: allowed",
        "do: {method: list, entity: Nope}, expect: 404",
        "do: {method: list, entity: Note}, rows: {Note: [{id: 7, owner: a}]}, expect: {rows: [1, 2, 7]}",
    ] {
        assert_eq!(tried(case), None, "{case}");
    }
}

#[test]
fn what_is_not_expected_fails_and_says_what_came() {
    for (case, expected, got) in [
        (
            "do: {method: list, entity: Note}, expect: denied",
            "denied",
            "an answer, 2 rows",
        ),
        (
            "do: {method: list, entity: Note}, expect: {rows: [1, 3]}",
            "(missing: 3)",
            "1, 2 (too many: 2)",
        ),
        (
            "do: {method: list, entity: Note}, expect: {rows: [1]}",
            "the rows 1",
            "too many: 2",
        ),
        (
            "do: {method: list, entity: Note, options: {sort: {id: desc}}}, expect: {rows: [1, 2]}",
            "the rows 1, 2",
            "2, 1",
        ),
        (
            "do: {method: list, entity: Note}, expect: {fields: [id, state]}",
            "the fields id, state",
            "in the row 1",
        ),
        (
            "do: {method: read, entity: Note, id: 1}, expect: 403",
            "error 403",
            "an answer, 1 rows",
        ),
        (
            "do: {method: read, entity: Note, id: 3}, expect: allowed",
            "allowed",
            "no row",
        ),
        (
            "do: {method: create, entity: Note, data: {id: 9, owner: b}}, expect: allowed",
            "allowed",
            "error 403",
        ),
        (
            "do: {method: list, entity: Note, options: {include: {x: true}}}, expect: allowed",
            "allowed",
            "error",
        ),
    ] {
        let (wanted, came) = tried(case).unwrap_or_else(|| panic!("{case} passes"));
        assert!(
            wanted.contains(expected) && came.contains(got),
            "{case}: {wanted} / {came}"
        );
    }
}

#[test]
fn mistakes_in_the_file_are_told_with_their_place() {
    for (case, expected) in [
        (
            "name: a, as: b, do: {method: list, entity: Note}, expect: denied",
            "tests.yaml:6:19: `people` knows no `b`",
        ),
        (
            "name: a, as: a, do: {method: lst, entity: Note}, expect: denied",
            "`lst` is no method",
        ),
        (
            "name: a, as: a, do: {method: list, entitty: Note}, expect: denied",
            "`list` has no parameter `entitty`",
        ),
        (
            "name: a, as: a, do: {method: list, entity: Note}, expect: maybe",
            "`expect` is `allowed`",
        ),
        (
            "name: a, as: a, do: {method: list, entity: Note}, expect: 999",
            "there is no error 999",
        ),
        (
            "name: a, as: a, do: {method: list, entity: Note}",
            "has no `expect`",
        ),
        (
            "name: a, as: a, rows: {Note: [{idd: 1}]}, do: {method: list, entity: Note}, expect: denied",
            "no field `idd`; did you mean `id`?",
        ),
        (
            "name: a, as: a, rows: {Note: [{id: x}]}, do: {method: list, entity: Note}, expect: denied",
            "`id` must be an integer",
        ),
    ] {
        let problems = test(
            &policy(ENTITIES, RULES),
            &source(format!("{ROWS}  - {{{case}}}\n")),
        )
        .unwrap_err();
        assert!(problems.to_string().contains(expected), "{case}: {problems}");
    }
}

#[test]
fn reports_hold_names_counts_and_no_markup_of_their_own() {
    let cases = "  - {name: 'a <b> & \"c\"', as: a, do: {method: list, entity: Note}, expect: denied}\n  \
                 - {name: fine, as: a, do: {method: count, entity: Note}, expect: allowed}\n";
    let tested = test(&policy(ENTITIES, RULES), &source(format!("{ROWS}{cases}"))).unwrap();
    let tested = [tested];
    let text = terminal(&tested);
    assert!(
        text.contains("FAIL  a <b>") && text.contains("because  granted by own, open"),
        "{text}"
    );
    assert!(text.ends_with("2 cases, 1 failed\n"), "{text}");
    let xml = junit(&tested);
    assert!(
        xml.contains("name=\"a &lt;b&gt; &amp; &quot;c&quot;\"") && xml.contains("failures=\"1\""),
        "{xml}"
    );
    let value: serde_json::Value = serde_json::from_str(&json(&tested)).unwrap();
    assert_eq!(
        (&value["failed"], &value["files"][0]["cases"][1]["passed"]),
        (&1.into(), &true.into())
    );
}

/// The shipped example with many customers: it loads under its invariants, and its tests pass.
#[test]
fn the_example_with_many_tenants_keeps_its_invariants_and_passes_its_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tracker");
    let schema = Arc::new(Schema::load(&folder.join("entities")).unwrap().schema);
    let load = |name: &str| Source {
        name: name.to_owned(),
        text: std::fs::read_to_string(folder.join(name)).unwrap(),
    };
    let (rules, invariants) = (load("acl.yaml"), load("invariants.yaml"));
    let loaded = Policy::uphold(&rules, Some(&invariants), Arc::clone(&schema));
    let policy = loaded.unwrap_or_else(|error| panic!("{error}")).policy;
    let tested = [test(&policy, &load("tests.yaml")).unwrap_or_else(|problems| panic!("{problems}"))];
    assert_eq!(tested[0].failed(), 0, "{}", terminal(&tested));
    assert!(tested[0].cases.len() > 25);

    // Both can go red: the wall is what keeps tenants apart, and a wider rule is noticed.
    let open = Source {
        text: rules.text.replace(
            "    except: [Organisation]\n",
            "    except: [Organisation, Project]\n",
        ),
        ..rules.clone()
    };
    let broken = Policy::uphold(&open, Some(&invariants), Arc::clone(&schema))
        .unwrap_err()
        .to_string();
    assert!(
        broken.contains("invariant `no-rule-crosses-tenants`") && broken.contains("rule `projects-open`"),
        "{broken}"
    );
    let wider = Source {
        text: rules.text.replace(
            "rows: \"visibility = 'organisation'\"",
            "rows: \"visibility IS NOT NULL\"",
        ),
        ..rules
    };
    let wider = Policy::parse(&wider, schema).unwrap().policy;
    assert!(test(&wider, &load("tests.yaml")).unwrap().failed() > 0);
}
