//! Each lint fires on a bad example and is quiet on the good one.

use super::*;
use crate::fixture::policy;

const ENTITIES: &str = "\
entity: User
fields:
  id: {type: uuid}
  tenantId: {type: string}
  phone: {type: string, sensitive: true}
---
entity: Note
fields:
  id: {type: uuid, generated: true}
  ownerId: {type: uuid, foreign_key: {entity: User, field: id, on_delete: cascade}}
  tenantId: {type: string}
  rank: {type: integer}
  state: {type: enum, values: [draft, published]}
---
entity: Remark
fields:
  id: {type: uuid, generated: true}
  noteId: {type: uuid, nullable: true, foreign_key: {entity: Note, field: id, on_delete: set_null}}
---
entity: Ledger
read_only: true
fields: {id: {type: uuid}}
---
entity: Lease
fields:
  id: {type: uuid, generated: true}
  ownerId: {type: uuid}
  until: {type: datetime, nullable: true}
ttl: {field: until, auto_delete: true}
";

/// Rules that nothing can be said against, but for what follows.
const QUIET: &str = "\
version: 1
roles: {user: {}, admin: {inherits: [user]}}
rules:
  - {id: quiet-users, entity: User, roles: [user], operations: [read], fields: {read: [id]}}
  - {id: quiet-notes, entity: Note, roles: [user], operations: [read], rows: \"ownerId = $user.id\"}
  - {id: quiet-remarks, entity: Remark, roles: [user], operations: [read]}
  - {id: quiet-leases, entity: Lease, roles: [user], operations: [read]}
  - {id: quiet-ledger, entity: Ledger, roles: [user], operations: [read]}
  - {id: quiet-admin, entity: Remark, roles: [admin], operations: [update]}
";

const NONE: [&str; 0] = [];

fn found(more: &str) -> Vec<(&'static str, String)> {
    let findings = lint(&policy(ENTITIES, &format!("{QUIET}{more}")));
    let told = |finding: Finding| (finding.code.name(), finding.text);
    findings.into_iter().map(told).collect()
}

fn codes(more: &str) -> Vec<&'static str> {
    found(more).into_iter().map(|(code, _)| code).collect()
}

fn rule(rest: &str) -> String {
    format!("  - {{id: r, {rest}}}\n")
}

#[test]
fn nothing_is_said_against_a_quiet_policy() {
    assert_eq!(found(""), []);
}

#[test]
fn a_rule_that_can_never_apply_is_found_and_one_that_can_is_not() {
    let with = |rows: &str| {
        codes(&rule(&format!(
            "entity: Note, roles: [admin], operations: [delete], rows: \"{rows}\""
        )))
    };
    for rows in [
        "state = 'draft' AND state = 'published'",
        "rank < 2 AND rank > 5",
        "rank = 1 AND rank IS NULL",
        "'user' NOT IN $user.roles AND 'admin' IN $user.roles",
        "state IN ('draft') AND NOT state = 'draft'",
        "false",
        "$user.level < 0",
    ] {
        let said = with(rows);
        assert_eq!(said, ["never-applies"], "{rows}");
    }
    for rows in [
        "rank < 2 AND rank > 0",
        "state = 'draft' OR state = 'published'",
        "rank = 1 OR rank IS NULL",
    ] {
        assert!(!with(rows).contains(&"never-applies"), "{rows}");
    }
    for rest in [
        "entity: Ledger, roles: [admin], operations: [update, delete]",
        "entity: Note, roles: [admin], operations: [create], check: \"rank = 1 AND rank = 2\"",
    ] {
        assert_eq!(codes(&rule(rest)), ["never-applies"], "{rest}");
    }
    // Creating is not about rows that are there.
    let rest = "entity: Note, roles: [admin], operations: [create], rows: \"false\", check: \"rank = 1\"";
    assert_eq!(codes(&rule(rest)), NONE);
}

