//! Uuids as applications of MariaDB and MySQL keep them: sixteen octets (`BINARY(16)`), and MariaDB's own type, which has an order of
//! its own.

use std::sync::Arc;

use dbal_policy::{Policy, Subject};
use dbal_schema::{Schema, Source};
use dbal_servers::mariadb::MariaDb;
use dbal_servers::mysql::MySql;
use dbal_shared::fault::Code;
use dbal_shared::message::Reply;
use dbal_shared::plan::{Action, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use dbal_sql::ddl::create_tables;
use dbal_sql::{Dialect, MARIADB, MYSQL, ValidPlan};

use super::{Private, config};
use crate::database::Connections;
use crate::database::agreement::{
    Folding, agreement, every_type_comes_back_as_it_was_written as every_type_comes_back,
    selects_sorts_and_cuts_as_the_policy_evaluates as selects_sorts_and_cuts,
};
use crate::database::cases::{Bench, cases};
use crate::database::mysql::open;
use crate::database::running::Running;
use crate::database::trouble::Trouble;
use crate::fixture::Fixture;
use crate::generate::Fresh;

const OURS: &str = "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin";

/// The tables that the worker would make, but for their uuids.
fn made(server: &MariaDb, fixture: &Fixture, dialect: &'static Dialect, uuid: fn(&str) -> &str) -> String {
    let database = server.database();
    let statements = create_tables(fixture.policy.schema(), dialect).unwrap();
    let statements = statements
        .iter()
        .map(|one| one.sql().replace(OURS, uuid(one.sql())));
    let script: Vec<String> = statements.collect();
    assert!(!script.iter().any(|one| one.contains(OURS)));
    server.sql(
        &database,
        &format!("SET foreign_key_checks = 0; {}", script.join("; ")),
    );
    database
}

/// Uuids of a script as octets.
fn in_octets(script: &str) -> String {
    let parts = script.split('\'').enumerate().map(|(nth, part)| {
        if nth % 2 == 0 {
            return part.to_owned();
        }
        match part.parse::<uuid::Uuid>() {
            Ok(uuid) => format!("X'{}'", uuid.simple()),
            Err(_) => format!("'{part}'"),
        }
    });
    parts.collect()
}

/// MariaDB: what refers to one another in octets, what is compared with values alone in the type that MariaDB has for it.
struct InMariaDb(Private);

impl Bench for InMariaDb {
    const FOLDING: Folding = Folding::Simple;

    fn new(fixture: &Fixture) -> Self {
        let server = MariaDb::shared();
        let database = made(server, fixture, &MARIADB, |sql| {
            if sql.contains("`Sample`") {
                "UUID"
            } else {
                "BINARY(16)"
            }
        });
        Self(Private::of(server, database, fixture, in_octets))
    }

    fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
        self.0.run(plan)
    }

    fn execute(&self, sql: &str) {
        self.0.execute(&in_octets(sql));
    }
}

agreement!(InMariaDb);
cases!(@each InMariaDb:
    a_new_row_is_complete_and_comes_back_as_its_maker_may_read_it,
    a_row_out_of_reach_is_as_good_as_none,
    a_row_can_not_be_moved_out_of_what_its_writer_may_write,
    a_reference_to_nothing_and_a_row_still_referred_to_are_told_apart,
    deleting_cascades_where_the_entity_says_so,
    many_rows_are_made_or_none,
    many_rows_are_changed_or_none,
    an_upsert_updates_what_is_there_and_creates_what_is_not,
);
cases!(@each InMariaDb, relations:
    rows_are_found_by_linked_rows_that_the_caller_sees,
    included_rows_are_filtered_sorted_limited_selected_and_nested,
);
cases!(@each InMariaDb, pages:
    pages_by_cursor_are_the_whole_list_whatever_the_order_and_its_nulls,
);

mod in_mysql {
    //! The same where all of them are octets.

    use super::*;

    struct InMySql(Private);

    impl Bench for InMySql {
        const FOLDING: Folding = Folding::Simple;

        fn new(fixture: &Fixture) -> Self {
            let server = MySql::shared();
            let database = made(server, fixture, &MYSQL, |_| "BINARY(16)");
            Self(Private::of(server, database, fixture, in_octets))
        }

