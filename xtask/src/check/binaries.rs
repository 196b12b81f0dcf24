//! What is truly in the shipped binaries: strings that only a driver or the age code bring.

use std::error::Error;

use super::Finding;
use crate::run::{build_shipped, target};

/// A string that tells of code, the binary that must hold it (so that the rule can fail) and those that must not.
const TELLTALES: [(&str, &str, &[&str]); 3] = [
    ("SQLite format 3", "dbal-worker", &["dbal-broker", "dbal"]),
    // PostgreSQL's startup message and password exchange.
    ("SCRAM-SHA-256-PLUS", "dbal-worker", &["dbal-broker", "dbal"]),
    ("age-encryption.org/v1", "dbal-worker", &["dbal-broker"]),
];

/// Builds each shipped binary by itself in release and reads it.
pub fn check() -> Result<Vec<Finding>, Box<dyn Error>> {
    build_shipped(&["--release"])?;
    let mut broken = Vec::new();
    for (telltale, holder, strangers) in TELLTALES {
        if !holds(holder, telltale)? {
            broken.push(format!(
                "{holder} does not hold `{telltale}`: this rule could not fail any more"
            ));
        }
        for stranger in strangers {
            if holds(stranger, telltale)? {
                broken.push(format!("{stranger} holds `{telltale}`"));
            }
        }
    }
    let rule = "the exposed binary contains no driver and no decryption";
    Ok(vec![Finding {
        rule,
        seen: TELLTALES.len(),
        broken,
    }])
}

fn holds(binary: &str, telltale: &str) -> Result<bool, Box<dyn Error>> {
    let path = target().join("release").join(binary);
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes
        .windows(telltale.len())
        .any(|window| window == telltale.as_bytes()))
}