#[test]
fn a_rule_that_another_covers_is_found_and_one_that_adds_anything_is_not() {
    for rest in [
        "entity: Remark, roles: [admin], operations: [list]",
        "entity: Note, roles: [user], operations: [read], rows: \"ownerId = $user.id AND rank = 1\"",
        "entity: Note, roles: [admin], operations: [list], rows: \"$user.id = ownerId\", fields: {read: [rank]}",
    ] {
        assert_eq!(codes(&rule(rest)), ["shadowed"], "{rest}");
    }
    for rest in [
        "entity: Note, roles: [public], operations: [read], rows: \"rank = 1\"",
        "entity: Note, roles: [user], operations: [read], rows: \"rank = 1\"",
        "entity: User, roles: [user], operations: [read], rows: \"id = $user.id\"",
        "entity: Remark, roles: [user], operations: [read, create]",
        "entity: Remark, roles: [admin], operations: [update], set: {noteId: null}",
        "entity: Remark, roles: [admin], operations: [update], allow_unfiltered: true",
    ] {
        let said = found(&rule(rest));
        let is_shadowed = said
            .iter()
            .any(|(_, text)| text.starts_with("rule `r` grants nothing that"));
        assert!(!is_shadowed, "{rest}: {said:?}");
    }
    let twins = "  - {id: one, entity: Note, roles: [admin], operations: [update]}\n  \
                 - {id: two, entity: Note, roles: [admin], operations: [update]}\n";
    let said = found(twins);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].1.starts_with("rule `two` grants nothing that `one`"),
        "{said:?}"
    );
}

#[test]
fn roles_that_give_nothing_and_entities_without_a_rule_are_found() {
    let idle = QUIET.replace("roles: {user: {},", "roles: {guest: {}, user: {},");
    let said: Vec<_> = lint(&policy(ENTITIES, &idle))
        .into_iter()
        .map(|it| it.code)
        .collect();
    assert_eq!(said, [Code::IdleRole]);
    let asked = format!(
        "{idle}{}",
        rule("entity: Note, roles: [admin], operations: [delete], rows: \"$user.role = 'guest'\"")
    );
    assert!(
        lint(&policy(ENTITIES, &asked))
            .iter()
            .all(|it| it.code != Code::IdleRole)
    );

    let alone = format!("{ENTITIES}---\n{{entity: Alone, fields: {{id: {{type: uuid}}}}}}\n");
    let said: Vec<_> = lint(&policy(&alone, QUIET))
        .into_iter()
        .map(|it| (it.code, it.at.to_string()))
        .collect();
    assert_eq!(said, [(Code::NoRule, "entities.yaml:31:1".to_owned())]);
    let inline = alone.replace(
        "fields: {id: {type: uuid}}}",
        "fields: {id: {type: uuid}}, acl: {read: {user: true}}}",
    );
    assert_eq!(lint(&policy(&inline, QUIET)), []);
}

#[test]
fn writes_without_a_token_are_found_and_those_that_need_one_are_not() {
    let open = "entity: Note, roles: [public], operations: [create]";
    let said = found(&rule(open));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(
        said[0].1,
        "rule `r` lets anybody, without a token, `create` `Note`"
    );
    for rest in [
        "entity: Note, roles: [public], operations: [create], check: \"ownerId = $user.id\"",
        "entity: Note, roles: [public], operations: [create], set: {ownerId: $user.id}",
        "entity: Note, roles: [user], operations: [create]",
        "entity: Note, roles: [public], operations: [list], fields: {read: [rank]}",
    ] {
        assert!(!codes(&rule(rest)).contains(&"public-write"), "{rest}");
    }
    let walled = format!(
        "{}restrict:\n  - {{entity: Note, rows: \"tenantId = $user.tenantId\"}}\n",
        rule(open)
    );
    assert!(!codes(&walled).contains(&"public-write"));
}

#[test]
fn sensitive_fields_of_others_are_found_and_ones_own_are_not() {
    let said = found(&rule("entity: User, roles: [admin], operations: [read]"));
    assert_eq!(said[0].0, "sensitive-readable");
    assert!(
        said[0]
            .1
            .contains("shows `User.phone`, marked `sensitive`, to `admin`"),
        "{said:?}"
    );
    for rest in [
        "entity: User, roles: [user], operations: [read], rows: \"id = $user.id\"",
        "entity: User, roles: [user], operations: [read], rows: \"id = $user.id AND phone IS NOT NULL\"",
        "entity: User, roles: [admin], operations: [read], fields: {read: [\"*\", \"-phone\"]}",
        "entity: User, roles: [admin], operations: [update]",
    ] {
        assert!(!codes(&rule(rest)).contains(&"sensitive-readable"), "{rest}");
    }
    let or = "entity: User, roles: [user], operations: [read], rows: \"id = $user.id OR tenantId = 'a'\"";
    assert_eq!(codes(&rule(or)), ["sensitive-readable"]);
    let walled = "restrict:\n  - {entity: User, rows: \"id = $user.id\"}\n";
    assert_eq!(codes(&format!("{}{walled}", rule(or))), NONE);
}

