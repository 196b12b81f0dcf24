//! The configuration of either daemon. What is wrong with it is told without the values that stand there: one may be a password.
#![no_main]

use std::path::Path;

use dbal_broker::config::BrokerConfig;
use libfuzzer_sys::fuzz_target;

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

/// Keys are shown, so it may only be looked for where a value stands.
fn silent(told: &str, text: &str) {
    assert!(!told.is_empty());
    let values = ["password: ", "secret: ", "token: "];
    let is_value = values.iter().any(|key| text.contains(&format!("{key}{SECRET}")));
    let is_elsewhere = text.matches(SECRET).count() > 1;
    assert!(!is_value || is_elsewhere || !told.contains(SECRET), "{told}");
}
