//! What rules ask of the caller, and what happens when there is no answer.

use dbal_schema::ColumnSet;
use dbal_shared::ids::ColumnId;
use dbal_shared::predicate::{Comparison, Link, Predicate, Quantifier};
use dbal_shared::principal::{ClaimValue, Principal};
use dbal_shared::value::Value;

use super::world::{ME, World, docs, principal, text, uuid};

/// A world with one rule, whose rows are these.
fn rows(expression: &str) -> World {
    docs(&format!(
        "rules:\n  - {{id: r, entity: Doc, roles: [user, public], operations: [read], rows: \"{expression}\"}}\n"
    ))
}

/// What the rule lets the caller see; none if it does not apply.
fn seen_by(world: &World, principal: &Principal) -> Option<Predicate> {
    let subject = world.policy.subject(principal);
    let plan = world.list("Doc", Predicate::True, &["title"]);
    world
        .policy
        .decide(&subject, plan)
        .ok()
        .map(|grant| grant.into_terms().read.rows)
}

fn with_claim(name: &str, value: ClaimValue) -> Principal {
    Principal {
        claims: vec![(name.to_owned(), value)],
        ..principal(&["user"])
    }
}

#[test]
fn claims_take_the_type_of_the_column_they_meet() {
    let world = rows("ownerId = $user.id");
    assert_eq!(
        seen_by(&world, &principal(&["user"])),
        Some(world.eq("Doc", "ownerId", uuid(ME)))
    );
    let world = rows("slug = $user.id");
    assert_eq!(
        seen_by(&world, &principal(&["user"])),
        Some(world.eq("Doc", "slug", text(ME)))
    );
    let world = rows("rank <= $user.clearance");
    let expected = world.compare("Doc", "rank", Comparison::Lte, Value::Int(7));
    for claim in [ClaimValue::Int(7), ClaimValue::Text("7".to_owned())] {
        assert_eq!(
            seen_by(&world, &with_claim("clearance", claim)),
            Some(expected.clone())
        );
    }
    let world = rows("tenant = $context.tenantId");
    let tenant = Principal {
        tenant: Some("acme".to_owned()),
        ..principal(&["user"])
    };
    assert_eq!(
        seen_by(&world, &tenant),
        Some(world.eq("Doc", "tenant", text("acme")))
    );
}

#[test]
fn who_somebody_is_has_one_spelling_beside_a_column_of_another_type() {
    let with_id = |id: &str| Principal {
        id: Some(id.to_owned()),
        tenant: Some(id.to_owned()),
        ..principal(&["user"])
    };
    for expression in ["rank = $user.id", "$user.id = 7", "rank = $context.tenantId"] {
        let world = rows(expression);
        assert!(seen_by(&world, &with_id("7")).is_some(), "{expression}");
        for other in [
            "07",
            "+7",
            "7.0",
            "7e0",
            " 7",
            "1970-01-01T00:00:00.007Z",
            "-0",
            "-0.0",
        ] {
            assert_eq!(seen_by(&world, &with_id(other)), None, "{expression} as {other}");
        }
    }
    let world = rows("ownerId = $user.id");
    let whose = world.eq("Doc", "ownerId", uuid(ME));
    for same in [ME.to_owned(), ME.to_uppercase()] {
        assert_eq!(seen_by(&world, &with_id(&same)), Some(whose.clone()), "{same}");
    }
    for other in [
        format!("{{{ME}}}"),
        format!("urn:uuid:{ME}"),
        ME.replace('-', ""),
        format!("{ME} "),
    ] {
        assert_eq!(seen_by(&world, &with_id(&other)), None, "{other}");
    }
}

