//! Tokens that must pass, and the known ways of making one pass that must not (RFC 8725 §2).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use dbal_shared::principal::ClaimValue;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use secrecy::SecretString;

use super::*;
use crate::rules::{ClaimNames, KeyAlgorithm, KeyRule};
use dbal_shared::limits::TOKEN_BYTES;
use dbal_shared::message::Standing;

mod bent;

const NOW_MS: i64 = 1_800_000_000_000;
const NOW: i64 = 1_800_000_000;
const SECRET: &str = "a secret of the tests, 32 bytes or more";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("test-keys")
        .join(name)
}

fn public(kid: &str, algorithm: KeyAlgorithm, file: &str) -> KeyRule {
    KeyRule {
        kid: kid.to_owned(),
        algorithm,
        public_key: Some(path(file)),
        secret: None,
    }
}

fn secret(kid: &str, text: &str) -> KeyRule {
    KeyRule {
        kid: kid.to_owned(),
        algorithm: KeyAlgorithm::Hs256,
        public_key: None,
        secret: Some(SecretString::from(text)),
    }
}

fn rules(keys: Vec<KeyRule>) -> TokenRules {
    TokenRules {
        issuer: "https://issuer.test".to_owned(),
        audience: "dbal".to_owned(),
        leeway_s: 30,
        max_age_s: None,
        claims: ClaimNames::default(),
        keys,
        jwks: None,
    }
}

fn all_keys() -> Vec<KeyRule> {
    vec![
        public("ed", KeyAlgorithm::EdDsa, "ed.pub"),
        public("ec", KeyAlgorithm::Es256, "ec.pub"),
        public("rsa", KeyAlgorithm::Rs256, "rsa.pub"),
        secret("hs", SECRET),
    ]
}

fn verifier() -> Verifier {
    Verifier::new(&rules(all_keys()), Secrets::Allowed).unwrap()
}

fn claims() -> serde_json::Value {
    serde_json::json!({
        "iss": "https://issuer.test", "aud": "dbal", "sub": "alice", "exp": NOW + 300, "roles": ["user"],
    })
}

fn with(name: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn without(name: &str) -> serde_json::Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn private_der(file: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(file)).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

/// A token with this header, whose signature `sign` makes.
fn token(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

type Sign = fn(&[u8]) -> Vec<u8>;

fn sign_ed(message: &[u8]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private_der("ed.pem")).unwrap();
    pair.sign(message).as_ref().to_vec()
}

fn sign_ec(message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private_der("ec.pem"), &random);
    pair.unwrap().sign(&random, message).unwrap().as_ref().to_vec()
}

fn sign_rsa(message: &[u8]) -> Vec<u8> {
    let pair = RsaKeyPair::from_pkcs8(&private_der("rsa.pem")).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .unwrap();
    signature
}

fn sign_hs(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, message).as_ref().to_vec()
}

