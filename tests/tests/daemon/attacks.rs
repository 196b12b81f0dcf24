//! The table of attacks in `tests/attacks`, played on whole daemons. Its README tells the format.

mod attack;
mod forge;
mod play;
mod world;

use std::path::PathBuf;

use dbal_servers::mariadb::MariaDb;
use dbal_servers::postgres::{PASSWORD, Postgres};
use dbal_tests::binaries;
use dbal_tests::daemon::Daemon;

use self::attack::Attack;
use self::world::World;

/// Fewer would mean that files were not found.
const AT_LEAST: usize = 300;

/// What the world has in the columns that nobody sees, as MariaDB prints it.
const UNSEEN: &str =
    "canary.for.nobody,canary.for.nobody,canary.for.nobody canary.for.nobody,canary.for.nobody\n";

fn folder() -> PathBuf {
    binaries::repository().join("tests/attacks")
}

/// A daemon with the world's entities and policy, whose broker does not slow down an address that shows bad tokens.
fn daemon() -> Daemon {
    let world = folder().join("world");
    let first = Daemon::start_with(&world.join("entities"), &world.join("acl.yaml"));
    let (_, folder, _) = first.stop();
    let path = folder.path().join("dev/broker.yaml");
    let config = std::fs::read_to_string(&path).expect("the broker's configuration");
    let config =
        format!("{config}\nlimits: {{unauthenticated_per_minute: 1000000, failed_proofs: 1000000}}\n");
    std::fs::write(&path, config).expect("the broker's configuration");
    Daemon::start_in(folder)
}

async fn play_all(daemon: &Daemon, unseen: &dyn Fn() -> String) {
    let world = World::fill(daemon, &folder().join("world/rows.yaml")).await;
    let before = world.snapshot(daemon, unseen).await;
    let (mut played, mut failed) = (0, Vec::new());
    for (file, attack) in Attack::all(&folder()) {
        played += 1;
        let problem = match play::play(&attack, daemon, &world).await {
            Err(problem) => Some(problem),
            Ok(()) => {
                let after = world.snapshot(daemon, unseen).await;
                (after != before).then(|| "it changed the world".to_owned())
            }
        };
        if let Some(problem) = problem {
            failed.push(format!("{file}: {}: {problem}", attack.goal));
            world.restore(daemon, &before, unseen).await;
        }
    }
    println!(
        "{played} attacks, {} of them did not end as they must",
        failed.len()
    );
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(played >= AT_LEAST, "{played}");
}

#[tokio::test]
async fn every_attack_of_the_table_is_refused_on_sqlite() {
    let daemon = daemon();
    let file = daemon.database();
    play_all(&daemon, &|| {
        let database = rusqlite::Connection::open(&file).expect("the database");
        let text =
            |query: &str| -> String { database.query_row(query, [], |row| row.get(0)).expect("a text") };
        text("SELECT group_concat(passwordHash) FROM (SELECT passwordHash FROM User ORDER BY id)")
            + &text("SELECT group_concat(cardToken) FROM (SELECT cardToken FROM Invoice ORDER BY id)")
    })
    .await;
}

#[tokio::test]
async fn every_attack_of_the_table_is_refused_on_postgresql() {
    let server = Postgres::shared();
    let name = server.database();
    let database = format!(
        "{{postgresql: {{host: \"{}\", port: {}, database: {name}, user: {name}, password: \"{PASSWORD}\", create_tables: true}}}}",
        server.folder().display(),
        server.port(),
    );
    let daemon = daemon().moved_to(&database, &[]);
    play_all(&daemon, &|| {
        server.sql(
            &name,
            "SELECT string_agg(\"passwordHash\", ',' ORDER BY id) FROM \"User\"",
        ) + &server.sql(
            &name,
            "SELECT string_agg(\"cardToken\", ',' ORDER BY id) FROM \"Invoice\"",
        )
    })
    .await;
}

#[tokio::test]
async fn every_attack_of_the_table_is_refused_on_mariadb() {
    let server = MariaDb::shared();
    let (name, database) = crate::mariadb::reached(server);
    let daemon = daemon().moved_to(&database, &[]);
    // To ask the server itself takes a program's start: what nobody sees is looked at once, at the end.
    play_all(&daemon, &String::new).await;
    let unseen = "SELECT CONCAT_WS(' ', (SELECT GROUP_CONCAT(passwordHash ORDER BY id) FROM User), \
         (SELECT GROUP_CONCAT(cardToken ORDER BY id) FROM Invoice))";
    assert_eq!(server.sql(&name, unseen), UNSEEN);
}