#[test]
fn every_claim_has_one_spelling_beside_a_column_of_another_type() {
    let named = |text: &str| with_claim("team", ClaimValue::Text(text.to_owned()));
    for (expression, right, wrong) in [
        (
            "rank = $user.team",
            "7",
            &["007", "+7", "7.0", "7e0", " 7", "7 "][..],
        ),
        ("rank <= $user.team", "7", &["007", "+7"]),
        ("rank IN (1, $user.team)", "7", &["007", "+7"]),
        ("price = $user.team", "7.5", &["7.50", "07.5", "+7.5", "75e-1"]),
        ("teamId = $user.team", ME, &["{ME}", "urn:uuid:"]),
        ("$user.team = 7", "7", &["007", "+7", "7.0"]),
        ("$user.team IN (1, 7)", "7", &["007", "+7"]),
    ] {
        let world = rows(expression);
        assert!(seen_by(&world, &named(right)).is_some(), "{expression}");
        for other in wrong {
            assert_eq!(seen_by(&world, &named(other)), None, "{expression} as {other}");
        }
    }
    // A moment is nobody's name.
    let world = rows("createdAt <= $user.team");
    let moments = [
        "2024-01-15T10:30:00.000Z",
        "2024-01-15T10:30:00Z",
        "2024-01-15T12:30:00+02:00",
    ];
    let seen = moments.map(|moment| seen_by(&world, &named(moment)));
    assert!(
        seen[0].is_some() && seen[0] == seen[1] && seen[1] == seen[2],
        "{seen:?}"
    );
    // What a rule fills in is no other value than what it is compared with.
    let world = docs(
        "rules:\n  - {id: c, entity: Doc, roles: [user], operations: [create], fields: {write: [title]}, \
         set: {rank: $user.team}}\n",
    );
    let creates = |team: &str| {
        let subject = world.policy.subject(&named(team));
        let action = dbal_shared::plan::Action::CreateMany {
            rows: vec![world.values("Doc", &[("title", text("t"))])],
        };
        world.policy.decide(&subject, world.plan("Doc", action)).is_ok()
    };
    assert!(creates("7") && !creates("007"));
}

#[test]
fn a_rule_whose_claim_is_absent_or_of_the_wrong_type_does_not_apply_however_it_is_put() {
    for expression in [
        "rank = $user.clearance",
        "rank <> $user.clearance",
        "NOT rank = $user.clearance",
        "NOT (rank = $user.clearance AND state = 'draft')",
        "state = 'published' OR rank = $user.clearance",
        "rank NOT IN (1, $user.clearance)",
        "NOT (NOT rank IN ($user.clearance))",
        "NOT $user.clearance = 3",
        "$user.clearance <> 3",
        "$user.clearance NOT IN (3)",
        "teamId NOT IN (SELECT id FROM Team WHERE leadId = $user.clearance)",
        "NOT team.leadId = $user.clearance",
    ] {
        let world = rows(expression);
        assert_eq!(seen_by(&world, &principal(&["user"])), None, "{expression}");
        assert_eq!(
            seen_by(
                &world,
                &with_claim("clearance", ClaimValue::Text("much".to_owned()))
            ),
            None,
            "{expression}"
        );
        assert_eq!(
            seen_by(&world, &with_claim("clearance", ClaimValue::Bool(true))),
            None,
            "{expression}"
        );
    }
}

#[test]
fn nobody_without_a_proof_has_an_id() {
    let world = rows("ownerId = $user.id OR state = 'published'");
    assert_eq!(seen_by(&world, &Principal::anonymous()), None);
    assert!(seen_by(&rows("state = 'published'"), &Principal::anonymous()).is_some());
}

#[test]
fn questions_about_the_caller_alone_are_settled_before_any_row() {
    for (expression, roles, expected) in [
        ("$user.level >= 2", &["editor"][..], true),
        ("$user.level >= 2", &["user"], false),
        ("3 > $user.level", &["user"], true),
        ("NOT $user.level >= 2", &["user"], true),
        ("$user.role = 'editor'", &["editor", "user"], true),
        ("$user.role <> 'editor'", &["editor"], false),
        ("$user.role IN ('admin', 'editor')", &["editor"], true),
        ("'user' IN $user.roles", &["editor"], true),
        ("'user' IN ($user.roles)", &["admin"], false),
        ("NOT 'admin' IN $user.roles", &["editor"], true),
        ("'admin' NOT IN $user.roles", &["admin"], false),
        ("true", &["user"], true),
        ("NOT true OR false", &["user"], false),
    ] {
        let seen = seen_by(&rows(expression), &principal(roles)).unwrap();
        let constant = if expected {
            Predicate::True
        } else {
            Predicate::False
        };
        assert_eq!(seen, constant, "{expression} for {roles:?}");
    }
}

#[test]
fn a_list_of_roles_is_compared_with_a_field() {
    let world = rows("slug IN ('all', $user.roles)");
    let column = world.column("Doc", "slug");
    let values = ["all", "public", "user", "editor"].map(text).to_vec();
    assert_eq!(
        seen_by(&world, &principal(&["editor"])),
        Some(Predicate::In { column, values })
    );
}

