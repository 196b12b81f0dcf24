//! Who can read and write which file, and who must not.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dbal_config::{Database, WorkerConfig};
use dbal_identity::TokenRules;
use dbal_sandbox::RunAs;

use super::check::{Check, shell};
use super::deployment::{Broker, Deployment};

/// What a file is, which says who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Opens or makes something: its owner's only.
    Secret,
    /// The certificate's key: the broker's to read, by its group where root owns it; never the worker's.
    ServedKey,
    /// The worker's configuration, sealed: the worker's to read. Nobody can open it without the identity.
    Sealed,
    /// The same in plain: passwords.
    Plain,
    /// Decides what the daemons do: everybody may read it, its owner alone may write it.
    Decides,
    /// What the worker writes: nobody else's to read or write.
    Written,
    /// The audit journal: nobody else's to write, and its group's to read, by which it is sealed.
    Journal,
    /// What is sealed: nobody's to reach but its keeper's, who is neither of the daemons.
    Kept,
    /// The socket between the two.
    Socket,
}

/// One file or folder of the deployment.
struct Looked {
    name: &'static str,
    path: PathBuf,
    role: Role,
    /// Whether a deployment can be without it.
    may_be_missing: bool,
}

/// What a mode and an owner say.
#[derive(Clone, Copy, Debug)]
struct About {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl From<&Metadata> for About {
    fn from(metadata: &Metadata) -> Self {
        Self {
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode(),
        }
    }
}

const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const OTHERS: u32 = 0o007;
const GROUP: u32 = 0o070;
const STICKY: u32 = 0o1000;

pub(super) fn checks(deployment: &Deployment) -> Vec<Check> {
    let users = deployment.users();
    let looked = looked_at(deployment);
    let mut checks: Vec<Check> = looked.iter().filter_map(|looked| one(looked, users)).collect();
    checks.push(parents(&looked));
    checks.extend(separation(deployment, users));
    checks
}

fn looked_at(deployment: &Deployment) -> Vec<Looked> {
    use Role::{Decides, Journal, Kept, Plain, Sealed, Secret, ServedKey, Socket, Written};
    let dir = &deployment.dir;
    let mut all = Vec::new();
    let mut add = |name, path: PathBuf, role, may_be_missing| {
        all.push(Looked {
            name,
            path,
            role,
            may_be_missing,
        });
    };
    add("configuration", dir.join("broker.yaml"), Decides, false);
    add("sealed configuration", dir.join("worker.yaml.age"), Sealed, true);
    add("plain configuration", dir.join("worker.yaml"), Plain, true);
    add("sealed identity", dir.join("identity.cred"), Secret, true);
    add("signing key", dir.join("token.key"), Secret, true);
    if let Some(identity) = &deployment.identity {
        add("identity", identity.clone(), Secret, false);
    }
    if let Ok(Broker {
        tls,
        worker,
        entities,
        policy,
        invariants,
        policy_tested,
        auth,
        audit,
        ..
    }) = &deployment.broker
    {
        add("certificate", tls.certificate.clone(), Decides, false);
        add("private key", tls.key.clone(), ServedKey, false);
        if let Some(key) = &audit.countersign_key {
            add("countersigning key", key.clone(), ServedKey, false);
        }
        if let Some(clients) = &tls.clients {
            add("clients' authorities", clients.ca.clone(), Decides, false);
        }
        add("entities", entities.clone(), Decides, false);
        for path in fs::read_dir(entities).into_iter().flatten().flatten() {
            add("entity", path.path(), Decides, true);
        }
        add("policy", policy.clone(), Decides, false);
        if let Some(invariants) = invariants {
            add("invariants", invariants.clone(), Decides, false);
        }
        if let Some(note) = policy_tested {
            add("note of policy tests", note.clone(), Decides, true);
        }
        for path in auth.tokens.iter().flat_map(TokenRules::files) {
            add("token key", path, Decides, false);
        }
        // `dbal dev` opens it to all and leaves the choice to `allow_uid`: there may be no group that both its users are in.
        if !deployment.is_dev {
            add("socket", worker.socket.clone(), Socket, true);
        }
    }
    if let Ok(WorkerConfig { auth, database, .. }) = &deployment.worker {
        if let Some(keys) = &auth.api_keys {
            add("API keys", keys.clone(), Written, true);
        }
        if let Database::Sqlite(sqlite) = database {
            add("database", sqlite.path.clone(), Written, true);
        }
    }
    add("audit folder", deployment.audit(), Journal, true);
    if !deployment.is_dev {
        add("sealed folder", deployment.sealed(), Kept, true);
    }
    all
}

fn one(looked: &Looked, users: [Option<RunAs>; 2]) -> Option<Check> {
    let Looked {
        name,
        path,
        role,
        may_be_missing,
    } = looked;
    let what = format!("{name} {}", path.display());
    match fs::metadata(path) {
        Ok(metadata) => Some(judged(what, path, *role, About::from(&metadata), users)),
        Err(error) if error.kind() == ErrorKind::NotFound && *may_be_missing => None,
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Check::error(
            what,
            "is not there",
            "put it there, or correct the path in the configuration",
        )),
        Err(error) => Some(Check::unseen(
            what,
            format!("can't be looked at: {error}"),
            "run `dbal doctor` as root",
        )),
    }
}

