//! The development folder: what lies where, made once, kept afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dbal_config::{Identity, encrypt, keygen};
use dbal_identity::Signer;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use crate::dev::people::PEOPLE;
use crate::dev::separate::Separation;
use crate::dev::{Ready, User, certificate, examples, people, settings};
use crate::error::ToolError;
use crate::files::{self, PRIVATE, PUBLIC};
use crate::keygen::audit_key;
use crate::output;
use crate::supervise::{Daemon, Prints, Serving, beside};

/// A prepared folder; nobody else starts daemons in it while this lives.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    signer: Signer,
    _lock: File,
}

impl Folder {
    /// Makes what is missing.
    pub(super) fn prepare(
        dir: &Path,
        listen: SocketAddr,
        entities: Option<&Path>,
        policy: Option<&Path>,
    ) -> Result<Self, ToolError> {
        fs::create_dir_all(dir).map_err(|source| ToolError::file(dir, source))?;
        let dir = dir
            .canonicalize()
            .map_err(|source| ToolError::file(dir, source))?;
        let lock = lock(&dir)?;
        let signer = signer(&dir)?;
        let separation = Separation::choose(&dir, signer.key_id());
        if let Separation::Same { why: Some(why) } = &separation {
            output::say(format_args!("dbal: warning: both daemons run as root: {why}"));
        }
        files::folder(&dir, separation.folder_mode())?;
        certificate::make_if_missing(&dir)?;
        examples::put(&dir, entities, policy)?;
        make_countersign_key(&dir)?;
        seal_worker_config(&dir, &signer, &separation)?;
        write_broker_config(&dir, &signer, &separation, listen)?;
        separation.arrange(&dir)?;
        if separation.workplace(&dir) != dir {
            output::say(format_args!(
                "dbal: the daemons' users can't pass {}; their data lies in {}",
                dir.display(),
                separation.workplace(&dir).display()
            ));
        }
        Ok(Self {
            dir,
            signer,
            _lock: lock,
        })
    }

    /// The entities in use.
    pub(super) fn entities(&self) -> PathBuf {
        self.dir.join("entities")
    }

    pub(super) fn worker(&self) -> Result<Daemon, ToolError> {
        Ok(Daemon {
            name: "dbal-worker",
            program: beside("dbal-worker")?,
            config: self.dir.join("worker.yaml.age"),
            identity: Some(self.dir.join("identity")),
            prints: Prints::ToStderr,
        })
    }

    pub(super) fn broker(&self) -> Result<Daemon, ToolError> {
        Ok(Daemon {
            name: "dbal-broker",
            program: beside("dbal-broker")?,
            config: self.dir.join("broker.yaml"),
            identity: None,
            prints: Prints::ToStderr,
        })
    }

    /// Writes the ports that were taken into the broker's configuration.
    pub(super) fn pin(&self, serving: &Serving) -> Result<(), ToolError> {
        let path = self.dir.join("broker.yaml");
        let admin = serving.admin.as_deref().unwrap_or("127.0.0.1:0");
        let text = settings::pinned(&files::read(&path)?, &serving.listen, admin);
        // In place: the broker's sandbox holds on to this very file, to read it again on SIGHUP.
        fs::write(&path, text).map_err(|source| ToolError::file(&path, source))
    }

    /// Signs a token for everyone and keeps what `--json` prints.
    pub(super) fn ready(&self, serving: &Serving) -> Result<Ready, ToolError> {
        let mut users = BTreeMap::new();
        for person in &PEOPLE {
            let user = User {
                token: people::token(&self.signer, person)?,
                user_id: person.id.to_owned(),
                roles: vec![person.role.to_owned()],
            };
            users.insert(person.name.to_owned(), user);
        }
        let Serving { listen, admin } = serving;
        let ready = Ready {
            endpoint: format!("wss://{listen}/"),
            ca: self.dir.join("ca.crt"),
            health: format!("https://{listen}/health"),
            metrics: format!("http://{}/metrics", admin.as_deref().unwrap_or("127.0.0.1:0")),
            users,
        };
        let line = serde_json::to_vec(&ready).map_err(|error| ToolError::Failed(error.to_string()))?;
        // It holds everyone's token.
        files::replace(&ready_line(&self.dir), &line, PRIVATE)?;
        Ok(ready)
    }
}

/// The file of the key with which the broker countersigns.
pub(super) const COUNTERSIGN_KEY: &str = "countersign.key";

/// Where the line of [`Ready`] lies.
pub(super) fn ready_line(dir: &Path) -> PathBuf {
    dir.join("ready.json")
}

/// Where the key that signs tokens lies.
pub(crate) fn signing_key(dir: &Path) -> PathBuf {
    dir.join("token.key")
}

