//! The note that a policy has passed its tests: what daemons put in force that look for it.

use std::fs;
use std::path::Path;

use dbal_tests::binaries;
use dbal_tests::daemon::{Daemon, reconfigure_worker};

use crate::reload::{hang_up, health, rewrite, wait_until};

const TESTS: &str = "version: 1
cases:
  - name: a stranger makes nothing
    as: {id: 00000000-0000-7000-8000-00000000000a, roles: [nobody]}
    do: {method: create, entity: Note, data: {title: t}}
    expect: denied
";

/// Runs `dbal policy`: whether it succeeds, and what it says.
fn tool(config: &Path, arguments: &[&str]) -> (bool, String) {
    let output = binaries::command("dbal")
        .arg("policy")
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn a_policy_that_has_not_passed_its_tests_is_put_in_force_by_no_sighup_and_no_start() {
    let (_, folder, _) = Daemon::start().stop();
    let dev = folder.path().join("dev");
    let (broker, note) = (dev.join("broker.yaml"), dev.join("policy.tested"));
    fs::write(dev.join("tests.yaml"), TESTS).unwrap();
    let config = fs::read_to_string(&broker).unwrap();
    let named = "policy_tests: tests.yaml\npolicy_tested: policy.tested\n";
    fs::write(&broker, format!("{config}{named}")).unwrap();
    let (is_recorded, said) = tool(&broker, &["test", "--record", &note.to_string_lossy()]);
    assert!(is_recorded, "{said}");
    // The worker's configuration is checked when it is sealed: the note has to be there.
    reconfigure_worker(&dev, |shown| format!("{shown}policy_tested: policy.tested\n"));

    let daemon = Daemon::start_in(folder);
    let broker = daemon.folder().join("broker.yaml");
    let before = health(&daemon).await["policy"].clone();
    rewrite(&daemon, "acl.yaml", |text| format!("{text}# another\n"));
    hang_up(&daemon);
    let health = wait_until(&daemon, |health| {
        health["reloads"]["failed"] == 1 && health["worker"]["failed_reloads"] == 1
    })
    .await;
    let error = health["reloads"]["error"].as_str().unwrap();
    assert!(error.contains("has not passed its tests"), "{error}");
    assert_eq!(
        (&health["policy"], &health["worker"]["policy"]),
        (&before, &before)
    );

    // The tool runs the tests, notes that they passed, and has the daemons take the policy up.
    let pids = [daemon.worker().pid, daemon.broker().pid].map(|pid| pid.to_string());
    let (is_reloaded, said) = tool(&broker, &["reload", "--pid", &pids[0], "--pid", &pids[1]]);
    assert!(is_reloaded, "{said}");
    wait_until(&daemon, |health| {
        health["policies_agree"] == true && health["policy"] != before
    })
    .await;

    // A start is no way around it either.
    rewrite(&daemon, "acl.yaml", |text| format!("{text}# a third\n"));
    let (_, folder, _) = daemon.stop();
    let dev = folder.path().join("dev");
    for (program, config) in [("dbal-broker", "broker.yaml"), ("dbal-worker", "worker.yaml.age")] {
        let mut command = binaries::command(program);
        command.arg("--config").arg(dev.join(config));
        if program == "dbal-worker" {
            command.arg("--identity").arg(dev.join("identity"));
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains("has not passed its tests"),
            "{program}: {said}"
        );
    }
}
