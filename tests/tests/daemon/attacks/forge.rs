//! Tokens that must not be taken: they claim to be the operator's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use dbal_identity::Signer;
use dbal_tests::daemon::{Daemon, files_below};
use ring::hmac;
use ring::signature::Ed25519KeyPair;
use serde_json::{Value, json};

use super::world::World;

/// A token made in this way.
pub(super) fn token(way: &str, daemon: &Daemon, world: &World) -> String {
    let claims = world.claims(
        daemon,
        &BTreeMap::from([
            ("sub".to_owned(), json!("@operator")),
            ("roles".to_owned(), json!(["admin"])),
        ]),
    );
    let good = daemon.sign(&claims);
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (header, payload) = signed.split_once('.').expect("three parts");
    let headed = |header: Value| format!("{}.{payload}", encoded(&header.to_string()));
    let own = Signer::generate().expect("a key");
    let kid = &kid(header);
    match way {
        "alg_none" => format!("{}.", headed(json!({"alg": "none", "typ": "JWT"}))),
        "alg_none_in_another_case" => format!("{}.", headed(json!({"alg": "nOnE", "kid": kid}))),
        "alg_none_signed" => format!("{}.{signature}", headed(json!({"alg": "none", "kid": kid}))),
        "no_alg" => by_good_key(daemon, &headed(json!({"typ": "JWT", "kid": kid}))),
        "hmac_with_public_key" => {
            let pem = public_pem(daemon);
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = STANDARD.decode(body).expect("base64");
            by_secret(&der, &headed(json!({"alg": "HS256", "kid": kid})))
        }
        "hmac_with_public_pem" => by_secret(
            public_pem(daemon).as_bytes(),
            &headed(json!({"alg": "HS256", "kid": kid})),
        ),
        "hmac_with_nothing" => by_secret(b"", &headed(json!({"alg": "HS256", "kid": kid}))),
        "another_key" => own.sign(&claims.to_string()),
        "another_key_with_good_kid" => by_key(&own, &headed(json!({"alg": "EdDSA", "kid": kid}))),
        "key_in_header" => {
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": raw_public(&own), "kid": own.key_id()});
            by_key(
                &own,
                &headed(json!({"alg": "EdDSA", "kid": own.key_id(), "jwk": jwk})),
            )
        }
        "key_by_url" => {
            let header = json!({"alg": "EdDSA", "kid": own.key_id(), "jku": "https://127.0.0.1:1/jwks.json"});
            by_key(&own, &headed(header))
        }
        "certificate_in_header" => {
            let header = json!({"alg": "EdDSA", "kid": kid, "x5c": [STANDARD.encode(own.public_pem())]});
            by_key(&own, &headed(header))
        }
        "kid_as_path" => by_secret(
            b"",
            &headed(json!({"alg": "HS256", "kid": "../../../../dev/null"})),
        ),
        "kid_as_sql" => by_secret(
            b"x",
            &headed(json!({"alg": "HS256", "kid": "' UNION SELECT 'x' --"})),
        ),
        "kid_as_object" => by_good_key(daemon, &headed(json!({"alg": "EdDSA", "kid": {"a": kid}}))),
        "critical" => {
            let header = json!({"alg": "EdDSA", "kid": kid, "crit": ["b64"], "b64": true});
            by_good_key(daemon, &headed(header))
        }
        "claims_swapped" => {
            let mallorys = world.token(daemon, "mallory").expect("a token");
            let signature = mallorys.rsplit('.').next().expect("a signature");
            format!("{signed}.{signature}")
        }
        "signature_cut" => format!(
            "{signed}.{}",
            signature.get(..signature.len() / 2).expect("a half")
        ),
        "signature_longer" => format!("{signed}.{signature}AAAA"),
        "signature_of_zeros" => format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        "four_parts" => format!("{good}.{signature}"),
        "nested" => {
            let header = encoded(&json!({"alg": "EdDSA", "kid": kid, "cty": "JWT"}).to_string());
            by_good_key(daemon, &format!("{header}.{}", encoded(&good)))
        }
        "claims_list" => daemon.sign(&json!([claims])),
        "subject_twice" => {
            let twice = claims.to_string().replacen('{', "{\"sub\":\"x\",", 1);
            by_good_key(daemon, &format!("{header}.{}", encoded(&twice)))
        }
        "padded" => {
            // A length that needs padding.
            let claims = (0..3).map(|spaces| format!("{claims}{}", " ".repeat(spaces)));
            let mut padded = claims.map(|claims| URL_SAFE.encode(claims));
            let claims = padded
                .find(|text| text.ends_with('='))
                .expect("one that ends with =");
            by_good_key(daemon, &format!("{header}.{claims}"))
        }
        other => panic!("no way is called {other}"),
    }
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn kid(header: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(header).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("a header");
    header["kid"].clone()
}

fn public_pem(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.file("token.pub")).expect("the public key")
}

/// The `x` of its JWK: the last 32 bytes of its DER.
fn raw_public(signer: &Signer) -> String {
    let pem = signer.public_pem();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    URL_SAFE_NO_PAD.encode(der.get(der.len() - 32..).expect("32 bytes"))
}

fn by_secret(secret: &[u8], signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn by_key(signer: &Signer, signed: &str) -> String {
    by_pem(&signer.private_pem(), signed)
}

/// By the key that signs everybody's tokens.
fn by_good_key(daemon: &Daemon, signed: &str) -> String {
    let mut found = files_below(&daemon.folder());
    found.retain(|path| path.ends_with("token.key"));
    let [path] = found.as_slice() else {
        panic!("one key that signs: {found:?}")
    };
    by_pem(&std::fs::read_to_string(path).expect("a key"), signed)
}

fn by_pem(pem: &str, signed: &str) -> String {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pkcs8 = STANDARD.decode(body).expect("base64");
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8).expect("an Ed25519 key");
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()))
    )
}
