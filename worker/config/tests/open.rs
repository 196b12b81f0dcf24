//! Opening a configuration as the worker does: sealed, plain, wrongly sealed, wrongly readable, wrongly written.
#![expect(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use dbal_config::{
    ChannelBinding, ConfigError, Database, Identity, KeyPair, Recipient, SealError, SslMode, decrypt,
    encrypt, is_sealed, keygen, open, open_text,
};
use secrecy::ExposeSecret;
use tempfile::TempDir;

const CONFIG: &str = "\
socket: {path: run/worker.sock, mode: 0660, allow_uid: [64801]}
database:
  sqlite: {path: data/dbal.sqlite, create_tables: true}
entities: entities
policy: /etc/dbal/acl.yaml
auth:
  tokens:
    issuer: https://dev.example
    audience: dbal
    keys:
      - {kid: dev, algorithm: EdDSA, public_key: token.pub}
      - {kid: old, algorithm: HS256, secret: correct-horse-battery-staple-0123456789}
audit: {directory: audit}
";

fn private(dir: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    chmod(&path, 0o600);
    path
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn identity_file(dir: &TempDir, keys: &KeyPair) -> PathBuf {
    let text = format!(
        "# recipient: {}\n{}\n",
        keys.recipient,
        keys.identity.expose_secret()
    );
    private(dir, "identity", text)
}

#[test]
fn paths_of_a_file_that_is_named_without_its_folder_are_absolute_too() {
    let config = open_text(Path::new("worker.yaml"), CONFIG).unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(config.entities, here.join("entities"));
    assert_eq!(config.socket.path, Some(here.join("run/worker.sock")));
}

fn complaint(text: &str) -> String {
    let dir = TempDir::new().unwrap();
    let path = private(&dir, "worker.yaml", text);
    let message = open(&path, None).unwrap_err().to_string();
    message.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn a_sealed_configuration_opens_with_its_identity_and_paths_are_relative_to_it() {
    let dir = TempDir::new().unwrap();
    let keys = keygen();
    let sealed = encrypt(CONFIG, std::slice::from_ref(&keys.recipient)).unwrap();
    assert!(is_sealed(&sealed));
    assert!(!sealed.windows(13).any(|bytes| bytes == b"correct-horse"));
    let path = private(&dir, "worker.yaml.age", &sealed);

    let config = open(&path, Some(Identity::File(identity_file(&dir, &keys)))).unwrap();

    let folder = dir.path();
    assert_eq!(config.entities, folder.join("entities"));
    assert_eq!(config.policy, Path::new("/etc/dbal/acl.yaml"));
    assert_eq!(config.socket.path, Some(folder.join("run/worker.sock")));
    assert_eq!(config.socket.mode, 0o660);
    assert_eq!(config.audit.directory, folder.join("audit"));
    assert_eq!(
        config.auth.tokens.as_ref().unwrap().keys[0].public_key,
        Some(folder.join("token.pub"))
    );
    assert!(config.warnings.is_empty());
    assert!(
        !format!("{config:?}").contains("correct-horse"),
        "a debug print shows a secret"
    );
}

#[test]
fn each_of_several_recipients_can_open_it_and_nobody_else() {
    let dir = TempDir::new().unwrap();
    let (one, two, stranger) = (keygen(), keygen(), keygen());
    let sealed = encrypt("text", &[one.recipient.clone(), two.recipient.clone()]).unwrap();
    for keys in [&one, &two] {
        let identity = Identity::File(identity_file(&dir, keys));
        assert_eq!(decrypt(&sealed, &identity).unwrap().as_str(), "text");
    }
    let error = decrypt(&sealed, &Identity::File(identity_file(&dir, &stranger))).unwrap_err();
    assert!(matches!(error, SealError::WrongIdentity), "{error}");
}

#[test]
fn a_changed_byte_in_a_sealed_file_is_found() {
    let dir = TempDir::new().unwrap();
    let keys = keygen();
    let identity = Identity::File(identity_file(&dir, &keys));
    let sealed = encrypt(CONFIG, std::slice::from_ref(&keys.recipient)).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(decrypt(&changed, &identity).is_err(), "byte {at}");
    }
    assert!(decrypt(&sealed[..sealed.len() - 1], &identity).is_err());
}

#[test]
fn sealing_for_nobody_is_refused() {
    assert!(matches!(encrypt(CONFIG, &[]), Err(SealError::NoRecipient)));
    let error = "age1notakey".parse::<Recipient>().unwrap_err();
    assert!(error.to_string().contains("dbal keygen"));
}

#[test]
fn an_identity_that_others_may_read_is_refused_with_the_cure() {
    let dir = TempDir::new().unwrap();
    let keys = keygen();
    let identity = identity_file(&dir, &keys);
    let sealed = encrypt(CONFIG, std::slice::from_ref(&keys.recipient)).unwrap();
    let path = private(&dir, "worker.yaml.age", &sealed);
    for mode in [0o604, 0o644, 0o660] {
        chmod(&identity, mode);
        let error = open(&path, Some(Identity::File(identity.clone())))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("chmod 600 {}", identity.display())),
            "{mode:o}: {error}"
        );
    }
    chmod(&identity, 0o400);
    assert!(open(&path, Some(Identity::File(identity))).is_ok());
}

