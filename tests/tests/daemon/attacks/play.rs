//! Plays one attack and says how it did not end as it must.

use std::collections::BTreeMap;

use dbal_tests::client::{self, Client, Login, Refusal, SocketError};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

use super::attack::{Attack, Fill, Special, Step};
use super::forge;
use super::world::World;

/// An amount that not everybody may see.
const AMOUNT: &str = "424242.5";

type Answer = Result<Value, Refusal>;

/// Nothing is wrong with the daemon if this is `Ok`.
pub(super) async fn play(attack: &Attack, daemon: &Daemon, world: &World) -> Result<(), String> {
    let last = run(attack, daemon, world, &BTreeMap::new()).await?;
    judge(attack, world, &last)?;
    if attack.like.is_empty() {
        return Ok(());
    }
    let twin = run(attack, daemon, world, &attack.like).await?;
    let told = |answer: &Answer| format!("{answer:?}");
    let mut renamed = told(&last);
    for (from, to) in &attack.like {
        renamed = renamed.replace(&world_text(world, from), &world_text(world, to));
    }
    if renamed == told(&twin) {
        Ok(())
    } else {
        Err(format!("{} is told apart from {}", told(&last), told(&twin)))
    }
}

fn world_text(world: &World, text: &str) -> String {
    match world.named(&json!(text)) {
        Value::String(named) => named,
        _ => text.to_owned(),
    }
}

async fn run(
    attack: &Attack,
    daemon: &Daemon,
    world: &World,
    like: &BTreeMap<String, String>,
) -> Result<Answer, String> {
    let token = match (&attack.token, &attack.forge) {
        (Some(claims), _) => Some(daemon.sign(&world.claims(daemon, claims))),
        (None, Some(way)) => Some(forge::token(way, daemon, world)),
        (None, None) => world.token(daemon, &attack.attacker),
    };
    let login = token.as_deref().map_or(Login::Nobody, Login::Header);
    let mut client = match Client::try_connect(daemon, login).await {
        Ok(client) => client,
        Err(SocketError::Http(answer)) => {
            return Ok(Err(Refusal {
                code: i64::from(answer.status().as_u16()),
                message: String::new(),
                details: Value::Null,
                decision: None,
            }));
        }
        Err(other) => return Err(other.to_string()),
    };
    let mut last = Err(format!("{}: no steps", attack.goal));
    for step in &attack.steps {
        let answer = take(step, world, like, token.as_deref(), &mut client).await;
        see(attack, &attack.attacker, world, &answer)?;
        last = Ok(answer.map(nameless));
    }
    client.close().await;
    if let Some(then) = &attack.then {
        let cursor = last
            .as_ref()
            .ok()
            .and_then(|answer| answer.as_ref().ok())
            .map(|result| &result["nextCursor"]);
        let cursor = cursor
            .filter(|cursor| cursor.is_string())
            .ok_or("there is no nextCursor to use")?;
        let who = attack.then_as.as_ref().unwrap_or(&attack.attacker);
        let mut client = world.connect(daemon, who).await;
        let call = replaced(&world.named(&json!(then)), "$nextCursor", cursor);
        let answer = ask(&call, None, &mut client).await;
        see(attack, who, world, &answer)?;
        client.close().await;
        last = Ok(answer);
    }
    last
}

async fn take(
    step: &Step,
    world: &World,
    like: &BTreeMap<String, String>,
    token: Option<&str>,
    client: &mut Client,
) -> Answer {
    let named = |value: &Value| world.named(&twinned(value, like));
    match step {
        Step::Call(call) => ask(&named(&json!(call)), None, client).await,
        Step::Special(Special { raw: Some(text), .. }) => {
            answered(&client.round_trip(&world.named_text(text)).await)
        }
        Step::Special(Special {
            brackets: Some(times),
            ..
        }) => answered(&client.round_trip(&"[".repeat(*times)).await),
        Step::Special(Special { v2: Some(call), .. }) => {
            let call = named(&json!(call));
            client
                .call_v2(call[0].as_str().expect("a method"), call[1].clone())
                .await
        }
        Step::Special(Special {
            call: Some(call),
            auth,
            fill,
            ..
        }) => {
            let mut call = named(&json!(call));
            if let Some(fill) = fill {
                let value = match fill {
                    Fill::Letters { letters } => json!("x".repeat(*letters)),
                    Fill::Values { of, times } => json!(vec![named(of); *times]),
                };
                call = replaced(&call, "$fill", &value);
            }
            let auth = auth.as_ref().map(|auth| {
                let mut auth = named(auth);
                if auth.get("token").is_none() {
                    auth["token"] = json!(token);
                }
                auth
            });
            ask(&call, auth, client).await
        }
        Step::Special(other) => panic!("{other:?} says nothing"),
    }
}

