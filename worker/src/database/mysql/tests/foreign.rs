//! Tables that were there before: collations without case, enums, bits, unsigned numbers, native uuids, and rows of the table
//! that is written itself.

use std::sync::Arc;

use dbal_policy::{Policy, Subject};
use dbal_schema::{Schema, Source};
use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;
use dbal_shared::fault::Code;
use dbal_shared::plan::{Action, Assignment, Direction, Page, Plan, SortKey, Target, Total};
use dbal_shared::predicate::{Case, Comparison, Predicate, TextPosition};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_sql::{Dialect, MARIADB, MARIADB_FOREIGN, MYSQL, MYSQL_FOREIGN, ValidPlan};

use super::config;
use crate::database::Connections;
use crate::database::mysql::open;
use crate::database::running::Running;
use crate::fixture::json;
use crate::generate::Fresh;

const ENTITIES: &str = r"
entity: Thing
table: things
fields:
  id:     {type: bigint, primary: true}
  name:   {type: string, required: true, column: Name}
  latin:  {type: string, nullable: true}
  state:  {type: enum, values: [zero, alpha, mid], required: true}
  flag:   {type: boolean, required: true}
  tiny:   {type: boolean, required: true}
  key:    {type: uuid, nullable: true}
  price:  {type: decimal, nullable: true}
  seen:   {type: datetime, nullable: true}
  doc:    {type: json, nullable: true}
  parentId: {type: bigint, nullable: true, foreign_key: {entity: Thing, field: id, on_delete: restrict}}
";

const TABLE: &str = "CREATE TABLE things (
  id BIGINT UNSIGNED PRIMARY KEY,
  Name VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL UNIQUE,
  latin VARCHAR(40) CHARACTER SET latin1,
  state ENUM('zero', 'alpha', 'mid') NOT NULL,
  flag BIT(1) NOT NULL,
  tiny TINYINT(1) NOT NULL,
  `key` UUID,
  price DECIMAL(10, 2),
  seen TIMESTAMP(3) NULL,
  doc JSON,
  parentId BIGINT UNSIGNED,
  FOREIGN KEY (parentId) REFERENCES things (id))";

/// As MySQL's own default makes texts: blind to case and accents.
const MYSQL_TABLE: &str = "CREATE TABLE things (
  id BIGINT UNSIGNED PRIMARY KEY,
  Name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci NOT NULL UNIQUE,
  latin VARCHAR(40) CHARACTER SET latin1,
  state ENUM('zero', 'alpha', 'mid') NOT NULL,
  flag BIT(1) NOT NULL,
  tiny TINYINT(1) NOT NULL,
  `key` CHAR(36) COLLATE utf8mb4_0900_ai_ci,
  price DECIMAL(10, 2),
  seen TIMESTAMP(3) NULL,
  doc JSON,
  parentId BIGINT UNSIGNED,
  FOREIGN KEY (parentId) REFERENCES things (id))";

const RULES: &str = r#"
version: 1
roles: {admin: {}, child: {}}
rules:
  - {id: all, entity: Thing, roles: [admin], operations: [read, list, create, update, delete], fields: {read: ["*"], write: ["*", id]}, allow_unfiltered: true}
  - id: children
    entity: Thing
    roles: [child]
    operations: [read, list, create, update, delete]
    rows: "parentId IN (SELECT id FROM Thing WHERE state = 'alpha')"
    check: "parentId IN (SELECT id FROM Thing WHERE state = 'alpha')"
    fields: {read: ["*"], write: ["*", id]}
limits:
  admin: {max_complexity: 100000, max_rows: 1000}
  child: {max_complexity: 100000, max_rows: 1000}
"#;

struct World {
    server: &'static MariaDb,
    database: String,
    policy: Arc<Policy>,
    running: Running,
    dialect: &'static Dialect,
    /// Fields that the last failure named.
    named: Vec<String>,
}

impl World {
    /// With another dialect than the one that was found, if one is given.
    fn new(table: &str, dialect: Option<&'static Dialect>) -> Result<Self, String> {
        Self::on(MariaDb::shared(), table, dialect)
    }

