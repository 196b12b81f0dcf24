//! The real channel over a socket pair: greeting, sessions, plans, incidents, drain.

mod countersigning;
mod together;
mod once;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use dbal_audit::{Durability, Journal};
use dbal_config::OnFailure;
use dbal_daemon::local_stream::LocalStream;
use dbal_identity::{ApiKeys, Fingerprints, Secrets, Signer, TokenRules, Verifier};
use dbal_shared::fault::Code;
use dbal_shared::frame::{FrameReader, write_frame};
use dbal_shared::ids::{CallId, Digest, RequestId, SessionHandle};
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{
    Advice, Answer, Execute, Failure, Hello, OpenSession, PROTOCOL, Proof, Rejected, ToBroker, ToWorker,
};
use dbal_shared::plan::{Action, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::{Shared, conversation};
use crate::database::{Connections, Database};
use crate::fixture::{ALICE, BOB, Fixture, text, uuid};
use crate::ledger::Ledger;
use crate::rulebook::Rulebook;

/// A worker without a process around it, and a program in the broker's place.
struct Stage {
    fixture: Fixture,
    shared: Arc<Shared>,
    signer: Signer,
    rules: TokenRules,
    drain: watch::Sender<bool>,
}

struct Broker {
    stream: UnixStream,
    frames: FrameReader,
    calls: u64,
}

impl Stage {
    fn new() -> Self {
        let fixture = Fixture::new();
        let signer = Signer::generate().unwrap();
        let key = fixture.folder.path().join("token.pem");
        std::fs::write(&key, signer.public_pem()).unwrap();
        let rules: TokenRules = serde_json::from_value(serde_json::json!({
            "issuer": "test", "audience": "dbal", "leeway_s": 0,
            "keys": [{"kid": signer.key_id(), "algorithm": "EdDSA", "public_key": key}],
        }))
        .unwrap();
        let journal = Journal::open(&fixture.folder.path().join("audit"), Durability::Interval).unwrap();
        let shared = Shared {
            cursors: Arc::new(crate::cursor::Cursors::new().unwrap()),
            rulebook: watch::Sender::new(Arc::new(Rulebook {
                policy: Arc::clone(&fixture.policy),
                verifier: Verifier::new(&rules, Secrets::Allowed).unwrap(),
                api_keys: ApiKeys::default(),
                sessions: None,
                certificates: Vec::new(),
                looks: Fingerprints::default(),
            })),
            failed_reloads: AtomicU32::new(0),
            database: Database::start(
                Connections::Sqlite(fixture.open()),
                crate::database::Waiting {
                    most: 64,
                    patience: std::time::Duration::from_secs(30),
                },
                crate::database::sweep::Keeping::default(),
                None,
            )
            .unwrap()
            .0,
            ledger: Arc::new(Ledger::new(journal, OnFailure::Refuse)),
            drain: Duration::from_millis(300),
            query_timeout: Duration::from_secs(5),
            sandbox: Vec::new(),
            sessions: Arc::new(AtomicU32::new(0)),
        };
        Self {
            fixture,
            shared: Arc::new(shared),
            signer,
            rules,
            drain: watch::channel(false).0,
        }
    }

    fn token(&self, id: &str, role: &str, expires_in_s: i64) -> String {
        let now = crate::generate::now_ms() / 1_000;
        let end = now.saturating_add(expires_in_s);
        let claims = serde_json::json!({
            "iss": "test", "aud": "dbal", "sub": id, "roles": [role], "iat": now, "exp": end,
        });
        self.signer.sign(&claims.to_string())
    }

    /// Connects without greeting.
    fn connect(&self) -> Broker {
        let (ours, theirs) = UnixStream::pair().unwrap();
        tokio::spawn(conversation::hold(
            LocalStream::new(theirs).unwrap(),
            Arc::clone(&self.shared),
            self.drain.subscribe(),
        ));
        Broker {
            stream: ours,
            frames: FrameReader::new(FRAME_TO_BROKER_BYTES),
            calls: 0,
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            schema: self.fixture.policy.schema().hash(),
            policy: self.fixture.policy.hash(),
            version: "test".to_owned(),
        }
    }

    async fn greeted(&self) -> Broker {
        let mut broker = self.connect();
        broker.send(&ToWorker::Hello(self.hello())).await;
        assert!(matches!(broker.next().await, Some(ToBroker::Welcome(_))));
        broker
    }

    /// What an honest broker sends for a plan.
    fn execute(&self, session: SessionHandle, caller: (&str, &str), plan: Plan) -> Execute {
        let subject = self.fixture.subject(caller.0, caller.1);
        let grant = self.fixture.policy.decide(&subject, plan.clone());
        Execute {
            call: CallId(0),
            request: RequestId { boot: 7, sequence: 1 },
            session,
            budget_ms: 5_000,
            policy: self.fixture.policy.hash(),
            grant: grant.map_or(Digest([0; 32]), |grant| grant.digest()),
            once: None,
            trace: None,
            plan,
        }
    }

    fn count(&self) -> Plan {
        Plan {
            entity: self.fixture.entity("Note").id,
            action: Action::Count {
                filter: Predicate::True,
            },
        }
    }

    fn create(&self, slug: &str) -> Plan {
        let values = [("ownerId", uuid(ALICE)), ("slug", text(slug))];
        Plan {
            entity: self.fixture.entity("Note").id,
            action: Action::Create {
                values: self.fixture.values("Note", &values),
                projection: self.fixture.projection("Note", &["slug"]),
            },
        }
    }

    /// The audit's text. Everything answered must stand in it already.
    fn audit(&self) -> String {
        let folder = self.fixture.folder.path().join("audit");
        let mut text = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            text.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        }
        text
    }
}

