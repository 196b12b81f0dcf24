//! `dbal schema` on a live SQLite file: what is there becomes entities, what differs is told, what is missing is made, and
//! the worker refuses at its start what the tool calls refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use dbal_schema::Schema;
use dbal_tests::binaries;
use serde_json::Value;
use tempfile::TempDir;

/// Whom the worker becomes when the tests run as root.
const WORKER: u32 = 54_322;

/// As somebody made it who never heard of dbal.
const LEGACY: &str = r#"
CREATE TABLE users (
  id TEXT PRIMARY KEY NOT NULL, "E-Mail" VARCHAR(255) NOT NULL UNIQUE, is_admin BOOLEAN NOT NULL DEFAULT 0,
  score REAL DEFAULT 1.5, bio TEXT DEFAULT 'it''s me', created DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, shape POINT);
CREATE TABLE posts (
  id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
  title VARCHAR(80) NOT NULL CHECK (length(title) > 0), n INT, twice INT AS (n * 2), UNIQUE (author, title));
CREATE INDEX recent ON posts (title) WHERE n > 3;
CREATE INDEX by_n ON posts (n, title);
CREATE TABLE memberships (user_id TEXT REFERENCES users (id), post_id INT, PRIMARY KEY (user_id, post_id));
CREATE TABLE "order" (nr INT NOT NULL UNIQUE, parent INT REFERENCES "order" (nr) ON DELETE SET NULL);
CREATE INDEX order_parent ON "order" (parent);
CREATE VIEW admins AS SELECT id, "E-Mail" FROM users WHERE is_admin;
CREATE TRIGGER told AFTER INSERT ON posts BEGIN SELECT 1; END;
"#;

const LEGACY_AS_ENTITIES: &str = r#"# a view has no key; `id` stands for it because it comes first: make sure that no two rows share it
entity: admins
read_only: true
fields:
  id: {type: text, primary: true}
  E_Mail: {type: string, optional: true, column: "E-Mail"}
# the table `memberships` is no entity: its key is made of several columns (user_id, post_id), an entity's of one. Give it a column of its own for that
entity: order
fields:
  nr: {type: bigint, primary: true}
  parent: {type: bigint, optional: true, foreign_key: {entity: order, field: nr, on_delete: set_null}}
indexes:
  - {fields: [parent], name: order_parent}
# the table seems to have CHECK constraints, which an entity says by its own rules
# the trigger `told` runs when rows are written
# the column `twice` is left out: it is computed, and the daemon writes every field of a new row
# the index `recent` is left out: it is over part of the rows or of their values, or over expressions
entity: posts
fields:
  # the database counts it up, but the daemon names every column: clients must send the value
  id: {type: bigint, primary: true}
  author: {type: text, required: true, foreign_key: {entity: users, field: id, on_delete: cascade}}
  title: {type: string, required: true}
  "n": {type: bigint, optional: true}
indexes:
  - {fields: ["n", title], name: by_n}
  - {fields: [author, title], unique: true, name: posts_author_title_key}
# the column `shape` is left out: there is no type for `POINT`; choose one that fits what it holds
entity: users
fields:
  id: {type: text, primary: true}
  E_Mail: {type: string, required: true, unique: true, column: "E-Mail"}
  is_admin: {type: boolean, default: false}
  score: {type: float, nullable: true, default: 1.5}
  bio: {type: text, nullable: true, default: "it's me"}
  # the database's default is `CURRENT_TIMESTAMP`; the daemon names every column, so say `generated: true` or a `default`
  created: {type: datetime, required: true}
"#;