#[test]
fn a_descriptor_is_read_and_closed() {
    use std::io::Write;
    use std::os::fd::IntoRawFd;

    let dir = TempDir::new().unwrap();
    let keys = keygen();
    let sealed = encrypt(CONFIG, std::slice::from_ref(&keys.recipient)).unwrap();
    let path = private(&dir, "worker.yaml.age", &sealed);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer
        .write_all(keys.identity.expose_secret().as_bytes())
        .unwrap();
    drop(writer);
    let number = reader.into_raw_fd();

    open(&path, Some(Identity::Descriptor(number))).unwrap();

    let still_a_pipe = fs::read_link(format!("/proc/self/fd/{number}"))
        .is_ok_and(|target| target.to_string_lossy().starts_with("pipe:"));
    assert!(!still_a_pipe, "descriptor {number} is still open");
}

#[test]
fn a_sealed_file_without_an_identity_says_where_one_may_come_from() {
    let dir = TempDir::new().unwrap();
    let sealed = encrypt(CONFIG, &[keygen().recipient]).unwrap();
    let path = private(&dir, "worker.yaml.age", &sealed);
    let error = open(&path, None).unwrap_err();
    assert!(matches!(error, ConfigError::NoIdentity { .. }), "{error}");
}

#[test]
fn a_plain_configuration_is_accepted_only_if_private_and_never_without_a_word() {
    let dir = TempDir::new().unwrap();
    let path = private(&dir, "worker.yaml", CONFIG);
    let config = open(&path, None).unwrap();
    assert!(config.warnings[0].contains("dbal config encrypt"));
    chmod(&path, 0o644);
    let error = open(&path, None).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn mistakes_are_told_with_place_and_cure() {
    for (from, to, expected) in [
        (
            "policy: /etc",
            "polcy: /etc",
            "worker.yaml:5:1: unknown key `polcy`; did you mean `policy`?",
        ),
        ("mode: 0660", "mode: 0999", "worker.yaml:1:"),
        ("mode: 0660", "mode: 0999", "a file mode in octal, such as 0660"),
        (
            "create_tables: true",
            "create_tables: maybe",
            "expected true or false",
        ),
        ("create_tables: true", "readers: 0", "a number from 1 to 64"),
        ("create_tables: true", "synchronous: ful", "did you mean `full`?"),
        ("sqlite:", "postgres:", "unknown word `postgres`"),
        ("audit: {directory: audit}", "audit: {}", "`directory` is missing"),
        (
            "audit: {directory: audit}",
            "audit: {directory: a, directory: b}",
            "stands twice",
        ),
        (
            "policy: /etc",
            "entities: x\npolicy: /etc",
            "the key `entities` stands twice",
        ),
        (
            "policy: /etc",
            "cache: {size_mb: 0}\npolicy: /etc",
            "a number from 1 to 65536",
        ),
        (
            "policy: /etc",
            "cache: {ttl: 86401}\npolicy: /etc",
            "seconds from 1 to 86400",
        ),
        (
            "policy: /etc",
            "cache: {other_daemons: none}\npolicy: /etc",
            "unknown word `none`",
        ),
        (
            "policy: /etc",
            "expiry: {interval_s: 0}\npolicy: /etc",
            "seconds from 1 to 86400",
        ),
        (
            "policy: /etc",
            "expiry: {every: 60}\npolicy: /etc",
            "unknown key `every`",
        ),
        (
            "policy: /etc",
            "cursor_keys: [\"0123456789\"]\npolicy: /etc",
            "up to 8 keys of cursors, each of 64 hexadecimal digits",
        ),
        (
            "audit: {directory: audit}",
            "audit: {directory: audit, checkpoint_key: abc}",
            "`dbal keygen --checkpoints`",
        ),
        (
            "policy: /etc",
            "limits: {resolve_again_s: 0}\npolicy: /etc",
            "seconds from 1 to 3600",
        ),
    ] {
        assert!(CONFIG.contains(from));
        let message = complaint(&CONFIG.replacen(from, to, 1));
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn there_are_so_many_keys_of_cursors_and_no_more() {
    let with = |count: usize| {
        let keys = vec![format!("\"{}\"", "0a".repeat(32)); count].join(", ");
        CONFIG.replacen("policy: /etc", &format!("cursor_keys: [{keys}]\npolicy: /etc"), 1)
    };
    let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &with(8)).unwrap();
    assert_eq!(config.cursor_keys.len(), 8);
    assert!(
        complaint(&with(9)).contains("up to 8 keys of cursors"),
        "{}",
        complaint(&with(9))
    );
}

#[test]
fn only_names_may_mean_another_address() {
    let sqlite = "sqlite: {path: data/dbal.sqlite, create_tables: true}";
    let named = |database: &str| {
        let text = CONFIG.replace(sqlite, database);
        let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &text).unwrap();
        config.database.named_host().map(ToOwned::to_owned)
    };
    assert_eq!(named(sqlite), None);
    for (host, name) in [
        ("[10.0.0.1, \"db.example:5433\"]", Some("db.example")),
        ("db.example", Some("db.example")),
        ("10.0.0.1", None),
        ("\"[::1]:5433\"", None),
    ] {
        let rest = format!("host: {host}, database: d, user: u, ssl_mode: disable");
        for kind in ["postgresql", "mysql"] {
            assert_eq!(
                named(&format!("{kind}: {{{rest}}}")).as_deref(),
                name,
                "{kind}: {host}"
            );
        }
    }
    assert_eq!(
        named("postgresql: {host: /run/postgresql, database: d, user: u}"),
        None
    );
    let token = "token: correct-horse-battery-staple-0123456789, dialect: postgresql, ca_file: ca.crt";
    let bridge = |url: &str| named(&format!("prisma: {{url: \"{url}\", {token}}}"));
    assert_eq!(
        bridge("https://bridge.example").as_deref(),
        Some("bridge.example")
    );
    assert_eq!(bridge("https://10.0.0.1"), None);
}

#[test]
fn a_mode_of_tls_may_be_spelt_as_libpq_spells_it() {
    let dir = TempDir::new().unwrap();
    for (word, mode) in [
        ("verify-ca", SslMode::VerifyCa),
        ("verify_ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
        ("verify_full", SslMode::VerifyFull),
    ] {
        let text = CONFIG.replace(
            "sqlite: {path: data/dbal.sqlite, create_tables: true}",
            &format!(
                "mysql: {{host: db.example, database: app, user: app, ssl_mode: {word}, ca_file: ca.pem}}"
            ),
        );
        let path = private(&dir, "worker.yaml", text);
        let Database::Mysql(mysql) = open(&path, None).unwrap().database else {
            panic!("another database");
        };
        assert_eq!(mysql.ssl_mode, mode);
    }
}

#[test]
fn a_proof_can_be_bound_only_where_there_is_a_certificate() {
    let on = |host: &str, rest: &str| {
        CONFIG.replace(
            "sqlite: {path: data/dbal.sqlite, create_tables: true}",
            &format!(
                "postgresql: {{host: {host}, database: app, user: app, channel_binding: require, {rest}}}"
            ),
        )
    };
    for (host, rest) in [
        ("/run/postgresql", ""),
        ("[db.example, /run/postgresql]", "ca_file: ca.pem"),
        ("db.example", "ssl_mode: disable"),
    ] {
        let message = complaint(&on(host, rest));
        assert!(
            message.contains("`database.postgresql.channel_binding` is require"),
            "{message}"
        );
    }
    assert!(complaint(&on("db.example", "channel_binding: never")).contains("stands twice"));
    let dir = TempDir::new().unwrap();
    let path = private(&dir, "worker.yaml", on("db.example", "ca_file: ca.pem"));
    let Database::Postgresql(postgresql) = open(&path, None).unwrap().database else {
        panic!("another database");
    };
    assert_eq!(postgresql.channel_binding, ChannelBinding::Require);
}

#[test]
fn nobody_accepts_to_be_late_where_postgresql_tells_what_others_write() {
    let accepted = CONFIG.replacen(
        "policy: /etc",
        "cache: {other_daemons: within_ttl}\npolicy: /etc",
        1,
    );
    let sqlite = "sqlite: {path: data/dbal.sqlite, create_tables: true}";
    let postgresql = "postgresql: {host: /run/postgresql, database: d, user: u}";
    let message = complaint(&accepted.replace(sqlite, postgresql));
    assert!(message.contains("is heard; leave it out"), "{message}");
    let bare = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), &accepted).unwrap();
    assert_eq!(
        bare.cache.other_daemons,
        Some(dbal_config::OtherDaemons::WithinTtl)
    );
    assert!(bare.cache.enabled);
    assert_eq!((bare.cache.size_mb, bare.cache.ttl), (256, 300));
}

