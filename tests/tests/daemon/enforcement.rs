//! Random policies, principals, rows and calls against a small reference that reads docs/policy.md and nothing else: what the
//! whole daemon answers, and what then stands in its database, must be what the reference says.

mod calls;
mod expression;
mod model;
mod rules;
mod seen;
mod table;
mod writing;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

use self::model::{Caller, Expected, FRESH, World};
use self::table::Database;
use crate::random::Random;

/// Worlds, each a pair of entities with rules of its own. Half of them say their rules within the entity files.
const WORLDS: usize = 100;
/// Calls in each.
const CALLS: usize = 100;
/// The cases are the same in each run unless this is set to a number.
const SEED: &str = "DBAL_SEED";

fn callers() -> [Caller; 5] {
    let caller = |id, roles: &[&'static str], tenant| Caller {
        id,
        roles: roles.to_vec(),
        tenant,
    };
    [
        caller("u1", &["r1"], Some("t1")),
        caller("u2", &["r2"], Some("t1")),
        caller("u3", &["r1"], Some("t2")),
        caller("u4", &["r3"], Some("t1")),
        caller("u5", &["r1", "r3"], None),
    ]
}

struct Files {
    entities: String,
    rules: String,
}

fn files(worlds: &[World]) -> Files {
    let mut entities = String::new();
    let mut rules = String::from(
        "version: 1\nroles:\n  r1: {}\n  r2: {inherits: [r1]}\n  r3: {}\n  admin: {}\nlimits:\n  public: \
         {requests_per_minute: 100000000, burst: 100000000, max_complexity: 100000, max_rows: 1000}\nrules:\n  \
         - {id: operator, entity: \"*\", roles: [admin], operations: [\"*\"], fields: {read: [\"*\"], write: [\"*\", id]}}\n",
    );
    for world in worlds {
        world.write_entities(&mut entities);
    }
    for world in worlds {
        world.write_rules(&mut rules);
    }
    rules.push_str("restrict:\n");
    let before = rules.len();
    for world in worlds {
        world.write_walls(&mut rules);
    }
    assert!(rules.len() > before, "some worlds have walls");
    Files { entities, rules }
}

fn token(daemon: &Daemon, id: &str, roles: &[&str], tenant: Option<&str>) -> String {
    let mut claims = daemon.claims_of(daemon.user("alice"));
    claims["sub"] = json!(id);
    claims["roles"] = json!(roles);
    if let Some(tenant) = tenant {
        claims["tenant_id"] = json!(tenant);
    }
    daemon.sign(&claims)
}

async fn connect(daemon: &Daemon, id: &str, roles: &[&str], tenant: Option<&str>) -> Client {
    let token = token(daemon, id, roles, tenant);
    Client::try_connect(daemon, Login::Header(&token))
        .await
        .expect("the upgrade succeeds")
}

async fn fill(operator: &mut Client, world: &World, random: &mut Random) {
    let (parents, children) = world.random_rows(random);
    for (entity, rows) in [(world.parent(), parents), (world.child(), children)] {
        operator
            .call("createMany", json!([entity, rows]))
            .await
            .unwrap_or_else(|refusal| panic!("{entity}: {refusal:?}"));
    }
}

