//! `dbal schema` on a live MariaDB.

use std::fs;

use dbal_servers::mariadb::{MariaDb, PASSWORD};
use dbal_tests::client::Client;
use dbal_tests::daemon::Daemon;
use serde_json::json;

use super::schema_tool::{Place, err, out};

pub(super) fn by_tls(server: &MariaDb, name: &str) -> String {
    format!(
        "{{mysql: {{host: localhost, port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", \
         ca_file: \"{}\"}}}}",
        server.port(),
        server.ca_file().display()
    )
}

/// A place whose worker may do everything in a new database, and the database's name.
pub(super) fn place(server: &MariaDb) -> (Place, String) {
    let name = server.database();
    (Place::with(&by_tls(server, &name), None), name)
}

/// As somebody made it who never heard of dbal.
const LEGACY: &str = r#"
CREATE TABLE users (
  id UUID PRIMARY KEY DEFAULT uuid(), `E-Mail` VARCHAR(254) NOT NULL UNIQUE, mood ENUM('sad', 'it''s ok') NOT NULL DEFAULT 'it''s ok',
  is_admin TINYINT(1) NOT NULL DEFAULT 0, is_old BIT(1) NOT NULL DEFAULT b'1', score DOUBLE DEFAULT 1.5, bio TEXT DEFAULT 'it''s me',
  created DATETIME(3) NOT NULL DEFAULT now(3), seen TIMESTAMP(3) NULL ON UPDATE now(3), tags SET('a', 'b'), settings JSON NOT NULL DEFAULT '{"a": 1}',
  level SMALLINT UNSIGNED NOT NULL DEFAULT 0, balance DECIMAL(12, 2), photo BLOB, born DATE) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE TABLE posts (
  id BIGINT AUTO_INCREMENT PRIMARY KEY, author UUID NOT NULL, title VARCHAR(80) COLLATE utf8mb4_nopad_bin NOT NULL CHECK (char_length(title) > 0),
  n INT, twice INT AS (n * 2) STORED, body MEDIUMTEXT CHARACTER SET utf8mb4, UNIQUE INDEX author_title (author, title),
  INDEX by_n (n, title), INDEX begins (title(5)), FULLTEXT INDEX by_words (body), FOREIGN KEY (author) REFERENCES users (id) ON DELETE CASCADE);
CREATE TABLE memberships (user_id UUID, post_id BIGINT, PRIMARY KEY (user_id, post_id), FOREIGN KEY (user_id) REFERENCES users (id));
CREATE TABLE `order` (nr INT NOT NULL UNIQUE, parent INT, INDEX order_parent (parent), FOREIGN KEY (parent) REFERENCES `order` (nr) ON DELETE SET NULL);
CREATE TABLE logs (id INT PRIMARY KEY, line VARCHAR(9) NOT NULL) ENGINE=MyISAM;
CREATE VIEW admins AS SELECT id, `E-Mail` FROM users WHERE is_admin;
CREATE TRIGGER told BEFORE INSERT ON posts FOR EACH ROW SET NEW.n = COALESCE(NEW.n, 0);
INSERT INTO users (id, `E-Mail`, tags, photo, born, seen, balance)
  VALUES ('00000000-0000-4000-8000-000000000001', 'a@b', 'a', x'00ff', '2000-02-29', '2024-01-15 10:30:00.123', 12.50);
INSERT INTO posts (author, title, n) VALUES ('00000000-0000-4000-8000-000000000001', 'Ä', 4);
INSERT INTO `order` VALUES (1, NULL), (2, 1);
"#;

const LEGACY_AS_ENTITIES: &str = r#"# a view has no key; `id` stands for it because it comes first: make sure that no two rows share it
entity: admins
read_only: true
fields:
  # the database's default is `uuid()`; the daemon names every column, so say `generated: true` or a `default`
  id: {type: uuid, primary: true}
  E_Mail: {type: string, required: true, column: "E-Mail", max_length: 254}
# its engine knows no transactions: give it one that does, or say `read_only: true`
entity: logs
fields:
  id: {type: integer, primary: true}
  line: {type: string, required: true, max_length: 9}
# the table `memberships` is no entity: its key is made of several columns (user_id, post_id), an entity's of one. Give it a column of its own for that
entity: order
fields:
  nr: {type: integer, primary: true}
  parent: {type: integer, optional: true, foreign_key: {entity: order, field: nr, on_delete: set_null}}
indexes:
  - {fields: [parent], name: order_parent}
# the constraint `title` refuses rows: char_length(`title`) > 0
# the index `by_words` (FULLTEXT) is left out: an entity's are b-trees
# the trigger `told` runs when rows are written
# the column `twice` is left out: it is computed, and the daemon writes every field of a new row
# the index `begins` is left out: it is over part of the rows or of their values, or over expressions
entity: posts
fields:
  # the database counts it up, but the daemon names every column: clients must send the value
  id: {type: bigint, primary: true}
  author: {type: uuid, required: true, foreign_key: {entity: users, field: id, on_delete: cascade}}
  title: {type: string, required: true, max_length: 80}
  "n": {type: integer, optional: true}
  body: {type: text, optional: true}