impl Broker {
    async fn send(&mut self, message: &ToWorker) {
        let mut buffer = Vec::new();
        write_frame(message, FRAME_TO_WORKER_BYTES, &mut buffer).unwrap();
        self.stream.write_all(&buffer).await.unwrap();
    }

    /// The next message but samples of health; none when the channel is closed.
    async fn next(&mut self) -> Option<ToBroker> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.next_but_health());
        next.await.expect("a message within 10 s")
    }

    async fn next_but_health(&mut self) -> Option<ToBroker> {
        loop {
            match self.frames.next_message().unwrap() {
                Some(ToBroker::Health(_) | ToBroker::Head(_)) => {}
                Some(message) => return Some(message),
                None => {
                    if self.stream.read_buf(self.frames.space()).await.unwrap_or(0) == 0 {
                        return None;
                    }
                }
            }
        }
    }

    async fn open(&mut self, proof: Proof) -> Result<(SessionHandle, Principal), Code> {
        self.calls = self.calls.saturating_add(1);
        let call = CallId(self.calls);
        let remote = "192.0.2.1:5".to_owned();
        self.send(&ToWorker::OpenSession(OpenSession {
            call,
            proof,
            remote,
            certificate: None,
        }))
        .await;
        match self.next().await {
            Some(ToBroker::SessionOpened(opened)) => Ok((opened.session, opened.principal)),
            Some(ToBroker::SessionRefused(refused)) => Err(refused.code),
            other => panic!("{other:?}"),
        }
    }

    async fn run(&mut self, execute: Execute) -> Result<String, Failure> {
        self.calls = self.calls.saturating_add(1);
        let call = CallId(self.calls);
        self.send(&ToWorker::Execute(Execute { call, ..execute })).await;
        match self.next().await {
            Some(ToBroker::Answer(Answer {
                call: answered,
                outcome,
            })) => {
                assert_eq!(answered, call);
                outcome.map(|reply| reply.json)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn bearer(token: String) -> Proof {
    Proof::Bearer(SecretString::from(token))
}

#[tokio::test]
async fn an_honest_broker_is_served_and_every_answer_is_in_the_audit_before_it_leaves() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, principal) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    assert_eq!(principal.id.as_deref(), Some(ALICE));
    let created = broker
        .run(stage.execute(session, (ALICE, "user"), stage.create("first")))
        .await;
    assert_eq!(created, Ok("{\"slug\":\"first\"}".to_owned()));
    let audit = stage.audit();
    assert!(
        audit.contains("\"method\":\"create\"") && audit.contains("\"remote\":\"192.0.2.1:5\""),
        "{audit}"
    );
    assert!(!audit.contains("first"), "no row values: {audit}");
    assert_eq!(
        broker
            .run(stage.execute(session, (ALICE, "user"), stage.count()))
            .await,
        Ok("1".to_owned())
    );
}

#[tokio::test]
async fn many_calls_in_flight_are_each_answered_once() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    for nth in 0..50 {
        let execute = stage.execute(session, (ALICE, "user"), stage.create(&format!("n{nth}")));
        broker
            .send(&ToWorker::Execute(Execute {
                call: CallId(100 + nth),
                ..execute
            }))
            .await;
    }
    let mut answered = Vec::new();
    for _ in 0..50 {
        let Some(ToBroker::Answer(answer)) = broker.next().await else {
            panic!()
        };
        assert!(answer.outcome.is_ok());
        answered.push(answer.call.0);
    }
    answered.sort_unstable();
    assert_eq!(answered, (100..150).collect::<Vec<_>>());
}