/// Lists have no order here that a reference could know: they are compared as sets.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(unordered).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "nextCursor");
            Value::Object(
                members
                    .map(|(name, value)| (name.clone(), unordered(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Whether two values are the same, but for ids that the daemon chose.
fn is_same(expected: &Value, answer: &Value) -> bool {
    let (expected, answer) = (unordered(expected), unordered(answer));
    match (expected.as_object(), answer.as_object()) {
        (Some(known), Some(told)) if known.get("id") == Some(&json!(FRESH)) => {
            let mut known = known.clone();
            told.get("id").is_some_and(Value::is_string) && {
                known.insert("id".to_owned(), told["id"].clone());
                known == *told
            }
        }
        _ => expected == answer,
    }
}

fn fits(expected: &Expected, answer: &Result<Value, i64>) -> bool {
    match (expected, answer) {
        (Expected::Refused(codes), Err(code)) => codes.contains(code),
        (Expected::Result(result), Ok(answer)) => is_same(result, answer),
        (Expected::OneOf(rows), Ok(answer)) => rows.iter().any(|row| is_same(row, answer)),
        (Expected::Several(all), Ok(Value::Array(answers))) => {
            all.len() == answers.len()
                && all
                    .iter()
                    .zip(answers)
                    .all(|(expected, answer)| match answer.get("error") {
                        Some(error) => fits(expected, &Err(error["code"].as_i64().unwrap_or_default())),
                        None => fits(expected, &Ok(answer["result"].clone())),
                    })
        }
        (Expected::All(all), Ok(Value::Array(answers))) => {
            all.len() == answers.len()
                && all
                    .iter()
                    .zip(answers)
                    .all(|(expected, answer)| fits(expected, &Ok(answer.clone())))
        }
        _ => false,
    }
}

#[tokio::test]
async fn random_policies_and_calls_are_answered_as_a_reference_says() {
    let seed = std::env::var(SEED)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let mut random = Random::seeded(seed);
    let mut worlds: Vec<World> = (0..WORLDS)
        .map(|number| World::random(number, &mut random))
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let Files { entities, rules } = files(&worlds);
    let entities_folder = folder.path().join("entities");
    std::fs::create_dir(&entities_folder).expect("a folder");
    std::fs::write(entities_folder.join("all.yaml"), entities).expect("a file");
    let policy = folder.path().join("acl.yaml");
    std::fs::write(&policy, &rules).expect("a file");
    let daemon = Daemon::start_with(&entities_folder, &policy);

    let mut operator = connect(&daemon, "operator", &["admin"], None).await;
    let mut clients = Vec::new();
    for caller in callers() {
        let client = connect(&daemon, caller.id, &caller.roles, caller.tenant).await;
        clients.push((caller, client));
    }
    let database = Database::open(&daemon.database());
    let (mut outcomes, mut cases) = (BTreeMap::<String, usize>::new(), 0);
    for world in &mut worlds {
        fill(&mut operator, world, &mut random).await;
        world.state = database.read(world);
        for _ in 0..CALLS {
            let (caller, client) = {
                let index = random.below(clients.len());
                &mut clients[index]
            };
            let call = world.random_call(&mut random);
            let before = world.state.clone();
            let expected = world.expect(caller, &call);
            let (method, params) = world.written(&call);
            let answer = client.call(&method, params.clone()).await;
            let code = answer.clone().map_err(|refusal| refusal.code);
            let after = database.read(world);
            let is_right = fits(&expected, &code) && world.adopt(after.clone());
            cases += 1;
            let outcome = code
                .as_ref()
                .map_or_else(ToString::to_string, |_| "done".to_owned());
            *outcomes.entry(outcome).or_default() += 1;
            if !is_right {
                let mut said = String::new();
                let _ = writeln!(
                    said,
                    "seed {seed}, case {cases}: {} {:?} of {:?}",
                    caller.id, caller.roles, caller.tenant
                );
                let _ = writeln!(said, "{method} {params}");
                let _ = writeln!(said, "answer    {answer:?}\nreference {expected:?}");
                let states = [
                    ("before", &before),
                    ("after", &after),
                    ("after, by the reference", &world.state),
                ];
                for (when, state) in states {
                    let rows = state.parents.iter().chain(&state.children);
                    let rows: Vec<String> = rows.map(|row| json!(row).to_string()).collect();
                    let _ = writeln!(said, "{when}:\n  {}", rows.join("\n  "));
                }
                world.write_entities(&mut said);
                world.write_rules(&mut said);
                world.write_walls(&mut said);
                panic!("{said}");
            }
        }
    }
    println!("{cases} random calls, by outcome: {outcomes:?}");
    assert_eq!(cases, WORLDS * CALLS);
    let done = outcomes.get("done").copied().unwrap_or_default();
    assert!(
        done > cases / 10,
        "too few calls were allowed to prove anything: {outcomes:?}"
    );
    for code in ["403", "404", "422"] {
        assert!(outcomes.contains_key(code), "no {code}: {outcomes:?}");
    }
}