/// What is wrong with this mode and owner, worst first.
fn judged(what: String, path: &Path, role: Role, about: About, users: [Option<RunAs>; 2]) -> Check {
    let About { uid, gid, mode } = about;
    let has = |bits: u32| mode & bits != 0;
    let at = shell(path);
    let [broker, worker] = users;
    let shown = format!("mode {:04o}, user {uid}, group {gid}", mode & 0o7777);
    let is_group_of = |user: Option<RunAs>| user.is_some_and(|user| user.gid == gid);
    let is_user_of = |user: Option<RunAs>| user.is_some_and(|user| user.uid == uid);
    match role {
        Role::Secret | Role::Plain => {
            // By root's choice, as in a volume of Kubernetes.
            let is_roots_choice = uid == 0 && mode & GROUP == 0o040;
            if has(OTHERS) || (has(GROUP) && !is_roots_choice) {
                return Check::error(
                    what,
                    format!("others can reach a secret ({shown}): take it as known"),
                    format!("chmod 600 {at}; then make a new one (docs/config.md#sealing)"),
                );
            }
            if is_roots_choice && role == Role::Secret && is_group_of(broker) {
                return Check::error(
                    what,
                    format!("the broker's group can read it ({shown})"),
                    format!("chmod 600 {at}"),
                );
            }
            if role == Role::Plain {
                return Check::warning(
                    what,
                    format!("passwords in plain ({shown})"),
                    format!("dbal config encrypt {at} -r RECIPIENT && rm {at}"),
                );
            }
        }
        Role::ServedKey => {
            if has(OTHERS) || has(GROUP_WRITES) {
                return Check::error(
                    what,
                    format!("others can read or write it ({shown}): take it as known"),
                    format!("chmod 640 {at}; then have the certificate issued for a new key"),
                );
            }
            let is_workers = is_user_of(worker) || (has(GROUP) && is_group_of(worker));
            if is_workers && broker != worker {
                return Check::warning(
                    what,
                    format!("the worker can read it and has no use for it ({shown})"),
                    format!("chown root:dbal-broker {at}; chmod 640 {at}"),
                );
            }
        }
        Role::Sealed => {
            if has(OTHERS_WRITE | GROUP_WRITES) {
                return Check::error(
                    what,
                    format!("others than its owner can replace it ({shown})"),
                    format!("chmod 640 {at}"),
                );
            }
            if has(OTHERS) {
                return Check::warning(
                    what,
                    format!(
                        "everybody can read it, and whoever gets the identity one day has its passwords ({shown})"
                    ),
                    format!("chmod 640 {at}"),
                );
            }
        }
        Role::Decides => {
            if has(OTHERS_WRITE | GROUP_WRITES) {
                return Check::error(
                    what,
                    format!("others than its owner can change what the daemons go by ({shown})"),
                    format!("chmod go-w {at}"),
                );
            }
            if is_user_of(broker) || is_user_of(worker) {
                return Check::warning(
                    what,
                    format!(
                        "belongs to a daemon, which could change what it goes by if it were not locked in ({shown})"
                    ),
                    format!("chown root {at}"),
                );
            }
        }
        Role::Written | Role::Journal => {
            let is_readable = role == Role::Journal && !is_group_of(broker);
            if has(OTHERS | if is_readable { GROUP_WRITES } else { GROUP }) {
                return Check::error(
                    what,
                    format!("others than the worker can reach it ({shown})"),
                    format!("chmod {}o-rwx {at}", if is_readable { "g-w," } else { "g" }),
                );
            }
            if worker.is_some() && !is_user_of(worker) {
                return Check::error(
                    what,
                    format!("does not belong to the worker, which can't write it ({shown})"),
                    format!("chown -R {} {at}", owner(worker)),
                );
            }
        }
        Role::Kept => {
            let is_a_daemons = is_user_of(worker) || is_user_of(broker);
            let is_a_daemons_by_group = has(GROUP) && (is_group_of(worker) || is_group_of(broker));
            if has(OTHERS) || is_a_daemons || is_a_daemons_by_group {
                return Check::error(
                    what,
                    format!(
                        "others than its keeper can reach it ({shown}): whoever takes the worker could change what is sealed"
                    ),
                    format!("chown -R dbal-audit {at}; chmod 700 {at}"),
                );
            }
        }
        Role::Socket => {
            if has(OTHERS) {
                return Check::warning(
                    what,
                    format!("everybody can connect to the worker ({shown}): only `allow_uid` keeps them out"),
                    "set `socket.mode: \"0660\"` in the worker's configuration, or SocketMode=0660 in dbal-worker.socket",
                );
            }
            if has(GROUP) && broker.is_some() && !is_group_of(broker) {
                return Check::warning(
                    what,
                    format!("its group is not the broker's ({shown})"),
                    "give the socket the broker's group: SocketGroup=dbal-broker in dbal-worker.socket",
                );
            }
        }
    }
    Check::ok(what, shown)
}