    fn mysql() -> Self {
        Self::on(MySql::shared(), MYSQL_TABLE, None).unwrap()
    }

    fn on(server: &'static MariaDb, table: &str, dialect: Option<&'static Dialect>) -> Result<Self, String> {
        let source = |text: &str| Source {
            name: "test.yaml".to_owned(),
            text: text.to_owned(),
        };
        let schema = Arc::new(Schema::parse(&[source(ENTITIES)]).unwrap().schema);
        let policy = Policy::parse(&source(RULES), Arc::clone(&schema)).unwrap().policy;
        let database = server.database();
        server.sql(&database, table);
        let mut config = config(server, &database);
        config.create_tables = false;
        let mut connections = open(&config, &schema).map_err(|error| error.to_string())?;
        if let Some(dialect) = dialect {
            connections.server.dialect = dialect;
            connections.server.new_rows = None;
        }
        let dialect = connections.server.dialect;
        Ok(Self {
            server,
            database,
            policy: Arc::new(policy),
            running: Running::on(Connections::Mysql(connections)),
            dialect,
            named: Vec::new(),
        })
    }

    fn subject(&self, role: &str) -> Subject {
        self.policy.subject(&Principal {
            id: Some("1".to_owned()),
            roles: vec![role.to_owned()],
            ..Principal::default()
        })
    }

    fn run(&mut self, role: &str, action: Action) -> Result<serde_json::Value, Code> {
        let entity = self.policy.schema().by_name("Thing").unwrap().id;
        let grant = self
            .policy
            .decide(&self.subject(role), Plan { entity, action })
            .unwrap();
        let plan = ValidPlan::of_grant(grant, self.policy.schema(), &mut Fresh::at(0)).unwrap();
        let outcome = self.running.call(plan);
        let entity = self.policy.schema().by_name("Thing").unwrap();
        let name = |column| entity.column(column).unwrap().name.clone();
        outcome.map(|reply| json(&reply)).map_err(|failure| {
            self.named = failure.fields.iter().map(|(column, _)| name(*column)).collect();
            failure.code
        })
    }

    fn column(&self, name: &str) -> dbal_shared::ids::ColumnId {
        let entity = self.policy.schema().by_name("Thing").unwrap();
        entity.column_by_name(name).unwrap().id
    }

    fn values(&self, values: &[(&str, Value)]) -> Vec<Assignment> {
        let one = |(name, value): &(&str, Value)| Assignment {
            column: self.column(name),
            value: value.clone(),
        };
        values.iter().map(one).collect()
    }

    fn target(&self, id: i64) -> Target {
        Target {
            column: self.column("id"),
            value: Value::Int(id),
        }
    }

    fn thing(&mut self, id: i64, name: &str, more: &[(&str, Value)]) -> Result<serde_json::Value, Code> {
        let mut values = vec![("id", Value::Int(id)), ("name", text(name))];
        let given = |name: &str| more.iter().any(|(given, _)| *given == name);
        if !given("state") {
            values.push(("state", text("zero")));
        }
        for flag in ["flag", "tiny"] {
            if !given(flag) {
                values.push((flag, Value::Bool(false)));
            }
        }
        values.extend_from_slice(more);
        let values = self.values(&values);
        let projection = self
            .values(&values_of_all())
            .iter()
            .map(|one| one.column)
            .collect();
        self.run("admin", Action::Create { values, projection })
    }

    fn ids(&mut self, filter: Predicate, order: &str) -> Vec<u64> {
        let action = Action::List {
            filter,
            order: vec![SortKey {
                column: self.column(order),
                direction: Direction::Ascending,
            }],
            page: Page {
                number: 1,
                limit: 100,
            },
            cursor: None,
            total: Total::Counted,
            includes: Vec::new(),
            projection: vec![self.column("id")],
        };
        let list = self.run("admin", action).unwrap();
        let rows = list["data"].as_array().unwrap();
        rows.iter()
            .map(|row| {
                row["id"]
                    .as_str()
                    .map_or_else(|| row["id"].as_u64().unwrap(), |id| id.parse().unwrap())
            })
            .collect()
    }
}

