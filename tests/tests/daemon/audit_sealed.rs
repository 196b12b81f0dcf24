//! Records are taken out of the worker's reach as they come: what is sealed stays, and a journal that is cut or written anew while nobody
//! looks is told.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use dbal_servers::small_disk;
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
        Self::start_on(from, to, None)
    }

    /// What is sealed lies on a disk of so many MiB, which the keeper alone sees.
    fn start_on(from: &Path, to: &Path, disk_mib: Option<u32>) -> Self {
        let mut words: Vec<OsString> = vec![binaries::command("dbal").get_program().to_owned()];
        words.extend(["audit", "seal", "--follow", "--every-ms", "20"].map(OsString::from));
        words.extend([from, to].map(|path| path.as_os_str().to_owned()));
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
            words.push("--run-as".into());
            words.push(format!("{KEEPER}:{}", about.gid()).into());
        }
        if let Some(mib) = disk_mib {
            std::fs::create_dir_all(to).expect("a folder");
            let like = to.with_extension("like");
            std::fs::create_dir(&like).expect("a folder");
            if geteuid().is_root() {
                chown(&like, Some(KEEPER), None).expect("an owner");
            }
            let text = words.iter().map(|word| word.to_string_lossy().into_owned());
            let words_there = small_disk::command(to, &like, mib, text.collect());
            words = words_there.into_iter().map(OsString::from).collect();
        }
        let mut command = Command::new(&words[0]);
        let command = command
            .args(&words[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("dbal starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("a pipe"))
            .read_line(&mut line)
            .expect("its first line");
        Self(child)
    }

    /// A folder as the keeper sees it.
    fn sees(&self, path: &Path) -> PathBuf {
        let below_root = path.strip_prefix("/").expect("an absolute path");
        let root = format!("/proc/{}/root", self.0.id());
        Path::new(&root).join(below_root)
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_is_told_and_sealing_goes_on_when_there_is_room() {
    let daemon = Daemon::start();
    let (audit, sealed) = (daemon.audit(), daemon.folder().join("sealed"));
    let mut keeper = Keeper::start_on(&audit, &sealed, Some(1));
    let seen = keeper.sees(&sealed);
    let status = || std::fs::read_to_string(seen.join("seal.prom")).expect("how the keeper fares");
    let is_sealed = |records: usize| {
        let file = seen.join("audit-00000000000000000001.jsonl");
        std::fs::read_to_string(file).is_ok_and(|text| text.lines().count() >= records)
    };
    let written = journal::records(&audit).len();
    wait_until("sealed", || is_sealed(written));
    wait_until("noted", || !status().contains("dbal_audit_seal_time_seconds 0\n"));

    let mut ballast = File::create(seen.join("ballast")).expect("room for it");
    while ballast.write_all(&[1; 512]).is_ok() {}
    drop(ballast);
    let mut client = Client::connect(&daemon, daemon.user("admin")).await;
    // More than what is left in the last page of the file.
    for _ in 0..30 {
        client.call("list", json!(["Note"])).await.expect("a list");
    }
    wait_until("told", || status().contains("# why: audit: "));
    assert!(status().contains("No space left"), "{}", status());
    assert!(status().contains("dbal_audit_seal_incident 0\n"), "{}", status());

    std::fs::remove_file(seen.join("ballast")).expect("there is room again");
    let written = journal::records(&audit).len();
    wait_until("sealed again", || is_sealed(written));
    wait_until("said", || !status().contains("No space left"));
    // All of it, in one chain, and nothing twice.
    let verified = verify(&[&seen, &audit]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(keeper.0.try_wait().expect("a child").is_none(), "it never ended");
    keeper.0.kill().expect("it ends");
    let mut said = String::new();
    let mut stderr = keeper.0.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    assert!(said.contains("error: nothing is sealed: audit: "), "{said}");
    assert!(said.contains("sealing again"), "{said}");
}