fn lock(dir: &Path) -> Result<File, ToolError> {
    let path = dir.join("lock");
    let failed = |source| ToolError::file(&path, source);
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ToolError::FolderInUse {
            folder: dir.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn signer(dir: &Path) -> Result<Signer, ToolError> {
    let path = signing_key(dir);
    if path.exists() {
        return Ok(Signer::from_pem(&Zeroizing::new(files::read(&path)?))?);
    }
    let signer = Signer::generate()?;
    files::replace(&dir.join("token.pub"), signer.public_pem().as_bytes(), PUBLIC)?;
    files::write_new(&path, signer.private_pem().as_bytes(), PRIVATE)?;
    Ok(signer)
}

/// The broker's key for the audit trail. Its public half stands in it: `dbal audit verify --broker-key`.
fn make_countersign_key(dir: &Path) -> Result<(), ToolError> {
    let path = dir.join(COUNTERSIGN_KEY);
    if path.exists() {
        return Ok(());
    }
    let (_public, text) = audit_key()?;
    files::write_new(&path, text.as_bytes(), PRIVATE)
}

fn seal_worker_config(dir: &Path, signer: &Signer, separation: &Separation) -> Result<(), ToolError> {
    let sealed = dir.join("worker.yaml.age");
    let identity = dir.join("identity");
    if sealed.exists() && identity.exists() {
        // Yours by now: `dbal config edit` may have changed it.
        dbal_config::open(&sealed, Some(Identity::File(identity)))?;
        return Ok(());
    }
    let keys = keygen();
    let line = Zeroizing::new(format!(
        "# recipient: {}\n{}\n",
        keys.recipient,
        keys.identity.expose_secret()
    ));
    let text = settings::worker(signer.key_id(), separation);
    files::replace(&identity, line.as_bytes(), PRIVATE)?;
    files::replace(&sealed, &encrypt(&text, &[keys.recipient])?, PRIVATE)
}

fn write_broker_config(
    dir: &Path,
    signer: &Signer,
    separation: &Separation,
    listen: SocketAddr,
) -> Result<(), ToolError> {
    let path = dir.join("broker.yaml");
    let text = if path.exists() {
        files::read(&path)?
    } else {
        settings::broker(signer.key_id(), separation)
    };
    files::replace(
        &path,
        settings::pinned(&text, &listen.to_string(), "127.0.0.1:0").as_bytes(),
        PUBLIC,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn prepare(dir: &Path) -> Result<Folder, ToolError> {
        Folder::prepare(dir, "127.0.0.1:0".parse().unwrap(), None, None)
    }

    /// Everything in a folder but what is written anew each time.
    fn kept(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let names = [
            "ca.crt",
            "server.crt",
            "server.key",
            "countersign.key",
            "token.key",
            "token.pub",
            "identity",
            "worker.yaml.age",
            "acl.yaml",
            "entities/note.yaml",
        ];
        let read = |name: &&str| ((*name).to_owned(), fs::read(dir.join(name)).unwrap());
        names.iter().map(read).collect()
    }

    #[test]
    fn starting_again_keeps_keys_and_edits() {
        let dir = tempfile::TempDir::new().unwrap();
        drop(prepare(dir.path()).unwrap());
        fs::write(dir.path().join("acl.yaml"), "# mine").unwrap();
        let broker = files::read(&dir.path().join("broker.yaml")).unwrap();
        fs::write(dir.path().join("broker.yaml"), format!("{broker}# mine\n")).unwrap();
        let before = kept(dir.path());

        drop(prepare(dir.path()).unwrap());

        assert_eq!(kept(dir.path()), before);
        assert!(
            files::read(&dir.path().join("broker.yaml"))
                .unwrap()
                .ends_with("# mine\n")
        );
    }

    #[test]
    fn secrets_are_their_owners_only() {
        let dir = tempfile::TempDir::new().unwrap();
        let _folder = prepare(dir.path()).unwrap();
        for name in [
            "server.key",
            "countersign.key",
            "token.key",
            "identity",
            "worker.yaml.age",
            "data/dbal.sqlite",
        ] {
            let mode = fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn two_can_not_use_one_folder() {
        let dir = tempfile::TempDir::new().unwrap();
        let _first = prepare(dir.path()).unwrap();
        assert!(matches!(prepare(dir.path()), Err(ToolError::FolderInUse { .. })));
    }

    #[test]
    fn given_entities_and_policy_take_the_place_of_what_was_there() {
        let dir = tempfile::TempDir::new().unwrap();
        drop(prepare(dir.path()).unwrap());
        let given = tempfile::TempDir::new().unwrap();
        fs::create_dir(given.path().join("entities")).unwrap();
        fs::write(given.path().join("entities/thing.yaml"), "# a thing").unwrap();
        fs::write(given.path().join("rules.yaml"), "# rules").unwrap();

        let folder = Folder::prepare(
            dir.path(),
            "127.0.0.1:0".parse().unwrap(),
            Some(&given.path().join("entities")),
            Some(&given.path().join("rules.yaml")),
        )
        .unwrap();

        let entities: Vec<_> = fs::read_dir(folder.entities())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(entities, ["thing.yaml"]);
        assert_eq!(files::read(&dir.path().join("acl.yaml")).unwrap(), "# rules");
    }
}
