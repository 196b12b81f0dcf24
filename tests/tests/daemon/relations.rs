//! Linked rows, numbers over rows and cursors over TLS, with the shipped example policy: what they show, and what they don't.

use dbal_tests::client::{Client, Refusal};
use dbal_tests::daemon::{Daemon, reconfigure_worker};
use serde_json::{Value, json};

async fn note(client: &mut Client, title: &str, state: &str) -> Value {
    let values = json!({"title": title, "state": state, "rank": title.len()});
    let row = client.call("create", json!(["Note", values])).await.unwrap();
    row["id"].clone()
}

async fn comment(client: &mut Client, author: &str, note: &Value, text: &str) {
    let values = json!({"noteId": note, "authorId": author, "text": text});
    client.call("create", json!(["Comment", values])).await.unwrap();
}

/// Alice's and Bob's notes and comments.
async fn filled(daemon: &Daemon) -> (Client, Client) {
    let mut alice = Client::connect(daemon, daemon.user("alice")).await;
    let mut bob = Client::connect(daemon, daemon.user("bob")).await;
    let (alices, bobs) = (
        daemon.user("alice").user_id.clone(),
        daemon.user("bob").user_id.clone(),
    );
    let public = note(&mut alice, "a public", "published").await;
    let draft = note(&mut alice, "a draft", "draft").await;
    let other = note(&mut bob, "b public", "published").await;
    note(&mut bob, "b draft", "draft").await;
    comment(&mut bob, &bobs, &public, "second").await;
    comment(&mut bob, &bobs, &public, "first").await;
    comment(&mut alice, &alices, &draft, "secret thought").await;
    comment(&mut alice, &alices, &other, "hello").await;
    (alice, bob)
}

