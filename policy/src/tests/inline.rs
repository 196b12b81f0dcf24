//! Rules that stand in entity files.

use dbal_shared::plan::Operation;
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;

use super::world::{ME, World, parse, principal, rules, text, uuid};

fn page(acl: &str) -> String {
    format!(
        "entity: Page\nfields:\n  id: {{type: uuid, primary: true}}\n  ownerId: {{type: uuid}}\n  text: {{type: string, nullable: true}}\n\
         acl:\n{acl}"
    )
}

fn world(acl: &str) -> World {
    World::new(&page(acl), &rules(""))
}

fn rows(world: &World, caller: &Principal) -> Option<Predicate> {
    let plan = world.list("Page", Predicate::True, &["text"]);
    world
        .policy
        .decide(&world.policy.subject(caller), plan)
        .ok()
        .map(|it| it.into_terms().read.rows)
}

#[test]
fn each_word_means_what_it_says() {
    let own = |world: &World| world.eq("Page", "ownerId", uuid(ME));
    let user = principal(&["user"]);
    let anybody = Principal::anonymous();

    let public = world("  read: {public: true}\n");
    assert_eq!(rows(&public, &anybody), Some(Predicate::True));

    let role = world("  read: {user: true}\n");
    assert_eq!(rows(&role, &user), Some(Predicate::True));
    assert_eq!(
        rows(&role, &principal(&["editor"])),
        Some(Predicate::True),
        "inherits user"
    );
    assert_eq!(rows(&role, &anybody), None);

    let self_ = world("  read: {self: true, row_level: \"ownerId = $user.id\", admin: true}\n");
    assert_eq!(rows(&self_, &user), Some(own(&self_)));
    assert_eq!(
        rows(&self_, &principal(&["admin"])),
        Some(Predicate::True),
        "the expression is that of `self`"
    );
    assert_eq!(rows(&self_, &anybody), None, "nobody is not oneself");

    let limited = world("  read: {user: true, row_level: \"ownerId = $user.id\"}\n");
    assert_eq!(rows(&limited, &user), Some(own(&limited)));

    for nobody in [
        "  read: {system: true}\n",
        "  read: {user: false}\n",
        "  create: {user: true}\n",
    ] {
        assert_eq!(
            rows(&world(nobody), &principal(&["user", "system"])),
            None,
            "{nobody}"
        );
    }
}

#[test]
fn writable_fields_are_all_that_may_be_written() {
    let world = world("  update: {self: true, row_level: \"ownerId = $user.id\", writable_fields: [text]}\n");
    let grant = world
        .decide(&["user"], world.update("Page", ME, &[("text", text("t"))]))
        .unwrap();
    assert_eq!(grant.rules().collect::<Vec<_>>(), ["Page.acl.update.self"]);
    assert!(
        world
            .decide(&["user"], world.update("Page", ME, &[("ownerId", uuid(ME))]))
            .is_err()
    );
    let vocabulary = world
        .policy
        .vocabulary(&world.subject(&["user"]), world.entity("Page"), Operation::Update)
        .unwrap();
    assert_eq!(
        vocabulary.writable.iter().collect::<Vec<_>>(),
        world.columns("Page", &["text"])
    );
}

#[test]
fn guesses_are_warned_of_and_mistakes_have_a_place() {
    let warnings = |acl: &str| -> Vec<String> {
        parse(&page(acl), &rules(""))
            .unwrap()
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    let [guess] = &warnings("  read: {self: true}\n")[..] else {
        panic!()
    };
    assert!(guess.contains("means `id = $user.id`"), "{guess}");
    let [role] = &warnings("  read: {employee: true}\n")[..] else {
        panic!()
    };
    assert!(role.contains("role `employee` is not declared"), "{role}");
    let broken = parse(
        &page("  read: {self: true, row_level: \"ownr = $user.id\"}\n"),
        &rules(""),
    );
    let said = broken.unwrap_err().to_string();
    assert_eq!(said, "entities.yaml:7:34: `Page` has no field `ownr`");
}