#[tokio::test]
async fn greetings_of_another_protocol_or_schema_are_rejected() {
    let stage = Stage::new();
    let mut broker = stage.connect();
    broker
        .send(&ToWorker::Hello(Hello {
            protocol: 0,
            ..stage.hello()
        }))
        .await;
    let expected = Rejected::Protocol { expected: PROTOCOL };
    assert_eq!(broker.next().await, Some(ToBroker::Rejected(expected)));
    assert_eq!(broker.next().await, None);
    let mut broker = stage.connect();
    broker
        .send(&ToWorker::Hello(Hello {
            schema: Digest([0; 32]),
            ..stage.hello()
        }))
        .await;
    assert!(matches!(
        broker.next().await,
        Some(ToBroker::Rejected(Rejected::Schema { .. }))
    ));
    assert_eq!(broker.next().await, None);
}

#[tokio::test]
async fn a_message_before_the_greeting_or_a_second_greeting_ends_the_channel() {
    let stage = Stage::new();
    let mut broker = stage.connect();
    broker.send(&ToWorker::Cancel(CallId(1))).await;
    assert_eq!(broker.next().await, None);
    let mut broker = stage.greeted().await;
    broker.send(&ToWorker::Hello(stage.hello())).await;
    assert_eq!(broker.next().await, None);
    assert!(stage.audit().contains("out of phase"));
}

#[tokio::test]
async fn proofs_that_do_not_hold_are_refused_and_recorded() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    for token in [
        stage.token(ALICE, "user", -60),
        "nonsense".to_owned(),
        String::new(),
    ] {
        assert_eq!(broker.open(bearer(token)).await, Err(Code::Unauthorized));
    }
    assert_eq!(stage.audit().matches("\"event\":\"authentication\"").count(), 3);
    assert_eq!(
        broker.open(Proof::Anonymous).await.unwrap().1,
        Principal::anonymous()
    );
}

#[tokio::test]
async fn a_handle_is_good_on_its_own_channel_only() {
    let stage = Stage::new();
    let mut first = stage.greeted().await;
    let (session, _) = first.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let mut second = stage.greeted().await;
    let told = second
        .run(stage.execute(session, (ALICE, "user"), stage.count()))
        .await;
    assert_eq!(told.unwrap_err().code, Code::Unauthorized);
    assert_eq!(second.next().await, None, "the channel is closed");
    assert!(stage.audit().contains("\"event\":\"incident\""));
    assert_eq!(
        first
            .run(stage.execute(session, (ALICE, "user"), stage.count()))
            .await,
        Ok("0".to_owned())
    );
}

#[tokio::test]
async fn a_closed_session_is_to_be_opened_again_and_no_incident() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    broker.send(&ToWorker::CloseSession(session)).await;
    let told = broker
        .run(stage.execute(session, (ALICE, "user"), stage.count()))
        .await
        .unwrap_err();
    assert_eq!(
        (told.code, told.advice),
        (Code::Unauthorized, Advice::UnknownSession)
    );
    assert!(broker.open(Proof::Anonymous).await.is_ok(), "the channel goes on");
    assert!(!stage.audit().contains("incident"));
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_the_broker_is_told() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 1))).await.unwrap();
    assert_eq!(broker.next().await, Some(ToBroker::SessionEnded(session)));
    let told = broker
        .run(stage.execute(session, (ALICE, "user"), stage.count()))
        .await
        .unwrap_err();
    assert_eq!(told.code, Code::Unauthorized);
    assert!(!stage.audit().contains("incident"));
}

#[tokio::test]
async fn a_grant_that_is_not_the_workers_own_is_an_incident() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    // The digest that an administrator would get for the same plan.
    let told = broker
        .run(stage.execute(session, (BOB, "admin"), stage.count()))
        .await;
    assert_eq!(told.unwrap_err().code, Code::Forbidden);
    assert_eq!(broker.next().await, None);
    assert!(stage.audit().contains("differs under the same policy"));
}

#[tokio::test]
async fn a_plan_that_the_policy_denies_is_an_incident_if_it_arrives_at_all() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(Proof::Anonymous).await.unwrap();
    let told = broker
        .run(stage.execute(session, (ALICE, "admin"), stage.count()))
        .await;
    assert!(told.is_err());
    assert_eq!(broker.next().await, None);
    assert!(stage.audit().contains("\"event\":\"incident\""));
}

#[tokio::test]
async fn another_policy_is_answered_with_a_retry_and_no_incident() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let execute = stage.execute(session, (ALICE, "user"), stage.count());
    let told = broker
        .run(Execute {
            policy: Digest([1; 32]),
            ..execute.clone()
        })
        .await
        .unwrap_err();
    assert_eq!((told.code, told.advice), (Code::Unavailable, Advice::StalePolicy));
    assert!(broker.run(execute).await.is_ok());
}

