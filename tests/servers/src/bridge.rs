//! A private Prisma bridge: the Node server of `clients/prisma-bridge` on a real Prisma client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::postgres::{PASSWORD, Postgres};
use crate::{certificate, keeper};

/// How long Node may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it lets in by.
pub const TOKEN: &str = "a-token-for-tests-0123456789abcdef";

/// How it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tls,
    Plain,
    Socket,
}

/// A running bridge to one database.
pub struct Bridge {
    folder: PathBuf,
    url: String,
    listen: Mutex<String>,
    way: Way,
    keeper: Mutex<Option<Child>>,
}

impl Bridge {
    /// To a database of this server, over TLS with a certificate for `localhost` and 127.0.0.1.
    pub fn tls(server: &Postgres, database: &str) -> Self {
        Self::to(server, database, "", Way::Tls)
    }

    /// The same in clear.
    pub fn plain(server: &Postgres, database: &str) -> Self {
        Self::to(server, database, "", Way::Plain)
    }

    /// The same in clear, with more at the end of the database's URL.
    pub fn with(server: &Postgres, database: &str, more: &str) -> Self {
        Self::to(server, database, more, Way::Plain)
    }

    /// The same on a Unix socket.
    pub fn on_a_socket(server: &Postgres, database: &str) -> Self {
        Self::to(server, database, "", Way::Socket)
    }

    fn to(server: &Postgres, database: &str, more: &str, way: Way) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("dbal-bridge-")
            .tempdir()
            .unwrap()
            .keep();
        certificate::write(&folder);
        fs::write(folder.join("token"), TOKEN).unwrap();
        let password = PASSWORD.replace(' ', "%20");
        let bridge = Self {
            folder,
            url: format!(
                "postgresql://{database}:{password}@127.0.0.1:{}/{database}{more}",
                server.port()
            ),
            listen: Mutex::new("127.0.0.1:0".to_owned()),
            way,
            keeper: Mutex::new(None),
        };
        if way == Way::Socket {
            *bridge.listen.lock().unwrap() = bridge.socket().display().to_string();
        }
        bridge.launch();
        bridge
    }

    /// Starts it again after [`Bridge::kill`], on the same port.
    pub fn launch(&self) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients/prisma-bridge/main.mjs");
        let client = program.with_file_name("node_modules/.prisma/client/index.js");
        assert!(
            client.exists(),
            "{} is missing: `cargo xtask test` fetches Prisma and generates its client",
            client.display()
        );
        let path = |name: &str| self.folder.join(name).display().to_string();
        let listen = self.listen.lock().unwrap().clone();
        let mut command: Vec<String> = vec![
            "env".to_owned(),
            format!("DATABASE_URL={}", self.url),
            format!("BRIDGE_TOKEN_FILE={}", path("token")),
            format!("BRIDGE_LISTEN={listen}"),
            "BRIDGE_POOL=4".to_owned(),
        ];
        if self.way == Way::Tls {
            command.push(format!("BRIDGE_TLS_CERT={}", path("server.crt")));
            command.push(format!("BRIDGE_TLS_KEY={}", path("server.key")));
        }
        command.extend(["node".to_owned(), program.display().to_string()]);
        let _ = fs::remove_file(self.folder.join("log"));
        let child = keeper::start(&self.folder, &command);
        *self.keeper.lock().unwrap() = Some(child);
        let began = Instant::now();
        loop {
            let said = self.said();
            if self.way == Way::Socket && said.contains("\"listening\"") && said.ends_with('\n') {
                // The daemons become users of their own, who share no group with whoever runs the test.
                fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755)).unwrap();
                fs::set_permissions(self.socket(), fs::Permissions::from_mode(0o666)).unwrap();
                return;
            }
            let port = said
                .split_once("\"port\":")
                .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            if let Some(port) = port.filter(|_| said.ends_with('\n')) {
                *self.listen.lock().unwrap() = format!("127.0.0.1:{port}");
                return;
            }
            assert!(began.elapsed() < PATIENCE, "the bridge does not start: {said}");
            sleep(Duration::from_millis(20));
        }
    }

    /// What it has logged.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        let listen = self.listen.lock().unwrap();
        listen.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The authority that signed its certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Kills it without a warning, and waits for its end.
    pub fn kill(&self) {
        let keep = self.folder.join("keep");
        fs::write(&keep, "").unwrap();
        self.end();
        fs::remove_file(keep).unwrap();
    }

    fn end(&self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.end();
    }
}
