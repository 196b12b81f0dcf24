//! Who is let in, by every way of saying who one is, and what happens to everybody else.

use dbal_tests::client::{Client, Login, SocketError};
use dbal_tests::daemon::Daemon;
use serde_json::json;

/// How a connection that proves nothing good ends: at the upgrade, or at its first call.
async fn code_for(daemon: &Daemon, login: Login<'_>) -> i64 {
    match Client::try_connect(daemon, login).await {
        Err(SocketError::Http(answer)) => i64::from(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
        Ok(mut client) => match client.call("list", json!(["Note", {}])).await {
            Err(refusal) => refusal.code,
            Ok(result) => panic!("served: {result}"),
        },
    }
}

#[tokio::test]
async fn every_way_of_showing_a_token_works() {
    let daemon = Daemon::start();
    let token = &daemon.user("alice").token;
    for login in [
        Login::Header(token),
        Login::Subprotocol(token),
        Login::Query(token),
    ] {
        let mut client = Client::try_connect(&daemon, login).await.unwrap();
        assert_eq!(
            client.call("count", json!(["Note"])).await.unwrap(),
            0,
            "{login:?}"
        );
    }
    let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let auth = json!({"token": token, "user_id": daemon.user("alice").user_id});
    assert_eq!(
        client.call_as(auth, "count", json!(["Note"])).await.unwrap(),
        0,
        "by message"
    );
    let auth = json!({"token": token, "userId": daemon.user("alice").user_id});
    assert_eq!(
        client.call_as(auth, "count", json!(["Note"])).await.unwrap(),
        0,
        "by message, as others write it"
    );
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_401_and_tells_nothing_of_the_keys() {
    let daemon = Daemon::start();
    let good = daemon.user("alice").token.clone();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let bobs_claims = daemon.user("bob").token.split('.').nth(1).unwrap().to_owned();
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("three parts of garbage", "a.b.c".to_owned()),
        ("no signature", format!("{signed}.")),
        ("alg none", format!("{none}.{claims}.")),
        (
            "alg none with a signature",
            format!("{none}.{claims}.{signature}"),
        ),
        (
            "bob's claims under alice's signature",
            format!("{header}.{bobs_claims}.{signature}"),
        ),
        (
            "a changed signature",
            format!("{signed}.{}", signature.chars().rev().collect::<String>()),
        ),
        ("too long", "a".repeat(20_000)),
    ] {
        // RFC 6585 §5: 431 where the header as such is too long.
        let expected: &[i64] = if token.len() > 8192 { &[401, 431] } else { &[401] };
        let code = code_for(&daemon, Login::Header(&token)).await;
        assert!(expected.contains(&code), "{what}: {code}");
        let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
        let refused = client
            .call_as(json!({"token": token}), "list", json!(["Note", {}]))
            .await
            .unwrap_err();
        let expected: &[i64] = if token.len() > 8192 { &[400, 401] } else { &[401] };
        assert!(expected.contains(&refused.code), "{what} by message: {refused:?}");
        let said = format!("{refused:?}").to_lowercase();
        for word in ["kid", "eddsa", "ed25519", "public", "/"] {
            assert!(!said.contains(word), "{what}: {said}");
        }
    }
    assert_eq!(code_for(&daemon, Login::Nobody).await, 401, "nothing at all");
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    assert_eq!(
        client.call("count", json!(["Note"])).await.unwrap(),
        0,
        "and a good one is good"
    );
}

#[tokio::test]
async fn an_expired_token_is_401() {
    let daemon = Daemon::start();
    let alice = daemon.user("alice");
    let claims = daemon.claims_of(alice);
    let now = dbal_tests::worker_alone::unix_seconds();
    let signed = |change: serde_json::Value| {
        let mut claims = claims.clone();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        daemon.sign(&claims)
    };
    assert_eq!(
        code_for(&daemon, Login::Header(&signed(json!({"exp": now - 3_600})))).await,
        401,
        "expired"
    );
    assert_eq!(
        code_for(&daemon, Login::Header(&signed(json!({"nbf": now + 3_600})))).await,
        401,
        "not yet"
    );
    assert_eq!(
        code_for(&daemon, Login::Header(&signed(json!({"aud": "others"})))).await,
        401,
        "for others"
    );
    assert_eq!(
        code_for(&daemon, Login::Header(&signed(json!({"iss": "others"})))).await,
        401,
        "from others"
    );
    let fresh = signed(json!({"exp": now + 60}));
    let mut client = Client::try_connect(&daemon, Login::Header(&fresh)).await.unwrap();
    assert_eq!(
        client.call("count", json!(["Note"])).await.unwrap(),
        0,
        "the same, still good"
    );
}

#[tokio::test]
async fn a_user_id_that_is_not_the_tokens_subject_is_401() {
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.user("alice"), daemon.user("bob"));
    let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    for name in ["user_id", "userId"] {
        let auth = json!({"token": alice.token, name: bob.user_id});
        assert_eq!(
            client
                .call_as(auth, "list", json!(["Note", {}]))
                .await
                .unwrap_err()
                .code,
            401,
            "{name}"
        );
    }
    let mut client = Client::connect(&daemon, alice).await;
    let auth = json!({"user_id": bob.user_id});
    assert_eq!(
        client
            .call_as(auth, "list", json!(["Note", {}]))
            .await
            .unwrap_err()
            .code,
        401,
        "without a token"
    );
}