async fn ask(call: &Value, auth: Option<Value>, client: &mut Client) -> Answer {
    let call = call.as_array().expect("a call");
    let (method, params) = call.split_first().expect("a method");
    let method = method.as_str().expect("a method's name");
    match auth {
        Some(auth) => client.call_as(auth, method, json!(params)).await,
        None => client.call(method, json!(params)).await,
    }
}

fn answered(text: &str) -> Answer {
    client::native(&serde_json::from_str(text).expect("an answer is JSON"))
}

/// The value with each text, and each member's name, that equals a key replaced by what stands for it.
fn twinned(value: &Value, like: &BTreeMap<String, String>) -> Value {
    let swap = |text: &String| like.get(text).cloned().unwrap_or_else(|| text.clone());
    match value {
        Value::String(text) => {
            let mut text = swap(text);
            for (from, to) in like {
                // `$ref`s: the field stands behind the call's number.
                text = text.replace(&format!(".{from}"), &format!(".{to}"));
            }
            json!(text)
        }
        Value::Array(items) => items.iter().map(|item| twinned(item, like)).collect(),
        Value::Object(members) => {
            let swapped = members
                .iter()
                .map(|(key, value)| (swap(key), twinned(value, like)));
            Value::Object(swapped.collect())
        }
        other => other.clone(),
    }
}

fn replaced(value: &Value, mark: &str, by: &Value) -> Value {
    match value {
        Value::String(text) if text == mark => by.clone(),
        Value::Array(items) => items.iter().map(|item| replaced(item, mark, by)).collect(),
        Value::Object(members) => {
            let replaced = members
                .iter()
                .map(|(key, value)| (key.clone(), replaced(value, mark, by)));
            Value::Object(replaced.collect())
        }
        other => other.clone(),
    }
}

/// An answer without the names of the refusals in it (of a batch's calls): no two are alike.
fn nameless(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(nameless).collect(),
        Value::Object(members) => {
            let kept = members
                .into_iter()
                .filter(|(name, _)| name != "decision")
                .map(|(name, value)| (name, nameless(value)))
                .filter(|(name, value)| {
                    name != "details" || value.as_object().is_none_or(|details| !details.is_empty())
                });
            Value::Object(kept.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// No answer may hold what its reader may not see.
fn see(attack: &Attack, reader: &str, world: &World, answer: &Answer) -> Result<(), String> {
    let text = match answer {
        Ok(result) => result.to_string(),
        Err(refusal) => format!("{} {}", refusal.message, refusal.details),
    };
    let person = world
        .people
        .get(reader)
        .filter(|_| attack.token.is_none() && attack.forge.is_none());
    for (start, _) in text.match_indices("canary") {
        let canary = text.get(start..).unwrap_or_default();
        let canary = canary.split(['"', '@', ' ', '\\']).next().unwrap_or_default();
        if person.is_none() || !canary.split('.').any(|name| name == reader) {
            return Err(format!("{reader} sees `{canary}` in {text}"));
        }
    }
    if text.contains(AMOUNT) && !person.is_some_and(|person| person.sees_amounts) {
        return Err(format!("{reader} sees an amount in {text}"));
    }
    Ok(())
}

fn judge(attack: &Attack, world: &World, last: &Answer) -> Result<(), String> {
    match (last, &attack.refused, &attack.answers) {
        (Err(refusal), Some(codes), _) if codes.contain(refusal.code) => {}
        (Ok(result), None, Some(expected)) if *result == world.named(expected) => {}
        (Ok(_), None, None) => {}
        (answer, _, _) => return Err(format!("it got {answer:?}")),
    }
    let text = format!("{last:?}");
    if let Some(word) = attack.lacks.iter().find(|word| text.contains(*word)) {
        return Err(format!("`{word}` stands in {text}"));
    }
    if let (true, Err(refusal)) = (attack.says_nothing, last) {
        let known: Vec<&String> = refusal
            .details
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .collect();
        if let Some(other) = known
            .iter()
            .find(|key| !["fields", "decision", "retryable"].contains(&key.as_str()))
        {
            return Err(format!("`{other}` stands in {text}"));
        }
    }
    Ok(())
}
