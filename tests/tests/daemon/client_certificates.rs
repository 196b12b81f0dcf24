//! Client certificates: whom the broker lets in, what they bind, and that they are nobody by themselves unless it is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbal_tests::binaries;
use dbal_tests::client::{Client, Identity, Login, Refusal};
use dbal_tests::daemon::Daemon;
use dbal_tests::journal;
use dbal_tests::worker_alone::unix_seconds;
use nix::sys::signal::Signal;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use serde_json::{Value, json};

/// An authority for clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "clients of the test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a client's certificate and key into a folder.
    fn issue(&self, folder: &Path, name: &str, serial: u64) -> Identity {
        let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        self.sign(folder, name, serial, params)
    }

    fn sign(&self, folder: &Path, name: &str, serial: u64, mut params: CertificateParams) -> Identity {
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let identity = Identity {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        fs::write(&identity.certificate, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    fn revoke(&self, file: &Path, serials: &[u64]) {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2036, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        fs::write(file, list.signed_by(&self.0).unwrap().pem().unwrap()).unwrap();
    }
}

/// SHA-256 of a certificate in base64url, as `cnf` has it, by another program.
fn thumbprint(identity: &Identity) -> String {
    let script = "openssl x509 -in \"$0\" -outform der | openssl dgst -sha256 -binary | base64 | tr '+/' '-_' | tr -d '='";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(&identity.certificate)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A daemon that asks clients for certificates, with these further settings of `tls.clients` and of the worker's `auth`.
fn start(authority: &Authority, settings: &str, of_worker: &str) -> (Daemon, PathBuf) {
    let (_, folder, _) = Daemon::start().stop();
    let dev = folder.path().join("dev");
    let tls = dev.join("clients");
    fs::create_dir(&tls).unwrap();
    fs::write(tls.join("ca.crt"), authority.0.pem()).unwrap();
    authority.revoke(&tls.join("list.crl"), &[]);
    let config = dev.join("broker.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let line =
        format!("  key: server.key\n  clients: {{ca: clients/ca.crt, crl: [clients/list.crl]{settings}}}\n");
    fs::write(&config, text.replace("  key: server.key\n", &line)).unwrap();
    if !of_worker.is_empty() {
        let script = dev.join("certificates.sed");
        fs::write(&script, format!("/^auth:$/a\\\n  {of_worker}\n")).unwrap();
        let edited = binaries::command("dbal")
            .args(["config", "edit", "--identity"])
            .args([dev.join("identity"), dev.join("worker.yaml.age")])
            .env("VISUAL", format!("sed -i -f {}", script.display()))
            .output()
            .unwrap();
        assert!(edited.status.success(), "{edited:?}");
    }
    (Daemon::start_in(folder), tls)
}

async fn connect(daemon: &Daemon, login: Login<'_>, identity: Option<&Identity>) -> Option<Client> {
    Client::try_connect_with(daemon, login, identity).await.ok()
}

async fn count(client: &mut Client, token: Option<&str>) -> Result<Value, Refusal> {
    match token {
        Some(token) => {
            client
                .call_as(json!({"token": token}), "count", json!(["Note"]))
                .await
        }
        None => client.call("count", json!(["Note"])).await,
    }
}

#[tokio::test]
async fn a_bound_token_is_good_with_its_certificate_alone_and_a_certificate_is_nobody_by_itself() {
    let authority = Authority::new();
    let (daemon, folder) = start(&authority, "", "");
    let (mine, thiefs) = (
        authority.issue(&folder, "mine", 7),
        authority.issue(&folder, "thief", 8),
    );
    let mut claims = daemon.claims_of(daemon.user("alice"));
    claims["exp"] = json!(unix_seconds() + 600);
    claims["cnf"] = json!({"x5t#S256": thumbprint(&mine)});
    let bound = daemon.sign(&claims);
    let mut client = connect(&daemon, Login::Header(&bound), Some(&mine))
        .await
        .unwrap();
    assert_eq!(count(&mut client, None).await.unwrap(), 0);
    for identity in [None, Some(&thiefs)] {
        let mut client = connect(&daemon, Login::Nobody, identity).await.unwrap();
        assert_eq!(count(&mut client, Some(&bound)).await.unwrap_err().code, 401);
        // Without a token it is nobody; with an unbound one, whom that says.
        assert_eq!(count(&mut client, None).await.unwrap_err().code, 401);
        let unbound = &daemon.user("alice").token;
        assert_eq!(count(&mut client, Some(unbound)).await.unwrap(), 0);
    }
    let accepted = journal::wait_for(&daemon.audit(), |record| {
        record["event"] == "authentication" && record["detail"].to_string().contains("bound to a certificate")
    });
    assert_eq!(accepted["principal"], json!(daemon.user("alice").user_id));

    // Of another authority, or revoked: no connection at all.
    let stranger = Authority::new().issue(&folder, "stranger", 9);
    assert!(
        connect(&daemon, Login::Header(&bound), Some(&stranger))
            .await
            .is_none()
    );
    let mut others = connect(&daemon, Login::Nobody, Some(&thiefs)).await.unwrap();
    authority.revoke(&folder.join("list.crl"), &[7]);
    daemon.broker().signal(Signal::SIGHUP);
    // The connection that is open ends as well, though it asks for nothing; one with another certificate goes on.
    assert_eq!(client.closed_with().await, Some(4401));
    let unbound = &daemon.user("alice").token;
    assert_eq!(count(&mut others, Some(unbound)).await.unwrap(), 0);
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while connect(&daemon, Login::Header(&bound), Some(&mine))
        .await
        .is_some()
    {
        assert!(std::time::Instant::now() < until, "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(connect(&daemon, Login::Nobody, Some(&thiefs)).await.is_some());
    // The log has it once the client is gone.
    drop(client);
    while !daemon
        .said()
        .contains("its client certificate does not hold any more")
    {
        assert!(std::time::Instant::now() < until, "{}", daemon.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A list that can't be read keeps the one before.
    fs::write(folder.join("list.crl"), "rubbish").unwrap();
    daemon.broker().signal(Signal::SIGHUP);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        connect(&daemon, Login::Header(&bound), Some(&mine))
            .await
            .is_none()
    );
    assert!(
        daemon.said().contains("nothing was reloaded"),
        "{}",
        daemon.said()
    );
}

#[tokio::test]
async fn a_certificate_is_somebody_only_by_a_name_that_the_worker_entrusts_the_broker_with() {
    let authority = Authority::new();
    let alice = "0199a000-0000-7000-8000-00000000a11c";
    let names = format!(
        "{{trust_broker: true, names: [{{name: \"dns:known.test\", subject: {alice}, roles: [user]}}]}}"
    );
    let (daemon, folder) = start(&authority, ", alone: true", &format!("certificates: {names}"));
    let (known, other) = (
        authority.issue(&folder, "known", 1),
        authority.issue(&folder, "other", 2),
    );
    let mut client = connect(&daemon, Login::Nobody, Some(&known)).await.unwrap();
    let note = client
        .call("create", json!(["Note", {"title": "by a certificate"}]))
        .await
        .unwrap();
    assert_eq!(note["ownerId"], json!(alice));
    for identity in [None, Some(&other)] {
        let mut client = connect(&daemon, Login::Nobody, identity).await.unwrap();
        assert_eq!(count(&mut client, None).await.unwrap_err().code, 401);
    }
    journal::wait_for(&daemon.audit(), |record| {
        record["detail"] == "client certificate dns:known.test, as the broker says"
    });
}

/// What a browser shows by itself, it shows for every page: the page of a stranger shall be nobody by it.
#[tokio::test]
async fn a_certificate_is_nobody_for_pages_of_other_origins_and_by_no_text_of_another_part() {
    let authority = Authority::new();
    let alice = "0199a000-0000-7000-8000-00000000a11c";
    let rule = |name: &str| format!("{{name: \"{name}\", subject: {alice}, roles: [user]}}");
    let names = [rule("dns:known.test"), rule("cn:known")].join(", ");
    let (daemon, folder) = start(
        &authority,
        ", alone: true, origins: [\"https://app.example\"]",
        &format!("certificates: {{trust_broker: true, names: [{names}]}}"),
    );
    let known = authority.issue(&folder, "known", 1);
    for (login, is_somebody) in [
        (Login::Nobody, true),
        (Login::Page("https://app.example"), true),
        (Login::Page("https://app.example.evil.example"), false),
        (Login::Page("http://app.example"), false),
        (Login::Page("null"), false),
    ] {
        let mut client = connect(&daemon, login, Some(&known)).await.unwrap();
        let counted = count(&mut client, None).await;
        assert_eq!(counted.is_ok(), is_somebody, "{login:?}: {counted:?}");
        // A token is as good there as anywhere.
        let token = &daemon.user("alice").token;
        assert!(count(&mut client, Some(token)).await.is_ok(), "{login:?}");
    }
    // An organization in whose text stands what a common name is made of.
    let mut params = CertificateParams::new(vec!["other.test".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let within = "\u{6}\u{3}U\u{4}\u{3}\u{c}\u{5}known";
    params.distinguished_name.push(DnType::OrganizationName, within);
    let disguised = authority.sign(&folder, "disguised", 2, params);
    let mut client = connect(&daemon, Login::Nobody, Some(&disguised)).await.unwrap();
    assert_eq!(count(&mut client, None).await.unwrap_err().code, 401);

    // Where certificates are a proof by themselves no more, they are none on open connections either.
    let mut client = connect(&daemon, Login::Nobody, Some(&known)).await.unwrap();
    assert!(count(&mut client, None).await.is_ok());
    let config = daemon.folder().join("broker.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("alone: true", "alone: false")).unwrap();
    daemon.broker().signal(Signal::SIGHUP);
    assert_eq!(client.closed_with().await, Some(4401));
    let mut client = connect(&daemon, Login::Nobody, Some(&known)).await.unwrap();
    assert_eq!(count(&mut client, None).await.unwrap_err().code, 401);
}
