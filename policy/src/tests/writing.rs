//! Rows that writes reach, and what they may make of them.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::{Action, Operation};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::ClaimValue;
use dbal_shared::terms::WriteTerms;
use dbal_shared::value::Value;

use super::world::{ENTITIES, ME, OTHER, World, docs, rules, text, uuid};
use crate::Reason;

fn way(before: Predicate, after: Predicate) -> WriteTerms {
    WriteTerms { before, after }
}

#[test]
fn an_update_that_only_two_rules_together_would_cover_is_denied() {
    let world = docs(
        "rules:\n  \
         - {id: titles, entity: Doc, roles: [user], operations: [read, update], fields: {write: [title]}}\n  \
         - {id: ranks, entity: Doc, roles: [user], operations: [update], fields: {write: [rank]}}\n",
    );
    let title = ("title", text("t"));
    let rank = ("rank", Value::Int(1));
    assert!(
        world
            .decide(&["user"], world.update("Doc", ME, std::slice::from_ref(&title)))
            .is_ok()
    );
    assert!(
        world
            .decide(&["user"], world.update("Doc", ME, std::slice::from_ref(&rank)))
            .is_ok()
    );
    let denied = world
        .decide(&["user"], world.update("Doc", ME, &[title, rank]))
        .unwrap_err();
    assert_eq!(
        denied.reason(),
        &Reason::NotWritable(world.columns("Doc", &["title", "rank"]))
    );
    assert_eq!(denied.client().0, Code::Forbidden);
}

#[test]
fn each_covering_rule_is_a_way_of_its_own() {
    let world = docs(
        "rules:\n  \
         - {id: own, entity: Doc, roles: [user], operations: [update], rows: \"ownerId = $user.id\"}\n  \
         - {id: drafts, entity: Doc, roles: [user], operations: [update], rows: \"state = 'draft'\", check: \"rank < 9\"}\n  \
         - {id: low, entity: Doc, roles: [user], operations: [update], rows: \"rank = 1\", check: \"rank < 9\"}\n",
    );
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let low = world.compare(
        "Doc",
        "rank",
        dbal_shared::predicate::Comparison::Lt,
        Value::Int(9),
    );
    let either = Predicate::Or(vec![
        world.eq("Doc", "state", text("draft")),
        world.eq("Doc", "rank", Value::Int(1)),
    ]);
    let grant = world
        .decide(&["user"], world.update("Doc", ME, &[("title", text("t"))]))
        .unwrap();
    // A row reached as one's own must stay one's own: moving it out through another rule's check would take both rights.
    assert_eq!(grant.terms().write, [way(own.clone(), own), way(either, low)]);
    assert_eq!(grant.rules().collect::<Vec<_>>(), ["own", "drafts", "low"]);
    assert_eq!(
        grant.terms().read.rows,
        Predicate::False,
        "nothing of it may be read"
    );
}

#[test]
fn check_replaces_rows_for_the_row_as_it_will_be() {
    let world = docs(
        "rules: [{id: r, entity: Doc, roles: [user], operations: [create, update, delete], rows: \"rank = 1\", check: \"rank = 2\"}]",
    );
    let rank = |value| world.eq("Doc", "rank", Value::Int(value));
    let grant = world
        .decide(&["user"], world.create("Doc", &[("title", text("t"))]))
        .unwrap();
    assert_eq!(grant.terms().create, rank(2));
    let grant = world
        .decide(&["user"], world.update("Doc", ME, &[("rank", Value::Int(2))]))
        .unwrap();
    assert_eq!(grant.terms().write, [way(rank(1), rank(2))]);
    let grant = world.decide(&["user"], world.delete("Doc", ME)).unwrap();
    assert_eq!(grant.terms().write, [way(rank(1), Predicate::True)]);
}

