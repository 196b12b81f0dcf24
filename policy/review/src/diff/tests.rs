//! What a change is called.

use super::*;
use crate::fixture::policy;

const ENTITIES: &str = r"
entity: Note
fields:
  id: {type: uuid, primary: true, generated: true}
  tenantId: {type: string}
  ownerId: {type: uuid}
  state: {type: enum, values: [draft, published], default: draft}
  title: {type: string}
  rank: {type: integer, default: 0}
---
entity: Team
fields:
  id: {type: uuid, primary: true}
";

fn of(rules: &str) -> Policy {
    policy(
        ENTITIES,
        &format!("version: 1\nroles: {{user: {{}}, admin: {{inherits: [user]}}}}\n{rules}"),
    )
}

/// The changes, one line each.
fn said(old: &str, new: &str) -> Vec<String> {
    let diff = diff(&of(old), &of(new));
    let changes = diff.changes.iter().map(|change| {
        let operations: Vec<&str> = change.operations.iter().map(|it| it.name()).collect();
        format!(
            "{} {}: {} {} {}{}",
            change.direction.name(),
            change.roles.join("+"),
            operations.join("+"),
            change.entity,
            change.fields.join("+"),
            change.note.as_deref().unwrap_or_default()
        )
    });
    let limits = diff
        .limits
        .iter()
        .map(|limit| format!("{} {} {}>{}", limit.role, limit.limit, limit.old, limit.new));
    changes.chain(limits).collect()
}

fn rule(text: &str) -> String {
    format!("rules:\n  - {{id: it, entity: Note, roles: [user], {text}}}\n")
}

const ROWS: &str = "operations: [delete], rows: ";

#[test]
fn rows_are_equal_widened_narrowed_or_changed() {
    for (old, new, expected) in [
        ("'ownerId = $user.id'", "'$user.id = ownerId'", ""),
        ("\"rank > 1 AND rank > 2\"", "'rank > 2'", ""),
        (
            "\"state = 'draft' OR state = 'published'\"",
            "\"state IN ('published', 'draft')\"",
            "",
        ),
        ("'rank > 2'", "'rank > 1'", "widened"),
        (
            "'ownerId = $user.id'",
            "\"ownerId = $user.id OR state = 'published'\"",
            "widened",
        ),
        ("'rank > 1'", "'rank > 2'", "narrowed"),
        (
            "'ownerId = $user.id'",
            "'ownerId = $user.id AND rank > 2'",
            "narrowed",
        ),
        ("'ownerId = $user.id'", "'tenantId = $user.tenantId'", "changed"),
        ("'rank > 1 AND rank < 1'", "'rank > 1'", "granted"),
        // Who lacks a claim of it has nothing of the rule.
        (
            "\"state = 'draft'\"",
            "\"state = 'draft' OR ownerId = $user.id\"",
            "changed",
        ),
        // What roles say is known of each role: `user` can't do it, `admin` could before.
        (
            "\"'admin' IN $user.roles OR rank = 1\"",
            "'rank = 1'",
            "narrowed admin",
        ),
        ("'$user.level >= 1'", "'$user.level >= 2'", "revoked user"),
    ] {
        let found = said(&rule(&format!("{ROWS}{old}")), &rule(&format!("{ROWS}{new}")));
        let whose = if expected.contains(' ') || expected.is_empty() {
            ""
        } else {
            " user+admin"
        };
        let expected: Vec<String> = (!expected.is_empty())
            .then(|| format!("{expected}{whose}: delete Note "))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "{old} -> {new}");
    }
}

#[test]
fn fields_operations_roles_and_limits_are_compared() {
    let fields = |read: &str, write: &str| {
        rule(&format!(
            "operations: [read, update], rows: 'ownerId = $user.id', fields: {{read: [{read}], write: [{write}]}}"
        ))
    };
    assert_eq!(
        said(&fields("id, title", "title"), &fields("id, title, rank", "title")),
        ["granted user+admin: read+list Note rank"]
    );
    assert_eq!(
        said(&fields("id, title", "title, rank"), &fields("id", "rank")),
        ["revoked user+admin: read+list+update Note title"]
    );
    // The primary key is never updated, whatever a rule says.
    assert_eq!(
        said(&fields("id", "title"), &fields("id", "title, id")),
        Vec::<String>::new()
    );
    let admins = "rules:\n  - {id: it, entity: Note, roles: [admin], operations: [delete]}\n";
    assert_eq!(
        said(admins, &rule("operations: [delete]")),
        ["granted user: delete Note "]
    );
    assert_eq!(
        said(
            &rule("operations: [delete]"),
            &rule("operations: [delete], allow_unfiltered: true")
        ),
        ["granted user+admin: delete Note all rows at once, without a filter (`allow_unfiltered`)"]
    );
    let limits = |burst: u32| format!("rules: []\nlimits: {{user: {{burst: {burst}}}}}\n");
    assert_eq!(
        said(&limits(10), &limits(20)),
        ["user burst 10>20", "admin burst 10>20"]
    );
}