fn values_of_all() -> Vec<(&'static str, Value)> {
    [
        "id", "name", "latin", "state", "flag", "tiny", "key", "price", "seen", "doc", "parentId",
    ]
    .map(|name| (name, Value::Null))
    .to_vec()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn compare(column: dbal_shared::ids::ColumnId, op: Comparison, value: Value) -> Predicate {
    Predicate::Compare { column, op, value }
}

#[test]
fn a_table_of_others_is_served_as_it_is() {
    let world = World::new(TABLE, None).unwrap();
    assert_eq!(world.dialect.around_text, MARIADB_FOREIGN.around_text);
    is_served_as_it_is(world);
}

#[test]
fn a_table_of_others_in_mysql_is_served_as_it_is() {
    let world = World::mysql();
    assert_eq!(world.dialect.around_text, MYSQL_FOREIGN.around_text);
    is_served_as_it_is(world);
}

fn is_served_as_it_is(mut world: World) {
    let made = world
        .thing(
            i64::MAX,
            "Ünë",
            &[
                ("latin", text("é")),
                ("state", text("alpha")),
                ("flag", Value::Bool(true)),
                ("tiny", Value::Bool(true)),
                ("key", Value::Uuid([0xab; 16])),
                ("price", Value::Decimal("12.5".to_owned())),
                ("seen", Value::Timestamp(1_705_314_600_123)),
                ("doc", Value::Json("{\"a\": [1]}".to_owned())),
            ],
        )
        .unwrap();
    assert_eq!((&made["name"], &made["latin"]), (&"Ünë".into(), &"é".into()));
    assert_eq!((&made["flag"], &made["tiny"]), (&true.into(), &true.into()));
    assert_eq!(made["key"], "abababab-abab-abab-abab-abababababab");
    assert_eq!(
        (&made["price"], &made["state"]),
        (&"12.5".into(), &"alpha".into())
    );
    assert_eq!(made["seen"], "2024-01-15T10:30:00.123Z");
    for (name, value) in [
        ("id", Value::Int(i64::MAX)),
        ("name", text("Ünë")),
        ("latin", text("é")),
        ("state", text("alpha")),
        ("flag", Value::Bool(true)),
        ("tiny", Value::Bool(true)),
        ("key", Value::Uuid([0xab; 16])),
        ("price", Value::Decimal("12.5".to_owned())),
        ("seen", Value::Timestamp(1_705_314_600_123)),
    ] {
        let filter = compare(world.column(name), Comparison::Eq, value);
        assert_eq!(world.ids(filter, "id").len(), 1, "{name}");
    }
    // The column would take these for equal to what is there.
    for other in ["ünë", "Une", "Ünë ", "ÜNË"] {
        let filter = compare(world.column("name"), Comparison::Eq, text(other));
        assert_eq!(world.ids(filter, "id"), Vec::<u64>::new(), "{other}");
        let values = vec![text(other), text("?")];
        let column = world.column("name");
        assert_eq!(
            world.ids(Predicate::In { column, values }, "id"),
            Vec::<u64>::new(),
            "{other}"
        );
    }
    // A number that an unsigned column can't hold, one beyond what a decimal has place for, a text that latin1 has not.
    assert_eq!(world.thing(-1, "negative", &[]), Err(Code::Invalid));
    assert_eq!(world.named, ["id"]);
    assert_eq!(world.thing(1, &"n".repeat(41), &[]), Err(Code::Invalid));
    assert_eq!(world.named, ["name"]);
    let decimal = |digits: &str| Value::Decimal(digits.to_owned());
    let fine = format!("0.{}1", "0".repeat(30));
    for (field, value) in [
        ("price", decimal("123456789.5")),
        ("price", decimal(&"9".repeat(66))),
        ("price", decimal(&fine)),
        ("latin", text("😀")),
    ] {
        // MySQL itself does not say where such letters were to stand.
        let is_told = field != "latin" || world.dialect.around_text == MARIADB_FOREIGN.around_text;
        let named: Vec<&str> = is_told.then_some(field).into_iter().collect();
        let values = [(field, value)];
        assert_eq!(world.thing(1, "large", &values), Err(Code::Invalid), "{field}");
        assert_eq!(world.named, named);
        let (target, values) = (world.target(i64::MAX), world.values(&values));
        let projection = vec![world.column("id")];
        let update = Action::Update {
            target,
            values: values.clone(),
            projection,
        };
        let filter = compare(world.column("id"), Comparison::Eq, Value::Int(i64::MAX));
        for change in [update, Action::UpdateMany { filter, values }] {
            world.named.clear();
            assert_eq!(world.run("admin", change), Err(Code::Invalid), "{field}");
            assert_eq!(world.named, named);
        }
    }
    let filter = compare(world.column("price"), Comparison::Lt, decimal(&fine));
    assert_eq!(world.run("admin", Action::Count { filter }), Err(Code::Invalid));
    assert_eq!(world.named, ["price"]);
    let filter = compare(world.column("latin"), Comparison::Eq, text("😀"));
    assert_eq!(world.run("admin", Action::Count { filter }), Err(Code::Invalid));
    assert_eq!(world.ids(Predicate::True, "id").len(), 1);
}

#[test]
fn texts_of_others_are_sorted_and_matched_by_code_point() {
    are_sorted_and_matched_by_code_point(World::new(TABLE, None).unwrap());
}

#[test]
fn texts_of_others_in_mysql_are_sorted_and_matched_by_code_point() {
    are_sorted_and_matched_by_code_point(World::mysql());
}

fn are_sorted_and_matched_by_code_point(mut world: World) {
    for (id, name, state) in [
        (1, "b", "zero"),
        (2, "a", "mid"),
        (3, "C", "alpha"),
        (4, "ö", "alpha"),
    ] {
        world.thing(id, name, &[("state", text(state))]).unwrap();
    }
    assert_eq!(world.ids(Predicate::True, "name"), [3, 2, 1, 4]);
    assert_eq!(world.ids(Predicate::True, "state"), [3, 4, 2, 1]);
    let below = compare(world.column("name"), Comparison::Lt, text("a"));
    assert_eq!(world.ids(below, "id"), [3]);
    let matches = |column, part: &str, case| Predicate::Matches {
        column,
        position: TextPosition::Contains,
        text: part.to_owned(),
        case,
    };
    let (name, state) = (world.column("name"), world.column("state"));
    assert_eq!(
        world.ids(matches(name, "c", Case::Sensitive), "id"),
        Vec::<u64>::new()
    );
    assert_eq!(world.ids(matches(name, "c", Case::Insensitive), "id"), [3]);
    assert_eq!(world.ids(matches(state, "lph", Case::Sensitive), "id"), [3, 4]);
}

/// MySQL takes no subquery about the table that is written (error 1093): it gets the rows from a copy. MariaDB takes both.
#[test]
fn a_rule_about_other_rows_of_the_same_table_holds_in_writes() {
    for mut world in [
        World::new(TABLE, None).unwrap(),
        World::new(TABLE, Some(&COPYING)).unwrap(),
        World::mysql(),
    ] {
        world.thing(1, "open", &[("state", text("alpha"))]).unwrap();
        world.thing(2, "closed", &[]).unwrap();
        for (id, parent) in [(11, 1), (12, 1), (21, 2)] {
            let name = format!("child{id}");
            world
                .thing(id, &name, &[("parentId", Value::Int(parent))])
                .unwrap();
        }
        let set = |world: &mut World, id: i64, values: &[(&str, Value)]| {
            let action = Action::Update {
                target: world.target(id),
                values: world.values(values),
                projection: vec![world.column("name")],
            };
            world.run("child", action)
        };
        let renamed = set(&mut world, 11, &[("name", text("renamed"))]);
        assert_eq!(renamed, Ok(serde_json::json!({"name": "renamed"})));
        assert_eq!(set(&mut world, 21, &[("name", text("no"))]), Err(Code::NotFound));
        let moved = set(&mut world, 11, &[("parentId", Value::Int(2))]);
        assert_eq!(moved, Err(Code::Forbidden), "out of reach of its writer");
        let many = Action::UpdateMany {
            filter: compare(world.column("id"), Comparison::Gt, Value::Int(10)),
            values: world.values(&[("flag", Value::Bool(true))]),
        };
        assert_eq!(world.run("child", many), Ok(2.into()));
        let removed = |world: &mut World, id| {
            let target = world.target(id);
            world.run("child", Action::Delete { target })
        };
        assert_eq!(removed(&mut world, 21), Ok(false.into()));
        assert_eq!(removed(&mut world, 12), Ok(true.into()));
        assert_eq!(world.ids(Predicate::True, "id"), [1, 2, 11, 21]);
        let create = |world: &mut World, id: i64, parent: i64| {
            let name = format!("new{id}");
            let values = world.values(&[
                ("id", Value::Int(id)),
                ("name", text(&name)),
                ("state", text("zero")),
                ("flag", Value::Bool(false)),
                ("tiny", Value::Bool(false)),
                ("parentId", Value::Int(parent)),
            ]);
            let projection = vec![world.column("id")];
            world.run("child", Action::Create { values, projection })
        };
        assert!(create(&mut world, 13, 1).is_ok());
        assert_eq!(create(&mut world, 22, 2), Err(Code::Forbidden));
    }
}

/// MariaDB's words, and MySQL's way with subqueries.
static COPYING: Dialect = Dialect {
    own_rows: MYSQL.own_rows,
    around_text: MARIADB_FOREIGN.around_text,
    ..MARIADB
};

#[test]
fn a_trigger_that_makes_a_row_what_may_not_be_written_is_noticed() {
    let mut world = World::new(TABLE, None).unwrap();
    world.thing(1, "open", &[("state", text("alpha"))]).unwrap();
    world.thing(2, "closed", &[]).unwrap();
    world.thing(11, "child", &[("parentId", Value::Int(1))]).unwrap();
    world.server.sql(
        &world.database,
        "CREATE TRIGGER moved BEFORE UPDATE ON things FOR EACH ROW SET NEW.parentId = 2",
    );
    let one = Action::Update {
        target: world.target(11),
        values: world.values(&[("name", text("moved"))]),
        projection: vec![world.column("name")],
    };
    assert_eq!(world.run("child", one), Err(Code::Forbidden));
    let many = Action::UpdateMany {
        filter: compare(world.column("id"), Comparison::Eq, Value::Int(11)),
        values: world.values(&[("name", text("moved"))]),
    };
    assert_eq!(world.run("child", many), Err(Code::Forbidden));
    let names = world
        .server
        .sql(&world.database, "SELECT Name, parentId FROM things WHERE id = 11");
    assert_eq!(names.trim(), "child\t1", "rolled back");
}

#[test]
fn a_table_that_does_not_fit_is_told_by_entity_field_and_column() {
    for (from, to, words) in [
        (
            "Name VARCHAR(40)",
            "title VARCHAR(40)",
            ["`Thing.name`", "`Name`", "no such column"],
        ),
        (
            "flag BIT(1)",
            "flag VARCHAR(5)",
            ["`Thing.flag`", "`flag`", "varchar"],
        ),
        (
            "`key` UUID",
            "`key` BINARY(15)",
            ["`Thing.key`", "`key`", "binary"],
        ),
        (
            "CREATE TABLE things",
            "CREATE TABLE thing",
            ["`Thing`", "`things`", "dbal schema apply"],
        ),
    ] {
        let table = TABLE.replace(from, to).replace(
            "REFERENCES things",
            if from.starts_with("CREATE") {
                "REFERENCES thing"
            } else {
                "REFERENCES things"
            },
        );
        let complaint = World::new(&table, None).err().unwrap();
        for word in words {
            assert!(complaint.contains(word), "{complaint}");
        }
    }
}
