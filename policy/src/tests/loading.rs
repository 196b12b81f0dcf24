//! What doesn't load, and how that is said.

use super::world::{ENTITIES, parse, rules};

fn problems(text: &str) -> String {
    parse(ENTITIES, text).expect_err(text).to_string()
}

fn rule(rest: &str) -> String {
    rules(&format!(
        "rules:\n  - {{id: r, entity: Doc, roles: [user], operations: [read, update], {rest}}}\n"
    ))
}

fn rows(expression: &str) -> String {
    rules(&format!(
        "rules:\n  - id: r\n    entity: Doc\n    roles: [user]\n    operations: [read]\n    rows: \"{expression}\"\n"
    ))
}

#[test]
fn a_mistake_in_an_expression_is_shown_where_it_stands() {
    let said = problems(&rows("state = 'draft' AND ownrId = $user.id"));
    assert_eq!(
        said,
        "acl.yaml:8:32: `Doc` has no field `ownrId`; did you mean `ownerId`?"
    );
    let folded = rules(
        "rules:\n  - id: r\n    entity: Doc\n    roles: [user]\n    operations: [read]\n    rows: |\n      rank = 1\n      AND rnk = 2\n",
    );
    let said = problems(&folded);
    assert!(
        said.starts_with("acl.yaml:10:11: `Doc` has no field `rnk`"),
        "{said}"
    );
}

#[test]
fn expressions_are_typed() {
    for (expression, part) in [
        ("ownerId = 'me'", "`ownerId` must be a UUID"),
        ("ownerId = 1", "`ownerId` must be a UUID"),
        ("state = 'publishd'", "must be one of draft, published"),
        ("rank = 'x'", "`rank` must be an integer"),
        ("rank = 1 OR rank = true", "`rank` must be an integer"),
        ("state < 'x'", "can't be compared so: its type is enum"),
        ("tags = 'x'", "can't be compared so: its type is json"),
        ("tags IN ('x')", "can't be compared"),
        ("rank = title", "different types"),
        ("rank = NULL", "IS NULL"),
        ("rank IN (1, NULL)", "IS NULL"),
        ("1 = 1", "fixed values"),
        ("ownerId = $user.roles", "use IN"),
        ("'x' = $user.roles", "IN $user.roles"),
        ("rank IN $user.roles", "roles are texts"),
        ("$user.role > 'a'", "less or greater"),
        ("$user.role IN ('a', 1)", "one type"),
        ("$user.x IS NULL", "never true"),
        ("1 IS NULL", "never NULL"),
        ("1 IN (1)", "IN $user.roles"),
        ("rank IN (rank)", "use OR"),
        (
            "tem.leadId = $user.id",
            "no foreign key called `tem`; did you mean `team`?",
        ),
        ("team.nope = $user.id", "`Team` has no field `nope`"),
        ("team.leadId = ownerId", "with a value or $user.<claim> only"),
        (
            "teamId IN (SELECT id FROM Tem)",
            "unknown entity `Tem`; did you mean `Team`?",
        ),
        ("rank IN (SELECT id FROM Team)", "can't be compared"),
        (
            "teamId IN (SELECT id FROM Team WHERE team.closed = true)",
            "one step far",
        ),
        ("team.id IN (SELECT id FROM Team)", "only a field of the row"),
        ("ownerId == $user.id", "`=`"),
    ] {
        let said = problems(&rows(expression));
        assert!(said.contains(part), "{expression}: {said}");
        assert!(said.starts_with("acl.yaml:8:"), "{expression}: {said}");
    }
}

