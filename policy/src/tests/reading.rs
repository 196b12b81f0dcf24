//! Rows and columns that reads grant.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::{Action, Function, Measure, Page, Total};
use dbal_shared::predicate::{Case, Predicate, TextPosition};
use dbal_shared::terms::Mask;
use dbal_shared::value::Value;

use super::world::{ME, World, docs, text, uuid};
use crate::Reason;

/// Everybody sees titles of published documents; oneself sees all of one's own.
fn two_rules() -> World {
    docs(
        "rules:\n  \
         - {id: published, entity: Doc, roles: [user], operations: [read], rows: \"state = 'published'\", fields: {read: [id, title, state]}}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [read], rows: \"ownerId = $user.id\", fields: {read: ['*', '-tenant']}}\n",
    )
}

#[test]
fn two_rules_with_different_rows_and_columns_give_masks() {
    let world = two_rules();
    let published = world.eq("Doc", "state", text("published"));
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let grant = world
        .decide(
            &["user"],
            world.list("Doc", Predicate::True, &["title", "secret"]),
        )
        .unwrap();
    let read = &grant.terms().read;
    assert_eq!(read.rows, Predicate::Or(vec![published.clone(), own.clone()]));
    let secret = Mask {
        column: world.column("Doc", "secret"),
        shown_when: own,
    };
    assert_eq!(read.masks, [secret]);
    // What all rules show needs no mask.
    let grant = world
        .decide(&["user"], world.list("Doc", Predicate::True, &["title"]))
        .unwrap();
    assert_eq!(grant.terms().read.masks, []);
}

#[test]
fn a_user_cannot_learn_a_hidden_field_by_filtering_or_sorting_on_it() {
    let world = two_rules();
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let secret = world.column("Doc", "secret");
    for filter in [
        world.eq("Doc", "secret", text("x")),
        Predicate::Not(Box::new(world.eq("Doc", "secret", text("x")))),
        Predicate::Or(vec![
            world.eq("Doc", "title", text("t")),
            Predicate::IsNull { column: secret },
        ]),
        Predicate::In {
            column: secret,
            values: Vec::new(),
        },
        Predicate::Between {
            column: secret,
            low: text("a"),
            high: text("b"),
        },
        Predicate::CompareColumns {
            left: world.column("Doc", "title"),
            op: dbal_shared::predicate::Comparison::Lt,
            right: secret,
        },
        Predicate::Matches {
            column: secret,
            position: TextPosition::StartsWith,
            text: "x".to_owned(),
            case: Case::Insensitive,
        },
    ] {
        let grant = world
            .decide(&["user"], world.list("Doc", filter.clone(), &["title", "secret"]))
            .unwrap();
        assert_eq!(grant.terms().read.rows, own, "{filter:?}");
        assert_eq!(grant.terms().read.masks, [], "shown wherever the filter reaches");
        let count = world.plan("Doc", Action::Count { filter });
        assert_eq!(world.decide(&["user"], count).unwrap().terms().read.rows, own);
    }
    let grant = world
        .decide(&["user"], world.sorted("Doc", "secret", &["title"]))
        .unwrap();
    assert_eq!(grant.terms().read.rows, own);
}

#[test]
fn a_column_that_is_never_shown_is_an_unknown_one() {
    let world = two_rules();
    for hidden in ["tenant", "hash"] {
        let column = world.column("Doc", hidden);
        let filter = world.eq("Doc", hidden, text("x"));
        for plan in [
            world.list("Doc", filter.clone(), &["title"]),
            world.list("Doc", Predicate::Not(Box::new(filter.clone())), &["title"]),
            world.sorted("Doc", hidden, &["title"]),
            world.plan(
                "Doc",
                Action::Count {
                    filter: Predicate::IsNull { column },
                },
            ),
            world.list("Doc", world.eq("Doc", hidden, Value::Int(1)), &["title"]),
            world.list("Doc", Predicate::True, &[hidden]),
        ] {
            let denied = world.decide(&["user"], plan).unwrap_err();
            assert_eq!(denied.client(), (Code::Invalid, "Validation failed".to_owned()));
            assert_eq!(denied.fields(), [(column, Fault::Unknown)], "{hidden}");
        }
        let grant = world
            .decide(&["user"], world.list("Doc", Predicate::True, &["title", hidden]))
            .unwrap();
        let Action::List { projection, .. } = &grant.terms().plan.action else {
            panic!()
        };
        assert_eq!(*projection, world.columns("Doc", &["title"]), "cut");
    }
}

