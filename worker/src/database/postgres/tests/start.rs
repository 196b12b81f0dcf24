//! Which servers and tables are taken at start, which are refused and why, and what is served of those that are not our own.

use dbal_config::{ChannelBinding, Host, SslMode, Target};
use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::{Action, Direction, Page, SortKey, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::value::Value;

use super::super::open::open;
use super::{ADMIN, LONG, Private, config, soon, told};
use crate::database::Connections;
use crate::database::cases::Bench;
use crate::database::running::Running;
use crate::fixture::{ALICE, Fixture, text, uuid};

#[test]
fn a_server_that_takes_no_writes_is_refused_at_start_or_answers_that_it_is_unavailable() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    bench.sql(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        bench.name
    ));
    // Demoted underneath: the connections that there are go on until they meet it.
    bench.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let mut config = config(bench.server, &bench.name);
    let refused = open(&config, fixture.policy.schema()).err().unwrap();
    assert!(
        dbal_daemon::causes(&refused).contains("takes no writes"),
        "{refused:?}"
    );
    let outcome = bench.call(Private::create(&fixture, "a"));
    assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::Retry)));
    config.target = Target::Any;
    let connections = open(&config, fixture.policy.schema()).unwrap();
    drop(connections);
}

#[test]
fn what_cannot_work_is_refused_at_start_with_entity_field_and_column() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    for (change, expected) in [
        (
            "DROP TABLE \"Sample\" CASCADE",
            vec!["`Sample`", "there is no such table in the schema `public`"],
        ),
        (
            "ALTER TABLE \"Sample\" DROP COLUMN real",
            vec![
                "`Sample.real`",
                "(column `real` of the table `Sample`)",
                "no such column",
            ],
        ),
        (
            "ALTER TABLE \"Sample\" ALTER real TYPE text, ALTER day TYPE timestamptz",
            vec![
                "`Sample.real` (column `real` of the table `Sample`): its type is `text`, which can't hold what the field's \
                 type float needs (usable are float8, float4)",
                "`Sample.day`",
                "`timestamp with time zone`",
                "(usable are date)",
            ],
        ),
        (
            "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
            ALTER TABLE \"Note\" ALTER slug TYPE text COLLATE any_case",
            vec![
                "`Note.slug`",
                "`text COLLATE any_case`",
                "texts that are different are equal there",
            ],
        ),
        (
            "REVOKE SELECT ON \"Sample\" FROM current_user",
            vec!["`Sample.real`", "no right to read it"],
        ),
    ] {
        let name = server.database();
        let mut config = config(server, &name);
        open(&config, fixture.policy.schema()).unwrap();
        let change = change.replace("FROM current_user", &format!("FROM {name}"));
        server.sql(&name, &change);
        config.create_tables = false;
        let refused = dbal_daemon::causes(&open(&config, fixture.policy.schema()).err().unwrap());
        for part in expected {
            assert!(refused.contains(part), "{change}: {refused}");
        }
    }
}

