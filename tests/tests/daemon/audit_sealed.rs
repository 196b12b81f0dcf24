//! Records are taken out of the worker's reach as they come: what is sealed stays, and a journal that is cut or written anew while nobody
//! looks is told.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dbal_tests::client::Client;
use dbal_tests::daemon::{Daemon, files_below};
use dbal_tests::{binaries, journal};
use nix::unistd::geteuid;
use serde_json::json;

/// Whom nobody is: `dbal dev` has the two numbers before it.
const KEEPER: u32 = 64_803;
const PATIENCE: Duration = Duration::from_secs(30);

/// `dbal audit seal --follow`, under a user of its own where we are root.
struct Keeper(Child);

impl Keeper {
    fn start(from: &Path, to: &Path) -> Self {
        let mut command = binaries::command("dbal");
        command
            .args(["audit", "seal", "--follow", "--every-ms", "20"])
            .args([from, to])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if geteuid().is_root() {
            let about = std::fs::metadata(from).expect("the journal's folder");
            // A worker that was started as root begins its first file as root: the folder gives it its group.
            let open = std::fs::Permissions::from_mode(0o2750);
            std::fs::set_permissions(from, open).expect("a mode");
            for file in files_below(from) {
                chown(file, None, Some(about.gid())).expect("a group");
            }
            std::fs::create_dir_all(to).expect("a folder");
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(to, private).expect("a mode");
            chown(to, Some(KEEPER), Some(about.gid())).expect("an owner");
            command.args(["--run-as", &format!("{KEEPER}:{}", about.gid())]);
        }
        let mut child = command.spawn().expect("dbal starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("its first line");
        Self(child)
    }

    /// What it says when it ends by itself.
    fn ends(mut self) -> Output {
        let until = Instant::now() + PATIENCE;
        while self.0.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < until, "it goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
        let stderr = self.0.stderr.take().expect("a pipe");
        let said = BufReader::new(stderr).lines().map_while(Result::ok);
        Output {
            status: self.0.wait().expect("a child"),
            stdout: Vec::new(),
            stderr: said.collect::<Vec<_>>().join("\n").into_bytes(),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn verify(folders: &[&Path]) -> Output {
    let mut command = binaries::command("dbal");
    command.args(["audit", "verify"]).args(folders);
    command.output().expect("dbal runs")
}

fn newest(folder: &Path) -> PathBuf {
    let mut files = files_below(folder);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    files.pop().expect("a file of the journal")
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "not {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_that_is_cut_while_both_daemons_are_down_is_told_and_stays_sealed() {
    let daemon = Daemon::start();
    let audit = daemon.audit();
    let sealed = daemon.folder().join("sealed");
    let keeper = Keeper::start(&audit, &sealed);
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    for title in ["one", "two", "three"] {
        client
            .call("create", json!(["Note", {"title": title}]))
            .await
            .expect("made");
    }
    let written = journal::records(&audit).len();
    wait_until("sealed", || journal::records(&sealed).len() >= written);
    assert!(verify(&[&sealed, &audit]).status.success());

    let (_, folder, _) = daemon.stop();
    let audit = folder.path().join("dev/audit");
    let sealed = folder.path().join("dev/sealed");
    let whole = std::fs::read_to_string(newest(&audit)).expect("the journal");
    let records = whole.lines().count();
    wait_until("sealed to its end", || journal::records(&sealed).len() == records);
    // With the worker's rights nothing that is sealed can be read, changed, removed or replaced.
    if geteuid().is_root() {
        let worker = std::fs::metadata(&audit).expect("the journal's folder");
        let file = newest(&sealed).display().to_string();
        for attempt in [
            vec!["cat", &file],
            vec!["truncate", "--size=0", &file],
            vec!["rm", "-f", &file],
            vec!["mv", &file, "/tmp/"],
            vec!["chmod", "666", &file],
        ] {
            let tried = Command::new("setpriv")
                .args([
                    "--reuid",
                    &worker.uid().to_string(),
                    "--regid",
                    &worker.gid().to_string(),
                ])
                .args(["--clear-groups", "--"])
                .args(&attempt)
                .output()
                .expect("setpriv, of util-linux");
            assert!(!tried.status.success(), "{attempt:?} worked");
        }
    }

    // Nobody runs but the keeper, and the journal loses its end.
    let cut: String = whole.split_inclusive('\n').take(records - 3).collect();
    std::fs::write(newest(&audit), cut).expect("the journal is cut");
    let told = keeper.ends();
    assert_eq!(told.status.code(), Some(1));
    let incident = format!("incident: record {records} is sealed and does not stand in");
    assert!(
        String::from_utf8_lossy(&told.stderr).contains(&incident),
        "{told:?}"
    );

    // Both come back, and the journal grows beyond where it was.
    let daemon = Daemon::start_in(folder);
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    for _ in 0..6 {
        client.call("list", json!(["Note"])).await.expect("a list");
    }
    let (audit, sealed) = (daemon.folder().join("audit"), daemon.folder().join("sealed"));
    assert!(verify(&[&audit]).status.success(), "sound by itself");
    let told = Keeper::start(&audit, &sealed).ends();
    assert!(
        String::from_utf8_lossy(&told.stderr).contains(&incident),
        "{told:?}"
    );
    let both = verify(&[&sealed, &audit]);
    assert_eq!(both.status.code(), Some(1));
    let said = String::from_utf8_lossy(&both.stderr).into_owned();
    assert!(
        said.contains(&format!("record {records} is sealed and does not stand here")),
        "{said}"
    );
    assert!(verify(&[&sealed]).status.success());
    let kept: String = std::fs::read_to_string(newest(&sealed)).expect("what is sealed");
    assert_eq!(kept, whole);
}