#[test]
fn not_is_carried_to_the_leaves_so_that_null_is_selected_neither_way() {
    let world = rows("NOT (rank < 3 AND (state = 'draft' OR title IS NULL))");
    let title = world.column("Doc", "title");
    let expected = Predicate::Or(vec![
        world.compare("Doc", "rank", Comparison::Gte, Value::Int(3)),
        Predicate::And(vec![
            world.compare("Doc", "state", Comparison::Ne, text("draft")),
            Predicate::Not(Box::new(Predicate::IsNull { column: title })),
        ]),
    ]);
    assert_eq!(seen_by(&world, &principal(&["user"])), Some(expected));
}

#[test]
fn a_relation_reaches_the_one_row_that_a_foreign_key_names() {
    let link = |world: &World| Link {
        column: world.column("Doc", "teamId"),
        entity: world.entity("Team"),
        foreign: world.column("Team", "id"),
    };
    let some = |world: &World, predicate| Predicate::Related {
        link: link(world),
        quantifier: Quantifier::Some,
        within: Box::new(Predicate::True),
        predicate: Box::new(predicate),
    };
    let me = principal(&["user"]);

    let world = rows("team.leadId = $user.id");
    assert_eq!(
        seen_by(&world, &me),
        Some(some(&world, world.eq("Team", "leadId", uuid(ME))))
    );

    // A document of no team is neither led by the caller nor by another.
    let world = rows("NOT team.leadId = $user.id");
    let other = world.compare("Team", "leadId", Comparison::Ne, uuid(ME));
    assert_eq!(seen_by(&world, &me), Some(some(&world, other)));

    let world = rows("teamId IN (SELECT id FROM Team WHERE closed = false)");
    let open = world.eq("Team", "closed", Value::Bool(false));
    assert_eq!(seen_by(&world, &me), Some(some(&world, open.clone())));

    let world = rows("teamId NOT IN (SELECT id FROM Team WHERE closed = false)");
    let none = Predicate::Related {
        link: link(&world),
        quantifier: Quantifier::None,
        within: Box::new(Predicate::True),
        predicate: Box::new(open),
    };
    let column = world.column("Doc", "teamId");
    let is_set = Predicate::Not(Box::new(Predicate::IsNull { column }));
    assert_eq!(seen_by(&world, &me), Some(Predicate::And(vec![is_set, none])));
}

#[test]
fn roles_inherit_and_public_is_everybody() {
    let world = docs(
        "rules:\n  - {id: p, entity: Doc, roles: [public], operations: [list], fields: {read: [title]}}\n  \
         - {id: u, entity: Doc, roles: [user], operations: [read], fields: {read: [rank]}}\n",
    );
    let readable = |principal: &Principal| -> Vec<ColumnId> {
        let subject = world.policy.subject(principal);
        let vocabulary =
            world
                .policy
                .vocabulary(&subject, world.entity("Doc"), dbal_shared::plan::Operation::List);
        vocabulary
            .map_or_else(ColumnSet::new, |it| it.readable)
            .iter()
            .collect()
    };
    assert_eq!(
        readable(&Principal::anonymous()),
        world.columns("Doc", &["title"])
    );
    assert_eq!(
        readable(&principal(&["editor"])),
        world.columns("Doc", &["title", "rank"])
    );
    assert_eq!(
        readable(&principal(&["stranger", "system"])),
        world.columns("Doc", &["title"])
    );
}

#[test]
fn without_declared_roles_there_are_levels() {
    let world = World::new(
        super::world::ENTITIES,
        "version: 1\nrules: [{id: r, entity: Doc, roles: [moderator], operations: [read]}]",
    );
    let sees = |role: &str| {
        world
            .decide(&[role], world.list("Doc", Predicate::True, &["title"]))
            .is_ok()
    };
    assert_eq!(
        ["user", "moderator", "god", "supergod", "king"].map(sees),
        [false, true, true, true, false]
    );
}

#[test]
fn limits_are_the_most_generous_of_all_roles_held() {
    let world = docs(
        "limits:\n  user: {requests_per_minute: 5, max_rows: 7}\n  editor: {requests_per_minute: 9, burst: 2}\n",
    );
    let limits = world.policy.limits(&world.subject(&["editor"]));
    assert_eq!(
        (limits.requests_per_minute, limits.burst, limits.max_rows),
        (9, 2, 7)
    );
    assert_eq!(limits.max_complexity, crate::RoleLimits::default().max_complexity);
    assert_eq!(
        world.policy.limits(&world.subject(&["admin"])),
        crate::RoleLimits::default()
    );
}