/// A folder with a worker's configuration. Policy and keys are nobody's business here, so the policy does not exist.
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    fn new(sql: Option<&str>) -> Self {
        Self::with("{sqlite: {path: db/x.sqlite}}", sql)
    }

    /// One whose worker has this database; `sql` is for a file.
    pub(super) fn with(database: &str, sql: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("dbal-schema-").tempdir().unwrap();
        let at = folder.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o711)).unwrap();
        fs::create_dir(at.join("db")).unwrap();
        if let Some(sql) = sql {
            let database = rusqlite::Connection::open(at.join("db/x.sqlite")).unwrap();
            database.execute_batch(sql).unwrap();
        }
        let is_root = nix::unistd::geteuid().is_root();
        for path in [at.join("db"), at.join("db/x.sqlite")] {
            if is_root && path.exists() {
                std::os::unix::fs::chown(path, Some(WORKER), Some(WORKER)).unwrap();
            }
        }
        let run_as = if is_root {
            format!(", run_as: \"{WORKER}:{WORKER}\"")
        } else {
            String::new()
        };
        let config = format!(
            "socket: {{path: worker.sock}}
database: {database}
entities: entities
policy: acl.yaml
auth: {{tokens: {{issuer: i, audience: a, keys: [{{kid: k, algorithm: HS256, secret: correct-horse-battery-staple-0123}}]}}}}
audit: {{directory: db}}
security: {{sandbox: strict{run_as}}}
"
        );
        fs::write(at.join("worker.yaml"), config).unwrap();
        fs::set_permissions(at.join("worker.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    pub(super) fn at(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn entities(&self, text: &str) {
        fs::create_dir_all(self.at().join("entities")).unwrap();
        fs::write(self.at().join("entities/all.yaml"), text).unwrap();
    }

    pub(super) fn schema(&self, arguments: &[&str]) -> Output {
        let mut command = binaries::command("dbal");
        command
            .arg("schema")
            .args(arguments)
            .args(["--config", "worker.yaml"]);
        self.run(&mut command)
    }

    pub(super) fn run(&self, command: &mut Command) -> Output {
        command
            .current_dir(self.at())
            .env_remove("DBAL_IDENTITY")
            .output()
            .unwrap()
    }

    fn sql(&self, sql: &str) {
        let database = rusqlite::Connection::open(self.at().join("db/x.sqlite")).unwrap();
        database.execute_batch(sql).unwrap();
    }
}

pub(super) fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const ENTITIES: &str = "
entity: User
table: users
fields:
  id:    {type: uuid, primary: true, generated: true}
  email: {type: email, required: true, unique: true}
---
entity: Note
fields:
  id:      {type: uuid, primary: true, generated: true}
  ownerId: {type: uuid, required: true, foreign_key: {entity: User, on_delete: cascade}}
  price:   {type: decimal, index: true}
";

