//! The commands that need no daemon, run as an operator runs them.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use dbal_audit::{Durability, Event, Journal, Outcome, Record};
use tempfile::TempDir;

const CONFIG: &str = "\
socket: {path: run/worker.sock, allow_uid: [7]}
database: {sqlite: {path: data/dbal.sqlite}}
entities: entities
policy: acl.yaml
auth: {tokens: {issuer: i, audience: a, keys: [{kid: k, algorithm: HS256, secret: correct-horse-battery-staple-0123}]}}
audit: {directory: audit}
";

fn dbal(arguments: &[&str], folder: &Path) -> Output {
    dbal_with(arguments, folder, &[])
}

fn dbal_with(arguments: &[&str], folder: &Path, environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbal"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DBAL_IDENTITY")
        .env_remove("DBAL_TOKEN")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", err(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder with an identity, worker.yaml, entities and a policy; returns the recipient.
fn folder() -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let recipient = out(&dbal(&["keygen", "-o", "identity"], dir.path()))
        .trim()
        .to_owned();
    private(&dir.path().join("worker.yaml"), CONFIG);
    let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../policy/examples");
    fs::copy(examples.join("acl.yaml"), dir.path().join("acl.yaml")).unwrap();
    fs::create_dir(dir.path().join("entities")).unwrap();
    for entry in fs::read_dir(examples.join("entities")).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, dir.path().join("entities").join(from.file_name().unwrap())).unwrap();
    }
    (dir, recipient)
}

#[test]
fn keygen_writes_a_private_file_once() {
    let dir = TempDir::new().unwrap();
    let recipient = out(&dbal(&["keygen", "-o", "identity"], dir.path()));
    assert!(recipient.starts_with("age1"));
    assert_eq!(mode(&dir.path().join("identity")), 0o600);
    let before = fs::read(dir.path().join("identity")).unwrap();
    let again = dbal(&["keygen", "-o", "identity"], dir.path());
    assert_eq!(again.status.code(), Some(2));
    assert!(err(&again).contains("exists already"));
    assert_eq!(fs::read(dir.path().join("identity")).unwrap(), before);
}

#[test]
fn a_configuration_is_sealed_shown_and_checked() {
    let (dir, recipient) = folder();
    let at = dir.path();
    let said = out(&dbal(&["config", "encrypt", "worker.yaml", "-r", &recipient], at));
    assert!(said.contains("sealed for 1 recipient"), "{said}");
    assert_eq!(mode(&at.join("worker.yaml.age")), 0o600);
    assert!(
        !fs::read(at.join("worker.yaml.age"))
            .unwrap()
            .windows(13)
            .any(|bytes| bytes == b"correct-horse")
    );

    let shown = out(&dbal(
        &["config", "show", "worker.yaml.age", "-i", "identity"],
        at,
    ));
    assert!(
        shown.contains("secret: \"(set, not shown)\"") && !shown.contains("correct-horse"),
        "{shown}"
    );
    assert!(shown.contains("readers: 2"), "defaults are filled in: {shown}");

    let checked = dbal_with(
        &["config", "check", "worker.yaml.age"],
        at,
        &[("DBAL_IDENTITY", "identity")],
    );
    assert_eq!(out(&checked), "worker.yaml.age: sound\n");
}