/// A configuration with a bridge that is said to be so.
fn bridged(prisma: &str) -> String {
    CONFIG.replace(
        "sqlite: {path: data/dbal.sqlite, create_tables: true}",
        &format!("prisma: {{{prisma}}}"),
    )
}

#[test]
fn a_bridge_is_spoken_to_over_tls_or_on_this_machine_and_otherwise_never_without_a_word() {
    const REST: &str = "token: correct-horse-battery-staple-0123456789, dialect: postgresql";
    for (prisma, expected) in [
        ("url: \"https://b.example\"", "needs `ca_file`"),
        ("url: \"http://b.example\"", "allow_plain_http"),
        ("url: \"http://b.example\", ca_file: ca.pem", "allow_plain_http"),
        (
            "url: b.example",
            "expected https://host:port, http://host:port or unix:/path",
        ),
        ("url: \"http://localhost\", pool_size: 0", "a number from 1 to 64"),
        (
            "url: \"http://localhost\", create_tables: true",
            "unknown key `create_tables`",
        ),
    ] {
        let message = complaint(&bridged(&format!("{prisma}, {REST}")));
        assert!(message.contains(expected), "{prisma}: {message}");
    }
    for rest in [
        "token: correct-horse, dialect: postgresql",
        "token: \"correct-horse correct-horse correct-horse\", dialect: postgresql",
    ] {
        let message = complaint(&bridged(&format!("url: \"http://localhost\", {rest}")));
        assert!(
            message.contains("expected the bridge's token, 32 or more"),
            "{message}"
        );
        assert!(!message.contains("horse"), "{message}");
    }
    for dialect in ["mysql", "sqlite"] {
        let rest = REST.replace("postgresql", dialect);
        let message = complaint(&bridged(&format!("url: \"http://localhost\", {rest}")));
        assert!(
            message.contains("expected postgresql, the only dialect"),
            "{message}"
        );
    }
    let dir = TempDir::new().unwrap();
    for (prisma, warned) in [
        ("url: \"https://b.example\", ca_file: ca.pem", false),
        ("url: \"http://127.0.0.1:7411\"", false),
        ("url: \"unix:/run/bridge/socket\"", false),
        ("url: \"http://b.example\", allow_plain_http: true", true),
    ] {
        let path = private(&dir, "worker.yaml", bridged(&format!("{prisma}, {REST}")));
        let config = open(&path, None).unwrap();
        let is_told = config.warnings.iter().any(|warning| warning.contains("in clear"));
        assert_eq!(is_told, warned, "{prisma}: {:?}", config.warnings);
        assert!(!format!("{config:?}").contains("horse"));
    }
}

