//! The two configurations of a development folder, as text, so that they read like what an operator would write.

use crate::dev::people::{AUDIENCE, ISSUER};
use crate::dev::separate::Separation;

/// `worker.yaml`, to be sealed.
pub(super) fn worker(kid: &str, separation: &Separation) -> String {
    format!(
        "\
# Made by `dbal dev`; change it with `dbal config edit`.
socket:
  path: {at}run/worker.sock
  mode: \"{mode}\"
  allow_uid: [{uid}]
database:
  sqlite:
    path: {at}data/dbal.sqlite
    create_tables: true
entities: entities
policy: acl.yaml
{auth}
audit:
  directory: {at}audit
security:
  sandbox: {sandbox}
{run_as}log:
  format: text
",
        at = separation.prefix(),
        sandbox = separation.sandbox(),
        mode = separation.socket_mode(),
        uid = separation.broker_uid(),
        auth = auth(
            kid,
            &format!("  api_keys: {}keys/api-keys.yaml\n", separation.prefix())
        ),
        run_as = run_as(separation.worker_runs_as()),
    )
}

/// `broker.yaml`, its ports still open.
pub(super) fn broker(kid: &str, separation: &Separation) -> String {
    format!(
        "\
# Made by `dbal dev`, which keeps your changes but for the next two lines.
listen: \"127.0.0.1:0\"
admin: \"127.0.0.1:0\"
tls:
  certificate: server.crt
  key: server.key
worker:
  socket: {at}run/worker.sock
entities: entities
policy: acl.yaml
{auth}
audit:
  countersign_key: countersign.key
security:
  sandbox: {sandbox}
  leave_network: true
{run_as}log:
  format: text
",
        at = separation.prefix(),
        sandbox = separation.sandbox(),
        // Clients that know nothing but an endpoint can bring a token in it; for development only.
        auth = auth(kid, "  token_in_query: true\n"),
        run_as = run_as(separation.broker_runs_as()),
    )
}

/// The broker's configuration with these ports in it.
pub(super) fn pinned(text: &str, listen: &str, admin: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("listen:") {
            format!("listen: \"{listen}\"\n")
        } else if line.starts_with("admin:") {
            format!("admin: \"{admin}\"\n")
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(line).collect()
}

fn auth(kid: &str, more: &str) -> String {
    format!(
        "\
auth:
{more}  tokens:
    issuer: {ISSUER}
    audience: {AUDIENCE}
    keys:
      - {{kid: \"{kid}\", algorithm: EdDSA, public_key: token.pub}}"
    )
}

fn run_as(who: Option<String>) -> String {
    who.map_or(String::new(), |who| format!("  run_as: \"{who}\"\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_worker_understands_its_configuration() {
        let elsewhere = Some("/var/lib/dbal-dev/k1".into());
        for separation in [
            Separation::Users { elsewhere: None },
            Separation::Users { elsewhere },
            Separation::Same { why: None },
        ] {
            let config =
                dbal_config::open_text(Path::new("/dev-folder/worker.yaml"), &worker("k1", &separation))
                    .unwrap();
            assert_eq!(config.security.run_as, separation.worker_runs_as());
            assert_eq!(config.socket.allow_uid, [separation.broker_uid()]);
        }
    }

    #[test]
    fn pinning_changes_the_ports_and_nothing_else() {
        let text = broker("k1", &Separation::Same { why: None });
        let pinned_text = pinned(&text, "127.0.0.1:4000", "127.0.0.1:4001");
        assert!(pinned_text.contains("\nlisten: \"127.0.0.1:4000\"\nadmin: \"127.0.0.1:4001\"\n"));
        assert_eq!(pinned(&pinned_text, "127.0.0.1:0", "127.0.0.1:0"), text);
    }
}
