//! `dbal schema` on a live MySQL.

use std::fs;

use dbal_servers::mysql::MySql;
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

use super::schema_tool::{err, out};
use super::schema_tool_mariadb::{CIRCLE, COUNTS, POLICY, by_tls, place};

#[test]
fn what_ddl_prints_and_what_apply_makes_in_mysql_is_the_same_and_fits() {
    let server = MySql::shared();
    let fits = "the mysql database fits the entities (2)\n";
    let (printed, by_ddl) = place(server);
    printed.entities(CIRCLE);
    let mut ddl = dbal_tests::binaries::command("dbal");
    let ddl = ddl.args(["schema", "ddl", "--entities", "entities", "--database", "mysql"]);
    let script = printed.run(ddl);
    assert!(script.status.success(), "{}", err(&script));
    server.sql(&by_ddl, &out(&script));
    let checked = printed.schema(&["check"]);
    assert_eq!(out(&checked), fits, "{}", err(&checked));

    let (applied, by_apply) = place(server);
    applied.entities(CIRCLE);
    let missing = applied.schema(&["check"]);
    assert_eq!(missing.status.code(), Some(1), "{}", err(&missing));
    let first = applied.schema(&["apply"]);
    assert_eq!(
        out(&first),
        format!(
            "made the table `a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here` of `House`\n\
             made the table `the `people` $1 ?x Ö` of `Person`\n\
             made the worker's own table `dbal_idempotency`\n{fits}"
        ),
        "{}",
        err(&first)
    );
    let second = applied.schema(&["apply"]);
    assert_eq!(out(&second), fits, "{}", err(&second));
    let made = server.sql(&by_apply, COUNTS);
    assert_eq!(made, server.sql(&by_ddl, COUNTS));
    assert_eq!(made.trim(), "3\t13\t4");
    // And back: what was made becomes entities that it fits again.
    fs::remove_dir_all(applied.at().join("entities")).unwrap();
    let introspected = applied.schema(&["introspect", "--out", "entities"]);
    assert!(introspected.status.success(), "{}", err(&introspected));
    let checked = applied.schema(&["check"]);
    assert!(checked.status.success(), "{}{}", out(&checked), err(&checked));
}

/// As somebody made it who never heard of dbal, with what MySQL has by default: texts are blind to case and accents.
const LEGACY: &str = r#"
CREATE TABLE users (
  id CHAR(36) PRIMARY KEY DEFAULT (uuid()), `E-Mail` VARCHAR(254) NOT NULL UNIQUE, mood ENUM('sad', 'it''s ok') NOT NULL DEFAULT 'it''s ok',
  is_admin TINYINT(1) NOT NULL DEFAULT 0, is_old BIT(1) NOT NULL DEFAULT b'1', score DOUBLE DEFAULT 1.5, bio TEXT DEFAULT ('it''s me'),
  created DATETIME(3) NOT NULL DEFAULT now(3), seen TIMESTAMP(3) NULL ON UPDATE now(3), settings JSON NOT NULL DEFAULT ('{"a": 1}'),
  level SMALLINT UNSIGNED NOT NULL DEFAULT 0, balance DECIMAL(12, 2), photo BLOB, born DATE);
CREATE TABLE posts (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, author CHAR(36) NOT NULL, title VARCHAR(80) COLLATE utf8mb4_0900_bin NOT NULL CHECK (char_length(title) > 0),
  n INT, twice INT AS (n * 2) STORED, UNIQUE INDEX author_title (author, title), INDEX begins (title(5)), INDEX lowered ((lower(title))),
  FOREIGN KEY (author) REFERENCES users (id) ON DELETE CASCADE);
CREATE VIEW admins AS SELECT id, `E-Mail` FROM users WHERE is_admin;
INSERT INTO users (id, `E-Mail`, photo, born, seen, balance)
  VALUES ('00000000-0000-4000-8000-000000000001', 'a@b', x'00ff', '2000-02-29', '2024-01-15 10:30:00.123', 12.50);
INSERT INTO posts (author, title, n) VALUES ('00000000-0000-4000-8000-000000000001', 'Ä', 4);
"#;

const LEGACY_AS_ENTITIES: &str = r#"# a view has no key; `id` stands for it because it comes first: make sure that no two rows share it
entity: admins
read_only: true
fields:
  # `char(36)`: blanks at the end of a text are lost there
  # the database's default is `uuid()`; the daemon names every column, so say `generated: true` or a `default`
  id: {type: string, primary: true, max_length: 36}
  E_Mail: {type: string, required: true, column: "E-Mail", max_length: 254}
# the constraint `posts_chk_1` refuses rows: (char_length(`title`) > 0)
# the column `twice` is left out: it is computed, and the daemon writes every field of a new row
# the index `begins` is left out: it is over part of the rows or of their values, or over expressions
# the index `lowered` is left out: it is over part of the rows or of their values, or over expressions
entity: posts
fields:
  # the database counts it up, but the daemon names every column: clients must send the value
  id: {type: bigint, primary: true}
  # `char(36)`: blanks at the end of a text are lost there
  author: {type: string, required: true, max_length: 36, foreign_key: {entity: users, field: id, on_delete: cascade}}
  title: {type: string, required: true, max_length: 80}
  "n": {type: integer, optional: true}
indexes:
  - {fields: [author, title], unique: true, name: author_title}
