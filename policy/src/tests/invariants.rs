//! Invariants: rules that break one don't load, and whoever wrote them hears which, where and why.

use std::sync::Arc;

use super::world::{parse, rules, schema, source};
use crate::{Policy, PolicyError};

const ENTITIES: &str = r"
entity: User
fields:
  id: {type: uuid, primary: true}
  email: {type: string}
  name: {type: string}
  tenantId: {type: string}
---
entity: Note
fields:
  id: {type: uuid, primary: true, generated: true}
  tenantId: {type: string}
  ownerId: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}
  reviewerId: {type: uuid, nullable: true, foreign_key: {entity: User, field: id, on_delete: set_null}}
  state: {type: enum, values: [draft, published], default: draft}
  title: {type: string}
acl:
  read: {admin: true}
---
entity: Country
fields:
  id: {type: uuid, primary: true}
  name: {type: string}
";

/// What is said of these rules under these invariants; nothing if they load.
fn said(these: &str, invariants: &str) -> String {
    let rules = rules(&format!("rules:\n{these}"));
    let invariants = source(
        "invariants.yaml",
        &format!("version: 1\ninvariants:\n{invariants}"),
    );
    let loaded = Policy::uphold(&source("acl.yaml", &rules), Some(&invariants), schema(ENTITIES));
    match loaded {
        Ok(_) => String::new(),
        Err(PolicyError::Invalid(problems)) => problems.to_string(),
        Err(error @ PolicyError::Unreadable { .. }) => panic!("{error}"),
    }
}

const EMAIL: &str = "  - {id: no-email, never: {unless_roles: [admin], read: User.email}}\n";
const TENANTS: &str = "  - {id: tenants, within: {entity: '*', except: [Country], rows: 'tenantId = $user.tenantId', unless_roles: [admin]}}\n";

#[test]
fn who_may_never_read_a_field() {
    let wide = "  - {id: all, entity: User, roles: [user], operations: [list]}\n";
    assert_eq!(
        said(wide, EMAIL),
        "acl.yaml:4:5: invariant `no-email` (invariants.yaml:3:5) is broken: rule `all` lets `user` read User.email"
    );
    let narrow = "  - {id: some, entity: User, roles: [user], operations: [read], fields: {read: ['*', '-email']}}\n  \
                  - {id: admins, entity: User, roles: [admin], operations: [read]}\n";
    assert_eq!(said(narrow, EMAIL), "");
    // Who holds a role besides `admin` is an admin; who inherits `user` is not.
    let editors = "  - {id: all, entity: User, roles: [editor, admin], operations: [read]}\n";
    assert!(said(editors, EMAIL).contains("lets `editor` read User.email"));
    // Without any row there is nothing to read.
    let void = "  - {id: none, entity: User, roles: [user], operations: [read], rows: \"name = 'a' AND name = 'b'\"}\n";
    assert_eq!(said(void, EMAIL), "");
    // A rule that only writes shows nothing.
    let write = "  - {id: write, entity: User, roles: [user], operations: [update]}\n";
    assert_eq!(said(write, EMAIL), "");
    // A wildcard is for all that have the field.
    let everywhere = "  - {id: names, never: {read: '*.name'}}\n";
    assert!(said(wide, everywhere).contains("lets `user` read User.name"));
    let own = "  - {id: own, entity: User, roles: [user], operations: [read], rows: 'id = $user.id'}\n";
    let others = "  - {id: no-email, never: {roles: [user], read: User.email, rows: 'id <> $user.id'}}\n";
    assert_eq!(said(own, others), "");
    let broken = said(wide, others);
    assert!(
        broken.contains("is not proven") && broken.contains("such a row: id <> $user.id"),
        "{broken}"
    );
}

