//! Reads that go together, behind one another or one by one get the same; changes that are their own transaction are as safe
//! as those in one.

use std::time::Duration;

use dbal_servers::postgres::Postgres;
use dbal_servers::proxy;
use dbal_shared::fault::Code;
use dbal_shared::message::Advice;
use dbal_shared::plan::Action;
use dbal_shared::value::Value;
use dbal_sql::ValidPlan;

use super::super::open::open;
use super::faults::Locked;
use super::{ADMIN, LONG, Private, config, soon, told};
use crate::database::Connections;
use crate::database::cases::Bench;
use crate::database::gathered::{self, all, fill, id};
use crate::database::running::Running;
use crate::fixture::{ALICE, BOB, Fixture, json, text, uuid};

fn went_together(bench: &Private<'_>) -> bool {
    let asked = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'dbal-worker' \
         AND datname = current_database() AND query LIKE '%= ANY($%'";
    bench.sql(asked) == "t"
}

/// One by one a row may refer to those before it and to no later one, whether or not the entity knows of it.
#[test]
fn new_rows_do_not_go_together_where_only_the_database_knows_that_they_refer_to_one_another() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let name = server.database();
    let config = config(server, &name);
    drop(open(&config, fixture.policy.schema()).unwrap());
    server.sql(
        &name,
        "ALTER TABLE \"Sample\" ADD FOREIGN KEY (whole) REFERENCES \"Sample\" (id)",
    );
    let running = Running::on(Connections::Postgres(
        open(&config, fixture.policy.schema()).unwrap(),
    ));
    let create = |rows: &[(i64, Value)]| {
        let row = |(id, whole): &(i64, Value)| {
            fixture.values("Sample", &[("id", Value::Int(*id)), ("whole", whole.clone())])
        };
        let rows = rows.iter().map(row).collect();
        running.call(fixture.plan(ADMIN, "Sample", Action::CreateMany { rows }))
    };
    let later = create(&[(1, Value::Int(2)), (2, Value::Null)]);
    assert_eq!(told(&later), Some((Code::Invalid, Advice::Final)));
    assert_eq!(server.sql(&name, "SELECT count(*) FROM \"Sample\""), "0");
    let earlier = create(&[(1, Value::Null), (2, Value::Int(1)), (3, Value::Int(2))]);
    assert_eq!(earlier.unwrap().json, "3");
}

#[test]
fn reads_that_go_together_behind_one_another_or_one_by_one_get_the_same_beside_writers() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    gathered::fill(&bench);
    bench.sql(&format!(
        "UPDATE \"Note\" SET \"createdAt\" = 'infinity' WHERE id = '{}'",
        gathered::id(gathered::UNREADABLE)
    ));
    // The server tells what each connection ran last.
    gathered::get_the_same_as_alone(&fixture, &bench.running, &mut |_| went_together(&bench));
}

#[test]
fn who_waits_to_go_together_leaves_when_his_time_is_over() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    gathered::fill(&bench);
    gathered::leave_when_their_time_is_over(&fixture, &bench.running, || Locked::new(&bench, "\"Note\""));
}

#[test]
fn callers_with_other_claims_never_get_what_is_found_for_another() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    gathered::fill(&bench);
    assert!((0..50).any(|_| {
        gathered::get_their_own(&fixture, &bench.running);
        went_together(&bench)
    }));
}