#[test]
fn arrays_are_json_arrays_of_what_a_field_of_their_elements_type_would_be() {
    let fixture = Fixture::new();
    for (kind, stored, json, wrong) in [
        ("text[]", "{a,NULL,\"b,c\"}", "[\"a\",null,\"b,c\"]", "[1]"),
        ("varchar(3)[]", "{abc}", "[\"abc\"]", "[\"abcd\"]"),
        ("int4[]", "{1,-2}", "[1,-2]", "[1.5]"),
        (
            "uuid[]",
            "{11111111-1111-1111-1111-111111111111}",
            "[\"11111111-1111-1111-1111-111111111111\"]",
            "[\"1\"]",
        ),
        ("numeric(9,2)[]", "{1.50}", "[\"1.5\"]", "{\"a\":1}"),
        (
            "timestamptz[]",
            "{2024-01-15 10:30:00Z}",
            "[\"2024-01-15T10:30:00.000Z\"]",
            "[\"now\"]",
        ),
        ("st[]", "{on,off}", "[\"on\",\"off\"]", "[\"new\"]"),
        (
            "bool[]",
            "{{t,f},{f,NULL}}",
            "[[true,false],[false,null]]",
            "[[true],[]]",
        ),
        ("tags", "{}", "[]", "[\"1\",\"2\",\"3\",\"4\"]"),
    ] {
        let bench = Private::new(&fixture);
        bench.sql(&format!(
            "CREATE TYPE st AS ENUM ('on', 'off'); CREATE DOMAIN tags AS text[] CHECK (array_length(value, 1) < 4); \
             ALTER TABLE \"Sample\" DROP json, ADD json {kind}; INSERT INTO \"Sample\" (id, json) VALUES (1, '{stored}')"
        ));
        let run = |action| {
            let told = bench.call(fixture.plan(ADMIN, "Sample", action));
            told.map(|reply| serde_json::from_str::<serde_json::Value>(&reply.json).unwrap())
                .map_err(|failure| failure.code)
        };
        let row =
            |json: &str| serde_json::from_str::<serde_json::Value>(&format!("{{\"json\":{json}}}")).unwrap();
        let values = |json: &str| {
            let value = if json == "null" {
                Value::Null
            } else {
                Value::Json(json.to_owned())
            };
            fixture.values("Sample", &[("json", value)])
        };
        let projection = fixture.projection("Sample", &["json"]);
        let read = |id| {
            run(Action::Read {
                target: fixture.target("Sample", "id", Value::Int(id)),
                projection: projection.clone(),
                includes: Vec::new(),
            })
        };
        assert_eq!(read(1).unwrap(), row(json), "{kind}");
        let create = |id, json: &str| {
            let mut all = values(json);
            all.extend(fixture.values("Sample", &[("id", Value::Int(id))]));
            run(Action::Create {
                values: all,
                projection: projection.clone(),
            })
        };
        assert_eq!(create(2, json).unwrap(), row(json), "{kind}");
        assert_eq!(
            bench.sql("SELECT count(DISTINCT json) FROM \"Sample\""),
            "1",
            "{kind}"
        );
        assert_eq!(create(3, wrong), Err(Code::Invalid), "{kind}");
        for (id, other) in [(4, "null"), (5, "[]")] {
            assert_eq!(create(id, other).unwrap(), row(other), "{kind}");
            assert_eq!(read(id).unwrap(), row(other), "{kind}");
        }
        let filter = Predicate::IsNull {
            column: projection[0],
        };
        assert_eq!(run(Action::Count { filter }), Ok(1.into()), "{kind}");
    }
}

#[test]
fn tables_that_were_there_before_are_served_in_their_own_types() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    bench.sql(
        "CREATE TYPE st AS ENUM ('published', 'locked', 'draft'); \
         CREATE DOMAIN amount AS numeric(12, 4); \
         ALTER TABLE \"Note\" ALTER state TYPE st USING state::st, ALTER price TYPE amount, \
            ALTER \"createdAt\" TYPE timestamp, ALTER rank TYPE int2, ALTER slug TYPE varchar(10); \
         ALTER TABLE \"Comment\" DROP CONSTRAINT \"Comment_noteId_fkey\"; \
         ALTER TABLE \"Note\" ALTER id TYPE char(36); ALTER TABLE \"Comment\" ALTER \"noteId\" TYPE char(36); \
         ALTER TABLE \"Sample\" ALTER json TYPE jsonb, ALTER real TYPE float4",
    );
    // The connections have what they prepared before.
    let create = |values: &[(&str, Value)]| {
        let mut all = vec![("ownerId", uuid(ALICE))];
        all.extend_from_slice(values);
        let action = Action::Create {
            values: fixture.values("Note", &all),
            projection: fixture.projection("Note", &["id", "state", "price", "rank", "createdAt"]),
        };
        bench.call(fixture.plan((ALICE, "user"), "Note", action))
    };
    let made = create(&[
        ("slug", text("a")),
        ("state", text("published")),
        ("price", Value::Decimal("12.5".to_owned())),
        ("rank", Value::Int(7)),
    ]);
    let made: serde_json::Value = serde_json::from_str(&made.unwrap().json).unwrap();
    assert_eq!(made["price"], "12.5");
    assert_eq!(made["createdAt"], "2024-01-15T10:30:00.000Z");
    let read = Action::Read {
        target: fixture.target("Note", "id", uuid(made["id"].as_str().unwrap())),
        projection: fixture.projection("Note", &["id", "state", "price", "rank", "createdAt"]),
        includes: Vec::new(),
    };
    let again = bench.call(fixture.plan((ALICE, "user"), "Note", read)).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&again.json).unwrap(),
        made
    );
    // By code point, and enums by name, whatever the database would do by itself.
    for (slug, state) in [("B", "draft"), ("b", "draft"), ("Ä", "draft")] {
        create(&[("slug", text(slug)), ("state", text(state))]).unwrap();
    }
    let key = |name| SortKey {
        column: fixture.column("Note", name),
        direction: Direction::Ascending,
    };
    let list = Action::List {
        filter: Predicate::True,
        order: vec![key("state"), key("slug")],
        page: Page { number: 1, limit: 10 },
        total: Total::Counted,
        projection: fixture.projection("Note", &["slug"]),
        includes: Vec::new(),
        cursor: None,
    };
    let list = bench.call(fixture.plan(ADMIN, "Note", list)).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list.json).unwrap();
    let slugs: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["slug"].as_str().unwrap())
        .collect();
    assert_eq!(slugs, ["B", "b", "Ä", "a"]);
    // What the column can't hold is refused, and what it can't hold can still be asked for.
    for values in [
        [("slug", text("too long for it")), ("rank", Value::Int(1))],
        [("slug", text("b")), ("rank", Value::Int(40_000))],
    ] {
        assert_eq!(
            told(&create(&values)),
            Some((Code::Invalid, Advice::Final)),
            "{values:?}"
        );
    }
    let filter = fixture.eq("Note", "rank", Value::Int(40_000));
    let none = bench
        .call(fixture.plan(ADMIN, "Note", Action::Count { filter }))
        .unwrap();
    assert_eq!(none.json, "0");
}

