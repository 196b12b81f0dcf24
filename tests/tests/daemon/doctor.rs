//! `dbal doctor` finds nothing wrong with what works, and what is wrong with what does not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use dbal_tests::binaries;
use dbal_tests::daemon::Daemon;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

/// The exit code, and what is not as it should be: "verdict, what: how".
fn ask(folder: &Path, more: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = binaries::command("dbal")
        .args(["doctor", "--json", "--config"])
        .arg(folder)
        .args(more)
        .output()
        .expect("dbal runs");
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let word = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().expect("checks").iter();
    // How old the kernel is, is not the folder's to decide.
    let found = checks
        .filter(|check| check["verdict"] != "ok" && check["section"] != "kernel")
        .map(|check| {
            assert!(
                check["do"].is_string(),
                "what is wrong comes with what to do: {check}"
            );
            format!(
                "{}, {}: {}",
                word(check, "verdict"),
                word(check, "what"),
                word(check, "said")
            )
        });
    (output.status.code(), found.collect())
}

fn assert_finds(folder: &Path, more: &[&str], what: &str, said: &str) {
    let (code, found) = ask(folder, more);
    let is_it = |line: &String| line.starts_with("error") && line.contains(what) && line.contains(said);
    assert!(found.iter().any(is_it), "{what}, {said}: {found:#?}");
    assert_eq!(code, Some(1), "{found:#?}");
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_daemon_that_serves_and_each_thing_that_is_broken() {
    let daemon = Daemon::start_as_shipped();
    let folder = daemon.folder();
    let (code, found) = ask(&folder, &["--name", "localhost"]);
    assert!(found.is_empty(), "{found:#?}");
    assert_ne!(code, Some(1));

    assert_finds(
        &folder,
        &["--name", "db.example"],
        "certificate",
        "is not for db.example",
    );

    let identity = folder.join("identity");
    fs::set_permissions(&identity, Permissions::from_mode(0o644)).unwrap();
    assert_finds(&folder, &[], "identity", "others can reach a secret");
    fs::set_permissions(&identity, Permissions::from_mode(0o600)).unwrap();

    broken(
        &folder.join("acl.yaml"),
        |text| text.replace("\nrules:", "\nrulez:"),
        || {
            assert_finds(&folder, &[], "policy", "rulez");
        },
    );
    let journal = fs::read_dir(daemon.audit())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let journal = journal
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    broken(
        &journal.expect("a journal"),
        |text| text.replacen("\"outcome\":\"allowed\"", "\"outcome\":\"denied\"", 1),
        || {
            assert_finds(&folder, &[], "audit journal", "was changed");
        },
    );
    expired_certificate(&folder);
    assert_finds(&folder, &[], "certificate", "ended on 2025-01-01");

    let (_, kept, _) = daemon.stop();
    let folder = kept.path().join("dev");
    assert_finds(&folder, &[], "daemons", "no broker answers");
}

#[test]
fn where_there_is_no_deployment_the_doctor_says_so() {
    let output = binaries::command("dbal")
        .args(["doctor", "--config", "/nonexistent/dbal"])
        .output()
        .expect("dbal runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--config"));
}

/// The file is another for as long as `look` looks.
fn broken(path: &Path, change: impl FnOnce(&str) -> String, look: impl FnOnce()) {
    let before = fs::read_to_string(path).unwrap();
    let after = change(&before);
    assert_ne!(after, before, "nothing was broken in {}", path.display());
    fs::write(path, after).unwrap();
    look();
    fs::write(path, before).unwrap();
}

fn expired_certificate(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2025, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("server.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}
