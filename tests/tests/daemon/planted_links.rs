//! A taken worker can write its own folders, and root starts the next one: links that it planted there lead root nowhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dbal_tests::binaries;
use dbal_tests::daemon::files_below;
use nix::unistd::geteuid;
use tempfile::TempDir;

/// Who has been taken, and whom root starts the process for.
const TAKEN: u32 = 54_322;
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST: &str = "audit-00000000000000000001.jsonl";

/// What a program did that found the link.
struct Refused {
    said: String,
    place: Place,
}

/// What a keeper is started for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Once,
    Follow,
}

/// A deployment with a file and a folder that are root's, beside a folder of the worker's.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dbal-links-").tempdir().unwrap();
        let place = Self(folder);
        set_mode(place.0.path(), 0o711);
        fs::write(place.at("precious"), "x").unwrap();
        set_mode(&place.at("precious"), 0o600);
        fs::create_dir(place.at("roots")).unwrap();
        set_mode(&place.at("roots"), 0o700);
        for name in ["state", "state/db", "state/audit", "state/run", "state/sealed"] {
            fs::create_dir(place.at(name)).unwrap();
            set_mode(&place.at(name), 0o700);
            if geteuid().is_root() {
                chown(place.at(name), Some(TAKEN), Some(TAKEN)).unwrap();
            }
        }
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts a link there, in the place of a folder if there is one.
    fn plant(&self, name: &str, to: &str) {
        let _ = fs::remove_dir(self.at(name));
        symlink(self.at(to), self.at(name)).unwrap();
    }

    fn worker(&self) -> Command {
        let run_as = if geteuid().is_root() {
            format!(", run_as: \"{TAKEN}:{TAKEN}\"")
        } else {
            String::new()
        };
        let fixtures = binaries::repository().join("tests/fixtures");
        let fixtures = fixtures.canonicalize().unwrap();
        let config = format!(
            "socket: {{path: state/run/worker.sock}}
database: {{sqlite: {{path: state/db/x.sqlite, create_tables: true}}}}
entities: {fixtures}/entities
policy: {fixtures}/acl.yaml
auth: {{tokens: {{issuer: i, audience: a, keys: [{{kid: k, algorithm: HS256, secret: correct-horse-battery-staple-0123}}]}}}}
audit: {{directory: state/audit}}
security: {{sandbox: strict{run_as}}}
",
            fixtures = fixtures.display(),
        );
        fs::write(self.at("worker.yaml"), config).unwrap();
        set_mode(&self.at("worker.yaml"), 0o600);
        let mut command = binaries::command("dbal-worker");
        command.arg("--config").arg(self.at("worker.yaml"));
        command
    }

    fn keeper(&self, task: Task) -> Command {
        let mut command = binaries::command("dbal");
        command.args(["audit", "seal"]);
        match task {
            Task::Once => {}
            Task::Follow => {
                command.arg("--follow");
            }
        }
        if geteuid().is_root() {
            command.args(["--run-as", &format!("{TAKEN}:{TAKEN}")]);
        }
        command.arg(self.at("state/audit")).arg(self.at("state/sealed"));
        command
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs it to its end, which has to come by itself.
fn refused(place: Place, mut command: Command, what: &str) -> Refused {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what}: it serves");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(1), "{what}: {said}");
    Refused { said, place }
}

/// What is root's is as it was.
fn assert_untouched(Refused { said, place }: &Refused, what: &str) {
    let precious = place.at("precious");
    let about = fs::metadata(&precious).unwrap();
    let own = geteuid().as_raw();
    assert_eq!(
        (about.uid(), about.mode() & 0o777),
        (own, 0o600),
        "{what}: {said}"
    );
    assert_eq!(fs::read(precious).unwrap(), b"x", "{what}: {said}");
    let roots = place.at("roots");
    assert_eq!(fs::metadata(&roots).unwrap().uid(), own, "{what}: {said}");
    assert_eq!(files_below(&roots), Vec::<PathBuf>::new(), "{what}: {said}");
}

#[test]
fn a_link_that_is_planted_in_the_workers_folders_leads_a_worker_that_root_starts_nowhere() {
    let cases = [
        (
            "state/db/x.sqlite",
            "precious",
            "it is a link, and is not followed",
        ),
        (
            "state/db/x.sqlite",
            "not-there",
            "it is a link, and is not followed",
        ),
        // As root it would have been opened, and told to be a link.
        ("state/audit/lock", "precious", "state/audit/lock: "),
        ("state/audit/lock", "not-there", "No such file"),
        ("state/run/worker.sock", "precious", "is no socket"),
        ("state/db", "roots", "Permission denied"),
        ("state/audit", "roots", "Permission denied"),
        ("state/run", "roots", "Permission denied"),
    ];
    let first = format!("state/audit/{FIRST}");
    let journals = [(first.as_str(), "precious", "is no regular file")];
    for (link, to, message) in cases.into_iter().chain(journals) {
        // Nobody but root has folders that another user can't reach.
        if to == "roots" && !geteuid().is_root() {
            continue;
        }
        let what = format!("{link} -> {to}");
        let place = Place::new();
        place.plant(link, to);
        let command = place.worker();
        let refused = refused(place, command, &what);
        assert!(refused.said.contains(message), "{what}: {}", refused.said);
        assert_untouched(&refused, &what);
        assert!(!refused.place.at("not-there").exists(), "{what}");
    }
}

