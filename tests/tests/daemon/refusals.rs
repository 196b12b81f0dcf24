//! What is refused, with which code, and how little the refusal tells.

use dbal_tests::client::{Client, Refusal};
use dbal_tests::daemon::Daemon;
use serde_json::{Value, json};

const NOBODYS_ID: &str = "0199a000-0000-7000-8000-0000000000ff";

/// A draft of Bob's.
async fn bobs_draft(daemon: &Daemon) -> Value {
    let mut bob = Client::connect(daemon, daemon.user("bob")).await;
    bob.call(
        "create",
        json!(["Note", {"title": "bobs draft", "body": "secret body"}]),
    )
    .await
    .unwrap()["id"]
        .clone()
}

#[tokio::test]
async fn another_users_row_is_told_apart_from_no_row_by_nothing() {
    let daemon = Daemon::start();
    let bobs = bobs_draft(&daemon).await;
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let calls = |id: &Value| {
        [
            ("read", json!(["Note", id])),
            ("update", json!(["Note", id, {"title": "mine now"}])),
            ("delete", json!(["Note", id])),
            ("findByField", json!(["Note", "id", id])),
            ("findFirst", json!(["Note", {"id": id}])),
            ("updateByField", json!(["Note", "id", id, {"title": "mine now"}])),
            ("deleteByField", json!(["Note", "id", id])),
            ("updateMany", json!(["Note", {"id": id}, {"title": "mine now"}])),
            ("deleteMany", json!(["Note", {"id": id}])),
            (
                "upsert",
                json!(["Note", "id", id, {"title": "mine now"}, {"title": "mine now"}]),
            ),
            ("count", json!(["Note", {"filter": {"id": id}}])),
            ("list", json!(["Note", {"filter": {"id": id}}])),
        ]
    };
    for ((method, bobs), (_, nobodys)) in calls(&bobs).into_iter().zip(calls(&json!(NOBODYS_ID))) {
        let real = alice.call(method, bobs).await;
        let none = alice.call(method, nobodys).await;
        assert_eq!(real, none, "{method}");
        if let Ok(result) = real {
            assert!(!result.to_string().contains("bobs"), "{method}: {result}");
        }
    }
    // Nor by referring to it: a note out of sight takes no comments, like one that is not there.
    let mut comments = Vec::new();
    for note in [&bobs, &json!(NOBODYS_ID)] {
        let comment = json!({"noteId": note, "authorId": daemon.user("alice").user_id, "text": "x"});
        comments.push(
            alice
                .call("create", json!(["Comment", comment]))
                .await
                .unwrap_err(),
        );
    }
    assert_eq!(comments[0], comments[1]);
    let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
    assert_eq!(
        bob.call("read", json!(["Note", bobs])).await.unwrap()["title"],
        "bobs draft",
        "nothing was changed"
    );
}

#[tokio::test]
async fn a_hidden_field_is_told_apart_from_an_unknown_one_by_nothing() {
    let daemon = Daemon::start();
    bobs_draft(&daemon).await;
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    for (entity, hidden) in [("User", "passwordHash"), ("Note", "internalRemark")] {
        let unknown = "noSuchField";
        let calls = |field: &str| {
            [
                ("filter", "list", json!([entity, {"filter": {field: "x"}}])),
                (
                    "filter by null",
                    "list",
                    json!([entity, {"filter": {field: null}}]),
                ),
                (
                    "nested filter",
                    "list",
                    json!([entity, {"filter": {"NOT": {"OR": [{field: {"isNull": true}}]}}}]),
                ),
                ("sort", "list", json!([entity, {"sort": {field: "asc"}}])),
                ("select", "list", json!([entity, {"select": [field]}])),
                (
                    "count",
                    "count",
                    json!([entity, {"filter": {field: {"gt": "a"}}}]),
                ),
                ("findFirst", "findFirst", json!([entity, {field: "x"}])),
                ("findByField", "findByField", json!([entity, field, "x"])),
                (
                    "updateMany",
                    "updateMany",
                    json!([entity, {field: "x"}, {field: "y"}]),
                ),
                ("deleteMany", "deleteMany", json!([entity, {field: "x"}])),
                ("deleteByField", "deleteByField", json!([entity, field, "x"])),
                ("create", "create", json!([entity, {"title": "t", field: "x"}])),
                ("update", "update", json!([entity, NOBODYS_ID, {field: "x"}])),
                ("upsert", "upsert", json!([entity, field, "x", {}, {}])),
            ]
        };
        for ((what, method, with_hidden), (_, _, with_unknown)) in
            calls(hidden).into_iter().zip(calls(unknown))
        {
            let about_hidden = alice.call(method, with_hidden).await.expect_err(what);
            let about_unknown = alice.call(method, with_unknown).await.expect_err(what);
            assert_eq!(
                renamed(&about_hidden, hidden),
                renamed(&about_unknown, unknown),
                "{what} on {entity}"
            );
        }
    }
    // `never_expose` holds for everybody.
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    assert!(
        admin
            .call("list", json!(["User", {"filter": {"passwordHash": null}}]))
            .await
            .is_err()
    );
    let users = admin.call("list", json!(["User", {}])).await.unwrap();
    assert!(users["total"].as_u64().unwrap() >= 4, "{users}");
    assert!(!users.to_string().contains("passwordHash"), "{users}");
}