#[test]
fn no_rule_crosses_tenants() {
    let own = "rows: 'tenantId = $user.tenantId'";
    let rule = |text: &str| format!("  - {{id: it, roles: [user], {text}}}\n");
    for sound in [
        format!("entity: Note, operations: ['*'], {own}"),
        format!("entity: Note, operations: [read], {own}, check: \"state = 'draft'\""),
        // The written row keeps its tenant: the rule can't write it.
        format!("entity: Note, operations: [update], {own}, check: \"state = 'draft'\", fields: {{write: [title]}}"),
        // The forced tenant is the caller's.
        "entity: Note, operations: [create], check: \"state = 'draft'\", set: {tenantId: $user.tenantId}".to_owned(),
        "entity: Country, operations: [read]".to_owned(),
        "entity: Note, operations: [read], rows: \"tenantId = $user.tenantId AND (state = 'published' OR ownerId = $user.id)\""
            .to_owned(),
    ] {
        assert_eq!(said(&rule(&sound), TENANTS), "", "{sound}");
    }
    for (broken, deed) in [
        (
            "entity: Note, operations: [read], rows: \"state = 'published'\"".to_owned(),
            "read Note, perhaps such a row: ",
        ),
        (
            "entity: Note, operations: [delete], rows: 'ownerId = $user.id'".to_owned(),
            "delete Note",
        ),
        (
            "entity: Note, operations: [create], check: 'ownerId = $user.id'".to_owned(),
            "create Note",
        ),
        // Moves a row to another tenant.
        (
            format!("entity: Note, operations: [update], {own}, check: \"state = 'draft'\""),
            "update Note",
        ),
        // Takes one from another tenant.
        (
            format!(
                "entity: Note, operations: [update], rows: \"state = 'draft'\", check: {}",
                &own[6..]
            ),
            "update Note",
        ),
        (
            format!(
                "entity: Note, operations: [read], rows: {} ",
                "\"tenantId = $user.tenantId OR state = 'published'\""
            ),
            "read Note",
        ),
        (
            "entity: Note, operations: [read], rows: \"tenantId = 'a'\"".to_owned(),
            "read Note",
        ),
    ] {
        let text = said(&rule(&broken), TENANTS);
        assert!(text.starts_with("acl.yaml:4:5: invariant `tenants` (invariants.yaml:3:5) is not proven: rule `it` lets `user` "), "{broken}: {text}");
        assert!(text.contains(deed), "{broken}: {text}");
    }
    let published = said(
        &rule("entity: Note, operations: [read], rows: \"state = 'published'\""),
        TENANTS,
    );
    assert!(
        published.contains("state = 'published' and tenantId <> $user.tenantId"),
        "{published}"
    );
    assert!(
        published.ends_with("; restate rule `it` or the invariant"),
        "{published}"
    );
    // `*` reaches every entity, and Country has no tenant.
    let unclear = said(
        &rule("entity: Country, operations: [read]"),
        &TENANTS.replace("except: [Country], ", ""),
    );
    assert!(unclear.contains("`Country` has no field `tenantId`"), "{unclear}");
}

#[test]
fn a_wall_keeps_what_rules_alone_would_not() {
    let rules_and = |unless: &str| {
        format!(
            "  - {{id: all, entity: '*', roles: [user], operations: ['*']}}\n\
             restrict:\n  - {{id: wall, entity: '*', except: [Country], rows: 'tenantId = $user.tenantId'{unless}}}\n"
        )
    };
    assert_eq!(said(&rules_and(""), TENANTS), "");
    assert_eq!(said(&rules_and(", unless_roles: [admin]"), TENANTS), "");
    // Who is a user and an editor as well is not behind the wall.
    let text = said(&rules_and(", unless_roles: [editor]"), TENANTS);
    assert!(
        text.contains("; restriction `wall` does not hold for `editor`; restate"),
        "{text}"
    );
}

#[test]
fn inline_rules_are_held_to_it_too() {
    let text = said(
        "  - {id: none, entity: Country, roles: [user], operations: [read]}\n",
        &TENANTS.replace(", unless_roles: [admin]", ""),
    );
    assert!(text.starts_with("entities.yaml:18:10:"), "{text}");
    assert!(
        text.contains("rule `Note.acl.read.admin` lets `admin` read Note"),
        "{text}"
    );
}

#[test]
fn the_public_may_never_write() {
    let never = "  - {id: no-public-writes, never: {anonymous: true, write: '*'}}\n";
    let own = "  - {id: own, entity: User, roles: [public], operations: [update], rows: 'id = $user.id'}\n";
    assert_eq!(said(own, never), "", "who proved nothing has no id");
    let open =
        "  - {id: open, entity: User, roles: [public], operations: [update], fields: {write: [name]}}\n";
    assert!(said(open, never).contains("is broken: rule `open` lets `public` update User"));
    // By roles: whoever has no role but `public`, with an id or without.
    let by_role = "  - {id: it, never: {roles: [public], write: User}}\n";
    assert!(said(own, by_role).contains("rule `own` lets `public` update User"));
    let user = "  - {id: user, entity: User, roles: [user], operations: [update]}\n";
    assert_eq!(said(user, by_role), "");
}