#[test]
fn a_live_database_becomes_entities_that_load_and_fit_it() {
    let place = Place::new(Some(LEGACY));
    let output = place.schema(&["introspect", "--out", "entities"]);
    assert_eq!(out(&output), "entities: entity files: 5\n", "{}", err(&output));
    let mut texts = String::new();
    for name in ["admins", "memberships", "order", "posts", "users"] {
        texts += &fs::read_to_string(place.at().join(format!("entities/{name}.yaml"))).unwrap();
    }
    assert_eq!(texts, LEGACY_AS_ENTITIES);
    // Every comment is a warning too.
    let comments = texts
        .lines()
        .filter(|line| line.trim_start().starts_with('#'))
        .count();
    let warnings = err(&output)
        .lines()
        .filter(|line| line.starts_with("warning: "))
        .count();
    assert_eq!((comments, warnings), (9, 9), "{}", err(&output));
    assert_eq!(
        Schema::load(&place.at().join("entities"))
            .unwrap()
            .schema
            .entities()
            .len(),
        4
    );

    let checked = place.schema(&["check"]);
    assert_eq!(
        checked.status.code(),
        Some(0),
        "{}{}",
        out(&checked),
        err(&checked)
    );
    assert_eq!(
        out(&checked),
        "works; worth a look:\n\
         \x20 posts  posts             no field names `twice`\n\
         \x20                          → nothing, if clients shall not see them\n\
         \x20 users  users             no field names `shape`\n\
         \x20                          → nothing, if clients shall not see them\n\
         \x20 dbal   dbal_idempotency  the worker's own table is missing: calls with an `idempotencyKey` fail\n\
         \x20                          → `dbal schema apply` makes it; nothing, if nobody sends one\n"
    );
    let again = place.schema(&["introspect", "--out", "entities"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("exists already"), "{}", err(&again));
}

#[test]
fn apply_makes_what_is_missing_and_nothing_else_and_a_second_time_nothing() {
    let place = Place::new(None);
    place.entities(ENTITIES);
    let unasked = place.schema(&["check"]);
    assert_eq!(
        unasked.status.code(),
        Some(2),
        "a file that is not there is not made by looking"
    );
    assert!(!place.at().join("db/x.sqlite").exists());

    let first = place.schema(&["apply"]);
    assert_eq!(first.status.code(), Some(0), "{}{}", out(&first), err(&first));
    assert_eq!(
        out(&first),
        "made the table `users` of `User`\nmade the table `Note` of `Note`\nmade the worker's own table `dbal_idempotency`\nthe sqlite database fits the entities (2)\n"
    );
    place.sql("DROP INDEX Note_ownerId_index; INSERT INTO users VALUES ('a', 'b')");
    let second = place.schema(&["apply"]);
    assert_eq!(
        out(&second),
        "made an index over ownerId of the table `Note`\nthe sqlite database fits the entities (2)\n"
    );
    let third = place.schema(&["apply", "--json"]);
    let answer: Value = serde_json::from_str(&out(&third)).unwrap();
    assert_eq!(
        (&answer["made"], &answer["findings"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    let rows = rusqlite::Connection::open(place.at().join("db/x.sqlite")).unwrap();
    let count: u32 = rows
        .query_row("SELECT COUNT(*) FROM users", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 1);
}

#[test]
fn what_differs_decides_the_exit_code_and_what_is_refused_keeps_the_worker_from_starting() {
    let place = Place::new(Some(
        "CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT NOT NULL, \"paint\u{1b}[31m\" INT NOT NULL);
         CREATE TABLE Note (id TEXT PRIMARY KEY, price DECIMAL(10, 2));
         INSERT INTO users VALUES ('a', 'same', 1), ('b', 'same', 1);",
    ));
    place.entities(ENTITIES);
    let checked = place.schema(&["check", "--json"]);
    assert_eq!(checked.status.code(), Some(1), "{}", err(&checked));
    let answer: Value = serde_json::from_str(&out(&checked)).unwrap();
    let findings: Vec<String> = answer["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            format!(
                "{} {}.{} {}",
                one["weight"], one["entity"], one["field"], one["what"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        findings,
        [
            "refuses Note.ownerId there is no such column",
            "refuses Note.price its type is `DECIMAL(10, 2)`, which can't hold what the field's type decimal needs",
            "matters User.email the entity says that `email` is unique, and no index of the database does",
            "matters User.null the column `paint\\u001b[31m` takes no row without a value, and no field names it: every create fails",
            "advice Note.id it is the entity's key, and the database allows NULL there",
            "advice Note.price no index begins with `price`, as the entity wants it",
            "advice User.id it is the entity's key, and the database allows NULL there",
            "advice dbal.null the worker's own table is missing: calls with an `idempotencyKey` fail",
        ]
    );
    assert!(!out(&place.schema(&["check"])).contains('\u{1b}'));

    // Two rows have the same e-mail: nothing at all is made.
    let applied = place.schema(&["apply"]);
    assert_eq!(applied.status.code(), Some(2), "{}", out(&applied));
    assert!(
        err(&applied).contains("nothing was. For `User.email`"),
        "{}",
        err(&applied)
    );

    fs::write(place.at().join("acl.yaml"), "version: 1\nroles: {}\nrules: []\n").unwrap();
    let mut worker = binaries::command("dbal-worker");
    let started = place.run(worker.args(["--config", "worker.yaml"]));
    assert!(!started.status.success());
    let said = err(&started);
    for refused in [
        "`Note.ownerId` (column `ownerId` of the table `Note`): there is no such column",
        "`Note.price` (column `price` of the table `Note`): its type is `DECIMAL(10, 2)`",
    ] {
        assert!(said.contains(refused), "{said}");
    }
}

#[test]
fn a_sealed_configuration_is_opened_by_the_worker_with_the_identity_that_is_named() {
    let place = Place::new(Some(
        "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL, email TEXT NOT NULL UNIQUE)",
    ));
    place.entities(ENTITIES.split("---").next().unwrap());
    let tool = |arguments: &[&str]| place.run(binaries::command("dbal").args(arguments));
    let recipient = out(&tool(&["keygen", "-o", "identity"]));
    let sealed = tool(&["config", "encrypt", "worker.yaml", "-r", recipient.trim()]);
    assert!(sealed.status.success(), "{}", err(&sealed));
    fs::remove_file(place.at().join("worker.yaml")).unwrap();
    let apply = ["schema", "apply", "--config", "worker.yaml.age"];
    let unopened = tool(&apply);
    assert_eq!(unopened.status.code(), Some(2), "{}", err(&unopened));
    let opened = tool(&[&apply[..], &["--identity", "identity"]].concat());
    assert_eq!(
        out(&opened),
        "made the worker's own table `dbal_idempotency`\nthe sqlite database fits the entities (1)\n",
        "{}",
        err(&opened)
    );
}

#[test]
fn whoever_looks_into_the_database_is_locked_in_like_the_daemon() {
    let place = Place::new(Some(LEGACY));
    for task in ["introspect", "check", "apply"] {
        place.entities("entity: users\nfields: {id: {type: text, primary: true}}\n");
        let mut worker = binaries::command("dbal-worker");
        let output = place.run(worker.args(["--config", "worker.yaml", "--schema", task]));
        assert!(output.status.success(), "{task}: {}", err(&output));
        let locked = err(&output);
        let locked = locked
            .lines()
            .find(|line| line.contains("locked in"))
            .unwrap_or_default();
        for layer in ["no_new_privs", "landlock_files", "landlock_tcp", "seccomp_probe"] {
            assert!(locked.contains(layer), "{task}: {}", err(&output));
        }
        let answer: Value = serde_json::from_str(&out(&output)).unwrap();
        assert_eq!(answer["adapter"], "sqlite");
    }
}