        fn run(&self, plan: &ValidPlan) -> Result<Reply, Trouble> {
            self.0.run(plan)
        }

        fn execute(&self, sql: &str) {
            self.0.execute(&in_octets(sql));
        }
    }

    cases!(@each InMySql:
        a_new_row_is_complete_and_comes_back_as_its_maker_may_read_it,
        a_row_out_of_reach_is_as_good_as_none,
        a_reference_to_nothing_and_a_row_still_referred_to_are_told_apart,
        many_rows_are_changed_or_none,
    );
    cases!(@each InMySql, relations:
        rows_are_found_by_linked_rows_that_the_caller_sees,
        included_rows_are_filtered_sorted_limited_selected_and_nested,
    );

    #[test]
    fn every_type_comes_back_as_it_was_written() {
        every_type_comes_back::<InMySql>();
    }

    #[test]
    fn it_selects_sorts_and_cuts_as_the_policy_evaluates() {
        selects_sorts_and_cuts::<InMySql>();
    }
}

#[test]
fn a_row_is_found_by_the_index_over_its_octets() {
    for server in [MariaDb::shared(), MySql::shared()] {
        let database = server.database();
        server.sql(
            &database,
            "CREATE TABLE t (id BINARY(16) PRIMARY KEY); INSERT INTO t VALUES (X'00000000000000000000000000000001'), \
             (X'00000000000000000000000000000002'), (X'00000000000000000000000000000003')",
        );
        let plan = server.sql(
            &database,
            "PREPARE asked FROM 'EXPLAIN SELECT * FROM t WHERE id = CAST(? AS BINARY)'; \
             SET @id = X'00000000000000000000000000000002'; EXECUTE asked USING @id",
        );
        // As MariaDB says it, and as MySQL does.
        let is_by_index = plan.contains("const") || plan.contains("Rows fetched before execution");
        assert!(is_by_index, "{plan}");
    }
}

const ENTITIES: &str = "
entity: Owner
table: owners
fields:
  id: {type: uuid, primary: true}
---
entity: Thing
table: things
fields:
  id:      {type: uuid, primary: true}
  ownerId: {type: uuid, required: true}
";

const RULES: &str = r#"
version: 1
roles: {user: {}}
rules:
  - {id: owners, entity: Owner, roles: [user], operations: [read, list]}
  - id: things
    entity: Thing
    roles: [user]
    operations: [read, list]
    rows: "NOT (ownerId IN (SELECT id FROM Owner))"
"#;

/// The database would find no two equal, and a rule that excludes would let everything through.
#[test]
fn a_rule_that_compares_octets_with_text_gives_no_answer() {
    let source = |text: &str| Source {
        name: "test.yaml".to_owned(),
        text: text.to_owned(),
    };
    let schema = Arc::new(Schema::parse(&[source(ENTITIES)]).unwrap().schema);
    let policy = Policy::parse(&source(RULES), Arc::clone(&schema)).unwrap().policy;
    let server = MariaDb::shared();
    for (owner, count) in [("CHAR(36)", None), ("BINARY(16)", Some(1))] {
        let database = server.database();
        server.sql(
            &database,
            &format!(
                "CREATE TABLE owners (id {owner} PRIMARY KEY); CREATE TABLE things (id BINARY(16) PRIMARY KEY, ownerId BINARY(16) \
                 NOT NULL); INSERT INTO things VALUES (X'00000000000000000000000000000001', X'00000000000000000000000000000002')"
            ),
        );
        let mut config = config(server, &database);
        config.create_tables = false;
        let connections = open(&config, &schema).unwrap();
        let subject: Subject = policy.subject(&Principal {
            id: Some("1".to_owned()),
            roles: vec!["user".to_owned()],
            ..Principal::default()
        });
        let action = Action::Count {
            filter: Predicate::True,
        };
        let entity = schema.by_name("Thing").unwrap().id;
        let grant = policy.decide(&subject, Plan { entity, action }).unwrap();
        let plan = ValidPlan::of_grant(grant, &schema, &mut Fresh::at(0)).unwrap();
        let told = Running::on(Connections::Mysql(connections)).call(plan);
        let told = told.map(|reply| crate::fixture::json(&reply));
        let told = told.map_err(|failure| failure.code);
        assert_eq!(told, count.map(Into::into).ok_or(Code::Internal), "{owner}");
    }
}