/// Or `alice ` would be `alice`.
#[test]
fn a_text_that_ends_with_a_blank_is_another_one_where_a_column_is_filled_up_with_blanks() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    bench.sql(
        "ALTER TABLE \"Note\" ALTER slug TYPE char(10); ALTER TABLE \"User\" ALTER username TYPE char(10)",
    );
    // A worker that finds it so.
    let connections = open(&config(bench.server, &bench.name), fixture.policy.schema()).unwrap();
    let running = Running::on(Connections::Postgres(connections));
    running.call(Private::create(&fixture, "a")).unwrap();
    let count = |filter| {
        let plan = fixture.plan(ADMIN, "Note", Action::Count { filter });
        running.call(plan).unwrap().json
    };
    let column = fixture.column("Note", "slug");
    for (slug, is_it) in [("a", true), ("a ", false), ("a  ", false), (" a", false)] {
        let one = if is_it { "1" } else { "0" };
        assert_eq!(count(fixture.eq("Note", "slug", text(slug))), one, "{slug:?}");
        let values = vec![text("x"), text(slug)];
        assert_eq!(count(Predicate::In { column, values }), one, "{slug:?}");
        let other = Predicate::Compare {
            column,
            op: Comparison::Ne,
            value: text(slug),
        };
        assert_eq!(count(other), if is_it { "0" } else { "1" }, "{slug:?}");
        let update = Action::UpdateMany {
            filter: fixture.eq("Note", "slug", text(slug)),
            values: fixture.values("Note", &[("rank", Value::Int(7))]),
        };
        let changed = running.call(fixture.plan(ADMIN, "Note", update)).unwrap();
        assert_eq!(changed.json, one, "{slug:?}");
    }
    // Nor does a key name a row that has another one.
    for (username, is_it) in [("alice", true), ("alice ", false)] {
        let read = Action::Read {
            target: fixture.target("User", "username", text(username)),
            projection: fixture.projection("User", &["username"]),
            includes: Vec::new(),
        };
        let answer = running.call(fixture.plan(ADMIN, "User", read));
        assert_eq!(answer.is_ok(), is_it, "{username:?} {answer:?}");
    }
}

#[test]
fn a_constraint_that_is_looked_at_at_the_commit_is_no_success() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    bench.sql(
        "ALTER TABLE \"User\" ADD CONSTRAINT late UNIQUE (username) DEFERRABLE INITIALLY DEFERRED; \
        ALTER TABLE \"User\" DROP CONSTRAINT \"User_username_key\"",
    );
    let action = Action::Create {
        values: fixture.values("User", &[("username", text("alice"))]),
        projection: fixture.projection("User", &["username"]),
    };
    let outcome = bench.call(fixture.plan(ADMIN, "User", action));
    assert_eq!(told(&outcome), Some((Code::Conflict, Advice::Final)));
    assert_eq!(bench.sql("SELECT count(*) FROM \"User\""), "2");
}