#[test]
fn changing_all_rows_at_once_is_found() {
    let rest = "entity: Note, roles: [admin], operations: [update], allow_unfiltered: true";
    assert_eq!(codes(&rule(rest)), ["allow-unfiltered"]);
    let rest = "entity: Note, roles: [admin], operations: [create], allow_unfiltered: true";
    assert_eq!(codes(&rule(rest)), NONE);
}

#[test]
fn references_that_may_be_written_beyond_a_wall_are_found() {
    let wall = "restrict:\n  - {id: tenants, entity: [Note, User], rows: \"tenantId = $user.tenantId\"}\n";
    let unwalled = |rest: &str| {
        let found = found(&format!("{}{wall}", rule(rest)));
        let of_rule =
            |(code, text): &(&str, String)| *code == "unwalled-reference" && !text.contains("quiet-");
        found.iter().filter(|found| of_rule(found)).count()
    };
    let notes = "entity: Remark, roles: [user]";
    assert_eq!(unwalled(&format!("{notes}, operations: [create]")), 1);
    assert_eq!(
        unwalled(&format!(
            "{notes}, operations: [update], fields: {{write: [noteId]}}"
        )),
        1
    );
    assert_eq!(
        unwalled(&format!("{notes}, operations: [update], fields: {{write: []}}")),
        0
    );
    assert_eq!(unwalled(&format!("{notes}, operations: [read, delete]")), 0);
    for check in [
        "noteId IN (SELECT id FROM Note WHERE tenantId = $user.tenantId)",
        "note.tenantId = $user.tenantId",
        "noteId = $user.note",
    ] {
        assert_eq!(
            unwalled(&format!("{notes}, operations: [create], check: \"{check}\"")),
            0,
            "{check}"
        );
    }
    // To name the field is not enough: the row must be one's own whichever way the condition holds.
    for check in [
        "noteId <> $user.note",
        "noteId NOT IN ($user.note)",
        "NOT note.tenantId = $user.tenantId",
        "noteId IS NOT NULL OR note.tenantId = $user.tenantId",
        "noteId IN (SELECT id FROM Note WHERE rank = 1)",
    ] {
        assert_eq!(
            unwalled(&format!("{notes}, operations: [create], check: \"{check}\"")),
            1,
            "{check}"
        );
    }
    for check in [
        "noteId IS NULL OR note.tenantId = $user.tenantId",
        "$user.level >= 3 OR note.tenantId = $user.tenantId",
    ] {
        assert_eq!(
            unwalled(&format!("{notes}, operations: [create], check: \"{check}\"")),
            0,
            "{check}"
        );
    }
    // Other walls keep apart as well.
    for rows in ["ownerId = $user.id", "tenantId IN ('shared', $user.tenantId)"] {
        let wall = format!("restrict:\n  - {{id: own, entity: Note, rows: \"{rows}\"}}\n");
        let found = codes(&format!(
            "{}{wall}",
            rule(&format!("{notes}, operations: [create]"))
        ));
        assert!(found.contains(&"unwalled-reference"), "{rows}: {found:?}");
    }
    // Of everybody's rows, of forced ones.
    assert_eq!(codes(&rule(&format!("{notes}, operations: [create]"))), NONE);
    let forced = "entity: Note, roles: [user], operations: [create], set: {ownerId: $user.id}";
    assert_eq!(unwalled(forced), 0);
    assert_eq!(unwalled("entity: Note, roles: [user], operations: [create]"), 1);
}

#[test]
fn walls_that_are_missing_idle_or_shut_are_found() {
    let walls = |walls: &str| {
        let mut codes = codes(&format!("restrict:\n{walls}"));
        // `quiet-admin` may write `noteId`.
        codes.retain(|code| *code != "unwalled-reference");
        codes
    };
    let tenants = "rows: \"tenantId = $user.tenantId\"";
    assert_eq!(
        walls(&format!("  - {{entity: Note, {tenants}}}\n")),
        ["no-tenant-wall"]
    );
    assert_eq!(walls(&format!("  - {{entity: [Note, User], {tenants}}}\n")), NONE);
    // What a tenant's own row is called by, other entities call their own rows by.
    assert_eq!(walls("  - {entity: User, rows: \"id = $user.tenantId\"}\n"), NONE);
    // An owner is no tenant.
    assert_eq!(walls("  - {entity: Note, rows: \"ownerId = $user.id\"}\n"), NONE);
    let other = "  - {entity: User, rows: \"tenantId IN ('shared', $user.tenantId)\"}\n";
    assert_eq!(walls(&format!("  - {{entity: Note, {tenants}}}\n{other}")), NONE);
    assert_eq!(walls("  - {entity: Note, rows: \"true\"}\n"), ["idle-wall"]);
    assert_eq!(
        walls("  - {entity: Note, rows: \"rank = 1 AND rank = 2\"}\n"),
        ["wall-bars-all"]
    );
    assert_eq!(walls("  - {entity: Note, rows: \"rank = 1\"}\n"), NONE);
}

