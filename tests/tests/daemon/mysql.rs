//! The whole daemon on a real MySQL: `caching_sha2_password` over TLS, locked in as strictly as ever.

use dbal_servers::mysql::MySql;

use crate::confinement::assert_locked_in;
use crate::mariadb::start;
use crate::methods::every_method;
use crate::postgresql::use_it;

#[tokio::test]
async fn every_method_does_the_same_on_mysql_over_tls_in_the_strict_sandbox() {
    let server = MySql::shared();
    let version = server.sql("", "SELECT VERSION()");
    assert!(!version.contains("MariaDB"), "{version}");
    let daemon = start(server);
    let plugins = server.sql(
        "",
        "SELECT DISTINCT plugin FROM mysql.user WHERE user LIKE 'test%'",
    );
    assert_eq!(plugins, "caching_sha2_password\n");
    use_it(&daemon).await;
    every_method(&daemon).await;
    assert_locked_in(&daemon.worker());
    let (_, _, said) = daemon.stop();
    assert!(!said.contains("panicked"), "{said}");
}