# the database sets `seen` to the time whenever a row is changed without it
entity: users
fields:
  # `char(36)`: blanks at the end of a text are lost there
  # the database's default is `uuid()`; the daemon names every column, so say `generated: true` or a `default`
  id: {type: string, primary: true, max_length: 36}
  E_Mail: {type: string, required: true, unique: true, column: "E-Mail", max_length: 254}
  mood: {type: enum, default: "it's ok", values: [sad, "it's ok"]}
  is_admin: {type: boolean, default: false}
  is_old: {type: boolean, default: true}
  score: {type: float, nullable: true, default: 1.5}
  bio: {type: text, nullable: true, default: "it's me", max_length: 16383}
  # the database's default is `CURRENT_TIMESTAMP(3)`; the daemon names every column, so say `generated: true` or a `default`
  created: {type: datetime, required: true}
  # `timestamp(3)`: it takes no time before 1970 or long after 2038
  seen: {type: datetime, optional: true}
  settings: {type: json, default: {"a":1}}
  level: {type: integer, default: 0, min: 0, max: 65535}
  # `decimal(12,2)`: digits behind its last are rounded off, larger numbers refused
  balance: {type: decimal, optional: true}
  photo: {type: bytes, optional: true, max_length: 65535}
  born: {type: date, optional: true}
"#;

/// All of it is served; the rest is told.
const CHECKED: &str = "some calls fail, or do something else than the entity says:
  admins.id      admins.id      its type is `char(36)`: blanks at the end of a text are lost there
                                → change the type of one of the two
  posts.author   posts.author   its type is `char(36)`: blanks at the end of a text are lost there
                                → change the type of one of the two
  posts.author   posts.author   by its collation utf8mb4_0900_ai_ci texts that differ are one to its unique indexes and references: the second of them is answered 409
                                → give it one that tells all texts apart
  users.id       users.id       its type is `char(36)`: blanks at the end of a text are lost there
                                → change the type of one of the two
  users.seen     users.seen     its type is `timestamp(3)`: it takes no time before 1970 or long after 2038
                                → change the type of one of the two
  users.balance  users.balance  its type is `decimal(12,2)`: digits behind its last are rounded off, larger numbers refused
                                → change the type of one of the two
  users.id       users.id       by its collation utf8mb4_0900_ai_ci texts that differ are one to its unique indexes and references: the second of them is answered 409
                                → give it one that tells all texts apart
  users.E_Mail   users.E-Mail   by its collation utf8mb4_0900_ai_ci texts that differ are one to its unique indexes and references: the second of them is answered 409
                                → give it one that tells all texts apart
works; worth a look:
  posts  posts             no field names `twice`
                           → nothing, if clients shall not see them
  dbal   dbal_idempotency  the worker's own table is missing: calls with an `idempotencyKey` fail
                           → `dbal schema apply` makes it; nothing, if nobody sends one
";

#[tokio::test(flavor = "multi_thread")]
async fn a_live_mysql_becomes_entities_that_load_and_the_worker_serves_them() {
    let server = MySql::shared();
    let (place, name) = place(server);
    server.sql(&name, LEGACY);
    let output = place.schema(&["introspect", "--out", "entities"]);
    assert_eq!(out(&output), "entities: entity files: 3\n", "{}", err(&output));
    let mut texts = String::new();
    for name in ["admins", "posts", "users"] {
        texts += &fs::read_to_string(place.at().join(format!("entities/{name}.yaml"))).unwrap();
    }
    assert_eq!(texts, LEGACY_AS_ENTITIES);

    let checked = place.schema(&["check"]);
    assert_eq!(out(&checked), CHECKED, "{}", err(&checked));
    fs::write(place.at().join("acl.yaml"), POLICY).unwrap();
    let daemon = Daemon::start_with_on(
        &place.at().join("entities"),
        &place.at().join("acl.yaml"),
        &by_tls(server, &name),
    );
    let mut client = Client::connect(&daemon, daemon.user("alice")).await;
    let user = "00000000-0000-4000-8000-000000000001";
    let found = client.call("read", json!(["users", user])).await.unwrap();
    for (field, value) in [
        ("E_Mail", json!("a@b")),
        ("mood", json!("it's ok")),
        ("is_admin", json!(false)),
        ("is_old", json!(true)),
        ("score", json!(1.5)),
        ("bio", json!("it's me")),
        ("settings", json!({"a": 1})),
        ("level", json!(0)),
        ("balance", json!("12.5")),
        ("seen", json!("2024-01-15T10:30:00.123Z")),
        ("born", json!("2000-02-29")),
        ("photo", json!("AP8=")),
    ] {
        assert_eq!(found[field], value, "{field}");
    }
    // A number of 0 is 0, and not the next one.
    for id in [9, 0] {
        let post = json!({"id": id, "author": user, "title": format!("B{id}"), "n": 3});
        let made = client.call("create", json!(["posts", post])).await.unwrap();
        assert_eq!(made, post);
    }
    let sorted = json!(["posts", {"sort": {"title": "asc"}, "select": ["title"]}]);
    let list = client.call("list", sorted).await.unwrap();
    let titles = json!([{"title": "B0"}, {"title": "B9"}, {"title": "Ä"}]);
    assert_eq!(list["data"], titles);
    let change = json!(["users", user, {"mood": "sad", "level": 7}]);
    let changed = client.call("update", change).await.unwrap();
    assert_eq!((&changed["mood"], &changed["level"]), (&json!("sad"), &json!(7)));
    assert_eq!(client.call("delete", json!(["users", user])).await.unwrap(), true);
    let list = client.call("list", json!(["posts"])).await.unwrap();
    assert_eq!(list["data"], json!([]), "the database's own `cascade`");
}