indexes:
  - {fields: [author, title], unique: true, name: author_title}
  - {fields: ["n", title], name: by_n}
# the database sets `seen` to the time whenever a row is changed without it
# the column `tags` is left out: there is no type for `set('a','b')`; it holds several values, and a field holds one
entity: users
fields:
  # the database's default is `uuid()`; the daemon names every column, so say `generated: true` or a `default`
  id: {type: uuid, primary: true}
  E_Mail: {type: string, required: true, unique: true, column: "E-Mail", max_length: 254}
  mood: {type: enum, default: "it's ok", values: [sad, "it's ok"]}
  is_admin: {type: boolean, default: false}
  is_old: {type: boolean, default: true}
  score: {type: float, nullable: true, default: 1.5}
  bio: {type: text, nullable: true, default: "it's me", max_length: 16383}
  # the database's default is `current_timestamp(3)`; the daemon names every column, so say `generated: true` or a `default`
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

/// The worker refuses what would stay; the rest is told.
const CHECKED: &str = "the worker does not start:
  logs  logs  its engine knows no transactions, so what must be undone would stay
              → let the table have one that does (`ENGINE=InnoDB`), or say `read_only: true`
some calls fail, or do something else than the entity says:
  users.seen     users.seen     its type is `timestamp(3)`: it takes no time before 1970 or long after 2038
                                → change the type of one of the two
  users.balance  users.balance  its type is `decimal(12,2)`: digits behind its last are rounded off, larger numbers refused
                                → change the type of one of the two
  users.E_Mail   users.E-Mail   by its collation utf8mb4_general_ci texts that differ are one to its unique indexes and references: the second of them is answered 409
                                → give it one that tells all texts apart
works; worth a look:
  posts  posts             no field names `twice`
                           → nothing, if clients shall not see them
  users  users             no field names `tags`
                           → nothing, if clients shall not see them
  dbal   dbal_idempotency  the worker's own table is missing: calls with an `idempotencyKey` fail
                           → `dbal schema apply` makes it; nothing, if nobody sends one
";

/// Who has a token may do all of it.
pub(super) const POLICY: &str = "
version: 1
roles: {user: {}}
rules:
  - {id: all, entity: \"*\", roles: [user], operations: [read, list, create, update, delete]}
";

/// Every type, a circle, a name that needs quotes.
pub(super) const CIRCLE: &str = r#"
entity: Person
table: the `people` $1 ?x Ö
fields:
  id:     {type: uuid, primary: true, generated: true}
  email:  {type: email, required: true, unique: true}
  spouse: {type: uuid, nullable: true, foreign_key: {entity: Person, on_delete: set_null}}
  home:   {type: bigint, nullable: true, foreign_key: {entity: House, on_delete: set_null}}
---
entity: House
table: a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here
fields:
  id:    {type: bigint, primary: true}
  owner: {type: uuid, required: true, foreign_key: {entity: Person, on_delete: cascade}}
  other: {type: uuid, nullable: true, foreign_key: {entity: Person, on_delete: restrict}}
  a: {type: cuid}
  b: {type: string, max_length: 3}
  c: {type: text, required: true, index: true, max_length: 9}
  d: {type: enum, values: [x]}
  e: {type: integer, default: 1}
  f: {type: float}
  g: {type: decimal, unique: true}
  h: {type: boolean}
  i: {type: date}
  j: {type: datetime, generated: true}
  k: {type: json}
  l: {type: bytes}
indexes: [{fields: [d, e], unique: true, name: de}, {fields: [f, g], name: fg}]
"#;

pub(super) const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()), \
    (SELECT COUNT(DISTINCT TABLE_NAME, INDEX_NAME) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()), \
    (SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE())";

#[test]
fn what_ddl_prints_runs_in_mariadbs_client_as_it_is_and_a_second_time_changes_nothing() {
    let server = MariaDb::shared();
    let (place, name) = place(server);
    place.entities(CIRCLE);
    let script = place.run(dbal_tests::binaries::command("dbal").args([
        "schema",
        "ddl",
        "--entities",
        "entities",
        "--database",
        "mariadb",
    ]));
    assert!(script.status.success(), "{}", err(&script));
    server.sql(&name, &out(&script));
    let made = server.sql(&name, COUNTS);
    assert_eq!(made.trim(), "3\t13\t4");
    server.sql(&name, &out(&script));
    assert_eq!(server.sql(&name, COUNTS), made);
    let checked = place.schema(&["check"]);
    assert_eq!(
        out(&checked),
        "the mysql database fits the entities (2)\n",
        "{}",
        err(&checked)
    );
}

