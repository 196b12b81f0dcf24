//! A bearer token as a client shows it, and the claims of one whose signature holds: the first line is a header, the rest are
//! claims, signed here (`KID` in the header is the key's).
#![no_main]

use std::sync::LazyLock;

use dbal_fuzz::scratch::Scratch;
use dbal_identity::{ApiKeys, Bearer, Secrets, ShownKey, Signer, TokenRules, Verified, Verifier};
use libfuzzer_sys::fuzz_target;

/// 2024-01-15T10:30:00Z
const NOW_MS: i64 = 1_705_314_600_000;
/// As `identity` has it.
const NAME_BYTES: usize = 255;

struct World {
    signer: Signer,
    verifier: Verifier,
    keys: ApiKeys,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let signer = Signer::generate().expect("a key");
    let file = Scratch::new("token.pem");
    file.write(signer.public_pem().as_bytes());
    let rules = format!(
        r#"{{"issuer": "issuer", "audience": "dbal", "keys": [{{"kid": "{}", "algorithm": "EdDSA", "public_key": "{}"}}]}}"#,
        signer.key_id(),
        file.path().display()
    );
    let rules: TokenRules = serde_json::from_str(&rules).expect("rules");
    World {
        verifier: Verifier::new(&rules, Secrets::Refused).expect("a verifier"),
        signer,
        keys: ApiKeys::default(),
    }
});

fuzz_target!(|text: &str| {
    let World {
        signer,
        verifier,
        keys,
    } = &*WORLD;
    // Nobody but the signer makes one that holds.
    let _ = (Bearer::of(text), verifier.can_verify(text));
    assert!(verifier.verify(text, NOW_MS).is_err(), "a forged token");
    assert!(keys.verify(text, NOW_MS).is_err(), "a forged key");
    if let Some(shown) = ShownKey::parse(text) {
        assert_eq!((shown.prefix().len(), Bearer::of(text)), (8, Bearer::ApiKey));
    }
    let (header, claims) = text
        .split_once('\n')
        .unwrap_or(("{\"alg\":\"EdDSA\",\"kid\":\"KID\"}", text));
    let token = signer.sign_under(&header.replace("KID", signer.key_id()), claims);
    let Ok(Verified {
        principal,
        expires_at_ms,
        by: _,
    }) = verifier.verify(&token, NOW_MS)
    else {
        return;
    };
    assert!(expires_at_ms.is_some_and(|ends| ends > NOW_MS), "it is over");
    let is_bounded = |text: &String| (1..=NAME_BYTES).contains(&text.len());
    assert!(principal.id.as_ref().is_some_and(is_bounded), "{principal:?}");
    assert!(principal.tenant.as_ref().is_none_or(is_bounded), "{principal:?}");
    assert!(principal.roles.iter().all(is_bounded), "{principal:?}");
    assert!(principal.roles.is_sorted() && principal.claims.is_sorted_by_key(|(name, _)| name));
});