#[test]
fn a_configuration_that_would_not_load_is_not_sealed() {
    let (dir, recipient) = folder();
    private(
        &dir.path().join("worker.yaml"),
        &CONFIG.replace("policy:", "polcy:"),
    );
    let output = dbal(
        &["config", "encrypt", "worker.yaml", "-r", &recipient],
        dir.path(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("4:1: unknown key `polcy`; did you mean `policy`?"),
        "{}",
        err(&output)
    );
    assert!(!dir.path().join("worker.yaml.age").exists());
}

#[test]
fn check_follows_a_configuration_into_its_policy() {
    let (dir, _) = folder();
    let acl = fs::read_to_string(dir.path().join("acl.yaml")).unwrap();
    fs::write(
        dir.path().join("acl.yaml"),
        acl.replace("entity: Note", "entity: Nota"),
    )
    .unwrap();
    let output = dbal(&["config", "check", "worker.yaml"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("Nota"), "{}", err(&output));
}

#[test]
fn check_names_the_files_that_are_missing_and_looks_at_all_that_it_is_given() {
    let (dir, _) = folder();
    let at = dir.path();
    let postgresql = "{postgresql: {host: db, database: a, user: u, ca_file: nobody.crt}}";
    let broken = CONFIG.replace(
        CONFIG.lines().find(|line| line.starts_with("database:")).unwrap(),
        &format!("database: {postgresql}"),
    );
    private(&at.join("worker.yaml"), &broken);
    let output = dbal(&["config", "check", "worker.yaml"], at);
    assert!(
        err(&output).contains("nobody.crt: No such file"),
        "{}",
        err(&output)
    );

    fs::remove_dir_all(at.join("entities")).unwrap();
    fs::create_dir(at.join("entities")).unwrap();
    private(&at.join("worker.yaml"), CONFIG);
    private(
        &at.join("worker2.yaml"),
        "socket: {}\ndatabase: {sqlite: {path: a}, mysql: {}}\n",
    );
    let output = dbal(&["config", "check", "worker2.yaml", "worker.yaml"], at);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    for expected in [
        "worker2.yaml:2:",
        "one key alone may stand here",
        "entities: no *.yaml file in it declares an entity",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_policy_is_found_in_a_folder() {
    let (dir, _) = folder();
    let output = dbal(&["policy", "check", "--config", "."], dir.path());
    assert!(out(&output).contains("sound: "), "{output:?}");
    let output = dbal(&["policy", "check", "--config", "nowhere"], dir.path());
    assert!(err(&output).contains("nowhere: No such file"), "{}", err(&output));
}

#[test]
fn a_configuration_that_is_not_there_is_not_sought_above() {
    let output = dbal(&["run", "--config", "/nowhere/dbal"], Path::new("/"));
    assert!(
        err(&output).contains("/nowhere/dbal: No such file"),
        "{}",
        err(&output)
    );
}

#[test]
fn a_token_can_be_signed_with_another_key_for_whoever_looks_for_its_issuer() {
    let dir = TempDir::new().unwrap();
    let signer = dbal_identity::Signer::generate().unwrap();
    private(&dir.path().join("token.key"), &signer.private_pem());
    let whole = [
        "token",
        "--key",
        "token.key",
        "--kid",
        "one",
        "--issuer",
        "me",
        "--audience",
        "dbal",
        "--subject",
        "42",
        "--role",
        "user",
    ];
    let token = out(&dbal(&whole, dir.path()));
    let part = |nth: usize| {
        let text = token.trim().split('.').nth(nth).unwrap();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
        serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
    };
    assert_eq!(
        (&part(0)["kid"], &part(0)["alg"]),
        (&"one".into(), &"EdDSA".into())
    );
    let claims = part(1);
    assert_eq!(
        (
            &claims["iss"],
            &claims["aud"],
            &claims["sub"],
            &claims["roles"][0]
        ),
        (&"me".into(), &"dbal".into(), &"42".into(), &"user".into())
    );
    private(&dir.path().join("empty"), "\n");
    let whole = [
        "call",
        "--endpoint",
        "wss://127.0.0.1:1/",
        "--token-file",
        "empty",
        "list",
        "Note",
    ];
    let output = dbal(&whole, dir.path());
    assert!(err(&output).contains("empty: holds no token"), "{}", err(&output));
    for less in [
        ["token", "--key", "token.key", "--subject", "42"],
        ["token", "--subject", "42", "--kid", "one"],
    ] {
        assert_eq!(dbal(&less, dir.path()).status.code(), Some(2), "{less:?}");
    }
}

#[test]
fn edit_seals_what_the_editor_wrote_and_leaves_nothing_behind() {
    let (dir, recipient) = folder();
    let at = dir.path();
    out(&dbal(&["config", "encrypt", "worker.yaml", "-r", &recipient], at));
    let script = format!(
        "#!/bin/sh\necho \"$1\" > {}/where\nsed -i 's/allow_uid: .7./allow_uid: [8]/' \"$1\"\n",
        at.display()
    );
    fs::write(at.join("editor"), script).unwrap();
    fs::set_permissions(at.join("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    let editor = at.join("editor");
    let edited = dbal_with(
        &["config", "edit", "worker.yaml.age", "-i", "identity"],
        at,
        &[("VISUAL", editor.to_str().unwrap())],
    );
    out(&edited);
    let shown = out(&dbal(
        &["config", "show", "worker.yaml.age", "-i", "identity"],
        at,
    ));
    assert!(shown.contains("allow_uid: [8]"), "{shown}");
    let scratch = PathBuf::from(fs::read_to_string(at.join("where")).unwrap().trim());
    assert!(scratch.is_absolute() && !scratch.exists() && !scratch.parent().unwrap().exists());
}

#[test]
fn an_edit_that_breaks_the_configuration_changes_nothing() {
    let (dir, recipient) = folder();
    let at = dir.path();
    out(&dbal(&["config", "encrypt", "worker.yaml", "-r", &recipient], at));
    let before = fs::read(at.join("worker.yaml.age")).unwrap();
    for editor in ["sed -i s/policy/polcy/", "false"] {
        let edited = dbal_with(
            &["config", "edit", "worker.yaml.age", "-i", "identity"],
            at,
            &[("VISUAL", ""), ("EDITOR", editor)],
        );
        assert_eq!(edited.status.code(), Some(1), "{editor}");
        assert_eq!(fs::read(at.join("worker.yaml.age")).unwrap(), before);
    }
}

#[test]
fn edit_does_not_lock_out_other_recipients_silently() {
    let (dir, recipient) = folder();
    let at = dir.path();
    let other = out(&dbal(&["keygen", "-o", "other"], at)).trim().to_owned();
    out(&dbal(
        &["config", "encrypt", "worker.yaml", "-r", &recipient, "-r", &other],
        at,
    ));
    let edited = dbal_with(
        &["config", "edit", "worker.yaml.age", "-i", "identity"],
        at,
        &[("EDITOR", "true")],
    );
    assert_eq!(edited.status.code(), Some(2));
    assert!(err(&edited).contains("2 recipients"), "{}", err(&edited));
}

#[test]
fn audit_verify_tells_sound_from_broken_by_words_and_by_exit_code() {
    let dir = TempDir::new().unwrap();
    let journal = Journal::open(&dir.path().join("audit"), Durability::Interval).unwrap();
    for _ in 0..3 {
        journal
            .append(&Record::new(0, Event::Call, Outcome::Allowed))
            .unwrap();
    }
    journal.flush().unwrap();
    drop(journal);
    let sound = out(&dbal(&["audit", "verify", "audit"], dir.path()));
    assert!(sound.starts_with("sound: 3 records in 1 files"), "{sound}");

    let file = dir.path().join("audit/audit-00000000000000000001.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replacen("\"event\":\"call\"", "\"event\":\"cull\"", 1),
    )
    .unwrap();
    let broken = dbal(&["audit", "verify", "audit"], dir.path());
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        err(&broken).contains("audit-00000000000000000001.jsonl:1: record 1 was changed"),
        "{}",
        err(&broken)
    );

    let json = dbal(&["audit", "verify", "audit", "--json"], dir.path());
    let line: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (line["sound"].as_bool(), line["record"].as_u64()),
        (Some(false), Some(1))
    );
}

#[test]
fn policy_check_loads_the_examples_without_a_warning() {
    let (dir, _) = folder();
    let output = dbal(
        &[
            "policy",
            "check",
            "--entities",
            "entities",
            "--policy",
            "acl.yaml",
        ],
        dir.path(),
    );
    assert!(out(&output).starts_with("sound: 3 entities, policy "));
    assert_eq!(err(&output), "");
}

/// The shipped example with many tenants.
fn tracker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/examples/tracker")
}

#[test]
fn the_example_with_many_tenants_is_checked_and_tested_by_the_tool() {
    let checked = dbal(&["policy", "check", "--strict"], &tracker());
    assert!(
        out(&checked).starts_with("sound: 5 entities"),
        "{}",
        out(&checked)
    );
    let tested = out(&dbal(&["policy", "test"], &tracker()));
    assert!(tested.ends_with(" cases, 0 failed\n"), "{tested}");
    let junit = out(&dbal(&["policy", "test", "--format", "junit"], &tracker()));
    assert!(junit.contains("failures=\"0\""), "{junit}");

    let dir = TempDir::new().unwrap();
    let wrong = fs::read_to_string(tracker().join("tests.yaml"))
        .unwrap()
        .replace("expect: allowed", "expect: denied");
    let path = dir.path().join("wrong.yaml");
    fs::write(&path, wrong).unwrap();
    let failed = dbal(&["policy", "test", path.to_str().unwrap()], &tracker());
    assert_eq!(failed.status.code(), Some(1));
    let table = String::from_utf8(failed.stdout.clone()).unwrap();
    assert!(
        table.contains("FAIL  an owner does\n") && table.contains("expected denied\n"),
        "{table}"
    );
    assert!(err(&failed).contains("policy tests failed: "), "{}", err(&failed));
}

#[test]
fn policy_diff_has_an_exit_code_for_what_is_widened() {
    let dir = TempDir::new().unwrap();
    let (old, new) = (tracker().join("acl.yaml"), dir.path().join("acl.yaml"));
    let diff = |old: &Path, new: &Path, format: &str| {
        let entities = tracker().join("entities");
        let arguments = [
            "policy",
            "diff",
            "--format",
            format,
            "--entities",
            entities.to_str().unwrap(),
        ];
        dbal(
            &[&arguments[..], &[old.to_str().unwrap(), new.to_str().unwrap()]].concat(),
            dir.path(),
        )
    };
    let text = fs::read_to_string(&old).unwrap();
    fs::write(
        &new,
        text.replace(
            "rows: \"state = 'draft'\"",
            "rows: \"state IN ('draft', 'sent')\"",
        ),
    )
    .unwrap();
    assert!(out(&diff(&old, &old, "text")).starts_with("no difference"));
    let widened = diff(&old, &new, "text");
    assert_eq!(widened.status.code(), Some(2));
    let said = String::from_utf8(widened.stdout.clone()).unwrap();
    assert!(
        said.contains("+ widened  accountant, owner may update Invoice"),
        "{said}"
    );
    let narrowed = out(&diff(&new, &old, "json"));
    assert!(narrowed.contains("\"direction\": \"narrowed\""), "{narrowed}");
    fs::write(&new, "version: 2\n").unwrap();
    assert_eq!(diff(&old, &new, "markdown").status.code(), Some(1));
}

#[test]
fn a_development_daemon_is_for_this_machine_only() {
    let dir = TempDir::new().unwrap();
    let output = dbal(&["dev", "--listen", "0.0.0.0:0"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(err(&output).contains("dbal run"), "{}", err(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn help_shows_a_call_to_copy() {
    let dir = TempDir::new().unwrap();
    let help = out(&dbal(&["call", "--help"], dir.path()));
    assert!(
        help.contains("dbal call --as alice create Note '{\"title\":\"first\"}'"),
        "{help}"
    );
    assert!(help.contains("12 forbidden"), "{help}");
}

#[test]
fn a_wrong_question_and_an_absent_daemon_have_their_own_exit_codes() {
    let dir = TempDir::new().unwrap();
    let no_folder = dbal(&["call", "list", "Note"], dir.path());
    assert_eq!(no_folder.status.code(), Some(2));
    assert!(
        err(&no_folder).contains("dbal dev --dir .dbal-dev"),
        "{}",
        err(&no_folder)
    );

    let plain = dbal(
        &["call", "--endpoint", "ws://127.0.0.1:1/", "list", "Note"],
        dir.path(),
    );
    assert_eq!(plain.status.code(), Some(2));

    fs::write(dir.path().join("ca.crt"), CERTIFICATE).unwrap();
    let absent = dbal(
        &[
            "call",
            "--endpoint",
            "wss://127.0.0.1:1/",
            "--ca",
            "ca.crt",
            "list",
            "Note",
        ],
        dir.path(),
    );
    assert_eq!(absent.status.code(), Some(3), "{}", err(&absent));
}

/// Any authority; nothing is signed by it here.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkjCCATegAwIBAgIUPUmaFl+CoPhNOv6bwBf1+SKvWQEwCgYIKoZIzj0EAwIw
JTEjMCEGA1UEAwwaZGJhbCBkZXZlbG9wbWVudCBhdXRob3JpdHkwHhcNMjQwMTAx
MDAwMDAwWhcNNDkxMjMxMDAwMDAwWjAlMSMwIQYDVQQDDBpkYmFsIGRldmVsb3Bt
ZW50IGF1dGhvcml0eTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGn45x/MMh4Y
e3Ns+imkhUwPwCtuPWM3r4pRZ5eMx2qg2ZDjAS3q/hFUPV5/S/V+57RjV0mQx1fK
fjQDd7zmaZijRTBDMA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU2djSkLQnAka4
3kQKVa5O/3baTUEwEgYDVR0TAQH/BAgwBgEB/wIBADAKBggqhkjOPQQDAgNJADBG
AiEA0RzkoXPpcvuDmdXeM9IrnEjHdRJ/zETpqKD9PYGr198CIQCsqu/jy62aFWy8
CPZ2dqliPrt201v5kDEHo3BTaFCx0g==
-----END CERTIFICATE-----
";

/// As `… | head -0`: whoever should read has gone before the first word.
fn unread(arguments: &[&str], folder: &Path) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    Command::new(env!("CARGO_BIN_EXE_dbal"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DBAL_IDENTITY")
        .stdout(writer)
        .output()
        .unwrap()
}

#[test]
fn keys_that_are_made_and_revoked_at_once_are_all_made_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let new = || {
        dbal(
            &["key", "new", "--file", "keys", "--name", "a", "--subject", "b"],
            dir.path(),
        )
    };
    let first: Vec<String> = (0..8).map(|_| out(&new()).trim_end().to_owned()).collect();
    std::thread::scope(|scope| {
        for key in &first {
            scope.spawn(|| out(&dbal(&["key", "revoke", "--file", "keys", key], dir.path())));
            scope.spawn(|| out(&new()));
        }
    });
    let list = out(&dbal(&["key", "list", "--file", "keys"], dir.path()));
    assert_eq!(list.matches("revoked").count(), 8, "{list}");
    assert_eq!(list.matches("valid").count(), 8, "{list}");
}

/// A terminal that is closed, or a connection to it that is cut, must not leave the database's password behind.
#[test]
fn a_signal_while_the_configuration_is_open_leaves_no_text_behind() {
    let (dir, recipient) = folder();
    let at = dir.path();
    out(&dbal(&["config", "encrypt", "worker.yaml", "-r", &recipient], at));
    let sealed = fs::read(at.join("worker.yaml.age")).unwrap();
    let editor = at.join("editor");
    // The second one is asked in vain.
    for (signal, manners) in [(Signal::SIGHUP, ""), (Signal::SIGTERM, "trap '' TERM HUP; ")] {
        let script = format!("{manners}echo \"$1\" > opened.new; mv opened.new opened; exec sleep 60\n");
        fs::write(&editor, script).unwrap();
        let mut edit = Command::new(env!("CARGO_BIN_EXE_dbal"))
            .args(["config", "edit", "worker.yaml.age", "-i", "identity"])
            .current_dir(at)
            .env_remove("VISUAL")
            .env("EDITOR", format!("/bin/sh {}", editor.display()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let opened = wait_for(|| fs::read_to_string(at.join("opened")).ok());
        let text = PathBuf::from(opened.trim_end());
        assert!(fs::read_to_string(&text).unwrap().contains("correct-horse"));
        kill(Pid::from_raw(edit.id().try_into().unwrap()), signal).unwrap();
        assert!(!edit.wait().unwrap().success());
        assert!(!text.exists() && !text.parent().unwrap().exists(), "{signal}");
        assert_eq!(fs::read(at.join("worker.yaml.age")).unwrap(), sealed);
        fs::remove_file(at.join("opened")).unwrap();
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Who may read a folder may lock it, and that may be anybody.
#[test]
fn nobody_keeps_a_key_from_being_revoked_by_locking_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let new = ["key", "new", "--file", "keys", "--name", "a", "--subject", "b"];
    let key = out(&dbal(&new, dir.path())).trim_end().to_owned();
    let held = fs::File::open(dir.path()).unwrap();
    held.lock_shared().unwrap();
    out(&dbal(&["key", "revoke", "--file", "keys", &key], dir.path()));
    out(&dbal(&new, dir.path()));
    let list = out(&dbal(&["key", "list", "--file", "keys"], dir.path()));
    assert_eq!(
        (list.matches("revoked").count(), list.matches("valid").count()),
        (1, 1),
        "{list}"
    );
    // The file itself only those can lock who may read it.
    assert_eq!(mode(&dir.path().join("keys")), 0o600);
}

#[test]
fn a_command_whose_output_nobody_reads_ends_quietly() {
    let (dir, recipient) = folder();
    let at = dir.path();
    private(
        &at.join("schema.prisma"),
        "model Note {\n  id String @id\n  title String\n}\n",
    );
    out(&dbal(&["config", "encrypt", "worker.yaml", "-r", &recipient], at));
    out(&dbal(
        &["key", "new", "--file", "keys", "--name", "a", "--subject", "b"],
        at,
    ));
    let policy = ["--entities", "entities", "--policy", "acl.yaml"];
    let of_policy = |command: &[&'static str]| [&["policy"], command, &policy].concat();
    let table: Vec<Vec<&str>> = vec![
        vec!["keygen"],
        vec!["keygen", "-o", "another"],
        vec!["key", "new", "--file", "keys", "--name", "c", "--subject", "d"],
        vec!["key", "list", "--file", "keys"],
        vec!["config", "show", "worker.yaml.age", "-i", "identity"],
        vec!["config", "check", "worker.yaml"],
        vec!["config", "encrypt", "worker.yaml", "-r", &recipient],
        vec!["schema", "ddl", "--entities", "entities", "--database", "sqlite"],
        vec!["schema", "import-prisma", "schema.prisma", "--out", "made"],
        vec!["doctor", "--config", "."],
        vec!["doctor", "--config", ".", "--json"],
        of_policy(&["matrix"]),
        of_policy(&["matrix", "--format", "html"]),
        of_policy(&["check"]),
        of_policy(&["who-can", "read", "Note.title"]),
        of_policy(&[
            "explain",
            "--as",
            "{\"id\":\"x\",\"roles\":[\"user\"]}",
            "list",
            "[\"Note\"]",
        ]),
    ];
    for arguments in table {
        let ended = unread(&arguments, at);
        assert_eq!(ended.status.code(), Some(141), "{arguments:?}: {}", err(&ended));
        assert!(
            !err(&ended).contains("panicked"),
            "{arguments:?}: {}",
            err(&ended)
        );
    }
}