fn owner(user: Option<RunAs>) -> String {
    user.map_or_else(
        || "dbal-worker:dbal-worker".to_owned(),
        |RunAs { uid, gid }| format!("{uid}:{gid}"),
    )
}

/// A folder that anybody can write lets anybody put another file in the place of the right one.
fn parents(looked: &[Looked]) -> Check {
    let what = "folders above them";
    let mut folders: Vec<&Path> = looked
        .iter()
        .filter(|looked| looked.path.exists())
        .flat_map(|looked| looked.path.ancestors().skip(1))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    let open: Vec<String> = folders
        .into_iter()
        .filter(|folder| fs::metadata(folder).is_ok_and(|metadata| is_open(metadata.mode())))
        .map(shell)
        .collect();
    if open.is_empty() {
        Check::ok(
            what,
            "nobody but their owners can put other files in the place of these",
        )
    } else {
        let open = open.join(" ");
        Check::error(
            what,
            format!("anybody can replace files in {open}"),
            format!("chmod o-w {open}"),
        )
    }
}

/// Others can write, and remove what is not theirs (inode(7): the sticky bit forbids it).
fn is_open(mode: u32) -> bool {
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0
}

fn separation(deployment: &Deployment, users: [Option<RunAs>; 2]) -> Option<Check> {
    let what = "users of the daemons";
    match users {
        [Some(broker), Some(worker)] if broker.uid == worker.uid => Some(Check::error(
            what,
            format!(
                "broker and worker are both user {}: who takes one has the other's files",
                broker.uid
            ),
            "give each a user of its own (`security.run_as`, systemd/dbal.sysusers)",
        )),
        [Some(broker), Some(worker)] => Some(Check::ok(
            what,
            format!(
                "two: {} for the broker, {} for the worker",
                broker.uid, worker.uid
            ),
        )),
        [_, _] if deployment.is_dev => Some(Check::ok(
            what,
            "one, whoever starts `dbal dev`: for development only",
        )),
        // In a container there may be no such names.
        [_, _] => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::check::Verdict;
    use super::*;

    const BROKER: RunAs = RunAs { uid: 10, gid: 11 };
    const WORKER: RunAs = RunAs { uid: 20, gid: 21 };

    #[test]
    fn who_must_not_reach_a_file_is_found_whatever_the_file_is() {
        use Role::{Decides, Kept, Plain, Sealed, Secret, ServedKey, Socket, Written};
        use Verdict::{Error, Ok, Warning};
        let table = [
            (Secret, 0, 0, 0o600, Ok),
            (Secret, 20, 21, 0o400, Ok),
            (Secret, 0, 21, 0o640, Ok),
            (Secret, 0, 11, 0o640, Error),
            (Secret, 20, 21, 0o640, Error),
            (Secret, 0, 0, 0o644, Error),
            (Secret, 0, 0, 0o602, Error),
            (Secret, 0, 21, 0o660, Error),
            (Plain, 0, 0, 0o600, Warning),
            (Plain, 0, 0, 0o604, Error),
            (ServedKey, 0, 11, 0o640, Ok),
            (ServedKey, 10, 11, 0o600, Ok),
            (ServedKey, 0, 21, 0o640, Warning),
            (ServedKey, 20, 21, 0o600, Warning),
            (ServedKey, 0, 11, 0o660, Error),
            (ServedKey, 0, 0, 0o644, Error),
            (Sealed, 0, 21, 0o640, Ok),
            (Sealed, 0, 0, 0o644, Warning),
            (Sealed, 0, 21, 0o660, Error),
            (Decides, 0, 0, 0o644, Ok),
            (Decides, 0, 0, 0o664, Error),
            (Decides, 0, 0, 0o646, Error),
            (Decides, 10, 11, 0o644, Warning),
            (Written, 20, 21, 0o700, Ok),
            (Written, 20, 21, 0o750, Error),
            (Written, 20, 21, 0o701, Error),
            (Written, 10, 11, 0o700, Error),
            (Kept, 30, 21, 0o700, Ok),
            (Kept, 30, 30, 0o750, Ok),
            (Kept, 20, 21, 0o700, Error),
            (Kept, 30, 21, 0o750, Error),
            (Kept, 30, 30, 0o705, Error),
            (Socket, 20, 11, 0o660, Ok),
            (Socket, 20, 21, 0o660, Warning),
            (Socket, 20, 11, 0o666, Warning),
        ];
        for (role, uid, gid, mode, expected) in table {
            let about = About { uid, gid, mode };
            let users = [Some(BROKER), Some(WORKER)];
            let check = judged("it".to_owned(), Path::new("/x"), role, about, users);
            assert_eq!(
                check.verdict, expected,
                "{role:?} {uid}:{gid} {mode:o}: {check:?}"
            );
            assert_eq!(check.mend.is_none(), expected == Ok);
        }
    }

    #[test]
    fn a_folder_above_that_anybody_can_write_is_found_and_tmp_is_none() {
        let root = tempfile::TempDir::new().unwrap();
        let folder = root.path().join("etc");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("acl.yaml");
        fs::write(&path, "").unwrap();
        let looked = [Looked {
            name: "policy",
            path,
            role: Role::Decides,
            may_be_missing: false,
        }];
        assert_eq!(parents(&looked).verdict, Verdict::Ok);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let check = parents(&looked);
        assert_eq!(check.verdict, Verdict::Error);
        assert!(check.mend.unwrap().ends_with("/etc"));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(parents(&looked).verdict, Verdict::Ok);
    }

    #[test]
    fn what_must_be_there_is_missed_and_what_may_be_is_not() {
        let missing = |may_be_missing| Looked {
            name: "policy",
            path: "/nonexistent/acl.yaml".into(),
            role: Role::Decides,
            may_be_missing,
        };
        assert_eq!(one(&missing(true), [None, None]), None);
        assert_eq!(
            one(&missing(false), [None, None]).unwrap().verdict,
            Verdict::Error
        );
    }
}
