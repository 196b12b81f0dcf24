//! Files of keys: JWK Sets, public keys in PEM, the file of API keys. What loads can be asked with any token.
#![no_main]

use std::sync::LazyLock;

use dbal_fuzz::scratch::Scratch;
use dbal_identity::{ApiKeys, Secrets, TokenRules, Verifier, read_records, write_records};
use libfuzzer_sys::fuzz_target;

const NOW_MS: i64 = 1_705_314_600_000;
/// `{"alg":…,"kid":"k"}` of each algorithm, with claims and a signature of the right length that holds under no key.
static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    [
        ("eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ", 86),
        ("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ", 86),
        ("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ", 342),
        ("eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ", 43),
    ]
    .map(|(header, length)| format!("{header}.e30.{}", "A".repeat(length)))
    .into()
});

struct Files {
    file: Scratch,
    rules: Vec<TokenRules>,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let file = Scratch::new("keys");
    let path = file.path().display();
    let mut rules = vec![format!(r#"{{"issuer": "i", "audience": "a", "jwks": "{path}"}}"#)];
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        rules.push(format!(
            r#"{{"issuer": "i", "audience": "a", "keys": [{{"kid": "k", "algorithm": "{algorithm}", "public_key": "{path}"}}]}}"#
        ));
    }
    let rules = rules
        .iter()
        .map(|rules| serde_json::from_str(rules).expect("rules"));
    Files {
        rules: rules.collect(),
        file,
    }
});

fuzz_target!(|text: &str| {
    let Files { file, rules } = &*FILES;
    file.write(text.as_bytes());
    for rules in rules {
        for secrets in [Secrets::Allowed, Secrets::Refused] {
            let Ok(verifier) = Verifier::new(rules, secrets) else {
                continue;
            };
            for token in TOKENS.iter() {
                assert!(verifier.verify(token, NOW_MS).is_err(), "a forged token");
            }
        }
    }
    if let Ok(records) = read_records(file.path()) {
        let written = write_records(&records);
        file.write(written.as_bytes());
        let again = read_records(file.path()).expect("what `dbal key` writes, it reads");
        assert_eq!(written, write_records(&again));
        assert!(ApiKeys::load(file.path()).is_ok());
    }
});