#[test]
fn apply_makes_all_that_is_missing_in_mariadb_and_what_it_could_not_the_next_time() {
    let server = MariaDb::shared();
    let (place, name) = place(server);
    place.entities(CIRCLE);
    let checked = place.schema(&["check"]);
    assert_eq!(checked.status.code(), Some(1), "{}", err(&checked));
    let told = format!("there is no such table in the database `{name}`");
    assert_eq!(out(&checked).matches(&told).count(), 2, "{}", out(&checked));
    let first = place.schema(&["apply"]);
    assert_eq!(
        out(&first),
        "made the table `a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here` of `House`\n\
         made the table `the `people` $1 ?x Ö` of `Person`\n\
         made the worker's own table `dbal_idempotency`\n\
         the mysql database fits the entities (2)\n",
        "{}",
        err(&first)
    );
    assert_eq!(
        server.sql(&name, COUNTS).trim(),
        "3\t13\t4",
        "as many as `ddl` makes"
    );
    let second = place.schema(&["apply"]);
    assert_eq!(
        out(&second),
        "the mysql database fits the entities (2)\n",
        "{}",
        err(&second)
    );

    // One thing can't be made: what comes before it is there and stays.
    server.sql(
        &name,
        r"DROP INDEX fg ON a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here;
          DROP INDEX de ON a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here;
          DROP TABLE dbal_idempotency; SET foreign_key_checks = 0;
          INSERT INTO a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here (id, owner, a, c, d, e, j, b, h)
            VALUES (1, uuid(), '', '', 'x', 1, now(), '', true), (2, uuid(), '', '', 'x', 1, now(), '', true)",
    );
    let applied = place.schema(&["apply"]);
    assert_eq!(applied.status.code(), Some(2), "{}", out(&applied));
    let said = err(&applied);
    assert!(
        said.contains("not all that is missing can be made") && said.contains("For `House`"),
        "{said}"
    );
    server.sql(
        &name,
        "DELETE FROM a_house_whose_name_is_nearly_as_long_as_a_name_may_be_in_here WHERE id = 2",
    );
    let last = place.schema(&["apply"]);
    assert!(last.status.success(), "{}", err(&last));
    assert_eq!(server.sql(&name, COUNTS).trim(), "3\t13\t4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_mariadb_becomes_entities_that_load_and_the_worker_serves_them() {
    let server = MariaDb::shared();
    let (place, name) = place(server);
    server.sql(&name, LEGACY);
    let output = place.schema(&["introspect", "--out", "entities"]);
    assert_eq!(out(&output), "entities: entity files: 6\n", "{}", err(&output));
    let mut texts = String::new();
    for name in ["admins", "logs", "memberships", "order", "posts", "users"] {
        texts += &fs::read_to_string(place.at().join(format!("entities/{name}.yaml"))).unwrap();
    }
    assert_eq!(texts, LEGACY_AS_ENTITIES);

    let checked = place.schema(&["check"]);
    assert_eq!(checked.status.code(), Some(1), "{}", err(&checked));
    assert_eq!(out(&checked), CHECKED);

    // What refuses is put right.
    server.sql(&name, "ALTER TABLE logs ENGINE=InnoDB");
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
        let post = json!({"id": id, "author": user, "title": format!("B{id}"), "n": 3, "body": null});
        let made = client.call("create", json!(["posts", post])).await.unwrap();
        assert_eq!(made, post);
    }
    let changed = client
        .call("update", json!(["users", user, {"mood": "sad", "level": 7}]))
        .await
        .unwrap();
    assert_eq!((&changed["mood"], &changed["level"]), (&json!("sad"), &json!(7)));
    let list = client
        .call(
            "list",
            json!(["posts", {"sort": {"title": "asc"}, "select": ["title"]}]),
        )
        .await
        .unwrap();
    assert_eq!(
        list["data"],
        json!([{"title": "B0"}, {"title": "B9"}, {"title": "Ä"}])
    );
    assert_eq!(client.call("delete", json!(["order", 1])).await.unwrap(), true);
    let order = client.call("read", json!(["order", 2])).await.unwrap();
    assert_eq!(order["parent"], json!(null), "the database's own `set null`");
    let admins = client.call("list", json!(["admins"])).await.unwrap();
    assert_eq!(admins["data"], json!([]));
}

#[test]
fn whoever_looks_into_mariadb_is_locked_in_like_the_daemon_and_by_a_socket_needs_no_network() {
    let server = MariaDb::shared();
    let name = server.database();
    let by_socket = format!(
        "{{mysql: {{socket: \"{}\", database: {name}, user: {name}, password: \"{PASSWORD}\"}}}}",
        server.socket().display()
    );
    for (database, layers) in [
        (by_tls(server, &name), ["landlock_files", "landlock_tcp"]),
        (by_socket, ["landlock_files", "network_left"]),
    ] {
        let place = Place::with(&database, None);
        place.entities(CIRCLE);
        for task in ["introspect", "check", "apply"] {
            let mut worker = dbal_tests::binaries::command("dbal-worker");
            let output = place.run(worker.args(["--config", "worker.yaml", "--schema", task]));
            assert!(output.status.success(), "{task}: {}", err(&output));
            let said = err(&output);
            let locked = said.lines().find(|line| line.contains("locked in"));
            for layer in layers {
                assert!(
                    locked.unwrap_or_default().contains(layer),
                    "{task} {layer}: {said}"
                );
            }
            let answer: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
            assert_eq!(answer["adapter"], "mysql");
        }
    }
}
