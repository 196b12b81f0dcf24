//! The shipped policy does what its comments say.

use dbal_shared::fault::{Code, Fault};
use dbal_shared::plan::{Action, Operation};
use dbal_shared::predicate::Predicate;

use super::world::{ME, OTHER, World, parse, text, uuid};
use crate::Reason;

fn entities() -> String {
    let files = [
        include_str!("../../examples/entities/user.yaml"),
        include_str!("../../examples/entities/note.yaml"),
        include_str!("../../examples/entities/comment.yaml"),
    ];
    files.join("\n---\n")
}

fn shipped() -> World {
    World::new(&entities(), include_str!("../../examples/acl.yaml"))
}

#[test]
fn it_loads_without_a_warning() {
    let loaded = parse(&entities(), include_str!("../../examples/acl.yaml")).unwrap();
    assert_eq!(loaded.warnings, []);
}

#[test]
fn the_example_and_the_expressions_of_the_documentation_load() {
    let page = include_str!("../../../docs/policy.md");
    let block = |opening: &str| page.split_once(opening).unwrap().1.split_once("```").unwrap().0;
    let entities = "\
entity: Note
fields:
  id: {type: uuid, generated: true}
  ownerId: {type: uuid, foreign_key: User}
  noteId: {type: uuid, foreign_key: Note}
  tenantId: {type: string}
  title: {type: string}
  body: {type: text}
  state: {type: enum, values: [draft, review, published]}
  rank: {type: integer}
  internalRemark: {type: text}
  deletedAt: {type: datetime}
---
{entity: User, fields: {id: {type: uuid}, tenantId: {type: string}}}
---
{entity: Country, fields: {id: {type: string}}}
";
    if let Err(error) = parse(entities, block("```yaml\n")) {
        panic!("docs/policy.md: {error}");
    }
    for expression in block("## Expressions\n\n```\n").lines() {
        let rules = format!(
            "version: 1\nroles: {{user: {{}}}}\nrules:\n  - {{id: r, entity: Note, roles: [user], operations: [read], rows: \"{expression}\"}}\n"
        );
        if let Err(error) = parse(entities, &rules) {
            panic!("docs/policy.md: `{expression}`: {error}");
        }
    }
}

#[test]
fn everybody_sees_names_and_only_oneself_ones_address() {
    let world = shipped();
    let granted = world
        .decide(
            &["user"],
            world.list("User", Predicate::True, &["username", "email"]),
        )
        .unwrap();
    let read = &granted.terms().read;
    assert_eq!(read.rows, Predicate::True);
    let [mask] = read.masks.as_slice() else {
        panic!("{read:?}")
    };
    assert_eq!(mask.column, world.column("User", "email"));
    assert_eq!(mask.shown_when, world.eq("User", "id", uuid(ME)));
    assert_eq!(
        granted.rules().collect::<Vec<_>>(),
        ["users-profile", "users-self"]
    );
}

#[test]
fn a_password_hash_is_an_unknown_field_even_to_an_admin() {
    let world = shipped();
    let column = world.column("User", "passwordHash");
    let filter = Predicate::IsNull { column };
    let denied = world
        .decide(&["admin"], world.list("User", filter, &["id"]))
        .unwrap_err();
    assert_eq!(denied.client().0, Code::Invalid);
    assert_eq!(denied.fields(), [(column, Fault::Unknown)]);
    let denied = world
        .decide(
            &["admin"],
            world.update("User", ME, &[("passwordHash", text("x"))]),
        )
        .unwrap_err();
    assert_eq!(denied.fields(), [(column, Fault::Unknown)]);
}

#[test]
fn a_note_belongs_to_its_maker() {
    let world = shipped();
    let granted = world
        .decide(&["user"], world.create("Note", &[("title", text("t"))]))
        .unwrap();
    let Action::Create { values, .. } = &granted.terms().plan.action else {
        panic!()
    };
    assert_eq!(
        *values,
        world.values("Note", &[("title", text("t")), ("ownerId", uuid(ME))])
    );
    assert_eq!(granted.terms().create, world.eq("Note", "ownerId", uuid(ME)));

    let stolen = world.create("Note", &[("title", text("t")), ("ownerId", uuid(OTHER))]);
    let denied = world.decide(&["user"], stolen.clone()).unwrap_err();
    assert_eq!(denied.client().0, Code::Forbidden);
    assert_eq!(denied.rule(), Some("notes-own"));
    assert_eq!(
        world.decide(&["admin"], stolen).unwrap().terms().create,
        Predicate::True
    );
}

#[test]
fn a_moderator_changes_the_state_of_any_note_and_the_title_of_none() {
    let world = shipped();
    let granted = world
        .decide(
            &["moderator"],
            world.update("Note", ME, &[("state", text("draft"))]),
        )
        .unwrap();
    let [any] = granted.terms().write.as_slice() else {
        panic!("{:?}", granted.terms())
    };
    assert_eq!((&any.before, &any.after), (&Predicate::True, &Predicate::True));
    let granted = world
        .decide(&["moderator"], world.update("Note", ME, &[("title", text("x"))]))
        .unwrap();
    let [own] = granted.terms().write.as_slice() else {
        panic!("{:?}", granted.terms())
    };
    let owned = world.eq("Note", "ownerId", uuid(ME));
    assert_eq!((&own.before, &own.after), (&owned, &owned));
}

#[test]
fn comments_have_a_users_rules_in_their_own_file() {
    let world = shipped();
    let vocabulary = world
        .policy
        .vocabulary(
            &world.subject(&["user"]),
            world.entity("Comment"),
            Operation::Create,
        )
        .unwrap();
    assert!(vocabulary.is_permitted);
    let writable: Vec<_> = vocabulary.writable.iter().collect();
    assert_eq!(
        writable,
        world.columns("Comment", &["noteId", "authorId", "text"])
    );
    let denied = world
        .decide(&["user"], world.update("Comment", ME, &[("authorId", uuid(ME))]))
        .unwrap_err();
    assert!(matches!(denied.reason(), Reason::NotWritable(_)), "{denied:?}");
}

#[test]
fn nobody_without_a_role_learns_that_there_is_anything() {
    let world = shipped();
    for entity in ["User", "Note"] {
        let denied = world
            .decide(&[], world.list(entity, Predicate::True, &["id"]))
            .unwrap_err();
        assert_eq!(denied.client(), (Code::NotFound, "Unknown entity".to_owned()));
        assert!(
            world
                .policy
                .vocabulary(&world.subject(&[]), world.entity(entity), Operation::List)
                .is_none()
        );
    }
}