#[test]
fn what_is_misspelt_or_missing_is_said_with_its_place() {
    for (text, part) in [
        (String::new(), "acl.yaml: the file is empty"),
        ("roles: {user: {}}".to_owned(), "`version: 1` is missing"),
        ("version: 2".to_owned(), "acl.yaml:1:10: `version` is 2"),
        (
            "version: 1\nrule: []".to_owned(),
            "acl.yaml:2:1: unknown key `rule` in the rules file; did you mean `rules`?",
        ),
        (
            rule("opertions: [read]"),
            "unknown key `opertions` in a rule; did you mean `operations`?",
        ),
        (
            rule("fields: {raed: []}"),
            "unknown key `raed` in `fields`; did you mean `read`?",
        ),
        (
            rule("fields: {read: [titel]}"),
            "`Doc` has no field `titel`; did you mean `title`?",
        ),
        (rule("fields: {write: ['-nope']}"), "`Doc` has no field `nope`"),
        (rule("set: {nope: 1}"), "`Doc` has no field `nope`"),
        (rule("set: {rank: x}"), "`rank` must be an integer"),
        (rule("set: {ownerId: $usr.id}"), "`$usr.id` is unknown"),
        (rule("set: {rank: [1]}"), "a text, number, boolean or null"),
        (
            rules("rules: [{entity: Doc, roles: [user]}]"),
            "this rule has no `operations`",
        ),
        (
            rules("rules: [{entity: Doc, operations: [read]}]"),
            "this rule has no `roles`",
        ),
        (
            rules("rules: [{entity: Dok, roles: [user], operations: [read]}]"),
            "unknown entity `Dok`; did you mean `Doc`?",
        ),
        (
            rules("rules: [{entity: Doc, roles: [usr], operations: [read]}]"),
            "role `usr` is not declared in `roles`; did you mean `user`?",
        ),
        (
            rules("rules: [{entity: Doc, roles: [user], operations: [reed]}]"),
            "unknown operation `reed`; did you mean `read`?",
        ),
        (
            rules(
                "rules: [{id: a, entity: Doc, roles: [user], operations: [read]}, {id: a, entity: Doc, roles: [user], operations: [read]}]",
            ),
            "the id `a` is taken",
        ),
        (
            rules("restrict: [{entity: Doc}]"),
            "this restriction has no `rows`",
        ),
        (
            rules("restrict: [{entity: '*', rows: \"tenant = $user.tenantId\"}]"),
            "`Team` has no field `tenant`",
        ),
        (rules("limits: {usr: {burst: 1}}"), "role `usr` is not declared"),
        (rules("limits: {user: {burst: 0}}"), "must lie between 1"),
        (
            "version: 1\nroles: {a: {inherits: [b]}, b: {inherits: [a]}}".to_owned(),
            "role `a` inherits itself",
        ),
    ] {
        let said = problems(&text);
        assert!(said.contains(part), "{text}\n{said}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let said = problems(&rules(
        "rules:\n  - {entity: Dok, roles: [user], operations: [read]}\n  - {entity: Doc, roles: [user], operations: [read], rows: 'x = 1'}\n",
    ));
    assert!(said.contains("Dok") && said.contains("`x`"), "{said}");
}

#[test]
fn older_spellings_load() {
    let text = rules(
        "rules: [{entity: Doc, role: user, operations: read, row_level_filter: \"ownerId = $user.id\"}]",
    );
    assert!(parse(ENTITIES, &text).is_ok());
}

#[test]
fn what_can_never_apply_is_warned_of() {
    let text = rules(
        "rules: [{entity: Doc, roles: [system, user], operations: [read], fields: {read: ['-secret']}}]",
    );
    let warnings = parse(ENTITIES, &text).unwrap().warnings;
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|it| it.contains("`system`")), "{said:?}");
    assert!(said.iter().any(|it| it.contains("grants nothing")), "{said:?}");
}

#[test]
fn an_update_is_not_promised_what_is_immutable() {
    let entities =
        "entity: E\nfields:\n  id: {type: uuid, primary: true}\n  by: {type: uuid, immutable: true}\n";
    let with = |rows: &str| {
        rules(&format!(
            "rules: [{{entity: E, roles: [user], operations: [update], set: {{by: $user.id}}{rows}}}]"
        ))
    };
    assert!(
        parse(entities, &with(""))
            .unwrap_err()
            .to_string()
            .contains("immutable")
    );
    assert!(parse(entities, &with(", rows: 'by = $user.id'")).is_ok());
}

#[test]
fn policies_are_equal_only_if_their_files_are() {
    let one = parse(ENTITIES, &rule("rows: 'rank = 1'")).unwrap().policy.hash();
    assert_eq!(
        one,
        parse(ENTITIES, &rule("rows: 'rank = 1'")).unwrap().policy.hash()
    );
    assert_ne!(
        one,
        parse(ENTITIES, &rule("rows: 'rank = 2'")).unwrap().policy.hash()
    );
    let wider = ENTITIES.replace("closed:", "shut:");
    assert_ne!(
        one,
        parse(&wider, &rule("rows: 'rank = 1'")).unwrap().policy.hash()
    );
}