#[test]
fn fields_may_be_kept_from_being_written() {
    let never = "  - {id: roles, never: {unless_roles: [admin], write: User.tenantId}}\n";
    let all = "  - {id: all, entity: User, roles: [user], operations: [update]}\n";
    assert!(said(all, never).contains("rule `all` lets `user` update User.tenantId"));
    let name = "  - {id: name, entity: User, roles: [user], operations: [update], fields: {write: [name]}}\n";
    assert_eq!(said(name, never), "");
    // What the policy forces is no choice of the caller's.
    let forced = "  - {id: it, entity: User, roles: [user], operations: [create], fields: {write: [name]}, set: {tenantId: $user.tenantId}}\n";
    assert_eq!(said(forced, never), "");
    // The key can be chosen, but not changed.
    let key = "  - {id: key, never: {update: User.id}}\n";
    assert_eq!(said(all, key), "");
}

#[test]
fn what_goes_along_with_other_rows_counts() {
    let never = "  - {id: keep, never: {delete: Note}}\n";
    let text = said(
        "  - {id: users, entity: User, roles: [admin], operations: [delete]}\n",
        never,
    );
    assert!(
        text.contains("rule `users` deletes rows of User, and rows of Note that refer to User go with it (`on_delete: cascade`)"),
        "{text}"
    );
    let never = "  - {id: keep, never: {update: Note.reviewerId}}\n";
    let text = said(
        "  - {id: users, entity: User, roles: [admin], operations: [delete]}\n",
        never,
    );
    assert!(text.contains("change with it (`on_delete: set_null`)"), "{text}");
    let never = "  - {id: keep, never: {update: Note.title}}\n";
    assert_eq!(
        said(
            "  - {id: users, entity: User, roles: [admin], operations: [delete]}\n",
            never
        ),
        ""
    );
}

#[test]
fn what_is_wrong_with_the_file_is_told_with_its_place() {
    let rule = "  - {id: it, entity: User, roles: [user], operations: [read]}\n";
    for (invariants, expected) in [
        (
            "  - {never: {read: User}}\n",
            "invariants.yaml:3:5: this invariant has no `id`",
        ),
        ("  - {id: a}\n", "an invariant says either `never` or `within`"),
        (
            "  - {id: a, never: {read: User.emial}}\n",
            "`User` has no field `emial`; did you mean `email`?",
        ),
        (
            "  - {id: a, never: {read: Usr}}\n",
            "unknown entity `Usr`; did you mean `User`?",
        ),
        (
            "  - {id: a, never: {raed: User}}\n",
            "unknown key `raed` in `never`; did you mean `read`?",
        ),
        (
            "  - {id: a, never: {read: '*.nowhere'}}\n",
            "no entity has a field `nowhere`",
        ),
        (
            "  - {id: a, never: {delete: User.email}}\n",
            "rows are deleted, not fields",
        ),
        (
            "  - {id: a, never: {roles: [usr], read: User}}\n",
            "role `usr` is not declared",
        ),
        (
            "  - {id: a, never: {unless_roles: [public], read: User}}\n",
            "leaves no caller",
        ),
        ("  - {id: a, within: {entity: User}}\n", "has no `rows`"),
        (
            "  - {id: a, within: {entity: User, rows: 'emial = 1'}}\n",
            "invariants.yaml:3:43: `User` has no field `emial`",
        ),
        ("  - {id: a, never: {}}\n", "this forbids nothing"),
        (
            "  - {id: a, never: {read: Country}}\n  - {id: a, never: {read: Note}}\n",
            "the id `a` is taken",
        ),
    ] {
        let text = said(rule, invariants);
        assert!(text.contains(expected), "{invariants}: {text}");
    }
}

#[test]
fn the_policys_hash_tells_under_which_invariants_it_was_proven() {
    let these = rules("rules: []\n");
    let plain = parse(ENTITIES, &these).unwrap().policy.hash();
    let under = |text: &str| {
        let invariants = source("invariants.yaml", text);
        let loaded = Policy::uphold(
            &source("acl.yaml", &these),
            Some(&invariants),
            Arc::clone(&schema(ENTITIES)),
        );
        loaded.unwrap_or_else(|error| panic!("{error}")).policy.hash()
    };
    let one = under("version: 1\ninvariants: [{id: a, never: {delete: '*'}}]\n");
    let other = under("version: 1\ninvariants: [{id: a, never: {write: '*'}}]\n");
    assert!(plain != one && one != other && plain != other);
}
