//! Keys of tokens while the daemon runs: a set that rotates, and the ways of making a token that must not pass.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbal_identity::Signer;
use dbal_tests::binaries;
use dbal_tests::client::{Client, Login};
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use dbal_tests::worker_alone::unix_seconds;
use serde_json::{Value, json};

/// Puts a set of keys where `new` stood before, in one step.
fn publish(file: &Path, keys: &[&Signer]) {
    let entry = |key: &&Signer| json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.key_id(), "x": public(key)});
    let keys: Vec<Value> = keys.iter().map(entry).collect();
    put(file, &json!({ "keys": keys }).to_string());
}

fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

/// The raw key in base64url: the last 32 of the 44 bytes of its PEM, which begin in the middle of a letter.
fn public(key: &Signer) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let pem = key.public_pem();
    let body = pem.lines().nth(1).unwrap().trim_end_matches('=');
    // 12 bytes are 16 letters: what follows is the key alone.
    let body = &body[16..];
    assert!(body.bytes().all(|letter| LETTERS.contains(&letter)));
    body.replace('+', "-").replace('/', "_")
}

/// A daemon that takes its keys from a set in a folder of its own, and the key that `dbal dev` itself signs with.
fn with_a_set(key: &Signer) -> (Daemon, PathBuf, Signer) {
    let (_, folder, _) = Daemon::start().stop();
    let dev = folder.path().join("dev");
    let set = dev.join("jwks/keys.json");
    fs::create_dir(dev.join("jwks")).unwrap();
    let of_dev = Signer::from_pem(&fs::read_to_string(dev.join("token.key")).unwrap()).unwrap();
    publish(&set, &[&of_dev, key]);
    // The lines `keys:` and the one below it become `jwks:`.
    let script = dev.join("take-a-set.sed");
    fs::write(&script, "/^    keys:$/{N;s/.*/    jwks: jwks\\/keys.json/}\n").unwrap();
    let edited = binaries::command("dbal")
        .args(["config", "edit", "--identity"])
        .args([dev.join("identity"), dev.join("worker.yaml.age")])
        .env("VISUAL", format!("sed -i -f {}", script.display()))
        .output()
        .unwrap();
    assert!(edited.status.success(), "{edited:?}");
    let config = dev.join("broker.yaml");
    let status = std::process::Command::new("sed")
        .arg("-i")
        .arg("-f")
        .args([&script, &config])
        .status()
        .unwrap();
    assert!(status.success() && fs::read_to_string(&config).unwrap().contains("jwks:"));
    (Daemon::start_in(folder), set, of_dev)
}

fn token(daemon: &Daemon, key: &Signer) -> String {
    let mut claims = daemon.claims_of(daemon.user("alice"));
    claims["exp"] = json!(unix_seconds() + 600);
    key.sign(&claims.to_string())
}

/// The code of a first call, 0 for success.
async fn code(daemon: &Daemon, token: &str) -> i64 {
    let mut client = Client::try_connect(daemon, Login::Header(token)).await.unwrap();
    client
        .call("count", json!(["Note"]))
        .await
        .map_or_else(|refused| refused.code, |_| 0)
}

async fn until(daemon: &Daemon, token: &str, wanted: i64) {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        // 503 while one has reloaded and the other has not.
        let got = code(daemon, token).await;
        if got == wanted {
            return;
        }
        assert!(Instant::now() < until, "{got}, not {wanted}\n{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn keys_rotate_by_replacing_their_file_and_open_connections_of_old_ones_end() {
    let (old, new) = (Signer::generate().unwrap(), Signer::generate().unwrap());
    let (daemon, set, of_dev) = with_a_set(&old);
    let (of_old, of_new) = (token(&daemon, &old), token(&daemon, &new));
    let mut open = Client::try_connect(&daemon, Login::Header(&of_old))
        .await
        .unwrap();
    assert_eq!(open.call("count", json!(["Note"])).await.unwrap(), 0);
    assert_eq!(code(&daemon, &of_new).await, 401);

    publish(&set, &[&of_dev, &old, &new]);
    until(&daemon, &of_new, 0).await;
    assert_eq!(open.call("count", json!(["Note"])).await.unwrap(), 0, "both hold");

    // What can't be read changes nothing, and is told once.
    put(&set, "{\"keys\": [");
    journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "policy-reloaded" && record["outcome"] == "failed"
    });
    assert_eq!(code(&daemon, &of_new).await, 0);

    publish(&set, &[&of_dev, &new]);
    until(&daemon, &of_old, 401).await;
    assert_eq!(open.call("count", json!(["Note"])).await.unwrap_err().code, 401);
    assert_eq!(open.closed_with().await, Some(4401));
    assert_eq!(code(&daemon, &of_new).await, 0);
    journal::wait_for(&daemon.audit(), |record| record["event"] == "keys-reloaded");
}

