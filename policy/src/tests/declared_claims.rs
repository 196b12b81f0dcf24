//! `claims:`: what is declared is checked when the file loads, and what comes otherwise counts as missing.

use dbal_shared::predicate::Predicate;
use dbal_shared::principal::{ClaimValue, Principal};
use dbal_shared::value::Value;

use super::world::{ENTITIES, ME, World, parse, principal, rules, text, uuid};

const CLAIMS: &str = "claims:
  tenantId: text
  team: {type: uuid, required: true}
  clearance: {type: integer, description: how far they see}
  beta: boolean
  regions: list of text
  teams: {type: list of uuid}
";

fn with_rows(expression: &str) -> String {
    rules(&format!(
        "{CLAIMS}rules:\n  - {{id: r, entity: Doc, roles: [user], operations: [read], rows: \"{expression}\"}}\n"
    ))
}

fn claimed(claims: &[(&str, ClaimValue)]) -> Principal {
    Principal {
        claims: claims
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        ..principal(&["user"])
    }
}

fn said(text: &str) -> ClaimValue {
    ClaimValue::Text(text.to_owned())
}

fn list(texts: &[&str]) -> ClaimValue {
    ClaimValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

/// What the rule lets the caller see; none if it does not apply.
fn seen(expression: &str, claims: &[(&str, ClaimValue)]) -> (World, Option<Predicate>) {
    let world = World::new(ENTITIES, &with_rows(expression));
    let subject = world.policy.subject(&claimed(claims));
    let plan = world.list("Doc", Predicate::True, &["title"]);
    let seen = world.policy.decide(&subject, plan).ok();
    let seen = seen.map(|grant| grant.into_terms().read.rows);
    (world, seen)
}

#[test]
fn what_is_not_declared_or_does_not_fit_its_field_does_not_load() {
    for (expression, said) in [
        (
            "rank = $user.clearence",
            "acl.yaml:11:75: `$user.clearence` is not declared in `claims`; did you mean `clearance`?",
        ),
        ("$user.nothing = 1", "`$user.nothing` is not declared in `claims`"),
        ("slug IN ('a', $user.region)", "did you mean `regions`?"),
        ("'a' IN $user.region", "did you mean `regions`?"),
        (
            "slug = $user.clearance",
            "declared as `integer`, which can't be compared with `slug`: its type is string",
        ),
        ("rank = $user.tenantId", "declared as `text`"),
        ("rank = $user.team", "declared as `uuid`"),
        ("teamId = $user.tenantId", "its type is uuid"),
        ("team.closed = $user.clearance", "its type is boolean"),
        ("slug = $user.regions", "$user.regions is a list: use IN"),
        ("$user.regions = 'a'", "write 'value' IN $user.regions"),
        ("'a' IN $user.tenantId", "is no list"),
        ("1 IN $user.regions", "is declared as `list of text`"),
        ("rank IN $user.regions", "declared as `list of text`"),
        ("$user.clearance = 'x'", "is declared as `integer`"),
        ("$user.beta = 1", "is declared as `boolean`"),
        ("$user.team = 'me'", "holds UUIDs"),
        ("$user.clearance IN (1, 'x')", "is declared as `integer`"),
    ] {
        let problems = parse(ENTITIES, &with_rows(expression))
            .expect_err(expression)
            .to_string();
        assert!(problems.contains(said), "{expression}: {problems}");
    }
}

#[test]
fn what_is_declared_is_compared_in_its_type() {
    let (world, rows) = seen("rank >= $user.clearance", &[("clearance", ClaimValue::Int(3))]);
    let expected = world.compare(
        "Doc",
        "rank",
        dbal_shared::predicate::Comparison::Gte,
        Value::Int(3),
    );
    assert_eq!(rows, Some(expected));

    let upper = ME.to_uppercase();
    let (world, rows) = seen("teamId = $user.team", &[("team", said(&upper))]);
    assert_eq!(rows, Some(world.eq("Doc", "teamId", uuid(ME))));
    // In a column of texts, a UUID has one spelling.
    let (world, rows) = seen("tenant = $user.team", &[("team", said(&upper))]);
    assert_eq!(rows, Some(world.eq("Doc", "tenant", text(ME))));
    let (_, rows) = seen(&format!("$user.team = '{upper}'"), &[("team", said(ME))]);
    assert_eq!(rows, Some(Predicate::True));

    let regions = [("regions", list(&["eu", "us"]))];
    let (world, rows) = seen("slug IN $user.regions", &regions);
    let values = vec![text("eu"), text("us")];
    let column = world.column("Doc", "slug");
    assert_eq!(rows, Some(Predicate::In { column, values }));
    assert_eq!(seen("'us' IN $user.regions", &regions).1, Some(Predicate::True));
    assert_eq!(seen("'ap' IN $user.regions", &regions).1, Some(Predicate::False));
    assert_eq!(
        seen("'ap' NOT IN $user.regions", &regions).1,
        Some(Predicate::True)
    );
    let teams = [("teams", list(&[ME]))];
    let (world, rows) = seen("teamId IN ($user.teams)", &teams);
    let column = world.column("Doc", "teamId");
    let values = vec![uuid(ME)];
    assert_eq!(rows, Some(Predicate::In { column, values }));
    // What is made of the roles, and the subject, need no declaration.
    assert!(
        seen(
            "ownerId = $user.id AND $user.level >= 1 AND 'user' IN $user.roles",
            &[]
        )
        .1
        .is_some()
    );
}

#[test]
fn a_claim_of_another_type_counts_as_missing_however_the_rule_is_put() {
    for (expression, wrong) in [
        ("rank = $user.clearance", ("clearance", said("3"))),
        (
            "NOT rank = $user.clearance",
            ("clearance", ClaimValue::Bool(true)),
        ),
        (
            "state = 'draft' OR rank <> $user.clearance",
            ("clearance", list(&["3"])),
        ),
        ("NOT $user.clearance = 3", ("clearance", said("4"))),
        ("tenant <> $user.team", ("team", said("not a uuid"))),
        ("slug NOT IN ($user.regions)", ("regions", said("eu"))),
        ("'ap' NOT IN $user.regions", ("regions", said("eu"))),
        ("teamId NOT IN ($user.teams)", ("teams", list(&[ME, "x"]))),
        ("NOT $user.beta = true", ("beta", said("false"))),
    ] {
        let (_, rows) = seen(expression, std::slice::from_ref(&wrong));
        assert_eq!(rows, None, "{expression} {wrong:?}");
    }
}

#[test]
fn a_wall_leaves_no_row_to_a_claim_of_another_type() {
    let world = World::new(
        ENTITIES,
        &rules(
            "claims: {tenantId: uuid}\nrules:\n  - {id: r, entity: Doc, roles: [user], operations: [read]}\n\
             restrict:\n  - {id: w, entity: Doc, rows: \"tenant = $user.tenantId\"}\n",
        ),
    );
    let seen = |tenant: &str| {
        let principal = Principal {
            tenant: Some(tenant.to_owned()),
            ..principal(&["user"])
        };
        let subject = world.policy.subject(&principal);
        let plan = world.list("Doc", Predicate::True, &["title"]);
        world
            .policy
            .decide(&subject, plan)
            .ok()
            .map(|grant| grant.into_terms().read.rows)
    };
    assert_eq!(seen(ME), Some(world.eq("Doc", "tenant", text(ME))));
    assert!(seen("acme").is_none_or(|rows| rows == Predicate::False));
}

#[test]
fn faults_are_told_and_only_required_ones_are_fatal() {
    let world = World::new(ENTITIES, &with_rows("true"));
    let faults = |principal: &Principal| -> Vec<(String, bool)> {
        let faults = world.policy.claim_faults(principal);
        faults
            .iter()
            .map(|fault| (fault.to_string(), fault.is_required))
            .collect()
    };
    let missing = "the claim `team` is missing; its type is `uuid`, and the policy requires it".to_owned();
    assert_eq!(faults(&principal(&["user"])), [(missing, true)]);
    let wrong = claimed(&[("beta", said("yes")), ("team", said(ME)), ("unknown", said("x"))]);
    let told = "the claim `beta` is not of the type `boolean`, so it counts as missing".to_owned();
    assert_eq!(faults(&wrong), [(told, false)]);
    let wrong = claimed(&[("team", said("x"))]);
    let told = "the claim `team` is not of the type `uuid`, and the policy requires it".to_owned();
    assert_eq!(faults(&wrong), [(told, true)]);
    assert_eq!(faults(&claimed(&[("team", said(ME))])), []);
    assert_eq!(faults(&Principal::anonymous()), []);
}

#[test]
fn what_is_wrong_with_a_declaration_is_said_with_its_place() {
    for (claims, said) in [
        (
            "claims: {level: integer}",
            "acl.yaml:3:10: `$user.level` is made of the roles",
        ),
        (
            "claims: {a: strng}",
            "acl.yaml:3:13: unknown type of a claim `strng`; there are text,",
        ),
        ("claims: {a: {required: true}}", "the claim `a` has no `type`"),
        ("claims: {a: {typ: text}}", "did you mean `type`?"),
        ("claims: {a: 3}", "the claim `a` must be a mapping"),
        ("claims: [a]", "`claims` must be a mapping"),
    ] {
        let problems = parse(ENTITIES, &rules(&format!("{claims}\n")))
            .expect_err(claims)
            .to_string();
        assert!(problems.contains(said), "{claims}: {problems}");
    }
}

#[test]
fn forced_values_are_of_declared_claims_that_fit() {
    let rule = |set: &str| {
        rules(&format!(
            "{CLAIMS}rules:\n  - {{id: r, entity: Doc, roles: [user], operations: [create], set: {{{set}}}}}\n"
        ))
    };
    for (set, said) in [
        ("rank: $user.tenantId", "declared as `text`"),
        ("rank: $user.rnk", "not declared"),
        ("slug: $user.regions", "is a list, not a value"),
    ] {
        let problems = parse(ENTITIES, &rule(set)).expect_err(set).to_string();
        assert!(problems.contains(said), "{set}: {problems}");
    }
    assert!(parse(ENTITIES, &rule("rank: $user.clearance, ownerId: $user.id")).is_ok());
}

#[test]
fn a_list_that_is_not_declared_counts_as_missing() {
    let world = super::world::docs(
        "rules:\n  - {id: r, entity: Doc, roles: [user], operations: [read], rows: \"NOT slug IN ($user.regions)\"}\n",
    );
    let subject = world.policy.subject(&claimed(&[("regions", list(&["eu"]))]));
    let plan = world.list("Doc", Predicate::True, &["title"]);
    assert!(world.policy.decide(&subject, plan).is_err());
    assert_eq!(
        world.policy.claim_faults(&claimed(&[("regions", list(&["eu"]))])),
        []
    );
}
