//! What there is to look at: a folder with two configurations and what they name.

use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dbal_config::{Database, Identity, WorkerConfig};
use dbal_identity::TokenRules;
use dbal_sandbox::RunAs;
use serde::Deserialize;

use super::check::{Check, shell};
use crate::error::ToolError;
use crate::files;

/// A deployment, as far as it could be read.
pub(super) struct Deployment {
    pub(super) dir: PathBuf,
    /// Whether `dbal dev` made the folder.
    pub(super) is_dev: bool,
    pub(super) broker: Result<Broker, Unread>,
    /// The worker's configuration, sealed or plain, if it is there.
    pub(super) worker_file: Option<PathBuf>,
    /// The identity in plain, if it lies here or was named.
    pub(super) identity: Option<PathBuf>,
    /// The worker's configuration, if it could be opened.
    pub(super) worker: Result<WorkerConfig, Unread>,
}

/// What of broker.yaml concerns us; the broker's own program checks all of it.
#[derive(Debug, Deserialize)]
pub(super) struct Broker {
    #[serde(default)]
    pub(super) admin: Option<SocketAddr>,
    pub(super) tls: Tls,
    pub(super) worker: Towards,
    pub(super) entities: PathBuf,
    pub(super) policy: PathBuf,
    #[serde(default)]
    pub(super) invariants: Option<PathBuf>,
    #[serde(default)]
    pub(super) policy_tested: Option<PathBuf>,
    #[serde(default)]
    pub(super) auth: Auth,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) security: Security,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tls {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    #[serde(default)]
    pub(super) clients: Option<Clients>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Clients {
    pub(super) ca: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(super) struct Towards {
    pub(super) socket: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Auth {
    #[serde(default)]
    pub(super) tokens: Option<TokenRules>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Audit {
    #[serde(default)]
    pub(super) countersign_key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Limits {
    #[serde(default)]
    pub(super) connections: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Security {
    #[serde(default)]
    pub(super) sandbox: Option<String>,
    #[serde(default)]
    pub(super) run_as: Option<String>,
}

/// Why a configuration could not be read.
pub(super) struct Unread {
    why: String,
    is_forbidden: bool,
}

impl Unread {
    fn of(file: &Path, why: String) -> Self {
        let is_forbidden = File::open(file).is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        Self { why, is_forbidden }
    }

    /// What to say of it: whoever may not look has found nothing wrong.
    pub(super) fn check(&self, what: impl Into<String>, mend: impl Into<String>) -> Check {
        if self.is_forbidden {
            Check::unseen(what, "may not be read by you", "run `dbal doctor` as root")
        } else {
            Check::error(what, self.why.clone(), mend)
        }
    }
}

/// What the units name their users.
const USERS: [&str; 2] = ["dbal-broker", "dbal-worker"];

impl Deployment {
    /// Reads what can be read.
    pub(super) fn read(dir: &Path, identity: Option<PathBuf>) -> Result<Self, ToolError> {
        let dir = dir
            .canonicalize()
            .map_err(|source| ToolError::file(dir, source))?;
        let present = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        let identity = identity.or_else(|| present("identity"));
        let worker_file = present("worker.yaml.age").or_else(|| present("worker.yaml"));
        let worker = match &worker_file {
            None => Err(Unread {
                why: "there is no worker.yaml.age and no worker.yaml".to_owned(),
                is_forbidden: false,
            }),
            Some(file) => dbal_config::open(file, identity.clone().map(Identity::File))
                .map_err(|error| Unread::of(file, error.to_string())),
        };
        let broker_file = dir.join("broker.yaml");
        let broker =
            Broker::read(&dir, &broker_file).map_err(|error| Unread::of(&broker_file, error.to_string()));
        Ok(Self {
            is_dev: dir.join("token.key").exists() && dir.join("ready.json").exists(),
            broker,
            worker_file,
            identity,
            worker,
            dir,
        })
    }

    /// The users of broker and worker, where they can be told.
    pub(super) fn users(&self) -> [Option<RunAs>; 2] {
        let broker = self.broker.as_ref().ok();
        let broker = broker.and_then(|broker| broker.security.run_as.as_deref());
        let worker = self.worker.as_ref().ok();
        let worker = worker.and_then(|worker| worker.security.run_as.as_deref());
        let [unit_broker, unit_worker] = USERS;
        let user = |named: Option<&str>, of_unit: &str| match named {
            Some(name) => RunAs::resolve(name).ok(),
            None if self.is_dev => None,
            None => RunAs::resolve(of_unit).ok(),
        };
        [user(broker, unit_broker), user(worker, unit_worker)]
    }

    /// The folder of the audit journal: as configured, or where it usually is.
    pub(super) fn audit(&self) -> PathBuf {
        match &self.worker {
            Ok(worker) => worker.audit.directory.clone(),
            Err(_) if self.is_dev => self.dir.join("audit"),
            Err(_) => PathBuf::from("/var/log/dbal"),
        }
    }

    /// The folder that it is sealed into, as it is named where we ship it.
    pub(super) fn sealed(&self) -> PathBuf {
        let mut folder = self.audit().into_os_string();
        folder.push("-sealed");
        folder.into()
    }

    /// The SQLite file, if that is what the worker has.
    pub(super) fn sqlite(&self) -> Option<&Path> {
        match &self.worker {
            Ok(WorkerConfig {
                database: Database::Sqlite(sqlite),
                ..
            }) => Some(&sqlite.path),
            Ok(WorkerConfig {
                database: Database::Postgresql(_) | Database::Mysql(_) | Database::Prisma(_),
                ..
            })
            | Err(_) => None,
        }
    }

    /// How the daemons are started.
    pub(super) fn start_command(&self) -> String {
        if self.is_dev {
            format!("dbal dev --dir {}", shell(&self.dir))
        } else {
            "systemctl start dbal-worker.socket dbal-broker.socket dbal-broker.service; journalctl -u dbal-broker -u dbal-worker -n 50"
                .to_owned()
        }
    }
}

impl Broker {
    pub(super) fn read(dir: &Path, file: &Path) -> Result<Self, ToolError> {
        let mut broker: Self = dbal_settings::parse(file, &files::read(file)?)?;
        let Self {
            tls:
                Tls {
                    certificate,
                    key,
                    clients,
                },
            worker: Towards { socket },
            entities,
            policy,
            invariants,
            policy_tested,
            auth: Auth { tokens },
            audit: Audit { countersign_key },
            ..
        } = &mut broker;
        let tokens = tokens.iter_mut().flat_map(|TokenRules { keys, jwks, .. }| {
            let keys = keys.iter_mut().filter_map(|key| key.public_key.as_mut());
            keys.chain(jwks.as_mut())
        });
        let files = tokens.chain(invariants.as_mut()).chain(policy_tested.as_mut());
        let files = files.chain(countersign_key.as_mut());
        let files = files.chain(clients.as_mut().map(|clients| &mut clients.ca));
        for path in files.chain([certificate, key, socket, entities, policy]) {
            *path = dir.join(&path);
        }
        Ok(broker)
    }
}