#[test]
fn never_expose_holds_whatever_a_rule_names() {
    let world =
        docs("rules: [{id: r, entity: Doc, roles: [user], operations: [read], fields: {read: [id, hash]}}]");
    let denied = world
        .decide(&["user"], world.list("Doc", Predicate::True, &["hash"]))
        .unwrap_err();
    assert_eq!(denied.fields(), [(world.column("Doc", "hash"), Fault::Unknown)]);
}

#[test]
fn a_row_is_sought_only_by_what_is_shown_of_it() {
    let world = two_rules();
    let read = |by: &str, value: Value| {
        let action = Action::Read {
            target: world.target("Doc", by, value),
            projection: world.columns("Doc", &["title"]),
            includes: Vec::new(),
        };
        world.decide(&["user"], world.plan("Doc", action))
    };
    let own = world.eq("Doc", "ownerId", uuid(ME));
    assert_eq!(read("slug", text("x")).unwrap().terms().read.rows, own);
    let published = world.eq("Doc", "state", text("published"));
    assert_eq!(read("id", uuid(ME)).unwrap().terms().read.rows, published.or(own));
    let denied = read("title", text("x")).unwrap_err();
    assert!(
        matches!(denied.fields(), [(_, Fault::WrongType { .. })]),
        "{denied:?}"
    );
}

#[test]
fn list_alone_is_the_narrower_right() {
    let world = docs("rules: [{id: r, entity: Doc, roles: [user], operations: [list]}]");
    assert!(
        world
            .decide(&["user"], world.list("Doc", Predicate::True, &["title"]))
            .is_ok()
    );
    let action = Action::Read {
        target: world.target("Doc", "id", uuid(ME)),
        projection: world.columns("Doc", &["title"]),
        includes: Vec::new(),
    };
    let denied = world.decide(&["user"], world.plan("Doc", action)).unwrap_err();
    assert_eq!(
        denied.client(),
        (
            Code::Forbidden,
            "Insufficient permissions for operation 'read' on entity 'Doc'".to_owned()
        )
    );
}

#[test]
fn restrictions_narrow_every_rule_unless_a_role_is_excepted() {
    let world = docs(
        "rules:\n  - {id: all, entity: Doc, roles: [user, admin], operations: ['*']}\n\
         restrict:\n  - {id: wall, entity: Doc, rows: \"tenant = $user.tenantId\", unless_roles: [admin]}\n",
    );
    let list = || world.list("Doc", Predicate::True, &["title"]);
    let mut caller = super::world::principal(&["user"]);
    // Without a tenant no row is left, and nothing can be written.
    let homeless = world.policy.subject(&caller);
    assert_eq!(
        world.policy.decide(&homeless, list()).unwrap().terms().read.rows,
        Predicate::False
    );
    for plan in [
        world.create("Doc", &[("title", text("t"))]),
        world.update("Doc", ME, &[("title", text("t"))]),
        world.delete("Doc", ME),
    ] {
        let denied = world.policy.decide(&homeless, plan).unwrap_err();
        assert_eq!(
            (denied.reason(), denied.rule()),
            (&Reason::Restricted, Some("wall"))
        );
    }
    caller.tenant = Some("acme".to_owned());
    let subject = world.policy.subject(&caller);
    let wall = world.eq("Doc", "tenant", text("acme"));
    assert_eq!(
        world.policy.decide(&subject, list()).unwrap().terms().read.rows,
        wall
    );
    let grant = world
        .policy
        .decide(&subject, world.create("Doc", &[("title", text("t"))]))
        .unwrap();
    assert_eq!(grant.terms().create, wall);
    let grant = world
        .policy
        .decide(&subject, world.update("Doc", ME, &[("title", text("t"))]))
        .unwrap();
    let [way] = grant.terms().write.as_slice() else {
        panic!()
    };
    assert_eq!(
        (&way.before, &way.after),
        (&wall, &wall),
        "no row leaves its tenant"
    );
    assert_eq!(
        world.decide(&["admin"], list()).unwrap().terms().read.rows,
        Predicate::True
    );
}