#[test]
fn an_error_never_quotes_a_value() {
    for broken in [
        CONFIG.replace(
            "algorithm: HS256, secret: correct",
            "algorithm: HS256, secret: [correct",
        ),
        CONFIG.replace("keys:", "keys: correct-horse-battery-staple\n    kyes:"),
        CONFIG
            .replace("readers", "x")
            .replace("audit: {directory: audit}", "audit: correct-horse-battery-staple"),
        CONFIG.replace(
            "create_tables: true",
            "create_tables: correct-horse-battery-staple",
        ),
        CONFIG.replace("create_tables: true", "readers: correct-horse-battery-staple"),
        CONFIG.replace("mode: 0660", "mode: correct-horse-battery-staple"),
        CONFIG.replace("secret: correct", "secret: {correct"),
        CONFIG.replace("secret: correct", "secret: *correct"),
        CONFIG.replace("secret: correct", "secret: \"correct"),
        CONFIG.replace("secret: correct", "secret: !!int correct"),
    ] {
        let message = complaint(&broken);
        assert!(!message.contains("horse"), "{message}");
    }
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_before_the_kernel_does() {
    let long = CONFIG.replace("run/worker.sock", &format!("run/{}.sock", "x".repeat(120)));
    assert!(complaint(&long).contains("may have 107"));
}

#[test]
fn the_example_of_the_documentation_opens() {
    let page = include_str!("../../../docs/config.md");
    let example = page.split_once("## worker.yaml\n\n```yaml\n").unwrap().1;
    let example = example.split_once("```").unwrap().0;
    let config = dbal_config::open_text(Path::new("/etc/dbal/worker.yaml"), example).unwrap();
    assert_eq!(config.socket.allow_uid, [990]);
}

#[test]
fn a_configuration_by_which_nobody_can_prove_anything_is_refused_unless_it_says_so() {
    let (before, rest) = CONFIG.split_once("auth:").unwrap();
    let (_, after) = rest.split_once("audit:").unwrap();
    let read = |auth: &str| {
        let text = format!("{before}auth: {auth}\naudit:{after}");
        open_text(Path::new("/etc/dbal/worker.yaml"), &text)
    };
    for auth in ["{public_only: true}", "{api_keys: keys.yaml}"] {
        assert!(read(auth).is_ok(), "{auth}");
    }
    for (auth, told) in [
        ("{}", "`auth` names no way to prove who one is"),
        ("{public_only: false}", "say `auth: {public_only: true}`"),
        (
            "{public_only: true, api_keys: keys.yaml}",
            "take out the one or the others",
        ),
    ] {
        let refused = read(auth).unwrap_err().to_string();
        assert!(refused.contains(told), "{auth}: {refused}");
    }
}
