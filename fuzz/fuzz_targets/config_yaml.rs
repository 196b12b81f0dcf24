//! The configuration of either daemon. What is wrong with it is told without the values that stand there: one may be a password.
#![no_main]

use std::path::Path;

use dbal_broker::config::BrokerConfig;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Stands in seeds where a secret would.
const SECRET: &str = "s3cr3t-s3cr3t";

fuzz_target!(|text: &str| {
    let broker = dbal_settings::parse::<BrokerConfig>(Path::new("broker.yaml"), text);
    if let Err(mistake) = broker {
        silent(&mistake.to_string(), text);
    }
    match dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), text) {
        Ok(config) => silent(&format!("{config:?}"), text),
        Err(error) => silent(&error.to_string(), text),
    }
});

/// What is told shows keys, and no value.
fn silent(told: &str, text: &str) {
    assert!(!told.is_empty());
    assert!(!is_value(text) || !told.contains(SECRET), "{told}");
}

/// Whether the secret stands where a value stands, and in no key.
fn is_value(text: &str) -> bool {
    let fields = ["password: ", "secret: ", "token: "];
    let is_field = |line: &str| fields.iter().any(|key| line.strip_prefix(key) == Some(SECRET));
    let of_a_field = text.lines().filter(|line| is_field(line.trim_start())).count();
    let is_key = match dbal_settings::parse::<Value>(Path::new("any.yaml"), text) {
        Ok(value) => has_key(&value),
        // Nobody knows what is a key; a line by itself is none but in a quoted one.
        Err(_) => text.contains(['\'', '"', '?', '|', '>']),
    };
    of_a_field > 0 && of_a_field == text.matches(SECRET).count() && !is_key
}

fn has_key(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(key, value)| key.contains(SECRET) || has_key(value)),
        Value::Array(items) => items.iter().any(has_key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