#[test]
fn a_write_reaches_only_rows_in_which_its_filter_is_shown() {
    let world = docs(
        "rules:\n  \
         - {id: write, entity: Doc, roles: [user], operations: [update, delete]}\n  \
         - {id: read, entity: Doc, roles: [user], operations: [read], rows: \"ownerId = $user.id\", fields: {read: [title, slug]}}\n",
    );
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let by = |name: &str| world.eq("Doc", name, text("x"));
    let values = world.values("Doc", &[("title", text("y"))]);
    let plans = |name: &str| {
        [
            (Action::DeleteMany { filter: by(name) }, Predicate::True),
            (
                Action::Delete {
                    target: world.target("Doc", "slug", text("x")),
                },
                Predicate::True,
            ),
            (
                Action::UpdateMany {
                    filter: by(name),
                    values: values.clone(),
                },
                Predicate::True,
            ),
        ]
    };
    for (action, after) in plans("title") {
        let grant = world.decide(&["user"], world.plan("Doc", action)).unwrap();
        assert_eq!(grant.terms().write, [way(own.clone(), after)]);
    }
    for action in [
        Action::DeleteMany { filter: by("secret") },
        Action::UpdateMany {
            filter: by("secret"),
            values: values.clone(),
        },
    ] {
        let denied = world.decide(&["user"], world.plan("Doc", action)).unwrap_err();
        assert_eq!(denied.fields(), [(world.column("Doc", "secret"), Fault::Unknown)]);
    }
    // The key may name a row that is not shown.
    let grant = world.decide(&["user"], world.delete("Doc", ME)).unwrap();
    assert_eq!(grant.terms().write, [way(Predicate::True, Predicate::True)]);
}

#[test]
fn generated_columns_are_written_only_where_a_rule_names_them() {
    let with = |write: &str| {
        docs(&format!(
            "rules: [{{id: r, entity: Doc, roles: [user], operations: [create, read], fields: {{write: {write}}}}}]"
        ))
    };
    let world = with("['*']");
    for (name, value) in [
        ("id", uuid(ME)),
        ("createdAt", Value::Timestamp(0)),
        ("updatedAt", Value::Timestamp(0)),
    ] {
        let denied = world
            .decide(&["user"], world.create("Doc", &[(name, value)]))
            .unwrap_err();
        assert_eq!(denied.fields(), [(world.column("Doc", name), Fault::Generated)]);
        assert_eq!(denied.client().0, Code::Invalid);
    }
    let denied = world
        .decide(&["user"], world.create("Doc", &[("hash", text("x"))]))
        .unwrap_err();
    assert_eq!(denied.fields(), [(world.column("Doc", "hash"), Fault::Unknown)]);
    let world = with("['*', id, hash]");
    assert!(
        world
            .decide(
                &["user"],
                world.create("Doc", &[("id", uuid(ME)), ("hash", text("x"))])
            )
            .is_ok()
    );
}

#[test]
fn forced_numbers_with_a_point_are_what_their_column_takes() {
    let world = World::new(
        "entity: Ware\nfields:\n  id: {type: uuid, primary: true, generated: true}\n  ratio: {type: float}\n  price: {type: decimal}\n  label: {type: string}\n",
        &rules(
            "rules: [{id: r, entity: Ware, roles: [user], operations: [create], fields: {write: ['-ratio', '-price', '-label']}, \
             set: {ratio: 1.50, price: 12345678901234567.10, label: 1.50}}]",
        ),
    );
    let grant = world.decide(&["user"], world.create("Ware", &[])).unwrap();
    let Action::Create { values, .. } = &grant.terms().plan.action else {
        panic!()
    };
    let exact = Value::Decimal("12345678901234567.1".to_owned());
    let forced = [
        ("ratio", Value::Float(1.5)),
        ("price", exact),
        ("label", text("1.50")),
    ];
    assert_eq!(*values, world.values("Ware", &forced));
}

#[test]
fn forced_values_are_put_in_and_others_refused() {
    let world = docs(
        "rules: [{id: r, entity: Doc, roles: [user], operations: [create, update], fields: {write: [title]}, set: {ownerId: $user.id, rank: 7}}]",
    );
    let forced = [
        ("title", text("t")),
        ("ownerId", uuid(ME)),
        ("rank", Value::Int(7)),
    ];
    for plan in [
        world.create("Doc", &forced[..1]),
        world.create("Doc", &forced[..2]),
        world.update("Doc", ME, &forced[..1]),
    ] {
        let grant = world.decide(&["user"], plan).unwrap();
        let (Action::Create { values, .. } | Action::Update { values, .. }) = &grant.terms().plan.action
        else {
            panic!()
        };
        assert_eq!(*values, world.values("Doc", &forced));
    }
    let denied = world
        .decide(
            &["user"],
            world.create("Doc", &[("title", text("t")), ("ownerId", uuid(OTHER))]),
        )
        .unwrap_err();
    assert_eq!(denied.reason(), &Reason::Forced(world.column("Doc", "ownerId")));
    assert_eq!((denied.client().0, denied.rule()), (Code::Forbidden, Some("r")));
    let rows = vec![world.values("Doc", &forced[..1]), world.values("Doc", &forced)];
    let grant = world
        .decide(&["user"], world.plan("Doc", Action::CreateMany { rows }))
        .unwrap();
    let Action::CreateMany { rows } = &grant.terms().plan.action else {
        panic!()
    };
    assert_eq!(
        *rows,
        [world.values("Doc", &forced), world.values("Doc", &forced)]
    );
}

