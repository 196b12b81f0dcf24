//! Every method of the protocol, in both dialects, over TLS.

use dbal_tests::client::{Client, Refusal};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

/// How calls are written.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    /// Positional parameters, string ids.
    Native,
    /// JSON-RPC 2.0 with positional parameters.
    Specified,
    /// JSON-RPC 2.0 with named parameters.
    Named,
}

const DIALECTS: [Dialect; 3] = [Dialect::Native, Dialect::Specified, Dialect::Named];

/// Names of the parameters, in order, as wire.md has them.
fn names(method: &str, params: &[Value]) -> Vec<&'static str> {
    match method {
        "create" => vec!["entity", "data"],
        "read" | "delete" => vec!["entity", "id"],
        "update" => vec!["entity", "id", "data"],
        "list" | "count" => vec!["entity", "options"],
        "findFirst" | "deleteMany" => vec!["entity", "filter"],
        "findByField" | "deleteByField" => vec!["entity", "field", "value"],
        "updateByField" => vec!["entity", "field", "value", "data"],
        "createMany" => vec!["entity", "rows"],
        "updateMany" => vec!["entity", "filter", "data"],
        "upsert" if params.len() == 4 => vec!["entity", "filter", "createData", "updateData"],
        "upsert" => vec!["entity", "uniqueField", "uniqueValue", "createData", "updateData"],
        _ => vec![],
    }
}

async fn ask(client: &mut Client, dialect: Dialect, method: &str, params: Value) -> Result<Value, Refusal> {
    match dialect {
        Dialect::Native => client.call(method, params).await,
        Dialect::Specified => client.call_v2(method, params).await,
        Dialect::Named => {
            let params = params.as_array().unwrap();
            let named = names(method, params).into_iter().zip(params.iter().cloned());
            client
                .call_v2(
                    method,
                    Value::Object(named.map(|(name, value)| (name.to_owned(), value)).collect()),
                )
                .await
        }
    }
}

fn is_uuid(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() == 36 && text.matches('-').count() == 4)
}

fn is_rfc3339_utc_ms(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.')
}

#[tokio::test]
async fn every_method_does_what_the_protocol_says_in_both_dialects_and_by_name() {
    every_method(&Daemon::start()).await;
}

/// On any database.
pub(crate) async fn every_method(daemon: &Daemon) {
    for dialect in DIALECTS {
        notes(daemon, dialect).await;
        users(daemon, dialect).await;
    }
}

