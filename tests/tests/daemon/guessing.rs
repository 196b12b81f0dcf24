//! Who guesses is held back for longer and longer; who does not is served meanwhile.

use std::time::{Duration, Instant};

use dbal_tests::client::{Client, Login, Refusal};
use dbal_tests::daemon::Daemon;
use dbal_tests::worker_alone::unix_seconds;
use serde_json::json;

async fn shown(client: &mut Client, token: &str) -> Result<serde_json::Value, Refusal> {
    client
        .call_as(json!({"token": token}), "count", json!(["Note"]))
        .await
}

#[tokio::test]
async fn who_guesses_is_told_to_wait_twice_as_long_each_time_and_open_sessions_go_on() {
    let daemon = Daemon::start_with_limits("{failed_proofs: 3, failed_proofs_pause_s: 60}");
    let mut served = Client::connect(&daemon, daemon.user("alice")).await;
    assert_eq!(served.call("count", json!(["Note"])).await.unwrap(), 0);
    let mut guesser = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    let guesses = ["a.b.1", "opaque-guess", "dbal_abcdefgh_guess", "a.b.2"];
    for guess in guesses {
        assert_eq!(shown(&mut guesser, guess).await.unwrap_err().code, 401, "{guess}");
    }
    let mut waited = Vec::new();
    for _ in 0..3 {
        let held = shown(&mut guesser, "a.b.3").await.unwrap_err();
        assert_eq!(held.code, 429, "{held:?}");
        let seconds = held.details["retryAfter"].as_u64().unwrap();
        waited.push(seconds);
        // Not listened to means: a good proof neither, whoever shows it from there; what is open goes on.
        let good = shown(&mut guesser, &daemon.user("bob").token).await.unwrap_err();
        assert_eq!(good.code, 429, "{good:?}");
        assert_eq!(served.call("count", json!(["Note"])).await.unwrap(), 0);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        assert_eq!(
            shown(&mut guesser, "a.b.4").await.unwrap_err().code,
            401,
            "listened to again"
        );
    }
    assert_eq!(waited, [1, 2, 4]);
    let held = shown(&mut guesser, &daemon.user("bob").token).await.unwrap_err();
    assert_eq!((held.code, &held.details["retryAfter"]), (429, &json!(8)));
}

#[tokio::test]
async fn tokens_that_have_ended_are_no_guesses() {
    let daemon = Daemon::start_with_limits("{failed_proofs: 3}");
    let mut client = Client::try_connect(&daemon, Login::Nobody).await.unwrap();
    for ago in 0..10 {
        let mut claims = daemon.claims_of(daemon.user("alice"));
        claims["exp"] = json!(unix_seconds() - 100 - ago);
        let refused = shown(&mut client, &daemon.sign(&claims)).await.unwrap_err();
        assert_eq!(refused.code, 401, "{refused:?}");
    }
    assert_eq!(shown(&mut client, &daemon.user("alice").token).await.unwrap(), 0);
}

/// The example policy with other limits for users.
fn with_limits(limits: &str) -> Daemon {
    let examples = dbal_tests::binaries::repository().join("policy/examples");
    let text = std::fs::read_to_string(examples.join("acl.yaml")).unwrap();
    let begin = text.find("\n  user: {requests_per_minute").unwrap();
    let end = begin + 1 + text[begin + 1..].find('\n').unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("acl.yaml");
    std::fs::write(
        &policy,
        format!("{}\n  user: {limits}{}", &text[..begin], &text[end..]),
    )
    .unwrap();
    Daemon::start_with(&examples.join("entities"), &policy)
}

#[tokio::test]
async fn a_principal_has_so_many_calls_at_once_over_all_connections_and_others_have_their_own() {
    let daemon = with_limits(
        "{requests_per_minute: 1000000, burst: 100000, max_complexity: 3000, max_rows: 500, max_in_flight: 2}",
    );
    let alice = daemon.user("alice");
    let mut clients = vec![
        Client::connect(&daemon, alice).await,
        Client::connect(&daemon, alice).await,
    ];
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    for client in &mut clients {
        client.call("count", json!(["Note"])).await.unwrap();
    }
    let began = Instant::now();
    let (mut served, mut held) = (0, 0);
    while held == 0 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "never held back; served {served}"
        );
        for client in &mut clients {
            for _ in 0..32 {
                client
                    .feed(dbal_tests::client::Message::text(
                        r#"{"id":"r","method":"list","params":["Note"]}"#,
                    ))
                    .await;
            }
            client
                .send(r#"{"id":"r","method":"list","params":["Note"]}"#)
                .await;
        }
        bob.call("count", json!(["Note"])).await.unwrap();
        for client in &mut clients {
            for _ in 0..33 {
                let answer = client.answer().await;
                match answer["error"]["code"].as_i64() {
                    None => served += 1,
                    Some(429) => {
                        held += 1;
                        assert_eq!(answer["error"]["details"]["retryAfter"], 1, "{answer}");
                    }
                    Some(_) => panic!("{answer}"),
                }
            }
        }
    }
    assert!(served >= 2, "served {served}, held back {held}");
    // Every call gave its place back.
    for client in &mut clients {
        client.call("count", json!(["Note"])).await.unwrap();
    }
}

#[tokio::test]
async fn where_the_policy_counts_by_complexity_costly_calls_use_the_rate_up_sooner() {
    let daemon = with_limits(
        "{requests_per_minute: 1, burst: 12, max_complexity: 3000, max_rows: 500, complexity_per_request: 50}",
    );
    let mut passed = Vec::new();
    for (name, params) in [
        ("alice", json!(["Note", {"limit": 1}])),
        (
            "bob",
            json!(["Note", {"limit": 500, "sort": {"title": "asc"}, "filter": {"title": {"contains": "x"}}}]),
        ),
    ] {
        let mut client = Client::connect(&daemon, daemon.user(name)).await;
        let mut count = 0;
        let refused = loop {
            match client.call("list", params.clone()).await {
                Ok(_) => count += 1,
                Err(refused) => break refused,
            }
            assert!(count < 100);
        };
        assert_eq!(refused.code, 429, "{refused:?}");
        assert!(
            refused.details["retryAfter"]
                .as_u64()
                .is_some_and(|seconds| seconds > 0)
        );
        passed.push(count);
    }
    assert_eq!(passed[0], 12, "each counts as one");
    assert!((1..=6).contains(&passed[1]), "{passed:?}");
}