#[test]
fn a_link_that_is_planted_where_records_are_sealed_leads_a_keeper_that_root_starts_nowhere() {
    let cases = [
        ("state/sealed/seal.prom", "precious"),
        ("state/sealed/lock", "precious"),
        ("state/sealed", "roots"),
        ("state/audit", "roots"),
    ];
    let tasks = [Task::Once, Task::Follow];
    for ((link, to), task) in cases.into_iter().flat_map(|case| tasks.map(|task| (case, task))) {
        if to == "roots" && !geteuid().is_root() {
            continue;
        }
        let what = format!("{link} -> {to}, {task:?}");
        let place = Place::new();
        place.plant(link, to);
        if link == "state/audit" && task == Task::Follow {
            // It goes on trying, since a journal that can't be read may be readable later; once will do.
            let once = Command::new("timeout");
            let mut command = once;
            let keeper = place.keeper(task);
            command
                .args(["--signal=KILL", "2"])
                .arg(keeper.get_program())
                .args(keeper.get_args());
            let said = command.output().unwrap();
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.contains("Permission denied"), "{what}: {said}");
            assert_untouched(&Refused { said, place }, &what);
            continue;
        }
        let command = place.keeper(task);
        assert_untouched(&refused(place, command, &what), &what);
    }
}

/// Nothing that root starts keeps root's rights to seal, be it for one look.
#[test]
fn a_keeper_that_root_starts_for_one_look_becomes_another_user_or_does_nothing() {
    let place = Place::new();
    let sealed = place.keeper(Task::Once).output().unwrap();
    let said = String::from_utf8_lossy(&sealed.stdout).into_owned();
    assert!(
        sealed.status.success() && said.contains("0 records sealed"),
        "{sealed:?}"
    );
    let status = fs::metadata(place.at("state/sealed/seal.prom")).unwrap();
    if !geteuid().is_root() {
        return;
    }
    assert_eq!(status.uid(), TAKEN);
    let mut as_root = binaries::command("dbal");
    as_root.args(["audit", "seal"]);
    as_root.arg(place.at("state/audit")).arg(place.at("own"));
    let refused = refused(place, as_root, "as root");
    assert!(refused.said.contains("--run-as"), "{}", refused.said);
    assert!(!refused.place.at("own").exists());
}

/// A hard link needs no right but to the folder where the system lets it be made (`fs.protected_hardlinks`).
#[test]
fn what_has_another_name_is_not_written_to() {
    let first = format!("state/audit/{FIRST}");
    let of_worker = ["state/db/x.sqlite", "state/audit/lock", first.as_str()];
    let of_keeper = ["state/sealed/lock", "state/sealed/seal.prom"];
    for name in of_worker.into_iter().chain(of_keeper) {
        let place = Place::new();
        let neighbour = place.at("state/neighbour");
        fs::write(&neighbour, "y").unwrap();
        if geteuid().is_root() {
            chown(&neighbour, Some(TAKEN), Some(TAKEN)).unwrap();
        }
        fs::hard_link(&neighbour, place.at(name)).unwrap();
        let command = if of_worker.contains(&name) {
            place.worker()
        } else {
            place.keeper(Task::Once)
        };
        let refused = refused(place, command, name);
        assert!(refused.said.contains("(a hard link)"), "{name}: {}", refused.said);
        assert_eq!(fs::read(&neighbour).unwrap(), b"y", "{name}");
    }
}

/// What root starts makes belongs to whom it becomes, and to the group that the folder gives.
#[test]
fn what_is_made_in_the_workers_folders_belongs_to_the_worker() {
    let place = Place::new();
    set_mode(&place.at("state/audit"), 0o2750);
    let mut command = place.worker();
    let mut child = command
        .args(["--ready-fd", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let ready = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(ready), &mut line).unwrap();
    let owner = if geteuid().is_root() {
        TAKEN
    } else {
        geteuid().as_raw()
    };
    let made: Vec<(PathBuf, u32, u32)> = ["db", "audit", "run"]
        .iter()
        .flat_map(|name| fs::read_dir(place.at("state").join(name)).unwrap())
        .map(|entry| {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            (path, about.uid(), about.gid())
        })
        .collect();
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.contains("worker.sock"), "{line}");
    assert!(made.len() >= 4, "{made:?}");
    let group = fs::metadata(place.at("state/audit")).unwrap().gid();
    for (path, uid, gid) in made {
        assert_eq!((uid, gid), (owner, group), "{}", path.display());
    }
}
