//! Claims that a policy declares: what a token lacks, in both processes.

use std::fs;

use dbal_tests::client::{Client, Login, SocketError};
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use serde_json::{Value, json};

const ENTITY: &str = "entity: Page
fields:
  id: {type: uuid, primary: true, generated: true}
  region: {type: string}
";
const RULES: &str = "version: 1
roles: {user: {}}
claims:
  department: {type: text, required: true}
  regions: list of text
rules:
  - {id: write, entity: Page, roles: [user], operations: [create]}
  - {id: see, entity: Page, roles: [user], operations: [read], rows: \"region IN $user.regions\"}
";

/// The code with which a token is refused, or how many pages it sees; nothing where its caller may not even ask.
async fn counts(daemon: &Daemon, change: impl Fn(&mut Value)) -> Result<Value, i64> {
    let mut claims = daemon.claims_of(daemon.user("alice"));
    change(&mut claims);
    let token = daemon.sign(&claims);
    match Client::try_connect(daemon, Login::Header(&token)).await {
        Err(SocketError::Http(answer)) => Err(i64::from(answer.status().as_u16())),
        Err(other) => panic!("{other}"),
        Ok(mut client) => client
            .call("count", json!(["Page"]))
            .await
            .map_err(|refusal| refusal.code),
    }
}

#[tokio::test]
async fn a_token_without_a_required_claim_opens_no_session_and_one_of_another_type_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (entities, policy) = (folder.path().join("entities"), folder.path().join("acl.yaml"));
    fs::create_dir(&entities).unwrap();
    fs::write(entities.join("page.yaml"), ENTITY).unwrap();
    fs::write(&policy, RULES).unwrap();
    let daemon = Daemon::start_with(&entities, &policy);

    let mut claims = daemon.claims_of(daemon.user("alice"));
    claims["department"] = json!("sales");
    let token = daemon.sign(&claims);
    let mut writer = Client::try_connect(&daemon, Login::Header(&token)).await.unwrap();
    for region in ["eu", "eu", "us", "ap"] {
        writer
            .call("create", json!(["Page", {"region": region}]))
            .await
            .unwrap();
    }

    let seen = counts(&daemon, |claims| {
        claims["department"] = json!("sales");
        claims["regions"] = json!(["eu", "us"]);
    });
    assert_eq!(seen.await, Ok(json!(3)));

    // `list of text` and no text: the rule does not apply.
    let denied = counts(&daemon, |claims| {
        claims["department"] = json!("sales");
        claims["regions"] = json!("eu");
    });
    assert_eq!(denied.await, Err(403));
    let said = daemon.said();
    assert!(
        said.contains("the claim `regions` is not of the type `list of text`, so it counts as missing"),
        "{said}"
    );

    for wrong in [None, Some(json!(7))] {
        let refused = counts(&daemon, |claims| {
            if let Some(wrong) = &wrong {
                claims["department"] = wrong.clone();
            }
            claims["regions"] = json!(["eu"]);
        });
        assert_eq!(refused.await, Err(401), "{wrong:?}");
    }
    journal::wait_for(&daemon.audit(), |record| {
        record.to_string().contains("the claim `department` is missing")
    });
    journal::wait_for(&daemon.audit(), |record| {
        record
            .to_string()
            .contains("the claim `department` is not of the type `text`")
    });
}