#[test]
fn rules_that_force_different_values_do_not_mix() {
    let world = docs(
        "rules:\n  \
         - {id: free, entity: Doc, roles: [editor], operations: [create, update]}\n  \
         - {id: mine, entity: Doc, roles: [user], operations: [create, update], rows: \"ownerId = $user.id\", set: {ownerId: $user.id}}\n  \
         - {id: stamp, entity: Doc, roles: [user], operations: [update], set: {tenant: acme}}\n",
    );
    // An update of one's own row changes no owner, so `mine` and `free` agree; `stamp` would write another value.
    let own = world.eq("Doc", "ownerId", uuid(ME));
    let grant = world
        .decide(&["user"], world.update("Doc", ME, &[("title", text("t"))]))
        .unwrap();
    assert_eq!(grant.terms().write, [way(own.clone(), own)]);
    let Action::Update { values, .. } = &grant.terms().plan.action else {
        panic!()
    };
    assert_eq!(values.len(), 1, "nothing is forced on others' rows");
    let grant = world
        .decide(&["editor"], world.create("Doc", &[("title", text("t"))]))
        .unwrap();
    assert_eq!(grant.rules().collect::<Vec<_>>(), ["free"]);
}

#[test]
fn a_create_is_led_by_the_first_rule_that_leaves_nothing_missing() {
    let entities = ENTITIES.replace(
        "ownerId: {type: uuid, nullable: true}",
        "ownerId: {type: uuid, required: true}",
    );
    let world = World::new(
        &entities,
        &rules(
            "rules:\n  \
             - {id: free, entity: Doc, roles: [editor], operations: [create]}\n  \
             - {id: mine, entity: Doc, roles: [user], operations: [create], set: {ownerId: $user.id}}\n",
        ),
    );
    let granting = |values: &[(&str, Value)]| {
        let grant = world.decide(&["editor"], world.create("Doc", values)).unwrap();
        grant.rules().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(granting(&[("title", text("t"))]), ["mine"]);
    assert_eq!(granting(&[("ownerId", uuid(OTHER))]), ["free"]);
    assert_eq!(granting(&[("ownerId", uuid(ME))]), ["free", "mine"]);
}

#[test]
fn all_rows_at_once_need_a_rule_that_says_so() {
    let world = docs(
        "rules:\n  \
         - {id: all, entity: Doc, roles: [admin], operations: [read, update, delete], allow_unfiltered: true}\n  \
         - {id: some, entity: Doc, roles: [user], operations: [read, update, delete]}\n",
    );
    let values = world.values("Doc", &[("title", text("t"))]);
    for filter in [
        Predicate::True,
        Predicate::And(Vec::new()),
        Predicate::Not(Box::new(Predicate::Or(Vec::new()))),
        Predicate::Or(vec![
            world.eq("Doc", "title", text("x")),
            Predicate::And(vec![Predicate::True]),
        ]),
        Predicate::Not(Box::new(Predicate::Not(Box::new(Predicate::True)))),
        Predicate::Not(Box::new(Predicate::In {
            column: world.column("Doc", "title"),
            values: Vec::new(),
        })),
    ] {
        for action in [
            Action::DeleteMany {
                filter: filter.clone(),
            },
            Action::UpdateMany {
                filter: filter.clone(),
                values: values.clone(),
            },
        ] {
            let denied = world
                .decide(&["user"], world.plan("Doc", action.clone()))
                .unwrap_err();
            assert_eq!(denied.reason(), &Reason::Unfiltered, "{filter:?}");
            assert!(world.decide(&["admin"], world.plan("Doc", action)).is_ok());
        }
    }
}

#[test]
fn an_upsert_needs_both_rights() {
    let upsert = |world: &World| {
        let action = Action::Upsert {
            target: world.target("Doc", "slug", text("s")),
            create: world.values("Doc", &[("slug", text("s")), ("title", text("new"))]),
            update: world.values("Doc", &[("title", text("old"))]),
            projection: world.columns("Doc", &["title", "secret"]),
        };
        world.plan("Doc", action)
    };
    let world = docs(
        "rules:\n  \
         - {id: read, entity: Doc, roles: [user], operations: [read], fields: {read: [slug, title]}}\n  \
         - {id: make, entity: Doc, roles: [user], operations: [create], fields: {write: [slug, title]}, set: {ownerId: $user.id}}\n  \
         - {id: change, entity: Doc, roles: [editor], operations: [update], rows: \"ownerId = $user.id\", fields: {write: [title]}}\n",
    );
    let denied = world.decide(&["user"], upsert(&world)).unwrap_err();
    assert_eq!(
        denied.client().1,
        "Insufficient permissions for operation 'update' on entity 'Doc'"
    );
    let grant = world.decide(&["editor"], upsert(&world)).unwrap();
    let terms = grant.terms();
    let own = world.eq("Doc", "ownerId", uuid(ME));
    assert_eq!(terms.create, Predicate::True);
    assert_eq!(terms.write, [way(own.clone(), own)]);
    let Action::Upsert {
        create,
        update,
        projection,
        ..
    } = &terms.plan.action
    else {
        panic!()
    };
    assert_eq!(create.len(), 3, "the new row's owner is forced");
    assert_eq!(update.len(), 1);
    assert_eq!(*projection, world.columns("Doc", &["title"]));
    assert_eq!(terms.read.rows, Predicate::True);
}

#[test]
fn the_schema_has_the_last_word_on_writes() {
    let entities = "entity: Log\nread_only: true\nfields:\n  id: {type: uuid, primary: true}\n  text: {type: string, nullable: true}\n";
    let world = World::new(
        entities,
        &rules("rules: [{id: r, entity: Log, roles: [user], operations: ['*'], allow_unfiltered: true}]"),
    );
    for plan in [
        world.create("Log", &[("text", text("t"))]),
        world.update("Log", ME, &[("text", text("t"))]),
        world.delete("Log", ME),
        world.plan(
            "Log",
            Action::DeleteMany {
                filter: Predicate::True,
            },
        ),
    ] {
        assert_eq!(
            world.decide(&["user"], plan).unwrap_err().reason(),
            &Reason::Forbidden
        );
    }
    assert!(
        world
            .decide(&["user"], world.list("Log", Predicate::True, &["text"]))
            .is_ok()
    );
    let vocabulary = world
        .policy
        .vocabulary(&world.subject(&["user"]), world.entity("Log"), Operation::Create)
        .unwrap();
    assert!(!vocabulary.is_permitted);
}

#[test]
fn a_forced_value_is_left_out_of_an_update_only_if_rows_say_the_very_same() {
    for (rows, set, is_forced) in [
        ("ownerId = $user.id AND rank = 1", "ownerId: $user.id", false),
        ("ownerId = $user.boss", "ownerId: $user.id", true),
        ("ownerId = $user.id OR rank = 1", "ownerId: $user.id", true),
        ("ownerId <> $user.id", "ownerId: $user.id", true),
        ("teamId = $user.id", "ownerId: $user.id", true),
        ("rank = 1 AND state = 'draft' AND title IS NULL", "rank: 1", false),
        ("rank = 2", "rank: 1", true),
        ("rank >= 1", "rank: 1", true),
        ("NOT rank <> 1", "rank: 1", false),
    ] {
        let world = docs(&format!(
            "rules: [{{id: r, entity: Doc, roles: [user], operations: [update], rows: \"{rows}\", set: {{{set}}}}}]"
        ));
        let caller = dbal_shared::principal::Principal {
            claims: vec![("boss".to_owned(), ClaimValue::Text(OTHER.to_owned()))],
            ..super::world::principal(&["user"])
        };
        let plan = world.update("Doc", ME, &[("title", text("t"))]);
        let grant = world.policy.decide(&world.policy.subject(&caller), plan).unwrap();
        let Action::Update { values, .. } = &grant.terms().plan.action else {
            panic!()
        };
        assert_eq!(values.len() == 2, is_forced, "{rows}; {set}");
    }
}
