//! Conditions in words, and what is said of rules.

use dbal_schema::ColumnSet;
use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;

use super::world::{ME, World, docs, principal};
use crate::words::UNSAID;
use crate::{Asked, Effect};

fn own(world: &World, me: &Principal) -> (String, String) {
    let subject = world.policy.subject(me);
    let grant = world
        .policy
        .decide(&subject, world.list("Doc", Predicate::True, &["title"]))
        .unwrap();
    let (doc, rows) = (world.entity("Doc"), &grant.terms().read.rows);
    (
        world.policy.words(doc, rows),
        world.policy.words_for(&subject, Operation::List, doc, rows),
    )
}

#[test]
fn a_caller_hears_of_a_condition_only_what_is_his_to_know() {
    for (rows, whole, told) in [
        (
            "ownerId = $user.id",
            format!("ownerId is '{ME}'"),
            format!("ownerId is '{ME}'"),
        ),
        (
            "state <> 'draft'",
            "state is not 'draft'".to_owned(),
            "state is not 'draft'".to_owned(),
        ),
        (
            "title IS NULL",
            "title is null".to_owned(),
            "title is null".to_owned(),
        ),
        // A hidden field, and a value that is the policy's own.
        ("secret = 'x'", "secret is 'x'".to_owned(), UNSAID.to_owned()),
        ("secret IS NULL", "secret is null".to_owned(), UNSAID.to_owned()),
        ("title = 'x'", "title is 'x'".to_owned(), UNSAID.to_owned()),
        ("rank > 3", "rank is greater than 3".to_owned(), UNSAID.to_owned()),
        (
            "ownerId = $user.id AND secret = 'x' AND rank > 3",
            // What is fixed comes first.
            format!("secret is 'x' and rank is greater than 3 and ownerId is '{ME}'"),
            format!("ownerId is '{ME}' and {UNSAID}"),
        ),
        (
            "state = 'draft' OR NOT (secret = 'x')",
            "state is 'draft' or secret is not 'x'".to_owned(),
            format!("state is 'draft' or {UNSAID}"),
        ),
        (
            "title IN ('a', 'b')",
            "title is one of 'a', 'b'".to_owned(),
            UNSAID.to_owned(),
        ),
        // Linked rows of which the caller may list none.
        (
            "team.closed = true",
            "some team has (closed is true)".to_owned(),
            UNSAID.to_owned(),
        ),
    ] {
        let world = docs(&format!(
            "rules:\n  - {{id: r, entity: Doc, roles: [user], operations: [list], rows: \"{rows}\", fields: {{read: [title, ownerId, teamId, state, rank]}}}}\n"
        ));
        assert_eq!(own(&world, &principal(&["user"])), (whole, told), "{rows}");
    }
}

#[test]
fn each_rule_is_told_with_its_place_and_what_kept_it_from_granting() {
    let world = docs(
        "rules:\n  \
         - {id: mine, entity: Doc, roles: [user], operations: [update], rows: \"ownerId = $user.id\", fields: {write: [title]}}\n  \
         - {id: theirs, entity: Doc, roles: [editor, admin], operations: [update]}\n  \
         - {id: tenants, entity: Doc, roles: [user], operations: [update], rows: \"tenant = $user.tenantId\"}\n  \
         - {id: ranked, entity: Doc, roles: [user], operations: [update], rows: \"$user.level > 8\"}\n  \
         - {id: forced, entity: Doc, roles: [user], operations: [update], set: {state: draft}}\n  \
         - {id: looks, entity: Doc, roles: [user], operations: [read]}\n\
         restrict:\n  - {id: wall, entity: Doc, rows: \"rank < 5\", unless_roles: [admin]}\n",
    );
    let me = principal(&["user"]);
    let subject = world.policy.subject(&me);
    let plan = world.update(
        "Doc",
        ME,
        &[
            ("rank", Value::Int(1)),
            ("state", Value::Text("published".to_owned())),
        ],
    );
    let asked = Asked {
        entity: plan.entity,
        operation: Operation::Update,
        plan: Some(&plan),
        refused: ColumnSet::new(),
    };
    let told: Vec<(String, u32, String)> = world
        .policy
        .trace(&me, &subject, &asked)
        .iter()
        .map(|it| (it.id.to_string(), it.at.line, it.words.clone()))
        .collect();
    let expected = [
        ("mine", 4, "does not let state, rank be written"),
        ("theirs", 5, "needs one of the roles editor, admin"),
        (
            "tenants",
            6,
            "needs the claim $user.tenantId, which the caller lacks or has in another type",
        ),
        (
            "ranked",
            7,
            "its condition holds for no row: what it asks of the caller is not so",
        ),
        ("forced", 8, "forces another value on state"),
        ("wall", 11, "narrows every rule to: rank is less than 5"),
    ];
    let expected = expected.map(|(id, line, words)| (id.to_owned(), line, words.to_owned()));
    assert_eq!(told, expected);
    // The audit hears nothing of values, and first of what came closest.
    let tried = world.policy.tried(&me, &subject, &asked);
    assert!(tried.iter().all(|it| !it.why.contains(ME)), "{tried:?}");
    assert_eq!(tried.first().map(|it| it.rule.as_str()), Some("mine"));
    let traced = world.policy.trace(&me, &subject, &Asked { plan: None, ..asked });
    let mine = traced.first().unwrap();
    assert_eq!(
        (mine.effect, mine.plain.as_str()),
        (Effect::Grants, "applies to rows: ownerId = $user.id")
    );
}