async fn notes(daemon: &Daemon, dialect: Dialect) {
    let alice = daemon.user("alice");
    let mut client = Client::connect(daemon, alice).await;
    let title = format!("first of {dialect:?}");

    let note = ask(
        &mut client,
        dialect,
        "create",
        json!(["Note", {"title": title, "body": null}]),
    )
    .await
    .unwrap();
    assert!(is_uuid(&note["id"]), "{note}");
    assert_eq!(note["title"], json!(title));
    assert_eq!(note["body"], Value::Null);
    assert_eq!(note["ownerId"], json!(alice.user_id), "the policy's forced value");
    assert_eq!(note["state"], "draft", "the schema's default");
    assert_eq!(note["rank"], 0, "the schema's default");
    assert!(
        is_rfc3339_utc_ms(&note["createdAt"]) && is_rfc3339_utc_ms(&note["updatedAt"]),
        "{note}"
    );
    assert!(note.get("internalRemark").is_none(), "for moderators: {note}");
    let id = &note["id"];

    assert_eq!(
        ask(&mut client, dialect, "read", json!(["Note", id]))
            .await
            .unwrap(),
        note
    );

    let updated = ask(&mut client, dialect, "update", json!(["Note", id, {"body": "b"}]))
        .await
        .unwrap();
    assert_eq!(
        (&updated["body"], &updated["title"]),
        (&json!("b"), &json!(title))
    );

    let mine = json!({"title": {"eq": title}});
    let list = ask(&mut client, dialect, "list", json!(["Note", {"filter": mine}]))
        .await
        .unwrap();
    assert_eq!(
        list,
        json!({"data": [updated], "total": 1, "page": 1, "limit": 20, "hasMore": false})
    );

    let first = ask(&mut client, dialect, "findFirst", json!(["Note", mine]))
        .await
        .unwrap();
    assert_eq!(first, updated);
    let none = ask(
        &mut client,
        dialect,
        "findFirst",
        json!(["Note", {"title": "nothing has this"}]),
    )
    .await
    .unwrap();
    assert_eq!(none, Value::Null);
    let found = ask(
        &mut client,
        dialect,
        "findByField",
        json!(["Note", "title", title]),
    )
    .await
    .unwrap();
    assert_eq!(found, updated);
    let none = ask(
        &mut client,
        dialect,
        "findByField",
        json!(["Note", "title", "nothing has this"]),
    )
    .await
    .unwrap();
    assert_eq!(none, Value::Null);

    let changed = ask(
        &mut client,
        dialect,
        "updateByField",
        json!(["Note", "id", id, {"body": "c"}]),
    )
    .await
    .unwrap();
    assert_eq!(changed["body"], "c");

    let many = format!("many of {dialect:?}");
    let rows =
        json!([{"title": many, "body": "1"}, {"title": many, "body": "2"}, {"title": many, "body": "3"}]);
    assert_eq!(
        ask(&mut client, dialect, "createMany", json!(["Note", rows]))
            .await
            .unwrap(),
        3
    );
    let these = json!({"title": many});
    assert_eq!(
        ask(&mut client, dialect, "count", json!(["Note", {"filter": these}]))
            .await
            .unwrap(),
        3
    );
    let some = json!({"title": many, "body": {"in": ["1", "3"]}});
    assert_eq!(
        ask(
            &mut client,
            dialect,
            "updateMany",
            json!(["Note", some, {"body": "x"}])
        )
        .await
        .unwrap(),
        2
    );
    assert_eq!(
        ask(
            &mut client,
            dialect,
            "deleteMany",
            json!(["Note", {"title": many, "body": "x"}])
        )
        .await
        .unwrap(),
        2
    );
    assert_eq!(
        ask(&mut client, dialect, "count", json!(["Note", {"filter": these}]))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        ask(&mut client, dialect, "deleteMany", json!(["Note", these]))
            .await
            .unwrap(),
        1
    );

    assert_eq!(
        ask(&mut client, dialect, "delete", json!(["Note", id]))
            .await
            .unwrap(),
        true
    );
    assert_eq!(
        ask(&mut client, dialect, "delete", json!(["Note", id]))
            .await
            .unwrap(),
        false
    );
    assert_eq!(
        ask(&mut client, dialect, "deleteByField", json!(["Note", "id", id]))
            .await
            .unwrap(),
        false
    );
    assert_eq!(
        ask(&mut client, dialect, "read", json!(["Note", id]))
            .await
            .unwrap_err()
            .code,
        404
    );
    assert_eq!(
        ask(&mut client, dialect, "update", json!(["Note", id, {"body": "d"}]))
            .await
            .unwrap_err()
            .code,
        404
    );

    let capabilities = ask(&mut client, dialect, "getCapabilities", json!([]))
        .await
        .unwrap();
    for (flag, can) in [
        ("transactions", true),
        ("joins", true),
        ("fullTextSearch", false),
        ("ttl", true),
        ("jsonQueries", false),
        ("aggregations", true),
        ("relations", true),
    ] {
        assert_eq!(capabilities[flag], can, "{flag}: {capabilities}");
    }
    let adapter = capabilities["adapter"].as_str();
    assert!(matches!(adapter, Some("sqlite" | "mysql")), "{capabilities}");
    for member in ["version", "limits", "methods", "entities"] {
        assert!(!capabilities[member].is_null(), "{member}: {capabilities}");
    }
}

/// What needs a unique field that its caller may write.
async fn users(daemon: &Daemon, dialect: Dialect) {
    let mut admin = Client::connect(daemon, daemon.user("admin")).await;
    let name = format!("made_{}", format!("{dialect:?}").to_lowercase());
    let new = json!({"username": name, "email": format!("{name}@example.org")});

    let row = ask(
        &mut admin,
        dialect,
        "upsert",
        json!(["User", "username", name, new, {"displayName": "no"}]),
    )
    .await
    .unwrap();
    assert_eq!(
        (&row["username"], &row["displayName"]),
        (&json!(name), &Value::Null),
        "created"
    );
    let row = ask(
        &mut admin,
        dialect,
        "upsert",
        json!(["User", "username", name, new, {"displayName": "five"}]),
    )
    .await
    .unwrap();
    assert_eq!(row["displayName"], "five", "updated: five parameters");
    let filter = json!({"username": name});
    let row = ask(
        &mut admin,
        dialect,
        "upsert",
        json!(["User", filter, new, {"displayName": "four"}]),
    )
    .await
    .unwrap();
    assert_eq!(row["displayName"], "four", "updated: four parameters");
    assert!(row.get("passwordHash").is_none(), "{row}");

    let row = ask(
        &mut admin,
        dialect,
        "updateByField",
        json!(["User", "username", name, {"displayName": "field"}]),
    )
    .await;
    assert_eq!(row.unwrap()["displayName"], "field");
    let conflict = ask(&mut admin, dialect, "create", json!(["User", new]))
        .await
        .unwrap_err();
    assert_eq!(conflict.code, 409, "{conflict:?}");
    let fields = conflict.details["fields"].to_string();
    assert!(
        fields.contains("username") || fields.contains("email"),
        "{conflict:?}"
    );

    assert_eq!(
        ask(
            &mut admin,
            dialect,
            "deleteByField",
            json!(["User", "username", name])
        )
        .await
        .unwrap(),
        true
    );
    assert_eq!(
        ask(
            &mut admin,
            dialect,
            "deleteByField",
            json!(["User", "username", name])
        )
        .await
        .unwrap(),
        false
    );
}