#[test]
fn each_ssl_mode_lets_in_whom_it_says_and_nobody_else() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    let stranger = Postgres::start();
    let alias = |address: &str| {
        vec![Host::Tcp {
            name: address.to_owned(),
            port: None,
        }]
    };
    // The certificate is for localhost and 127.0.0.1; the server listens on 127.0.0.2 as well.
    for (mode, ca_file, host, is_let_in) in [
        (SslMode::Disable, None, "localhost", true),
        (SslMode::Prefer, None, "localhost", true),
        (SslMode::Require, None, "localhost", true),
        (SslMode::Require, Some(stranger.ca_file()), "localhost", false),
        (SslMode::VerifyCa, Some(server.ca_file()), "localhost", true),
        (SslMode::VerifyCa, Some(server.ca_file()), "127.0.0.2", true),
        (SslMode::VerifyCa, Some(stranger.ca_file()), "localhost", false),
        (SslMode::VerifyFull, Some(server.ca_file()), "127.0.0.1", true),
        (SslMode::VerifyFull, Some(server.ca_file()), "127.0.0.2", false),
        (SslMode::VerifyFull, Some(stranger.ca_file()), "localhost", false),
    ] {
        let mut config = config(server, &name);
        config.ssl_mode = mode;
        config.ca_file = ca_file;
        config.host = alias(host);
        let opened = open(&config, fixture.policy.schema());
        assert_eq!(opened.is_ok(), is_let_in, "{mode:?} {host}: {:?}", opened.err());
    }
    let mut config = config(server, &name);
    config.password = Some("wrong".into());
    let refused = dbal_daemon::causes(&open(&config, fixture.policy.schema()).err().unwrap());
    assert!(refused.contains("password authentication failed"), "{refused}");
    config.host = vec![Host::Folder(server.folder().to_owned())];
    config.password = Some(PASSWORD.into());
    open(&config, fixture.policy.schema()).unwrap();
    config.port = 1;
    let refused = dbal_daemon::causes(&open(&config, fixture.policy.schema()).err().unwrap());
    assert!(refused.contains("can't be reached"), "{refused}");
}

#[test]
fn a_proof_that_must_be_bound_is_given_to_no_server_that_does_not_bind_it() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    let opened = |ssl_mode, channel_binding, host: Option<Host>| {
        let mut config = config(server, &name);
        config.ssl_mode = ssl_mode;
        config.channel_binding = channel_binding;
        config.host = host.map_or(config.host, |host| vec![host]);
        open(&config, fixture.policy.schema()).map_err(|error| dbal_daemon::causes(&error))
    };
    let required = ChannelBinding::Require;
    opened(SslMode::VerifyFull, required, None).unwrap();
    opened(SslMode::Prefer, required, None).unwrap();
    let socket = Host::Folder(server.folder().to_owned());
    for refused in [
        opened(SslMode::Disable, required, None),
        opened(SslMode::VerifyFull, required, Some(socket)),
    ] {
        let refused = refused.err().unwrap();
        assert!(refused.contains("channel binding"), "{refused}");
    }
    // Over TLS, but whoever answers could ask for the password itself, or for nothing.
    for method in ["password", "trust"] {
        server.let_in(&format!("hostssl {name} {name} 127.0.0.0/8 {method}"));
        soon("the server asks otherwise", LONG, || {
            opened(SslMode::VerifyFull, required, None).is_err()
        });
        let refused = opened(SslMode::VerifyFull, required, None).err().unwrap();
        assert!(refused.contains("channel binding"), "{method}: {refused}");
        for less in [ChannelBinding::Prefer, ChannelBinding::Disable] {
            opened(SslMode::VerifyFull, less, None).unwrap();
        }
    }
}

#[test]
fn of_several_servers_the_one_that_takes_writes_is_used() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let stranger = Postgres::start();
    let bench = Private::on(server, &fixture, |config| {
        let host = |port| Host::Tcp {
            name: "localhost".to_owned(),
            port: Some(port),
        };
        config.ssl_mode = SslMode::Require;
        config.ca_file = None;
        // Nobody; a server that does not know us; the right one.
        config.host = vec![host(1), host(stranger.port()), host(server.port())];
    });
    assert!(bench.call(Private::read(&fixture, ALICE)).is_ok());
}