#[test]
fn pages_are_cut_to_what_entity_and_role_allow() {
    let world = docs(
        "rules: [{id: r, entity: Doc, roles: [user], operations: [read]}]\nlimits: {user: {max_rows: 30}}",
    );
    let page = |limit| {
        let action = Action::List {
            filter: Predicate::True,
            order: Vec::new(),
            page: Page { number: 2, limit },
            total: Total::Skipped,
            projection: world.columns("Doc", &["title"]),
            includes: Vec::new(),
            cursor: None,
        };
        let grant = world.decide(&["user"], world.plan("Doc", action)).unwrap();
        let Action::List { page, .. } = grant.into_terms().plan.action else {
            panic!()
        };
        page
    };
    assert_eq!(page(500), Page { number: 2, limit: 30 });
    assert_eq!(page(10), Page { number: 2, limit: 10 });
}

#[test]
fn an_old_subject_means_nothing_to_a_new_policy() {
    let world = two_rules();
    let other = docs("rules: [{id: r, entity: Doc, roles: [user], operations: [read]}]");
    let stale = other.subject(&["user"]);
    let denied = world
        .policy
        .decide(&stale, world.list("Doc", Predicate::True, &["title"]))
        .unwrap_err();
    assert_eq!(denied.reason(), &Reason::StaleSubject);
    assert!(
        world
            .policy
            .vocabulary(&stale, world.entity("Doc"), dbal_shared::plan::Operation::List)
            .is_none()
    );
}

#[test]
fn equal_terms_have_equal_digests_and_others_do_not() {
    let world = two_rules();
    let digest = |names: &[&str]| {
        world
            .decide(&["user"], world.list("Doc", Predicate::True, names))
            .unwrap()
            .digest()
    };
    assert_eq!(digest(&["title"]), digest(&["title"]));
    assert_eq!(
        digest(&["title"]),
        digest(&["title", "hash"]),
        "the same is granted"
    );
    assert_ne!(digest(&["title"]), digest(&["id"]));
}

#[test]
fn no_hidden_cell_goes_into_a_number_or_parts_a_group() {
    let world = docs(
        "rules:\n  \
         - {id: published, entity: Doc, roles: [user], operations: [list], rows: \"state = 'published'\", fields: {read: [id, title, state]}}\n  \
         - {id: own, entity: Doc, roles: [user], operations: [list], rows: \"ownerId = $user.id\", fields: {read: ['*', '-tenant']}}\n",
    );
    let aggregate = |filter: Predicate, groups: &[&str], measures: &[(Function, &str)]| {
        let measure = |(function, name): &(Function, &str)| Measure {
            function: *function,
            column: world.column("Doc", name),
        };
        let action = Action::Aggregate {
            filter,
            groups: world.columns("Doc", groups),
            count: Total::Counted,
            measures: measures.iter().map(measure).collect(),
            limit: 10,
        };
        world.decide(&["user"], world.plan("Doc", action))
    };
    let published = world.eq("Doc", "state", text("published"));
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let all = published.or(own.clone());
    let secret = world.eq("Doc", "secret", text("x"));
    for (filter, groups, measures, rows) in [
        (
            Predicate::True,
            &["state"][..],
            &[(Function::Max, "title")][..],
            &all,
        ),
        (Predicate::True, &["secret"], &[], &own),
        (Predicate::True, &["state"], &[(Function::Sum, "rank")], &own),
        (Predicate::True, &[], &[(Function::Min, "secret")], &own),
        (secret, &["state"], &[], &own),
    ] {
        let grant = aggregate(filter, groups, measures).unwrap();
        assert_eq!(grant.terms().read.rows, *rows, "{groups:?} {measures:?}");
    }
    for hidden in ["tenant", "hash"] {
        for denied in [
            aggregate(Predicate::True, &[hidden], &[]),
            aggregate(Predicate::True, &[], &[(Function::Max, hidden)]),
            aggregate(Predicate::True, &[], &[(Function::Sum, hidden)]),
            aggregate(world.eq("Doc", hidden, text("x")), &[], &[]),
        ] {
            let denied = denied.unwrap_err();
            assert_eq!(
                denied.fields(),
                [(world.column("Doc", hidden), Fault::Unknown)],
                "{hidden}"
            );
        }
    }
    for (function, name) in [
        (Function::Sum, "title"),
        (Function::Average, "state"),
        (Function::Min, "tags"),
        (Function::Max, "id"),
    ] {
        let denied = aggregate(Predicate::True, &[], &[(function, name)]).unwrap_err();
        assert!(
            matches!(denied.fields(), [(_, Fault::WrongType { .. })]),
            "{name}"
        );
    }
    assert!(aggregate(Predicate::True, &["tags"], &[]).is_err());
}