fn renamed(refusal: &Refusal, field: &str) -> (i64, String, String) {
    (
        refusal.code,
        refusal.message.clone(),
        refusal.details.to_string().replace(field, "FIELD"),
    )
}

/// The shipped policy shows everybody's name, and an email address only to whom it belongs.
#[tokio::test]
async fn a_field_that_only_some_rows_show_can_not_be_probed_in_the_others() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let all = admin
        .call("list", json!(["User", {"sort": {"username": "asc"}}]))
        .await
        .unwrap();
    let email = |name: &str| {
        let rows = all["data"].as_array().unwrap();
        rows.iter().find(|row| row["username"] == name).unwrap()["email"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let seen = alice.call("list", json!(["User", {}])).await.unwrap();
    assert_eq!(seen["total"], all["total"], "names are everybody's");
    let with_email = seen["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row.get("email").is_some());
    assert_eq!(
        with_email.map(|row| &row["username"]).collect::<Vec<_>>(),
        ["alice"],
        "{seen}"
    );
    for (what, filter, expected) in [
        ("a guess", json!({"email": email("bob")}), 0),
        ("half a guess", json!({"email": {"startsWith": "bo"}}), 0),
        ("a guess, negated", json!({"NOT": {"email": email("bob")}}), 1),
        (
            "whatever is not a guess",
            json!({"email": {"ne": email("bob")}}),
            1,
        ),
        ("an order of letters", json!({"email": {"gt": "a"}}), 1),
        (
            "a choice",
            json!({"OR": [{"email": email("bob")}, {"username": "carol"}]}),
            0,
        ),
        ("none", json!({"email": {"isNull": false}}), 1),
        ("one's own", json!({"email": email("alice")}), 1),
    ] {
        let options = json!({"filter": filter});
        assert_eq!(
            alice.call("count", json!(["User", options])).await.unwrap(),
            expected,
            "{what}"
        );
        assert_eq!(
            alice.call("list", json!(["User", options])).await.unwrap()["total"],
            expected,
            "{what}"
        );
    }
    let sorted = alice
        .call("list", json!(["User", {"sort": {"email": "asc"}}]))
        .await
        .unwrap();
    assert_eq!(sorted["total"], 1, "an order would tell: {sorted}");
    let found = alice
        .call("findByField", json!(["User", "email", email("bob")]))
        .await
        .unwrap();
    assert_eq!(found, Value::Null);
    let selected = alice
        .call("list", json!(["User", {"select": ["email"]}]))
        .await
        .unwrap();
    assert!(!selected.to_string().contains(&email("bob")), "{selected}");
}

#[tokio::test]
async fn an_entity_without_rights_is_told_apart_from_no_entity_by_nothing() {
    let daemon = Daemon::start();
    let mut nobody = Client::try_connect(&daemon, dbal_tests::client::Login::Nobody).await;
    if let Ok(client) = &mut nobody {
        let existing = client.call("list", json!(["User", {}])).await.unwrap_err();
        let unknown = client
            .call("list", json!(["NoSuchEntity", {}]))
            .await
            .unwrap_err();
        assert_eq!(renamed(&existing, "User"), renamed(&unknown, "NoSuchEntity"));
    }
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    for (method, params) in [
        ("create", json!(["NoSuchEntity", {}])),
        ("read", json!(["NoSuchEntity", "1"])),
        ("list", json!(["sqlite_master", {}])),
        ("count", json!(["Note\"; DROP TABLE \"Note", {}])),
        ("list", json!(["note", {}])),
    ] {
        let refused = alice.call(method, params).await.unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (404, "Not found"),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_role_without_the_right_is_forbidden() {
    let daemon = Daemon::start();
    let bobs = bobs_draft(&daemon).await;
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let bob = &daemon.user("bob").user_id;
    for (what, method, params) in [
        (
            "users make no users",
            "create",
            json!(["User", {"username": "mallory", "email": "m@example.org"}]),
        ),
        (
            "an owner that is not the caller",
            "create",
            json!(["Note", {"title": "t", "ownerId": bob}]),
        ),
        ("everything at once", "deleteMany", json!(["Note", {}])),
        (
            "everything at once, without a filter",
            "deleteMany",
            json!(["Note"]),
        ),
        (
            "everything updated",
            "updateMany",
            json!(["Note", {}, {"title": "x"}]),
        ),
    ] {
        let refused = alice.call(method, params).await.expect_err(what);
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (403, "Access forbidden"),
            "{what}: {refused:?}"
        );
    }
    let own = alice
        .call("create", json!(["Note", {"title": "own"}]))
        .await
        .unwrap();
    let given_away = alice
        .call("update", json!(["Note", own["id"], {"ownerId": bob}]))
        .await
        .unwrap_err();
    assert!(
        [403, 422].contains(&given_away.code),
        "a row is not given away: {given_away:?}"
    );
    let raised = alice
        .call(
            "update",
            json!(["User", daemon.user("alice").user_id, {"role": "admin"}]),
        )
        .await
        .unwrap_err();
    assert!(
        [403, 422].contains(&raised.code),
        "nobody makes themselves admin: {raised:?}"
    );
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    assert_eq!(
        admin.call("read", json!(["Note", bobs])).await.unwrap()["title"],
        "bobs draft"
    );
}

#[tokio::test]
async fn what_the_daemon_fills_in_can_not_be_set_by_a_client() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    for field in [
        json!({"id": NOBODYS_ID}),
        json!({"createdAt": "2000-01-01T00:00:00.000Z"}),
    ] {
        let mut row = json!({"title": "t"});
        row.as_object_mut()
            .unwrap()
            .extend(field.as_object().unwrap().clone());
        let refused = alice.call("create", json!(["Note", row])).await.unwrap_err();
        assert!([403, 422].contains(&refused.code), "{row}: {refused:?}");
    }
    let note = alice
        .call("create", json!(["Note", {"title": "t"}]))
        .await
        .unwrap();
    let refused = alice
        .call(
            "update",
            json!(["Note", note["id"], {"createdAt": "2000-01-01T00:00:00.000Z"}]),
        )
        .await
        .unwrap_err();
    assert!([403, 422].contains(&refused.code), "{refused:?}");
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let hidden = json!(["User", {"username": "hash", "email": "h@example.org", "passwordHash": "x"}]);
    if let Ok(row) = admin.call("create", hidden).await {
        assert!(
            row.get("passwordHash").is_none(),
            "never exposed, to nobody: {row}"
        );
    }
}

#[tokio::test]
async fn all_faults_of_a_row_are_told_at_once_and_by_field() {
    let daemon = Daemon::start();
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let refused = admin
        .call(
            "create",
            json!(["User", {"username": "A", "email": "nonsense", "role": "king", "displayName": 7}]),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, refused.message.as_str()),
        (422, "Validation failed")
    );
    let fields: Vec<&str> = refused.details["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|fault| fault["field"].as_str())
        .collect();
    for field in ["username", "email", "role", "displayName"] {
        assert!(fields.contains(&field), "{field}: {refused:?}");
    }
    let missing = admin.call("create", json!(["User", {}])).await.unwrap_err();
    assert_eq!(missing.code, 422);
    assert!(
        missing.details["fields"].to_string().contains("email"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn an_update_that_names_no_field_is_a_422_wherever_it_stands() {
    let daemon = Daemon::start();
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let ada = json!({"username": "ada", "email": "ada@example.org"});
    let ada = admin.call("create", json!(["User", ada])).await.unwrap();
    let empty = [
        ("update", json!(["User", ada["id"], {}])),
        ("updateByField", json!(["User", "username", "ada", {}])),
        ("updateMany", json!(["User", {"username": "ada"}, {}])),
    ];
    for (method, params) in empty {
        let reason = json!({"reason": "no field is named"});
        let refused = admin.call(method, params.clone()).await.unwrap_err();
        assert_eq!((refused.code, &refused.details), (422, &reason), "{method}");
        let refused = admin.call_v2(method, params.clone()).await.unwrap_err();
        assert_eq!((refused.code, &refused.details), (422, &reason), "{method}");

        let calls = json!([[{"method": "count", "params": ["User"]}, {"method": method, "params": params}]]);
        let answers = admin.call("batch", calls.clone()).await.unwrap();
        assert_eq!(answers[1]["error"]["code"], 422, "{answers}");
        let refused = admin.call("transaction", calls).await.unwrap_err();
        let placed = json!({"reason": "no field is named", "call": 1});
        assert_eq!((refused.code, refused.details), (422, placed), "{method}");
        let told = admin.call("explain", json!([method, params])).await.unwrap();
        assert_eq!(told["error"]["code"], 422, "{told}");
    }
    // An upsert may have nothing to change: then the row that is there is its answer.
    let found = json!(["User", {"username": "ada"}, {"email": "other@example.org"}, {}]);
    let found = admin.call("upsert", found).await.unwrap();
    assert_eq!((&found["id"], &found["email"]), (&ada["id"], &ada["email"]));
}

#[tokio::test]
async fn a_hidden_note_hides_its_comments_and_takes_none() {
    let daemon = Daemon::start();
    let (alice, bob) = (daemon.user("alice"), daemon.user("bob"));
    let mut owner = Client::connect(&daemon, alice).await;
    let mut other = Client::connect(&daemon, bob).await;
    let note = owner
        .call("create", json!(["Note", {"title": "mine"}]))
        .await
        .unwrap();
    let comment = |on: &Value, by: &str| json!(["Comment", {"noteId": on, "authorId": by, "text": "x"}]);
    let on_it = comment(&note["id"], &bob.user_id);
    owner
        .call("create", comment(&note["id"], &alice.user_id))
        .await
        .unwrap();

    let seen = other.call("count", json!(["Comment"])).await.unwrap();
    assert_eq!(seen, 0);
    // A note that is there and one that is not are refused alike.
    let hidden = other.call("create", on_it.clone()).await.unwrap_err();
    let absent = comment(&json!(NOBODYS_ID), &bob.user_id);
    let absent = other.call("create", absent).await.unwrap_err();
    assert_eq!(hidden.code, 403);
    assert_eq!(format!("{hidden:?}"), format!("{absent:?}"));

    let published = json!(["Note", note["id"], {"state": "published"}]);
    owner.call("update", published).await.unwrap();
    let seen = other.call("count", json!(["Comment"])).await.unwrap();
    assert_eq!(seen, 1);
    other.call("create", on_it).await.unwrap();
}

#[tokio::test]
async fn conflicts_and_dangling_references_name_fields_and_nothing_of_the_database() {
    let daemon = Daemon::start();
    let mut admin = Client::connect(&daemon, daemon.user("admin")).await;
    let row = json!({"username": "twice", "email": "twice@example.org"});
    admin.call("create", json!(["User", row])).await.unwrap();
    let taken = admin.call("create", json!(["User", row])).await.unwrap_err();
    assert_eq!(taken.code, 409);
    let dangling = admin
        .call("create", json!(["Note", {"ownerId": NOBODYS_ID, "title": "x"}]))
        .await
        .unwrap_err();
    assert_eq!(dangling.code, 422, "{dangling:?}");
    assert!(
        dangling.details["fields"].to_string().contains("ownerId"),
        "{dangling:?}"
    );
    for refusal in [taken, dangling] {
        let said = format!("{refusal:?}").to_lowercase();
        for word in ["sqlite", "sql", "constraint", "unique index", "table", "/"] {
            assert!(!said.contains(word), "`{word}` in {said}");
        }
    }
    // All or nothing.
    let rows = json!([{"username": "fresh", "email": "fresh@example.org"}, row]);
    assert_eq!(
        admin
            .call("createMany", json!(["User", rows]))
            .await
            .unwrap_err()
            .code,
        409
    );
    assert_eq!(
        admin
            .call("count", json!(["User", {"filter": {"username": "fresh"}}]))
            .await
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn options_of_the_wrong_kind_are_named() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    for params in [
        json!(["Note", {"filter": {"title": {"regex": "x"}}}]),
        json!(["Note", {"filter": {"rank": {"contains": "x"}}}]),
        json!(["Note", {"filter": {"rank": "many"}}]),
        json!(["Note", {"filter": {"title": {"in": "x"}}}]),
        json!(["Note", {"filter": {"title": {"between": ["a"]}}}]),
        json!(["Note", {"filter": "title = 1"}]),
        json!(["Note", {"sort": {"title": "sideways"}}]),
        json!(["Note", {"sort": "title; DROP TABLE Note"}]),
        json!(["Note", {"page": 0}]),
        json!(["Note", {"limit": 0}]),
        json!(["Note", {"limit": -1}]),
        json!(["Note", {"limit": 1.5}]),
        json!(["Note", {"page": 4_000_000_000_u64, "limit": 100}]),
        json!(["Note", {"select": []}]),
        json!(["Note", {"nonsense": 1}]),
        json!([7, {}]),
        json!([]),
    ] {
        let refused = alice
            .call("list", params.clone())
            .await
            .expect_err(&params.to_string());
        assert_eq!(refused.code, 422, "{params}: {refused:?}");
    }
    let values: Vec<u32> = (0..1_001).collect();
    let refused = alice
        .call("list", json!(["Note", {"filter": {"rank": {"in": values}}}]))
        .await
        .unwrap_err();
    assert!([413, 422].contains(&refused.code), "{refused:?}");
}