#[tokio::test]
async fn a_reload_ends_sessions_and_the_next_ones_are_judged_by_the_new_rulebook() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (old, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let execute = stage.execute(old, (ALICE, "user"), stage.count());
    let policy = stage.fixture.policy_with("# another\n");
    let verifier = Verifier::new(&stage.rules, Secrets::Allowed).unwrap();
    stage.shared.rulebook.send_replace(Arc::new(Rulebook {
        policy: Arc::clone(&policy),
        verifier,
        api_keys: ApiKeys::default(),
        sessions: None,
        certificates: Vec::new(),
        looks: Fingerprints::default(),
    }));
    assert_eq!(broker.next().await, Some(ToBroker::SessionEnded(old)));
    // What was under way is no incident, whatever it lacks.
    let told = broker.run(execute.clone()).await.unwrap_err();
    assert_eq!(
        (told.code, told.advice),
        (Code::Unauthorized, Advice::UnknownSession)
    );
    let (new, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let execute = Execute {
        session: new,
        ..execute
    };
    let told = broker.run(execute.clone()).await.unwrap_err();
    assert_eq!((told.code, told.advice), (Code::Unavailable, Advice::StalePolicy));
    let execute = Execute {
        policy: policy.hash(),
        ..execute
    };
    assert!(broker.run(execute).await.is_ok());
    assert!(!stage.audit().contains("incident"));
}

#[tokio::test]
async fn a_token_of_a_key_that_is_gone_opens_nothing_any_more() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let key = stage.fixture.folder.path().join("token.pem");
    std::fs::write(&key, Signer::generate().unwrap().public_pem()).unwrap();
    stage.shared.rulebook.send_replace(Arc::new(Rulebook {
        policy: Arc::clone(&stage.fixture.policy),
        verifier: Verifier::new(&stage.rules, Secrets::Allowed).unwrap(),
        api_keys: ApiKeys::default(),
        sessions: None,
        certificates: Vec::new(),
        looks: Fingerprints::default(),
    }));
    let refused = broker.open(bearer(stage.token(ALICE, "user", 60))).await;
    assert_eq!(refused.unwrap_err(), Code::Unauthorized);
}

#[tokio::test]
async fn a_call_number_in_use_ends_the_channel() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    for _ in 0..200 {
        let execute = stage.execute(session, (ALICE, "user"), stage.create("same"));
        broker
            .send(&ToWorker::Execute(Execute {
                call: CallId(5),
                ..execute
            }))
            .await;
        if stage.audit().contains("a call number that is in use") {
            return;
        }
    }
    while broker.next().await.is_some() {}
    assert!(stage.audit().contains("a call number that is in use"));
}

#[tokio::test]
async fn a_call_without_time_left_is_not_begun() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let execute = stage.execute(session, (ALICE, "user"), stage.create("late"));
    let told = broker
        .run(Execute {
            budget_ms: 0,
            ..execute
        })
        .await
        .unwrap_err();
    assert_eq!((told.code, told.advice), (Code::Timeout, Advice::Retry));
    assert_eq!(
        broker
            .run(stage.execute(session, (ALICE, "user"), stage.count()))
            .await,
        Ok("0".to_owned())
    );
}

#[tokio::test]
async fn a_draining_worker_says_so_refuses_what_is_new_and_closes() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    stage.drain.send_replace(true);
    assert_eq!(broker.next().await, Some(ToBroker::Draining));
    let told = broker
        .run(stage.execute(session, (ALICE, "user"), stage.count()))
        .await
        .unwrap_err();
    assert_eq!(
        (told.code, told.advice),
        (Code::Unavailable, Advice::UnknownSession)
    );
    assert_eq!(broker.next().await, None);
}

#[tokio::test]
async fn a_drain_that_takes_too_long_stops_what_is_in_flight_and_says_so() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    // The first change waits for the lock, and the second for the first.
    let lock = rusqlite::Connection::open(stage.fixture.folder.path().join("test.sqlite")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    for call in [101, 102] {
        let execute = stage.execute(session, (ALICE, "user"), stage.create(&format!("s{call}")));
        let call = CallId(call);
        broker.send(&ToWorker::Execute(Execute { call, ..execute })).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.drain.send_replace(true);
    assert_eq!(broker.next().await, Some(ToBroker::Draining));
    for _ in 0..2 {
        match broker.next().await {
            Some(ToBroker::Answer(Answer { outcome, .. })) => {
                assert_eq!(outcome.unwrap_err().code, Code::Unavailable);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(broker.next().await, None);
    assert!(
        stage.audit().contains("the worker ended before it was done"),
        "{}",
        stage.audit()
    );
}