#[tokio::test]
async fn a_message_with_its_own_token_acts_for_that_token_alone() {
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.user("alice"), daemon.user("bob"));
    let mut client = Client::connect(&daemon, alice).await;
    let note = client
        .call_as(
            json!({"token": bob.token}),
            "create",
            json!(["Note", {"title": "bob's"}]),
        )
        .await
        .unwrap();
    assert_eq!(note["ownerId"], json!(bob.user_id));
    // The next one without a token is alice again.
    assert_eq!(
        client
            .call("read", json!(["Note", note["id"]]))
            .await
            .unwrap_err()
            .code,
        404
    );
    let refused = client
        .call_as(json!({"token": "wrong"}), "count", json!(["Note"]))
        .await
        .unwrap_err();
    assert_eq!(
        refused.code, 401,
        "a bad token does not fall back on the connection's"
    );
}

#[tokio::test]
async fn a_client_that_trusts_another_authority_refuses_the_daemon() {
    let (one, other) = (Daemon::start(), Daemon::start());
    let refused = dbal_tests::client::secure(&one.address(), &other.ready.ca)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[tokio::test]
async fn a_connection_whose_token_ends_is_told_so_and_closed() {
    let daemon = Daemon::start();
    let mut claims = daemon.claims_of(daemon.user("alice"));
    // Half a minute of leeway: this one holds for three seconds more.
    claims["exp"] = json!(dbal_tests::worker_alone::unix_seconds() - 27);
    let token = daemon.sign(&claims);
    let mut client = Client::try_connect(&daemon, Login::Header(&token)).await.unwrap();
    assert_eq!(
        client.call("count", json!(["Note"])).await.unwrap(),
        0,
        "it holds"
    );
    let began = std::time::Instant::now();
    assert_eq!(client.closed_with().await, Some(4401));
    assert!(
        began.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

/// HS256 over `correct-horse-battery-staple-0123456789`, made by another program: alice, a user, until 2100.
const SHARED_SECRET_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6InNoYXJlZCIsInR5cCI6IkpXVCJ9.\
    eyJzdWIiOiIwMTk5YTAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMGExMWMiLCJyb2xlcyI6WyJ1c2VyIl0sImlzcyI6Imh0dHBzOi8vZGJhbC5s\
    b2NhbGhvc3QiLCJhdWQiOiJkYmFsLWRldiIsImV4cCI6NDEwMjQ0NDgwMH0.MDOIlymewxzv2z1e7ZHlZSEqiKWAXoDp1obxgi4wbl4";

#[tokio::test]
async fn a_token_that_only_the_worker_can_check_is_served_and_a_changed_one_is_not() {
    let (_, folder, _) = Daemon::start().stop();
    let file = |name: &str| folder.path().join("dev").join(name);
    let key = "      - {kid: shared, algorithm: HS256, secret: correct-horse-battery-staple-0123456789}";
    let script = file("add-a-key.sed");
    std::fs::write(&script, format!("/algorithm: EdDSA/a\\\n{key}\n")).unwrap();
    let edited = dbal_tests::binaries::command("dbal")
        .args(["config", "edit", "--identity"])
        .args([file("identity"), file("worker.yaml.age")])
        .env("VISUAL", format!("sed -i -f {}", script.display()))
        .output()
        .unwrap();
    assert!(edited.status.success(), "{edited:?}");
    let daemon = Daemon::start_in(folder);
    let mut client = Client::try_connect(&daemon, Login::Header(SHARED_SECRET_TOKEN))
        .await
        .unwrap();
    let note = client
        .call("create", json!(["Note", {"title": "by a shared secret"}]))
        .await
        .unwrap();
    assert_eq!(note["ownerId"], json!(daemon.user("alice").user_id));
    // The signature's first letter, since the last one has bits that nobody reads.
    let changed = SHARED_SECRET_TOKEN.replace(".MDO", ".NDO");
    assert_eq!(code_for(&daemon, Login::Header(&changed)).await, 401);
}