#[tokio::test]
async fn an_upsert_of_any_other_shape_is_refused_because_an_old_client_loses_its_update_so() {
    let daemon = Daemon::start();
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let new = json!({"username": "shape", "email": "shape@example.org"});
    for params in [
        json!(["User", "username", "shape", new]),
        json!(["User", {"username": "shape"}, new]),
        json!(["User", {"username": "shape"}, new, {}, {}]),
        json!(["User", {"username": "shape", "email": "shape@example.org"}, new, {}]),
        json!(["User", {"displayName": "shape"}, new, {}]),
        json!(["User", 7, new, {}]),
    ] {
        let refused = admin.call("upsert", params.clone()).await.unwrap_err();
        assert_eq!(refused.code, 422, "{params}: {refused:?}");
    }
    assert_eq!(
        admin
            .call("count", json!(["User", {"filter": {"username": "shape"}}]))
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn a_list_filters_sorts_pages_and_selects() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let rows: Vec<Value> = (0..25)
        .map(|n| json!({"title": format!("Item {n:02} 50%_off"), "body": if n % 5 == 0 { Value::Null } else { json!(format!("b{}", n % 3)) }}))
        .collect();
    assert_eq!(
        client.call("createMany", json!(["Note", rows])).await.unwrap(),
        25
    );
    let ours = json!({"title": {"startsWith": "Item "}});

    let cases = [
        (json!({"title": {"contains": "50%_off"}}), 25),
        (json!({"title": {"contains": "0%_o"}}), 25),
        (json!({"title": {"contains": "%%"}}), 0),
        (json!({"title": {"startsWith": "item"}}), 0),
        (
            json!({"title": {"startsWith": "item", "mode": "insensitive"}}),
            25,
        ),
        (json!({"title": {"endsWith": "_off"}}), 25),
        (json!({"body": null}), 5),
        (json!({"body": {"isNull": false}}), 20),
        (json!({"body": {"ne": "b0"}}), 13),
        (json!({"body": {"in": ["b0", "b1"]}}), 14),
        (json!({"body": {"notIn": ["b0"]}}), 13),
        (json!({"title": {"between": ["Item 03", "Item 06"]}}), 3),
        (json!({"title": {"gte": "Item 20", "lt": "Item 23"}}), 3),
        (json!({"OR": [{"body": "b0"}, {"body": null}]}), 12),
        (
            json!({"AND": [{"body": "b0"}, {"NOT": {"title": {"startsWith": "Item 0"}}}]}),
            4,
        ),
        (json!({"NOT": {"body": "b0"}}), 13),
        (json!({}), 25),
    ];
    for (filter, expected) in cases {
        let both = json!({"AND": [ours, filter]});
        let list = client
            .call("list", json!(["Note", {"filter": both, "limit": 100}]))
            .await
            .unwrap();
        assert_eq!(list["total"], expected, "{filter}");
        assert_eq!(list["data"].as_array().unwrap().len(), expected, "{filter}");
        assert_eq!(
            client
                .call("count", json!(["Note", {"filter": both}]))
                .await
                .unwrap(),
            expected,
            "{filter}"
        );
    }

    let options =
        json!({"filter": ours, "sort": {"title": "desc"}, "page": 2, "limit": 10, "select": ["title"]});
    let page = client.call("list", json!(["Note", options])).await.unwrap();
    assert_eq!(
        (&page["total"], &page["page"], &page["limit"], &page["hasMore"]),
        (&json!(25), &json!(2), &json!(10), &json!(true))
    );
    let titles: Vec<&Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["title"])
        .collect();
    assert_eq!(titles[0], "Item 14 50%_off");
    assert!(titles.is_sorted_by(|a, b| a.as_str() > b.as_str()));
    assert_eq!(
        page["data"][0].as_object().unwrap().len(),
        1,
        "only what was selected: {}",
        page["data"][0]
    );

    let last = client
        .call("list", json!(["Note", {"filter": ours, "page": 3, "limit": 10}]))
        .await
        .unwrap();
    assert_eq!(
        (last["data"].as_array().unwrap().len(), &last["hasMore"]),
        (5, &json!(false))
    );
    let uncounted = client
        .call(
            "list",
            json!(["Note", {"filter": ours, "limit": 10, "total": false}]),
        )
        .await
        .unwrap();
    assert!(uncounted.get("total").is_none(), "{uncounted}");
    assert_eq!(uncounted["hasMore"], true);
    let sorted = client
        .call(
            "list",
            json!(["Note", {"filter": ours, "sort": {"body": "asc", "title": "desc"}, "limit": 100}]),
        )
        .await
        .unwrap();
    let keys: Vec<(Option<&str>, std::cmp::Reverse<&str>)> = sorted["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["body"].as_str(),
                std::cmp::Reverse(row["title"].as_str().unwrap()),
            )
        })
        .filter(|(body, _)| body.is_some())
        .collect();
    assert!(keys.is_sorted(), "the first key first: {keys:?}");
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    for text in [
        "'; DROP TABLE Note; --",
        "\u{1f600} é \u{202e}",
        "\\ \" \t \u{1}",
        "%_",
        "NULL",
        "a\nb",
        "0x41",
        "{}",
    ] {
        let note = client
            .call("create", json!(["Note", {"title": text, "body": text}]))
            .await
            .unwrap();
        assert_eq!(
            (note["title"].as_str(), note["body"].as_str()),
            (Some(text), Some(text))
        );
        let found = client
            .call("findFirst", json!(["Note", {"title": text, "id": note["id"]}]))
            .await
            .unwrap();
        assert_eq!(found["title"].as_str(), Some(text));
    }
}