#[test]
fn walls_and_forced_values_count() {
    let walled = |unless: &str| {
        format!(
            "{}restrict:\n  - {{id: wall, entity: Note, rows: 'tenantId = $user.tenantId'{unless}}}\n",
            rule("operations: [create], check: 'ownerId = $user.id', fields: {write: [title]}")
        )
    };
    let plain = rule("operations: [create], check: 'ownerId = $user.id', fields: {write: [title]}");
    assert_eq!(
        said(&walled(""), &plain),
        ["widened user+admin: create Note title"]
    );
    assert_eq!(
        said(&plain, &walled("")),
        ["narrowed user+admin: create Note title"]
    );
    assert_eq!(
        said(&walled(""), &walled(", unless_roles: [admin]")),
        ["widened admin: create Note title"]
    );
    // That the owner is forced, or demanded, comes to the same; but for the field itself.
    let forced = rule("operations: [create], set: {ownerId: $user.id}, fields: {write: [title]}");
    assert_eq!(said(&plain, &forced), ["granted user+admin: create Note ownerId"]);
}

#[test]
fn another_schema_is_compared_by_names() {
    let old = policy(
        &ENTITIES
            .replace("  ownerId: {type: uuid}\n", "")
            .replace("entity: Team", "entity: Gang"),
        "version: 1\nroles: {user: {}}\nrules:\n  - {id: it, entity: '*', roles: [user], operations: [delete]}\n",
    );
    let new = policy(
        ENTITIES,
        "version: 1\nroles: {user: {}}\nrules:\n  - {id: it, entity: '*', roles: [user], operations: [delete]}\n",
    );
    let diff = diff(&old, &new);
    let lines: Vec<_> = diff
        .changes
        .iter()
        .map(|it| (it.direction, it.entity.as_str()))
        .collect();
    assert_eq!(
        lines,
        [(Direction::Granted, "Team"), (Direction::Revoked, "Gang")]
    );
}

#[test]
fn reports_name_rules_places_and_a_row() {
    let old = of(&rule("operations: [delete], rows: 'ownerId = $user.id'"));
    let new = of(&rule(
        "operations: [delete], rows: \"ownerId = $user.id OR state = 'published'\"",
    ));
    let diff = diff(&old, &new);
    assert!(diff.widens());
    let text = terminal(&diff);
    assert!(
        text.contains("+ widened  user, admin may delete Note\n"),
        "{text}"
    );
    assert!(
        text.contains("    was `it` (acl.yaml:4:5): ownerId = $user.id\n"),
        "{text}"
    );
    assert!(text.contains("    e.g. a row with state = 'published'"), "{text}");
    assert!(
        markdown(&diff).contains("| user, admin | delete Note |"),
        "{}",
        markdown(&diff)
    );
    let value: serde_json::Value = serde_json::from_str(&json(&diff)).unwrap();
    assert_eq!(value["widens"], true);
    assert_eq!(value["changes"][0]["new"][0]["rule"], "it");
}

#[test]
fn hundreds_of_rules_that_are_the_same_need_no_proof_and_one_more_is_found() {
    let many = |count: u32| {
        let rules: Vec<String> = (0..count)
            .map(|nth| {
                format!("  - {{id: r{nth}, entity: Note, roles: [user], {ROWS}\"rank = {nth} OR title = 't{nth}'\"}}")
            })
            .collect();
        format!("rules:\n{}\n", rules.join("\n"))
    };
    assert_eq!(said(&many(300), &many(300)), Vec::<String>::new());
    assert_eq!(said(&many(300), &many(301)), ["widened user+admin: delete Note "]);
    assert_eq!(
        said(&many(301), &many(300)),
        ["narrowed user+admin: delete Note "]
    );
}
