//! Several calls in one request, over TLS and in both dialects: each for itself, or all or none.

use dbal_tests::client::{Client, Refusal};
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use serde_json::{Value, json};

/// The same in a dialect: natively by position, in JSON-RPC 2.0 by name.
async fn ask(client: &mut Client, is_native: bool, method: &str, calls: Value) -> Result<Value, Refusal> {
    if is_native {
        client.call(method, json!([calls])).await
    } else {
        client.call_v2(method, json!({"calls": calls})).await
    }
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing_and_a_batch_is_each_for_itself_in_both_dialects() {
    let daemon = Daemon::start();
    let me = daemon.user("alice").user_id.clone();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let capabilities = alice.call("getCapabilities", json!([])).await.unwrap();
    assert_eq!(capabilities["transactions"], true);
    let note = |title: &str| json!({"method": "create", "params": ["Note", {"title": title}]});
    let comment = |text: &str| {
        let data = json!({"noteId": {"$ref": "0.id"}, "authorId": me, "text": text});
        json!({"method": "create", "params": {"entity": "Comment", "data": data}})
    };
    for is_native in [true, false] {
        let before = alice.call("count", json!(["Note"])).await.unwrap();
        let read = json!({"method": "read", "params": ["Note", {"$ref": "0.id"}]});
        let found =
            json!({"method": "list", "params": ["Comment", {"filter": {"noteId": {"$ref": "0.id"}}}]});
        let calls = json!([note("whole"), comment("first"), read, found]);
        let results = ask(&mut alice, is_native, "transaction", calls).await.unwrap();
        assert_eq!(results[1]["noteId"], results[0]["id"]);
        assert_eq!(results[2], results[0]);
        assert_eq!(results[3]["data"], json!([results[1]]));

        // The third call fails in the database, so the first two are not there either.
        let dangling =
            json!({"method": "create", "params": ["Comment", {"noteId": me, "authorId": me, "text": "t"}]});
        let calls = json!([note("undone"), comment("undone"), dangling]);
        let refused = ask(&mut alice, is_native, "transaction", calls.clone())
            .await
            .unwrap_err();
        assert_eq!(refused.details["call"], 2, "{refused:?}");
        let undone = json!(["Note", {"filter": {"title": "undone"}}]);
        assert_eq!(alice.call("count", undone.clone()).await.unwrap(), 0);
        let after = alice.call("count", json!(["Note"])).await.unwrap();
        assert_eq!(after.as_u64(), before.as_u64().map(|count| count + 1));

        let calls = json!([note("by itself"), dangling, {"method": "count", "params": ["Note"]}]);
        let results = ask(&mut alice, is_native, "batch", calls).await.unwrap();
        assert_eq!(results[0]["result"]["title"], "by itself");
        assert_eq!(results[1]["error"]["code"], refused.code);
        assert_eq!(
            results[2]["result"].as_u64(),
            after.as_u64().map(|count| count + 1)
        );
    }
    let records = journal::records(&daemon.audit());
    let of = |method: &str, outcome: &str| {
        let is_it = |record: &&Value| record["method"] == method && record["outcome"] == outcome;
        records.iter().filter(is_it).count()
    };
    assert_eq!(
        (of("transaction", "allowed"), of("transaction", "denied")),
        (2, 2)
    );
    let whole = records
        .iter()
        .find(|record| record["method"] == "transaction")
        .unwrap();
    let parts: Vec<&Value> = records
        .iter()
        .filter(|record| record["request"] == whole["request"])
        .collect();
    assert_eq!(parts.len(), 5, "each call and the whole: {parts:?}");
    crate::audit_trail::assert_verifies(&daemon.audit());
}

#[tokio::test]
async fn the_rights_of_each_call_of_a_transaction_are_its_callers_and_what_is_hidden_stays_so() {
    let daemon = Daemon::start();
    let bobs = daemon.user("bob").user_id.clone();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    let draft = alice
        .call("create", json!(["Note", {"title": "draft"}]))
        .await
        .unwrap();
    let read = json!({"method": "read", "params": ["Note", draft["id"]]});
    let make = |title: Value| json!({"method": "create", "params": ["Note", {"title": title}]});
    for (calls, code, call) in [
        (json!([make(json!("a")), read]), 404, 1),
        (
            json!([make(json!("a")), make(json!({"$ref": "0.internalRemark"}))]),
            422,
            1,
        ),
        (
            json!([make(json!("a")), make(json!({"$ref": "0.nothing"}))]),
            422,
            1,
        ),
        (
            json!([make(json!("a")), {"method": "deleteMany", "params": ["Note"]}]),
            403,
            1,
        ),
        (
            json!([{"method": "create", "params": ["User", {"username": "eve", "email": "e@example.org"}]}]),
            403,
            0,
        ),
        (
            json!([make(json!("a")), {"method": "update", "params": ["Note", draft["id"], {"title": {"$ref": "0.title"}}]}]),
            404,
            1,
        ),
    ] {
        let refused = bob.call("transaction", json!([calls])).await.unwrap_err();
        assert_eq!(
            (refused.code, &refused.details["call"]),
            (code, &json!(call)),
            "{calls}: {refused:?}"
        );
    }
    let hidden = bob
        .call(
            "transaction",
            json!([[make(json!("a")), make(json!({"$ref": "0.internalRemark"}))]]),
        )
        .await
        .unwrap_err();
    let unknown = bob
        .call(
            "transaction",
            json!([[make(json!("a")), make(json!({"$ref": "0.unknown"}))]]),
        )
        .await
        .unwrap_err();
    assert_eq!(hidden.details, unknown.details);
    let mine = json!(["Note", {"filter": {"ownerId": bobs}}]);
    assert_eq!(bob.call("count", mine).await.unwrap(), 0);
    for isolation in ["read_committed", "repeatable_read", "serializable"] {
        let calls = json!([[make(json!(isolation))], {"isolation": isolation}]);
        assert!(bob.call("transaction", calls).await.is_ok(), "{isolation}");
    }
}

#[tokio::test]
async fn a_named_write_is_done_once_also_when_the_worker_dies_and_its_client_asks_again() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let key = json!({"idempotencyKey": "k"});
    let first = alice
        .call("create", json!(["Note", {"title": "once"}, key]))
        .await
        .unwrap();
    daemon.worker().kill();
    // On another connection, in the other dialect, to another worker.
    let mut again = Client::connect(&daemon, daemon.user("alice")).await;
    let named = json!({"entity": "Note", "data": {"title": "once"}, "_meta": {"idempotencyKey": "k"}});
    let mut repeated = again.call_v2("create", named.clone()).await;
    while repeated.as_ref().is_err_and(|refused| refused.code == 503) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        repeated = again.call_v2("create", named.clone()).await;
    }
    assert_eq!(repeated.unwrap(), first);
    let count = again
        .call("count", json!(["Note", {"filter": {"title": "once"}}]))
        .await;
    assert_eq!(count.unwrap(), 1);
    let refused = again
        .call("create", json!(["Note", {"title": "another"}, key]))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, &refused.details["fields"][0]["field"]),
        (422, &json!("idempotencyKey"))
    );
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    let bobs = bob
        .call("create", json!(["Note", {"title": "once"}, key]))
        .await
        .unwrap();
    assert_ne!(bobs["id"], first["id"]);
}
