//! Headers that must not count, spellings that must not pass, and keys that come and go.

use super::*;

/// A token with this header, over good claims and with a good signature of the Ed25519 key.
fn with_header(header: &str) -> String {
    token(header, &claims().to_string(), sign_ed)
}

#[test]
fn each_header_that_would_change_a_tokens_meaning_is_refused_by_name() {
    let verifier = verifier();
    let refused = |name| Err(TokenError::Header { name });
    for (parameter, expected) in [
        // RFC 7515 §4.1.11, also where it lists nothing, or is nothing.
        (r#""crit":["exp"]"#, refused("crit")),
        (r#""crit":[]"#, refused("crit")),
        (r#""crit":null"#, refused("crit")),
        (r#""crit":"exp""#, refused("crit")),
        (r#""b64":true"#, refused("b64")),
        // RFC 8725 §3.10: keys and places of keys that the token itself names.
        (
            r#""jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#,
            refused("jwk"),
        ),
        (r#""jwk":null"#, refused("jwk")),
        (r#""jku":"https://evil.test/keys""#, refused("jku")),
        (r#""x5u":"https://evil.test/cert""#, refused("x5u")),
        (r#""x5c":["AAAA"]"#, refused("x5c")),
        // RFC 7519 §5.2: a nested token; and encrypted or compressed ones.
        (r#""cty":"JWT""#, refused("cty")),
        (r#""cty":"jwt""#, refused("cty")),
        (r#""enc":"A256GCM""#, refused("enc")),
        (r#""zip":"DEF""#, refused("zip")),
        // RFC 8725 §3.11: tokens of other kinds by the same issuer.
        (r#""typ":"logout+jwt""#, refused("typ")),
        (r#""typ":"secevent+jwt""#, refused("typ")),
        (r#""typ":"dpop+jwt""#, refused("typ")),
        (r#""typ":""#, Err(TokenError::Malformed)),
        (r#""typ":7"#, refused("typ")),
        // One name twice: two readers could each take another one.
        (r#""alg":"none""#, Err(TokenError::Malformed)),
        (r#""kid":"rsa""#, Err(TokenError::Malformed)),
        (r#""x":1,"x":2"#, Err(TokenError::Malformed)),
        (r#""KID":"rsa","Alg":"none""#, Ok(())),
        (r#""typ":"JWT""#, Ok(())),
        (r#""typ":"at+jwt""#, Ok(())),
        (r#""x5t#S256":"AAAA","mine":{"a":[1]}"#, Ok(())),
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"ed",{parameter}}}"#);
        let header = if parameter == r#""typ":""# {
            r#"{"alg":"EdDSA","kid":"ed","typ":"#.to_owned()
        } else {
            header
        };
        let got = verifier.verify(&with_header(&header), NOW_MS).map(|_| ());
        assert_eq!(got, expected, "{header}");
    }
}

#[test]
fn a_kid_is_a_name_among_ours_and_nothing_else() {
    let verifier = verifier();
    for kid in [
        "../../../dev/null",
        "/dev/null",
        r"ed\u0000",
        "ed' OR '1'='1",
        "ed; drop table keys",
        "ED",
        " ed",
        "ed ",
        "file:///etc/passwd",
        "https://evil.test/ed",
        "${HOME}",
        "",
        "0",
        "*",
    ] {
        let token = with_header(&format!(r#"{{"alg":"EdDSA","kid":"{kid}"}}"#));
        let refused = verifier.verify(&token, NOW_MS).unwrap_err();
        // NUL is refused in every JSON that comes from outside.
        assert!(
            matches!(refused, TokenError::UnknownKey | TokenError::Malformed),
            "{kid}: {refused}"
        );
    }
    for kid in ["7", "null", "true", r#"["ed"]"#, r#"{"kid":"ed"}"#] {
        let token = with_header(&format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#));
        assert_eq!(
            verifier.verify(&token, NOW_MS),
            Err(TokenError::Malformed),
            "{kid}"
        );
    }
    let long = with_header(&format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "x".repeat(256)));
    assert_eq!(verifier.verify(&long, NOW_MS), Err(TokenError::Malformed));
}

#[test]
fn a_token_has_one_spelling_so_that_a_list_of_refused_ones_can_not_be_evaded() {
    let verifier = verifier();
    let good = ed_token(&claims());
    assert!(verifier.verify(&good, NOW_MS).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("three parts")
    };
    // 86 letters are 64 bytes and 4 bits that no byte needs (RFC 4648 §3.5).
    let mut spare = (*signature).to_owned();
    let last = spare.pop().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let place = alphabet.find(last).unwrap();
    spare.push(alphabet.as_bytes()[place ^ 1].into());
    for (what, token) in [
        ("padding", format!("{header}.{payload}.{signature}==")),
        ("spare bits", format!("{header}.{payload}.{spare}")),
        (
            "the other alphabet",
            format!(
                "{header}.{payload}.{}",
                signature.replace('-', "+").replace('_', "/")
            ),
        ),
        ("a line break", format!("{header}.{payload}.{signature}\n")),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("padding within", format!("{header}=.{payload}.{signature}")),
        ("a fourth part", format!("{good}.{signature}")),
        (
            "an encrypted token's five parts",
            format!("{header}.{payload}.{signature}.a.b"),
        ),
        (
            "its JSON form",
            format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#),
        ),
    ] {
        let is_same = token == good;
        assert!(is_same || verifier.verify(&token, NOW_MS).is_err(), "{what}");
    }
}

#[test]
fn a_payload_that_is_a_token_or_names_a_claim_twice_is_none() {
    let verifier = verifier();
    let inner = ed_token(&claims());
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    let text = claims().to_string();
    for payload in [
        inner.clone(),
        format!("\"{inner}\""),
        format!("[{text}]"),
        "null".to_owned(),
        text.replacen('{', r#"{"exp":1,"#, 1),
        text.replacen('{', r#"{"roles":["admin"],"#, 1),
        text.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
        format!("{text}{text}"),
        format!("\u{feff}{text}"),
    ] {
        let token = token(header, &payload, sign_ed);
        assert_eq!(
            verifier.verify(&token, NOW_MS),
            Err(TokenError::Malformed),
            "{payload}"
        );
    }
}

#[test]
fn what_fails_after_the_signature_is_no_guess() {
    let verifier = verifier();
    let standing = |token: &str| verifier.verify(token, NOW_MS).unwrap_err().standing();
    for claims in [
        with("exp", 1),
        with("aud", "other"),
        with("iss", "other"),
        without("sub"),
        with("nbf", NOW + 300),
    ] {
        assert_eq!(standing(&ed_token(&claims)), Standing::Lapsed, "{claims}");
    }
    let good = ed_token(&claims());
    for token in [
        "a.b.c".to_owned(),
        format!("{}A", &good[..good.len() - 1]),
        with_header(r#"{"alg":"EdDSA","kid":"other"}"#),
        with_header(r#"{"alg":"EdDSA","kid":"ed","crit":[]}"#),
        with_header(r#"{"alg":"RS256","kid":"ed"}"#),
    ] {
        assert_eq!(standing(&token), Standing::Unproven, "{token}");
    }
}

#[test]
fn keys_rotate_while_both_are_in_the_set_and_the_old_one_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let (old, new) = (
        crate::Signer::generate().unwrap(),
        crate::Signer::generate().unwrap(),
    );
    let entry = |signer: &crate::Signer| {
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": signer.key_id(),
            "x": URL_SAFE_NO_PAD.encode(raw_public(signer))})
    };
    let publish = |keys: &[&crate::Signer]| {
        let keys: Vec<serde_json::Value> = keys.iter().map(|key| entry(key)).collect();
        std::fs::write(&file, serde_json::json!({ "keys": keys }).to_string()).unwrap();
    };
    publish(&[&old]);
    let mut rules = rules(Vec::new());
    rules.jwks = Some(file.clone());
    let verifier = Verifier::new(&rules, Secrets::Refused).unwrap();
    let (of_old, of_new) = (old.sign(&claims().to_string()), new.sign(&claims().to_string()));
    let holds = |verifier: &Verifier, token: &str| verifier.verify(token, NOW_MS).is_ok();
    assert!(holds(&verifier, &of_old) && !holds(&verifier, &of_new));
    publish(&[&old, &new]);
    let verifier = verifier.again().unwrap();
    assert!(holds(&verifier, &of_old) && holds(&verifier, &of_new));
    publish(&[&new]);
    let verifier = verifier.again().unwrap();
    assert!(!holds(&verifier, &of_old) && holds(&verifier, &of_new));
    // Two keys of one kid, and an RSA key that is too short, are refused at load.
    publish(&[&new, &new]);
    assert!(matches!(
        verifier.again(),
        Err(IdentityError::DuplicateKid { .. })
    ));
    let short = serde_json::json!({"keys": [{"kty": "RSA", "kid": "short", "e": "AQAB",
        "n": URL_SAFE_NO_PAD.encode([0xff; 128])}]});
    std::fs::write(&file, short.to_string()).unwrap();
    let refused = verifier.again().unwrap_err().to_string();
    assert!(refused.contains("2048 bits"), "{refused}");
}

#[test]
fn a_bound_token_is_worth_nothing_without_its_certificate() {
    let verifier = verifier();
    let mine = Digest([7; 32]);
    let thumbprint = URL_SAFE_NO_PAD.encode(mine.0);
    let bound = ed_token(&with("cnf", serde_json::json!({"x5t#S256": thumbprint})));
    let good = verifier.verify_with(&bound, Some(&mine), NOW_MS).unwrap();
    assert!(good.by.contains("bound"), "{}", good.by);
    assert_eq!(verifier.verify(&bound, NOW_MS), Err(TokenError::Bound));
    assert_eq!(
        verifier.verify_with(&bound, Some(&Digest([8; 32])), NOW_MS),
        Err(TokenError::Bound)
    );
    for cnf in [
        serde_json::json!({}),
        serde_json::json!(null),
        serde_json::json!(thumbprint),
        serde_json::json!({"x5t#S256": ""}),
        serde_json::json!({"x5t#S256": &thumbprint[1..]}),
        serde_json::json!({"x5t#S256": format!("{thumbprint}=")}),
        serde_json::json!({"x5t#S256": null}),
        serde_json::json!({"x5t": thumbprint}),
        serde_json::json!({"jkt": thumbprint}),
        // Two conditions, of which one can't be checked.
        serde_json::json!({"x5t#S256": thumbprint, "jkt": "AAAA"}),
    ] {
        let token = ed_token(&with("cnf", cnf.clone()));
        let got = verifier.verify_with(&token, Some(&mine), NOW_MS);
        assert_eq!(got, Err(TokenError::Bound), "{cnf}");
    }
    // An unbound one is as good as ever.
    assert!(
        verifier
            .verify_with(&ed_token(&claims()), Some(&mine), NOW_MS)
            .is_ok()
    );
}