#[test]
fn a_row_at_which_the_database_fails_spoils_the_answer_of_nobody_else() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    let read = |key: &str| {
        let action = Action::Read {
            target: fixture.target("Comment", "id", text(key)),
            projection: fixture.projection("Comment", &["text"]),
            includes: Vec::new(),
        };
        fixture.plan(ADMIN, "Comment", action)
    };
    bench.sql(&format!(
        "INSERT INTO \"Note\" (id, \"ownerId\", slug, state, \"createdAt\", \"updatedAt\") \
         VALUES ('{BOB}', '{BOB}', 'n', 'draft', now(), now()); \
         INSERT INTO \"Comment\" (id, \"noteId\", text) VALUES ('there', '{BOB}', 'here'), ('poison', '{BOB}', ''); \
         ALTER TABLE \"Comment\" ENABLE ROW LEVEL SECURITY; ALTER TABLE \"Comment\" FORCE ROW LEVEL SECURITY; \
         CREATE POLICY poisonous ON \"Comment\" USING (1 / (CASE id WHEN 'poison' THEN 0 ELSE 1 END) = 1); \
         ALTER DATABASE {name} SET enable_seqscan = off",
        name = bench.name
    ));
    // On connections that look at no other row than they are asked for.
    bench.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'dbal-worker'",
    );
    soon("it is back", Duration::from_secs(10), || {
        bench.call(read("there")).is_ok()
    });
    let alone = Some((Code::Invalid, Advice::Final));
    assert_eq!(told(&bench.call(read("poison"))), alone);
    for _ in 0..20 {
        let keys = ["there", "poison", "absent"].into_iter().cycle().take(90);
        let calls = keys
            .map(|key| (key, bench.submit(read(key), LONG)))
            .collect::<Vec<_>>();
        for (key, call) in calls {
            let answer = call.answer();
            match key {
                "there" => assert_eq!(json(&answer.unwrap())["text"], "here"),
                "absent" => assert_eq!(told(&answer), Some((Code::NotFound, Advice::Final))),
                _ => assert_eq!(told(&answer), alone),
            }
        }
    }
    // After a failure the last that a connection did was to ask alone, as it may be after the last of many.
    assert!((0..50).any(|_| {
        all((0..90).map(|_| bench.submit(read("there"), LONG)).collect());
        went_together(&bench)
    }));
}

fn update(fixture: &Fixture, slug: &str) -> ValidPlan {
    let action = Action::Update {
        target: fixture.target("Note", "id", uuid(&id(0))),
        values: fixture.values("Note", &[("slug", text(slug))]),
        projection: fixture.projection("Note", &["slug", "createdAt"]),
    };
    fixture.plan((BOB, "user"), "Note", action)
}

#[test]
fn a_row_that_a_trigger_makes_a_forbidden_one_is_not_written_though_nobody_rolls_back() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    fill(&bench);
    bench.sql(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF new.slug = 'locked' THEN new.state = 'locked'; END IF; \
         IF new.slug = 'divided' THEN new.rank = 1 / (new.rank * 0); END IF; RETURN new; END $$; \
         CREATE TRIGGER meddle BEFORE INSERT OR UPDATE ON \"Note\" FOR EACH ROW EXECUTE FUNCTION meddle()",
    );
    let create = |slug: &str| {
        let values = [
            ("ownerId", uuid(BOB)),
            ("slug", text(slug)),
            ("rank", Value::Int(7)),
        ];
        let action = Action::Create {
            values: fixture.values("Note", &values),
            projection: fixture.projection("Note", &["slug"]),
        };
        fixture.plan((BOB, "user"), "Note", action)
    };
    for plan in [update(&fixture, "locked"), create("locked")] {
        assert_eq!(told(&bench.call(plan)), Some((Code::Forbidden, Advice::Final)));
    }
    // Not ours: it is what it would be in a transaction.
    for plan in [update(&fixture, "divided"), create("divided")] {
        assert_eq!(told(&bench.call(plan)), Some((Code::Invalid, Advice::Final)));
    }
    assert_eq!(
        bench.sql("SELECT count(*) FROM \"Note\" WHERE slug IN ('locked', 'divided')"),
        "0"
    );
    assert!(bench.call(update(&fixture, "good")).is_ok());
    assert!(bench.call(create("new")).is_ok());
}