#[test]
fn deletes_that_reach_rows_by_reference_are_found() {
    let delete = "entity: User, roles: [admin], operations: [delete]";
    let said = found(&rule(delete));
    assert_eq!(said.len(), 1, "{said:?}");
    let (code, text) = &said[0];
    assert_eq!(*code, "reaches-by-reference");
    assert!(text.contains("by `Note.ownerId` (`on_delete`)"), "{text}");
    // The remarks of the notes are set to null, which admins may do.
    assert!(!text.contains("Remark"), "{text}");
    let both = format!(
        "{}  - {{id: s, entity: Note, roles: [user], operations: [delete], rows: \"true\"}}\n",
        rule(delete)
    );
    let said = found(&both);
    // But users may not set remarks to null.
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].1.contains("by rule `s`") && said[0].1.contains("Remark.noteId"),
        "{said:?}"
    );
}

#[test]
fn updates_by_which_rows_go_that_their_caller_may_not_delete_are_found() {
    let own = "rows: \"ownerId = $user.id\"";
    let update = |rest: &str| {
        rule(&format!(
            "entity: Lease, roles: [user], operations: [update]{rest}"
        ))
    };
    let said = found(&update(&format!(", {own}")));
    assert_eq!(said.len(), 1, "{said:?}");
    let (code, text) = &said[0];
    assert_eq!(*code, "removes-by-time");
    assert!(
        text.contains("rule `r` lets its roles set `Lease.until`"),
        "{text}"
    );
    // The field can't be set, or its rows may be deleted as well.
    assert_eq!(codes(&update(", fields: {write: [ownerId]}")), NONE);
    let delete =
        |rows: &str| format!("  - {{id: d, entity: Lease, roles: [user], operations: [delete]{rows}}}\n");
    let both = |rows: &str| codes(&format!("{}{}", update(&format!(", {own}")), delete(rows)));
    assert_eq!(both(""), NONE);
    assert_eq!(both(&format!(", {own}")), NONE);
    assert_eq!(
        both(", rows: \"ownerId = $user.id AND until IS NULL\""),
        ["removes-by-time"]
    );
}

#[test]
fn what_the_author_stands_by_is_not_said_and_what_is_accepted_in_vain_is() {
    let open = "entity: Note, roles: [public], operations: [create]";
    assert_eq!(
        codes(&rule(&format!("{open}, accept: {{public-write: a guest book}}"))),
        NONE
    );
    let elsewhere = format!("{}accept: {{r: {{public-write: a guest book}}}}\n", rule(open));
    assert_eq!(codes(&elsewhere), NONE);
    // In vain.
    let other = rule(&format!(
        "{open}, accept: {{public-write: a guest book, shadowed: why, publik-write: why}}"
    ));
    let said = found(&other);
    assert!(
        said.iter().all(|(code, _)| *code == "needless-acceptance"),
        "{said:?}"
    );
    assert_eq!(said.len(), 2);
    assert!(said[1].1.contains("no finding called `publik-write`"), "{said:?}");
}

#[test]
fn nothing_is_said_against_the_shipped_policies() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for folder in [examples.clone(), examples.join("tracker")] {
        let schema = dbal_schema::Schema::load(&folder.join("entities"))
            .unwrap()
            .schema;
        let loaded = Policy::load(&folder.join("acl.yaml"), None, schema.into()).unwrap();
        assert_eq!(lint(&loaded.policy), []);
    }
}

#[test]
fn every_finding_is_told_in_the_documentation() {
    let page = include_str!("../../../../docs/policy.md");
    for code in Code::ALL {
        assert!(
            page.contains(&format!("| `{}` |", code.name())),
            "{}",
            code.name()
        );
    }
}