fn ed_token(claims: &serde_json::Value) -> String {
    token(r#"{"alg":"EdDSA","kid":"ed"}"#, &claims.to_string(), sign_ed)
}

#[test]
fn without_rules_no_token_is_good_and_only_the_worker_says_so() {
    let good = ed_token(&claims());
    for secrets in [Secrets::Refused, Secrets::Allowed] {
        let none = Verifier::new(None::<&TokenRules>, secrets).unwrap();
        assert_eq!(none.verify(&good, NOW_MS), Err(TokenError::NotTaken));
        assert_eq!(none.can_verify(&good), Checkable::OnlyWorker);
    }
}

#[test]
fn each_algorithm_lets_a_good_token_pass() {
    let verifier = verifier();
    let text = claims().to_string();
    for token in [
        token(r#"{"alg":"EdDSA","kid":"ed"}"#, &text, sign_ed),
        token(r#"{"alg":"ES256","kid":"ec","typ":"JWT"}"#, &text, sign_ec),
        token(r#"{"alg":"RS256","kid":"rsa"}"#, &text, sign_rsa),
        token(r#"{"alg":"HS256","kid":"hs"}"#, &text, |message| {
            sign_hs(SECRET.as_bytes(), message)
        }),
    ] {
        let good = verifier.verify(&token, NOW_MS).unwrap();
        assert_eq!(good.principal.id.as_deref(), Some("alice"));
        assert_eq!(good.principal.roles, ["user"]);
        assert_eq!(good.expires_at_ms, Some((NOW + 330) * 1000));
        assert_eq!(verifier.can_verify(&token), Checkable::Yes);

        // One flipped bit in any part, and it is another's word.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut bent = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bent[10] ^= 1;
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bent));
        assert_eq!(verifier.verify(&forged, NOW_MS), Err(TokenError::Signature));
        let (header, _) = signed.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(with("sub", "admin").to_string());
        let forged = format!("{header}.{other}.{signature}");
        assert_eq!(verifier.verify(&forged, NOW_MS), Err(TokenError::Signature));
    }
}

#[test]
fn an_unsigned_token_is_refused_however_none_is_spelt() {
    let verifier = verifier();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for header in [
            format!(r#"{{"alg":"{alg}"}}"#),
            format!(r#"{{"alg":"{alg}","kid":"ed"}}"#),
            format!(r#"{{"alg":"{alg}","kid":"hs"}}"#),
        ] {
            let token = token(&header, &claims().to_string(), |_| Vec::new());
            assert_eq!(
                verifier.verify(&token, NOW_MS),
                Err(TokenError::Malformed),
                "{header}"
            );
        }
    }
    // A good header with the signature left out.
    for key in ["ed", "ec", "rsa", "hs"] {
        let alg = match key {
            "ed" => "EdDSA",
            "ec" => "ES256",
            "rsa" => "RS256",
            _ => "HS256",
        };
        let header = format!(r#"{{"alg":"{alg}","kid":"{key}"}}"#);
        let token = token(&header, &claims().to_string(), |_| Vec::new());
        assert_eq!(
            verifier.verify(&token, NOW_MS),
            Err(TokenError::Signature),
            "{key}"
        );
    }
}

#[test]
fn a_public_key_is_never_taken_for_an_hmac_secret() {
    let verifier = verifier();
    for (kid, file) in [("ed", "ed.pub"), ("ec", "ec.pub"), ("rsa", "rsa.pub")] {
        let pem = std::fs::read(path(file)).unwrap();
        let der = private_der(file);
        let raw = der[der.len() - 32..].to_vec();
        for secret in [pem, der, raw] {
            let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
            let forged = token(&header, &claims().to_string(), |message| {
                sign_hs(&secret, message)
            });
            assert_eq!(
                verifier.verify(&forged, NOW_MS),
                Err(TokenError::Algorithm),
                "{kid}"
            );
        }
    }
}

#[test]
fn a_token_must_name_the_algorithm_of_its_key() {
    let verifier = verifier();
    let text = claims().to_string();
    let cases: [(&str, Sign); 6] = [
        (r#"{"alg":"EdDSA","kid":"rsa"}"#, sign_ed),
        (r#"{"alg":"EdDSA","kid":"hs"}"#, sign_ed),
        (r#"{"alg":"RS256","kid":"ed"}"#, sign_rsa),
        (r#"{"alg":"RS512","kid":"rsa"}"#, sign_rsa),
        (r#"{"alg":"PS256","kid":"rsa"}"#, sign_rsa),
        (r#"{"alg":"ES384","kid":"ec"}"#, sign_ec),
    ];
    for (header, sign) in cases {
        let token = token(header, &text, sign);
        // Algorithms that we serve with none of our keys have no name here.
        let is_ours = ["EdDSA", "RS256"].iter().any(|alg| header.contains(alg));
        let expected = if is_ours {
            TokenError::Algorithm
        } else {
            TokenError::Malformed
        };
        assert_eq!(verifier.verify(&token, NOW_MS), Err(expected), "{header}");
    }
}

#[test]
fn a_key_that_the_header_brings_along_is_refused() {
    let own = crate::Signer::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(raw_public(&own));
    let header = format!(r#"{{"alg":"EdDSA","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}}}"#);
    let pem = own.private_pem();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pair = Ed25519KeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
    let forged = token(&header, &claims().to_string(), |message| {
        pair.sign(message).as_ref().to_vec()
    });
    let only = Verifier::new(
        &rules(vec![public("ed", KeyAlgorithm::EdDsa, "ed.pub")]),
        Secrets::Refused,
    );
    let refused = || Err(TokenError::Header { name: "jwk" });
    assert_eq!(only.unwrap().verify(&forged, NOW_MS), refused());
    assert_eq!(verifier().verify(&forged, NOW_MS), refused());
}

fn raw_public(signer: &crate::Signer) -> Vec<u8> {
    let pem = signer.public_pem();
    let der = STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
    der.last_chunk::<32>().unwrap().to_vec()
}

#[test]
fn kid_chooses_the_key_and_may_be_left_out_where_there_is_one() {
    let several = verifier();
    let text = claims().to_string();
    for header in [
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","kid":"other"}"#,
        r#"{"alg":"EdDSA","kid":""}"#,
        r#"{"alg":"EdDSA","kid":"../../../dev/null"}"#,
    ] {
        let token = token(header, &text, sign_ed);
        assert_eq!(
            several.verify(&token, NOW_MS),
            Err(TokenError::UnknownKey),
            "{header}"
        );
        assert_eq!(several.can_verify(&token), Checkable::OnlyWorker);
    }
    let one = Verifier::new(
        &rules(vec![public("ed", KeyAlgorithm::EdDsa, "ed.pub")]),
        Secrets::Refused,
    )
    .unwrap();
    let unnamed = token(r#"{"alg":"EdDSA"}"#, &text, sign_ed);
    assert!(one.verify(&unnamed, NOW_MS).is_ok());
    let for_the_worker = token(r#"{"alg":"HS256"}"#, &text, |message| {
        sign_hs(SECRET.as_bytes(), message)
    });
    assert_eq!(one.can_verify(&for_the_worker), Checkable::OnlyWorker);
    assert_eq!(
        one.can_verify("garbage"),
        Checkable::Yes,
        "it is garbage everywhere"
    );
}

#[test]
fn times_are_compared_with_the_leeway_and_exp_must_be_there() {
    let verifier = verifier();
    let missing = || TokenError::Claim {
        name: "exp".to_owned(),
    };
    let future = || TokenError::NotYetValid;
    for (claims, expected) in [
        (without("exp"), Err(missing())),
        (with("exp", serde_json::Value::Null), Err(missing())),
        (with("exp", (NOW + 300).to_string()), Err(missing())),
        (with("exp", -1), Err(missing())),
        (with("exp", u64::MAX), Err(missing())),
        (with("exp", i64::MAX), Err(missing())),
        (with("exp", 0), Err(TokenError::Expired)),
        (with("exp", NOW - 30), Err(TokenError::Expired)),
        (with("exp", NOW - 29), Ok((NOW + 1) * 1000)),
        (with("exp", 1_800_000_100.25), Ok(1_800_000_130_250)),
        (with("nbf", NOW + 30), Ok((NOW + 330) * 1000)),
        (with("nbf", NOW + 31), Err(future())),
        (
            with("nbf", "soon"),
            Err(TokenError::Claim {
                name: "nbf".to_owned(),
            }),
        ),
        (with("iat", NOW + 31), Err(future())),
    ] {
        let got = verifier
            .verify(&ed_token(&claims), NOW_MS)
            .map(|verified| verified.expires_at_ms.unwrap());
        assert_eq!(got, expected, "{claims}");
    }
}

#[test]
fn max_age_counts_from_iat_and_ends_the_session() {
    let mut rules = rules(all_keys());
    rules.max_age_s = Some(60);
    let verifier = Verifier::new(&rules, Secrets::Allowed).unwrap();
    let no_iat = verifier.verify(&ed_token(&claims()), NOW_MS);
    assert_eq!(
        no_iat,
        Err(TokenError::Claim {
            name: "iat".to_owned()
        })
    );
    let old = verifier.verify(&ed_token(&with("iat", NOW - 90)), NOW_MS);
    assert_eq!(old, Err(TokenError::TooOld));
    let fresh = verifier.verify(&ed_token(&with("iat", NOW - 10)), NOW_MS);
    assert_eq!(fresh.unwrap().expires_at_ms, Some((NOW + 80) * 1000));
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    let verifier = verifier();
    let missing = |name: &str| TokenError::Claim {
        name: name.to_owned(),
    };
    for (claims, expected) in [
        (with("iss", "https://evil.test"), TokenError::Issuer),
        (with("iss", "https://issuer.test/"), TokenError::Issuer),
        (without("iss"), missing("iss")),
        (with("aud", "other"), TokenError::Audience),
        (
            with("aud", serde_json::json!(["other", "dbal2"])),
            TokenError::Audience,
        ),
        (with("aud", serde_json::json!([])), TokenError::Audience),
        (without("aud"), missing("aud")),
        (with("aud", 7), missing("aud")),
    ] {
        let error = verifier.verify(&ed_token(&claims), NOW_MS).unwrap_err();
        assert_eq!(error, expected, "{claims}");
    }
    let among = with("aud", serde_json::json!(["other", "dbal"]));
    assert!(verifier.verify(&ed_token(&among), NOW_MS).is_ok());
}

#[test]
fn roles_are_a_list_or_one_string_sorted_and_each_once() {
    let verifier = verifier();
    for (roles, expected) in [
        (
            serde_json::json!(["user", "admin", "user"]),
            Some(vec!["admin", "user"]),
        ),
        (serde_json::json!("moderator"), Some(vec!["moderator"])),
        (serde_json::json!("user  admin"), Some(vec!["admin", "user"])),
        (serde_json::json!(null), Some(vec![])),
        (serde_json::json!([]), Some(vec![])),
        (serde_json::json!(["user", 7]), None),
        (serde_json::json!([""]), None),
        (serde_json::json!({"user": true}), None),
        (serde_json::json!(true), None),
    ] {
        let got = verifier.verify(&ed_token(&with("roles", roles.clone())), NOW_MS);
        match expected {
            Some(expected) => assert_eq!(got.unwrap().principal.roles, expected, "{roles}"),
            None => assert!(matches!(got, Err(TokenError::Claim { .. })), "{roles}"),
        }
    }
}

#[test]
fn claims_are_mapped_and_the_further_ones_kept_sorted() {
    let mut rules = rules(all_keys());
    rules.claims = ClaimNames {
        id: "user_id".to_owned(),
        roles: "scope".to_owned(),
        tenant: "org".to_owned(),
    };
    let verifier = Verifier::new(&rules, Secrets::Allowed).unwrap();
    let claims = serde_json::json!({
        "iss": "https://issuer.test", "aud": "dbal", "exp": NOW + 300, "jti": "x", "user_id": 42, "org": "acme",
        "scope": "user", "sub": "ignored-but-kept", "level": 3, "beta": true, "nested": {"a": 1}, "half": 0.5,
        "regions": ["eu", "us"], "mixed": ["eu", 1],
    });
    let principal = verifier.verify(&ed_token(&claims), NOW_MS).unwrap().principal;
    assert_eq!(principal.id.as_deref(), Some("42"));
    assert_eq!(principal.tenant.as_deref(), Some("acme"));
    assert_eq!(
        principal.claims,
        [
            ("beta".to_owned(), ClaimValue::Bool(true)),
            ("level".to_owned(), ClaimValue::Int(3)),
            (
                "regions".to_owned(),
                ClaimValue::Texts(vec!["eu".to_owned(), "us".to_owned()])
            ),
            ("sub".to_owned(), ClaimValue::Text("ignored-but-kept".to_owned())),
        ]
    );
    for (claim, value) in [
        ("user_id", serde_json::json!("")),
        ("user_id", serde_json::json!(["alice"])),
        ("user_id", serde_json::Value::Null),
        ("user_id", serde_json::json!("x".repeat(256))),
        ("org", serde_json::json!({"id": 1})),
    ] {
        let mut bad = claims.clone();
        bad[claim] = value;
        let error = verifier.verify(&ed_token(&bad), NOW_MS).unwrap_err();
        assert_eq!(
            error,
            TokenError::Claim {
                name: claim.to_owned()
            }
        );
    }
}

#[test]
fn what_can_not_be_understood_is_refused_and_not_skipped() {
    let verifier = verifier();
    let text = claims().to_string();
    let critical = token(
        r#"{"alg":"EdDSA","kid":"ed","crit":["b64"],"b64":false}"#,
        &text,
        sign_ed,
    );
    assert_eq!(
        verifier.verify(&critical, NOW_MS),
        Err(TokenError::Header { name: "crit" })
    );
    let bound = with("cnf", serde_json::json!({"x5t#S256": "AAAA"}));
    assert_eq!(verifier.verify(&ed_token(&bound), NOW_MS), Err(TokenError::Bound));
    // Two parsers could each take another one of them.
    let twice = text.replace(r#""sub":"alice""#, r#""sub":"alice","sub":"admin""#);
    let token = token(r#"{"alg":"EdDSA","kid":"ed"}"#, &twice, sign_ed);
    assert_eq!(verifier.verify(&token, NOW_MS), Err(TokenError::Malformed));
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let verifier = verifier();
    let good = ed_token(&claims());
    let (header, rest) = good.split_once('.').unwrap();
    for text in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        "\u{0}".to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{header}.{rest}\n"),
        format!("{header}..{rest}"),
        good.replace('.', "/"),
        "é.é.é".to_owned(),
    ] {
        assert!(verifier.verify(&text, NOW_MS).is_err(), "{text:?}");
        let _ = verifier.can_verify(&text);
    }
    for end in 0..good.len() {
        assert!(verifier.verify(&good[..end], NOW_MS).is_err(), "cut after {end}");
    }
    let long = ed_token(&with("sub", "x".repeat(TOKEN_BYTES)));
    assert_eq!(verifier.verify(&long, NOW_MS), Err(TokenError::TooLong));
    let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
    let token = token(r#"{"alg":"EdDSA","kid":"ed"}"#, &deep, sign_ed);
    assert_eq!(verifier.verify(&token, NOW_MS), Err(TokenError::Malformed));
}

#[test]
fn the_signer_of_development_is_understood_after_its_keys_went_through_files() {
    let made = crate::Signer::generate().unwrap();
    let signer = crate::Signer::from_pem(&made.private_pem()).unwrap();
    assert_eq!(signer.key_id(), made.key_id());
    let file = std::env::temp_dir().join(format!("dbal-identity-{}.pub", std::process::id()));
    std::fs::write(&file, signer.public_pem()).unwrap();
    let mut rule = public(signer.key_id(), KeyAlgorithm::EdDsa, "ed.pub");
    rule.public_key = Some(file.clone());
    let loaded = Verifier::new(&rules(vec![rule]), Secrets::Refused);
    std::fs::remove_file(file).unwrap();
    let bearer = loaded
        .unwrap()
        .verify(&signer.sign(&claims().to_string()), NOW_MS);
    assert_eq!(bearer.unwrap().principal.id.as_deref(), Some("alice"));
    assert!(crate::Signer::from_pem(&std::fs::read_to_string(path("ed.pem")).unwrap()).is_ok());
    assert!(crate::Signer::from_pem(&std::fs::read_to_string(path("rsa.pem")).unwrap()).is_err());
    assert!(!format!("{made:?}").contains("pkcs8"));
}

fn jwks(name: &str, text: &str, secrets: Secrets) -> Result<Verifier, IdentityError> {
    let file = std::env::temp_dir().join(format!("dbal-identity-{name}-{}.jwks", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let mut rules = rules(Vec::new());
    rules.jwks = Some(file.clone());
    let loaded = Verifier::new(&rules, secrets);
    std::fs::remove_file(file).unwrap();
    loaded
}

#[test]
fn a_jwk_set_gives_its_signing_keys_and_the_rest_is_passed_over() {
    let ed = private_der("ed.pub");
    let ec = private_der("ec.pub");
    let point = &ec[ec.len() - 64..];
    let set = serde_json::json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": URL_SAFE_NO_PAD.encode(&ed[ed.len() - 32..])},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",
         "x": URL_SAFE_NO_PAD.encode(&point[..32]), "y": URL_SAFE_NO_PAD.encode(&point[32..])},
        {"kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "kid": "pss", "use": "sig", "alg": "PS256", "n": "AQAB", "e": "AQAB"},
        {"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AAAA"},
    ]});
    let verifier = jwks("good", &set.to_string(), Secrets::Refused).unwrap();
    assert_eq!(verifier.keys.len(), 2);
    let text = claims().to_string();
    for token in [
        token(r#"{"alg":"EdDSA","kid":"ed"}"#, &text, sign_ed),
        token(r#"{"alg":"ES256","kid":"ec"}"#, &text, sign_ec),
    ] {
        assert!(verifier.verify(&token, NOW_MS).is_ok());
    }
    let oct = serde_json::json!({"keys": [{"kty": "oct", "kid": "hs", "alg": "HS256",
        "k": URL_SAFE_NO_PAD.encode(SECRET)}]});
    let refused = jwks("oct", &oct.to_string(), Secrets::Refused).unwrap_err();
    assert!(
        matches!(refused, IdentityError::SecretRefused { .. }),
        "{refused}"
    );
    assert!(jwks("oct-worker", &oct.to_string(), Secrets::Allowed).is_ok());
    let nothing = jwks("none", r#"{"keys":[]}"#, Secrets::Refused).unwrap_err();
    assert!(matches!(nothing, IdentityError::NotAKey { .. }), "{nothing}");
    assert!(jwks("garbage", "[]", Secrets::Refused).is_err());
}

#[test]
fn a_wrong_configuration_is_told_at_start() {
    let load = |keys, secrets| Verifier::new(&rules(keys), secrets).unwrap_err().to_string();
    let mut both = secret("hs", SECRET);
    both.public_key = Some(path("ed.pub"));
    let mut nothing = public("ed", KeyAlgorithm::EdDsa, "ed.pub");
    nothing.public_key = None;
    for (keys, secrets, part) in [
        (vec![], Secrets::Allowed, "no key to check tokens"),
        (
            vec![secret("hs", SECRET)],
            Secrets::Refused,
            "the worker's configuration only",
        ),
        (vec![secret("hs", "short")], Secrets::Allowed, "has 5 bytes"),
        (vec![both], Secrets::Allowed, "needs `secret` and nothing else"),
        (
            vec![nothing],
            Secrets::Refused,
            "needs `public_key` and nothing else",
        ),
        (
            vec![secret("a", SECRET), secret("a", SECRET)],
            Secrets::Allowed,
            "two keys have the kid `a`",
        ),
        (
            vec![public("x", KeyAlgorithm::EdDsa, "ec.pub")],
            Secrets::Refused,
            "of another kind",
        ),
        (
            vec![public("x", KeyAlgorithm::Rs256, "rsa1024.pub")],
            Secrets::Refused,
            "2048 bits or more",
        ),
        (
            vec![public("x", KeyAlgorithm::Es256, "p384.pub")],
            Secrets::Refused,
            "none of Ed25519",
        ),
        (
            vec![public("x", KeyAlgorithm::EdDsa, "ed.pem")],
            Secrets::Refused,
            "-pubout",
        ),
        (
            vec![public("x", KeyAlgorithm::EdDsa, "absent")],
            Secrets::Refused,
            "can't read the key file",
        ),
        (
            vec![public("x", KeyAlgorithm::EdDsa, "/dev/zero")],
            Secrets::Refused,
            "is longer than",
        ),
    ] {
        let error = load(keys, secrets);
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(Verifier::new(&rules(vec![]), Secrets::Refused).is_ok());
}