#[test]
fn a_change_whose_row_can_not_be_shown_is_not_said_to_have_failed() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    fill(&bench);
    bench.sql("UPDATE \"Note\" SET \"createdAt\" = 'infinity'");
    let outcome = bench.call(update(&fixture, "done"));
    assert_eq!(told(&outcome), Some((Code::Internal, Advice::OutcomeUnknown)));
}

#[test]
fn a_connection_cut_while_a_statement_commits_itself_leaves_the_outcome_unknown() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    for is_passed_on in [false, true] {
        let proxy = proxy::cutting(server.port(), "cut here", is_passed_on);
        let bench = Private::on(server, &fixture, |config| {
            open(config, fixture.policy.schema()).unwrap();
            config.create_tables = false;
            config.port = proxy;
            config.ssl_mode = dbal_config::SslMode::Disable;
        });
        let outcome = bench.call(Private::create(&fixture, "cut here"));
        assert_eq!(told(&outcome), Some((Code::Unavailable, Advice::OutcomeUnknown)));
        let found = || bench.sql("SELECT count(*) FROM \"Note\"");
        if is_passed_on {
            soon("it is done", Duration::from_secs(5), || found() == "1");
        } else {
            assert_eq!(found(), "0");
        }
        assert!(bench.call(Private::create(&fixture, "not here")).is_ok());
    }
}

/// Answers to statements that were sent together come in pieces, and nobody may wait for a later one before he has read those before.
#[test]
fn of_many_new_rows_that_are_answered_in_crumbs_the_first_that_is_wrong_is_told() {
    let fixture = Fixture::new();
    let server = Postgres::shared();
    let bench = Private::on(server, &fixture, |config| {
        open(config, fixture.policy.schema()).unwrap();
        config.create_tables = false;
        config.port = proxy::crumbling(server.port());
        config.ssl_mode = dbal_config::SslMode::Disable;
    });
    let slugs = (0..30).map(|nth| format!("m{}", nth % 29));
    let rows = slugs
        .map(|slug| fixture.values("Note", &[("ownerId", uuid(BOB)), ("slug", text(&slug))]))
        .collect();
    let many = fixture.plan((BOB, "user"), "Note", Action::CreateMany { rows });
    assert_eq!(told(&bench.call(many)), Some((Code::Conflict, Advice::Final)));
    assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
}

#[test]
fn of_many_new_rows_the_first_that_is_wrong_is_told_and_none_is_made() {
    let fixture = Fixture::new();
    let bench = Private::new(&fixture);
    let rows = |slugs: &[&str], owner: &str| {
        let row = |slug: &&str| {
            let owner = if *slug == "foreign" { ALICE } else { owner };
            fixture.values("Note", &[("ownerId", uuid(owner)), ("slug", text(slug))])
        };
        let rows = slugs.iter().map(row).collect();
        fixture.plan((BOB, "user"), "Note", Action::CreateMany { rows })
    };
    let many: Vec<String> = (0..60).map(|nth| format!("m{nth}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (at, wrong, code) in [
        (0, ["foreign", "m1"], Code::Forbidden),
        (30, ["foreign", "m1"], Code::Forbidden),
        (30, ["m1", "foreign"], Code::Conflict),
    ] {
        let mut slugs = many.clone();
        slugs.splice(at..at, wrong);
        // The conflict of a row behind a forbidden one is not told.
        if at == 0 {
            slugs.push("m5");
        }
        assert_eq!(
            told(&bench.call(rows(&slugs, BOB))).map(|(code, _)| code),
            Some(code)
        );
        assert_eq!(bench.sql("SELECT count(*) FROM \"Note\""), "0");
    }
    assert_eq!(bench.call(rows(&many, BOB)).unwrap().json, "60");
    // Sixteen or four with each statement; rows of one statement are of one command.
    let asked = "SELECT count(*), count(DISTINCT cmin::text) FROM \"Note\"";
    assert_eq!(bench.sql(asked), "60|6");
}