#[tokio::test]
async fn json_rpc_batches_notifications_and_ids_follow_the_specification() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    // §6: one array for all; nothing for notifications; errors for what is no request.
    client
        .send(r#"[{"jsonrpc":"2.0","id":"a","method":"count","params":["Note"]},{"jsonrpc":"2.0","method":"count","params":["Note"]},7,{"jsonrpc":"2.0","id":null,"method":"getCapabilities"}]"#)
        .await;
    let answers = client.answer().await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3, "{answers:?}");
    let by_id = |id: Value| {
        answers
            .iter()
            .filter(|answer| answer["id"] == id)
            .collect::<Vec<_>>()
    };
    assert_eq!(by_id(json!("a"))[0]["result"], 0);
    assert_eq!(by_id(Value::Null).len(), 2);
    assert!(
        by_id(Value::Null)
            .iter()
            .any(|answer| answer["error"]["code"] == -32600)
    );
    // §6: an empty array is an invalid request; §4.1: only notifications get no answer at all.
    client.send("[]").await;
    assert_eq!(client.answer().await["error"]["code"], -32600);
    client
        .send(r#"[{"jsonrpc":"2.0","method":"count","params":["Note"]}]"#)
        .await;
    client
        .send(r#"{"jsonrpc":"2.0","id":9,"method":"count","params":["Note"]}"#)
        .await;
    assert_eq!(
        client.answer().await["id"],
        9,
        "nothing was said about the notifications"
    );
    // More than the bound.
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "count", "params": ["Note"]});
    client.send(&Value::Array(vec![call; 33]).to_string()).await;
    assert_eq!(client.answer().await["error"]["code"], -32600);
}

#[tokio::test]
async fn discover_describes_what_the_caller_may_use() {
    let daemon = Daemon::start();
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let document = client.call_v2("rpc.discover", json!([])).await.unwrap();
    assert!(document["openrpc"].is_string(), "{document}");
    let methods: Vec<&str> = document["methods"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|method| method["name"].as_str())
        .collect();
    for name in ["create", "read", "update", "delete", "list", "getCapabilities"] {
        assert!(methods.contains(&name), "{methods:?}");
    }
    assert!(!document.to_string().contains("passwordHash"));
}