async fn titles(client: &mut Client, filter: Value) -> Vec<String> {
    let options = json!({"filter": filter, "sort": {"title": "asc"}, "select": ["title"]});
    let list = client.call("list", json!(["Note", options])).await.unwrap();
    let rows = list["data"].as_array().unwrap();
    assert_eq!(list["total"], rows.len());
    rows.iter()
        .map(|row| row["title"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn linked_rows_are_brought_along_and_show_what_their_own_list_would() {
    let daemon = Daemon::start();
    let (_alice, mut bob) = filled(&daemon).await;
    let options = json!({
        "sort": {"title": "asc"},
        "select": ["title"],
        "include": {
            "owner": true,
            "comments": {"sort": {"text": "asc"}, "select": ["text"], "limit": 5,
                         "include": {"author": {"select": ["username", "email"]}}},
        },
    });
    let list = bob.call("list", json!(["Note", options])).await.unwrap();
    let rows = list["data"].as_array().unwrap();
    let seen: Vec<&str> = rows.iter().map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(
        seen,
        ["a public", "b draft", "b public"],
        "another's draft is hidden"
    );
    // Of others a name, of oneself everything but what is never exposed.
    let [first, second, third] = rows.as_slice() else {
        panic!()
    };
    assert_eq!(first["owner"]["username"], "alice");
    assert_eq!(first["owner"].get("email"), None, "{first}");
    assert_eq!(second["owner"]["username"], "bob");
    assert!(second["owner"]["email"].is_string(), "{second}");
    assert_eq!(second["owner"].get("passwordHash"), None);
    let texts = |row: &Value| {
        let comments = row["comments"].as_array().unwrap();
        comments.iter().map(|one| one["text"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(first), ["first", "second"]);
    assert_eq!(texts(second), [""; 0]);
    assert_eq!(texts(third), ["hello"]);
    let author = &third["comments"][0]["author"];
    assert_eq!(*author, json!({"username": "alice"}), "not her address");
    assert!(first["comments"][0]["author"]["email"].is_string(), "his own");

    // In a transaction, a condition on linked rows may speak of what an earlier call answers.
    let calls = json!([[
        {"method": "findFirst", "params": ["User", {"username": "alice"}]},
        {"method": "list", "params": ["Note", {
            "filter": {"owner": {"some": {"id": {"$ref": "0.id"}}}},
            "select": ["title"],
            "include": {"owner": {"filter": {"id": {"$ref": "0.id"}}, "select": ["username"]}},
        }]},
    ]]);
    let answers = bob.call("transaction", calls).await.unwrap();
    assert_eq!(
        answers[1]["data"],
        json!([{"title": "a public", "owner": {"username": "alice"}}])
    );

    // The other methods that read rows.
    let id = bob
        .call("findFirst", json!(["Note", {"title": "b public"}]))
        .await
        .unwrap()["id"]
        .clone();
    let include = json!({"include": ["comments"], "select": ["title"]});
    for (method, params) in [
        ("read", json!(["Note", id, include])),
        ("findFirst", json!(["Note", {"title": "b public"}, include])),
        ("findByField", json!(["Note", "title", "b public", include])),
    ] {
        let row = bob.call(method, params).await.unwrap();
        assert_eq!(row["comments"][0]["text"], "hello", "{method}: {row}");
    }
}

#[tokio::test]
async fn nothing_that_a_list_hides_can_be_found_through_a_relation() {
    let daemon = Daemon::start();
    let (mut alice, mut bob) = filled(&daemon).await;
    let hers = json!({"owner": {"some": {"username": "alice"}}});
    assert_eq!(titles(&mut bob, hers.clone()).await, ["a public"]);
    assert_eq!(titles(&mut alice, hers).await, ["a draft", "a public"]);
    // Her address is hers to know, by whatever operator one asks.
    for condition in [
        json!({"email": {"contains": "@"}}),
        json!({"NOT": {"email": "nobody@example.org"}}),
        json!({"email": {"isNull": false}}),
    ] {
        let by_address = json!({"owner": {"some": condition}});
        assert_eq!(
            titles(&mut bob, by_address.clone()).await,
            ["b draft", "b public"]
        );
        let nobodys = json!({"owner": {"none": {"email": {"isNull": false}}}});
        assert_eq!(
            titles(&mut bob, nobodys).await,
            ["a public"],
            "as if it had no owner"
        );
        assert_eq!(
            titles(&mut alice, by_address).await,
            ["a draft", "a public"],
            "but for her own"
        );
    }
    // A comment on her draft is not there for him.
    let comments = |quantifier: &str, text: &str| json!({"comments": {quantifier: {"text": text}}});
    assert_eq!(
        titles(&mut alice, comments("some", "secret thought")).await,
        ["a draft"]
    );
    assert_eq!(
        titles(&mut bob, comments("some", "secret thought")).await,
        [""; 0]
    );
    assert_eq!(
        titles(&mut bob, comments("every", "hello")).await,
        ["b draft", "b public"]
    );

    // What is never exposed, what is hidden and what does not exist are one, to the letter.
    let refused = async |client: &mut Client, filter: Value| -> Refusal {
        client
            .call("list", json!(["Note", {"filter": filter}]))
            .await
            .unwrap_err()
    };
    let unknown = refused(&mut bob, json!({"owner": {"some": {"nonsense": "x"}}})).await;
    let hidden = refused(&mut bob, json!({"owner": {"some": {"passwordHash": "x"}}})).await;
    assert_eq!(unknown.code, 422);
    assert_eq!(
        serde_json::to_string(&hidden.details).unwrap(),
        serde_json::to_string(&unknown.details)
            .unwrap()
            .replace("nonsense", "passwordHash")
    );
}

#[tokio::test]
async fn numbers_over_rows_are_of_rows_that_show_what_is_asked() {
    let daemon = Daemon::start();
    let (_alice, mut bob) = filled(&daemon).await;
    let options = json!({"groupBy": ["state"], "count": true, "sum": ["rank"], "max": ["title"]});
    assert_eq!(
        bob.call("aggregate", json!(["Note", options])).await.unwrap(),
        json!({
            "data": [
                {"group": {"state": "draft"}, "count": 1, "sum": {"rank": 7}, "max": {"title": "b draft"}},
                {"group": {"state": "published"}, "count": 2, "sum": {"rank": 16}, "max": {"title": "b public"}},
            ],
            "limit": 100,
            "hasMore": false,
        })
    );
    // Everybody's names, but nobody's address but his own.
    let all = bob
        .call("aggregate", json!(["User", {"count": true}]))
        .await
        .unwrap();
    let addresses = json!(["User", {"count": true, "groupBy": ["email"]}]);
    let addresses = bob.call("aggregate", addresses).await.unwrap();
    assert!(all["count"].as_u64().unwrap() > 1, "{all}");
    assert_eq!(addresses["data"].as_array().unwrap().len(), 1, "{addresses}");
    let refused = bob
        .call("aggregate", json!(["User", {"max": ["passwordHash"]}]))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 422);
}

#[tokio::test]
async fn a_list_goes_on_in_the_next_worker_where_cursors_have_a_key() {
    let key = |digit: &str| digit.repeat(64);
    let mut daemon = Daemon::start();
    let (_, mut bob) = filled(&daemon).await;
    let all = bob
        .call("list", json!(["Note", {"sort": {"title": "asc"}}]))
        .await
        .unwrap();
    let page = |cursor: &Value| json!(["Note", {"sort": {"title": "asc"}, "limit": 1, "cursor": cursor}]);
    let mut cursor = bob.call("list", page(&Value::Null)).await.unwrap()["nextCursor"].clone();
    // Sealed under the key of a process; the first key; the next one, which the first is still beside; without the first.
    let steps: [(&[String], Option<usize>); 4] = [
        (&[key("1")], None),
        (&[key("1")], Some(1)),
        (&[key("2"), key("1")], Some(1)),
        (&[key("2")], Some(2)),
    ];
    for (nth, (keys, row)) in steps.into_iter().enumerate() {
        let (_, folder, _) = daemon.stop();
        reconfigure_worker(&folder.path().join("dev"), |shown| {
            format!("{shown}\ncursor_keys: {}\n", json!(keys))
        });
        daemon = Daemon::start_in(folder);
        let mut bob = Client::connect(&daemon, daemon.user("bob")).await;
        let Some(row) = row else {
            invalid(&mut bob, page(&cursor)).await;
            cursor = bob.call("list", page(&Value::Null)).await.unwrap()["nextCursor"].clone();
            continue;
        };
        let told = bob.call("list", page(&cursor)).await.unwrap();
        assert_eq!(told["data"][0]["id"], all["data"][row]["id"], "{nth}: {told}");
        if nth > 1 {
            // Sealed with the second key.
            cursor = told["nextCursor"].clone();
        }
    }
}

#[tokio::test]
async fn a_list_goes_on_from_its_cursor_and_from_no_other() {
    let daemon = Daemon::start();
    let (mut alice, mut bob) = filled(&daemon).await;
    for nth in 0..5 {
        note(&mut bob, &format!("more {nth}"), "published").await;
    }
    let list = |cursor: &Value| json!(["Note", {"sort": {"rank": "desc"}, "limit": 2, "cursor": cursor}]);
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    let first_cursor = loop {
        let page = bob.call("list", list(&cursor)).await.unwrap();
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].clone()),
        );
        assert_eq!(page["total"], 8);
        if cursor.is_null() {
            seen.push(page["nextCursor"].clone());
        }
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            assert_eq!(page["hasMore"], false);
            break seen.remove(2);
        }
    };
    let all = json!(["Note", {"sort": {"rank": "desc"}, "limit": 100}]);
    let all = bob.call("list", all).await.unwrap();
    let expected: Vec<Value> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].clone())
        .collect();
    assert_eq!(seen, expected);

    let mut last = first_cursor.as_str().unwrap().to_owned();
    last.pop();
    let other_order = json!(["Note", {"sort": {"rank": "asc"}, "limit": 2, "cursor": first_cursor}]);
    for (client, params) in [(&mut alice, list(&first_cursor)), (&mut bob, other_order)] {
        invalid(client, params).await;
    }
    for forged in [
        json!(last),
        json!("AAAA"),
        json!(""),
        json!("x".repeat(9_000)),
        json!(7),
    ] {
        invalid(&mut bob, list(&forged)).await;
    }
    // Within a transaction it means the same.
    let together = |cursor: &Value| json!([[{"method": "list", "params": list(cursor)}]]);
    let page = bob.call("transaction", together(&first_cursor)).await.unwrap();
    assert_eq!(page[0]["data"][0]["id"], seen[2]);
    let refused = bob
        .call("transaction", together(&json!("AAAA")))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code, &refused.details["call"]),
        (422, &json!(0)),
        "{refused:?}"
    );
    // It is nobody's incident: the channel is as it was.
    assert!(bob.call("list", list(&first_cursor)).await.is_ok());
}

async fn invalid(client: &mut Client, params: Value) {
    let refused = client.call("list", params).await.unwrap_err();
    assert_eq!(refused.code, 422);
    assert_eq!(
        refused.details["fields"],
        json!([{"field": "cursor", "error": "invalid cursor"}])
    );
}

#[tokio::test]
async fn capabilities_say_what_is_served() {
    let daemon = Daemon::start();
    let mut alice = Client::connect(&daemon, daemon.user("alice")).await;
    let told = alice.call("getCapabilities", json!([])).await.unwrap();
    for flag in ["joins", "relations", "aggregations"] {
        assert_eq!(told[flag], true, "{flag}");
    }
    assert!(told["methods"].as_array().unwrap().contains(&json!("aggregate")));
}
