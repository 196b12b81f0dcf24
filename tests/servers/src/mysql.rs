//! A private MySQL: the real one, which Debian has in its unstable release only. `cargo xtask test` unpacks it, with all that it
//! needs, into a folder of ours; nothing of it is installed.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use crate::mariadb::{MariaDb, Programs};

/// Where else the unpacked packages are.
const FOLDER: &str = "DBAL_MYSQL";

/// A running MySQL. It is spoken to by MariaDB's command line client, like a MariaDB.
pub struct MySql(MariaDb);

struct MySqls {
    folder: PathBuf,
}

fn programs() -> &'static MySqls {
    static PROGRAMS: LazyLock<MySqls> = LazyLock::new(|| {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/mysql/root");
        let folder = std::env::var_os(FOLDER).map_or(ours, PathBuf::from);
        assert!(
            folder.join("usr/sbin/mysqld").exists(),
            "there is no MySQL in {}: `cargo xtask test` unpacks it there, or name another folder in {FOLDER}",
            folder.display()
        );
        MySqls {
            folder: folder.canonicalize().unwrap(),
        }
    });
    &PROGRAMS
}

impl MySqls {
    /// It runs with the libraries of its own release, whatever release this is.
    fn command(&self) -> Vec<String> {
        let libraries = self.folder.join("usr/lib/x86_64-linux-gnu");
        let private = self.folder.join("usr/lib/mysql/private");
        let share = self.folder.join("usr/share/mysql");
        vec![
            libraries.join("ld-linux-x86-64.so.2").display().to_string(),
            "--library-path".to_owned(),
            format!("{}:{}", libraries.display(), private.display()),
            self.folder.join("usr/sbin/mysqld").display().to_string(),
            "--no-defaults".to_owned(),
            format!("--basedir={}", self.folder.join("usr").display()),
            format!("--lc-messages-dir={}", share.display()),
            format!("--character-sets-dir={}", share.join("charsets").display()),
            // Neither is for a private server: no second protocol on a fixed port, no folder of the system's.
            "--mysqlx=OFF".to_owned(),
            "--secure-file-priv=".to_owned(),
        ]
    }
}

impl Programs for MySqls {
    fn install(&self, data: &Path) -> Command {
        let command = self.command();
        let mut install = Command::new(&command[0]);
        install
            .args(&command[1..])
            .arg("--initialize-insecure")
            .arg(format!("--datadir={}", data.display()));
        install
    }

    fn server(&self) -> Vec<String> {
        let mut command = self.command();
        command.push("--innodb-redo-log-capacity=64M".to_owned());
        command
    }
}

impl MySql {
    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MySql> = OnceLock::new();
        SHARED.get_or_init(|| MySql(MariaDb::of(programs())))
    }
}

impl Deref for MySql {
    type Target = MariaDb;

    fn deref(&self) -> &MariaDb {
        &self.0
    }
}