#[tokio::test]
async fn every_way_of_bending_a_token_is_401_over_the_wire() {
    let daemon = Daemon::start_with_limits("{failed_proofs: 1000}");
    let pem = fs::read_to_string(daemon.folder().join("token.key")).unwrap();
    let key = Signer::from_pem(&pem).unwrap();
    let mut claims = daemon.claims_of(daemon.user("alice"));
    let good = claims.to_string();
    let kid = key.key_id();
    let header = |more: &str| format!(r#"{{"alg":"EdDSA","kid":"{kid}"{more}}}"#);
    let plain = header("");
    assert_eq!(code(&daemon, &key.sign_under(&plain, &good)).await, 0, "unbent");
    let stranger = Signer::generate().unwrap();
    let own = format!(
        r#","jwk":{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#,
        public(&stranger)
    );
    let mut tokens: Vec<(&str, String)> = [
        ("crit", header(r#","crit":["exp"]"#)),
        ("an empty crit", header(r#","crit":null"#)),
        ("a key that the token brings", header(r#","jwk":{}"#)),
        ("a place of keys", header(r#","jku":"https://evil.test""#)),
        ("a place of certificates", header(r#","x5u":"https://evil.test""#)),
        ("a chain of its own", header(r#","x5c":["AAAA"]"#)),
        ("a nested token", header(r#","cty":"JWT""#)),
        ("an unencoded payload", header(r#","b64":false"#)),
        ("compression", header(r#","zip":"DEF""#)),
        ("a logout token", header(r#","typ":"logout+jwt""#)),
        ("alg twice", header(r#","alg":"none""#)),
        ("kid twice", header(r#","kid":"other""#)),
        ("alg none", format!(r#"{{"alg":"none","kid":"{kid}"}}"#)),
        ("alg NoNe", format!(r#"{{"alg":"NoNe","kid":"{kid}"}}"#)),
        (
            "HS256 by a public key's kid",
            format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#),
        ),
        ("another algorithm", format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#)),
        (
            "a path as kid",
            r#"{"alg":"EdDSA","kid":"../../dev/null"}"#.to_owned(),
        ),
        (
            "SQL as kid",
            r#"{"alg":"EdDSA","kid":"x' UNION SELECT 1--"}"#.to_owned(),
        ),
        ("a list as kid", format!(r#"{{"alg":"EdDSA","kid":["{kid}"]}}"#)),
    ]
    .into_iter()
    .map(|(what, header)| (what, key.sign_under(&header, &good)))
    .collect();
    tokens.push((
        "a stranger's key in the header",
        stranger.sign_under(&header(&own), &good),
    ));
    tokens.push(("a stranger's signature", stranger.sign_under(&plain, &good)));
    let bent = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        key.sign_under(&plain, &claims.to_string())
    };
    tokens.push((
        "no exp",
        bent(&|claims| drop(claims.as_object_mut().unwrap().remove("exp"))),
    ));
    tokens.push(("exp as text", bent(&|claims| claims["exp"] = json!("4102444800"))));
    tokens.push(("an overflowing exp", bent(&|claims| claims["exp"] = json!(1e300))));
    tokens.push((
        "expired beyond the leeway",
        bent(&|claims| claims["exp"] = json!(unix_seconds() - 31)),
    ));
    tokens.push((
        "valid only later",
        bent(&|claims| claims["nbf"] = json!(unix_seconds() + 90)),
    ));
    tokens.push((
        "issued tomorrow",
        bent(&|claims| claims["iat"] = json!(unix_seconds() + 86_400)),
    ));
    tokens.push((
        "another audience",
        bent(&|claims| claims["aud"] = json!(["others"])),
    ));
    tokens.push((
        "no audience",
        bent(&|claims| drop(claims.as_object_mut().unwrap().remove("aud"))),
    ));
    tokens.push((
        "another issuer",
        bent(&|claims| claims["iss"] = json!("https://evil.test")),
    ));
    tokens.push((
        "roles as an object",
        bent(&|claims| claims["roles"] = json!({"admin": true})),
    ));
    tokens.push((
        "no subject",
        bent(&|claims| drop(claims.as_object_mut().unwrap().remove("sub"))),
    ));
    tokens.push((
        "bound to a key",
        bent(&|claims| claims["cnf"] = json!({"jkt": "AAAA"})),
    ));
    let twice = good.replacen('{', r#"{"roles":["admin"],"#, 1);
    tokens.push(("a claim twice", key.sign_under(&plain, &twice)));
    let honest = key.sign_under(&plain, &good);
    tokens.push((
        "a token in a token",
        key.sign_under(&plain, &format!("\"{honest}\"")),
    ));
    tokens.push(("padding", format!("{honest}==")));
    tokens.push(("a fourth part", format!("{honest}.x")));
    tokens.push((
        "no signature",
        honest.rsplit_once('.').unwrap().0.to_owned() + ".",
    ));
    let long = {
        claims["more"] = json!("x".repeat(9_000));
        key.sign_under(&plain, &claims.to_string())
    };
    let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    for (what, token) in &tokens {
        let auth = json!({"token": token});
        let refused = client.call_as(auth, "count", json!(["Note"])).await;
        assert_eq!(refused.map_err(|refused| refused.code), Err(401), "{what}");
    }
    let refused = client
        .call_as(json!({"token": long}), "count", json!(["Note"]))
        .await;
    assert!([400, 401].contains(&refused.unwrap_err().code), "too long");
    assert_eq!(code(&daemon, &honest).await, 0, "and the honest one still is");
}
