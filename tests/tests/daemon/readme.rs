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
