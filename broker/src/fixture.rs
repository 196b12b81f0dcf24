//! A whole broker for tests, with a worker in its place that says what the test wants. Real sockets, real frames.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use dbal_identity::{Fingerprints, Secrets, Signer, TokenRules, Verifier};
use dbal_policy::Policy;
use dbal_schema::{Schema, Source};
use dbal_shared::fault::Code;
use dbal_shared::frame::{FrameReader, write_frame};
use dbal_shared::ids::SessionHandle;
use dbal_shared::limits::{FRAME_TO_BROKER_BYTES, FRAME_TO_WORKER_BYTES};
use dbal_shared::message::{
    Answer, Capabilities, Execute, Failure, Health, Layer, LayerState, PROTOCOL, Proof, Reply, SessionOpened,
    SessionRefused, Standing, ToBroker, ToWorker, Transact, Welcome,
};
use dbal_shared::principal::Principal;
use secrecy::ExposeSecret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::admission::{Admission, Guesses, Strikes};
use crate::auth::{Authenticator, Credentials};
use crate::channel::{Agreed, Channel, WorkerAddress};
use crate::metrics::Metrics;
use crate::reload::Reloads;
use crate::rpc::{Message, RawRequest};
use crate::rulebook::Rulebook;
use crate::serve::{Broker, RequestIds};
use crate::traces::Traces;

const ENTITIES: &str = r"
entity: Note
fields:
  id:      {type: uuid, primary: true, generated: true}
  ownerId: {type: string, required: true}
  title:   {type: string, required: true, min_length: 1, max_length: 20}
  slug:    {type: string, nullable: true, unique: true}
  rank:    {type: integer, default: 0, max: 1000}
  open:    {type: boolean, default: false}
  extra:   {type: json, nullable: true}
  remark:  {type: text, nullable: true}
  secret:  {type: string, nullable: true, never_expose: true}
---
entity: Vault
fields:
  id:     {type: uuid, primary: true, generated: true}
  noteId: {type: uuid, nullable: true, foreign_key: {entity: Note, field: id}}
---
entity: Word
fields:
  id:     {type: uuid, primary: true, generated: true}
  noteId: {type: uuid, required: true, foreign_key: {entity: Note, field: id}}
  text:   {type: string, required: true}
  weight: {type: integer, default: 0}
";

pub(crate) const RULES: &str = r#"
version: 1
roles:
  user: {}
  reader: {}
  admin: {inherits: [user]}
rules:
  - id: own
    entity: Note
    roles: [user]
    operations: [create, read, update, delete]
    rows: "ownerId = $user.id"
    fields: {read: ["*", "-remark"], write: [title, slug, rank, open, extra]}
    set: {ownerId: $user.id}
  - id: words
    entity: Word
    roles: [user]
    operations: [list]
    fields: {read: [id, noteId, text]}
  - id: look
    entity: Note
    roles: [reader]
    operations: [read]
    fields: {read: [id, title]}
limits:
  user: {requests_per_minute: 60000, burst: 10000, max_complexity: 10000, max_rows: 100}
  reader: {requests_per_minute: 60, burst: 3, max_complexity: 10000, max_rows: 100}
"#;

/// Connections of one principal.
pub(crate) const SEATS: u32 = 5;

/// A row's key.
pub(crate) const KEY: &str = "0190a6e0-0000-7000-8000-000000000001";

/// The policy of the tests.
pub(crate) fn policy() -> Arc<Policy> {
    policy_of(RULES)
}

pub(crate) fn policy_of(rules: &str) -> Arc<Policy> {
    let source = |name: &str, text: &str| Source {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let schema = Schema::parse(&[source("entities.yaml", ENTITIES)])
        .unwrap()
        .schema;
    Arc::new(
        Policy::parse(&source("acl.yaml", rules), Arc::new(schema))
            .unwrap()
            .policy,
    )
}

/// A principal with one role.
pub(crate) fn principal(id: &str, role: &str) -> Principal {
    Principal {
        id: Some(id.to_owned()),
        roles: vec![role.to_owned()],
        tenant: None,
        claims: Vec::new(),
    }
}

/// What the worker does with a message.
pub(crate) enum Said {
    /// It answers so.
    Messages(Vec<ToBroker>),
    /// It dies.
    Dies,
}

/// A broker, its worker, and what the worker heard.
pub(crate) struct World {
    pub(crate) broker: Arc<Broker>,
    pub(crate) signer: Signer,
    heard: Arc<Mutex<Vec<ToWorker>>>,
    greetings: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

impl World {
    /// A world with a worker that behaves.
    pub(crate) fn new() -> Self {
        Self::with(policy(), |_, message| Said::Messages(polite(message)))
    }

    /// A world with a worker that answers as `worker` says; the number tells how many workers there were before.
    pub(crate) fn with(
        policy: Arc<Policy>,
        worker: impl Fn(usize, &ToWorker) -> Said + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("w.sock");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let greetings = Arc::new(AtomicUsize::new(0));
        let listener = UnixListener::bind(&socket).unwrap();
        let agreed = Agreed {
            schema: policy.schema().hash(),
            policy: policy.hash(),
        };
        tokio::spawn(work(
            listener,
            agreed,
            Arc::new(worker),
            Arc::clone(&heard),
            Arc::clone(&greetings),
        ));
        let address = WorkerAddress { socket, uid: None };
        let (channel, keeper) = Channel::new(address, agreed, Some(countersigner()));
        tokio::spawn(keeper.run());
        let signer = Signer::generate().unwrap();
        let strikes = Arc::new(Strikes::new(100));
        let broker = Arc::new(Broker {
            authenticator: Authenticator::new(
                Arc::clone(&channel),
                Arc::clone(&strikes),
                Guesses::new(20, Duration::from_mins(1)),
                SEATS,
            ),
            admission: Admission::new(),
            reloads: Arc::new(Reloads::new(policy.hash())),
            rulebook: ArcSwap::from_pointee(Rulebook::new(
                policy,
                verifier(folder.path(), &signer),
                Fingerprints::default(),
            )),
            strikes,
            channel,
            metrics: Arc::new(Metrics::new(&[])),
            traces: Arc::new(Traces::new(None, 0.0)),
            request_ids: RequestIds::new(1),
        });
        Self {
            broker,
            signer,
            heard,
            greetings,
            _folder: folder,
        }
    }

    /// Asks as `alice`, a user, on a connection of her own.
    pub(crate) async fn ask(&self, text: &str) -> String {
        self.ask_on(&Self::connection("alice"), text).await
    }

    pub(crate) async fn ask_on(&self, credentials: &Credentials, text: &str) -> String {
        let raw = request(text);
        let served = self
            .broker
            .serve(credentials, &raw, self.broker.next_request())
            .await;
        served.text.unwrap_or_default()
    }

    /// A connection whose token the worker takes for `name`.
    pub(crate) fn connection(name: &str) -> Credentials {
        Credentials::new([127, 0, 0, 1].into(), Some(name.into()), None, false, 2)
    }

    /// A connection without a token.
    pub(crate) fn stranger() -> Credentials {
        Credentials::new([127, 0, 0, 1].into(), None, None, false, 2)
    }

    /// Messages of one kind that the worker heard.
    pub(crate) fn heard<T>(&self, pick: impl Fn(&ToWorker) -> Option<T>) -> Vec<T> {
        self.heard.lock().unwrap().iter().filter_map(pick).collect()
    }

    /// Calls that the worker heard.
    pub(crate) fn executed(&self) -> Vec<Execute> {
        self.heard(|message| match message {
            ToWorker::Execute(execute) => Some(execute.clone()),
            _ => None,
        })
    }

    /// Transactions that the worker heard.
    pub(crate) fn transacted(&self) -> Vec<Transact> {
        self.heard(|message| match message {
            ToWorker::Transact(transact) => Some(transact.clone()),
            _ => None,
        })
    }

    /// Workers so far.
    pub(crate) fn greetings(&self) -> usize {
        self.greetings.load(Ordering::SeqCst)
    }
}

pub(crate) fn request(text: &str) -> RawRequest {
    match Message::parse(text, None) {
        Ok(Message::One(raw)) => raw,
        other => panic!("{other:?}"),
    }
}

/// Answers a message as a worker does that finds everything in order. A token is its bearer's name.
pub(crate) fn polite(message: &ToWorker) -> Vec<ToBroker> {
    match message {
        ToWorker::OpenSession(open) => {
            let (principal, handle) = match &open.proof {
                Proof::Anonymous | Proof::Certificate => (Principal::anonymous(), [0; 32]),
                Proof::Bearer(token) if token.expose_secret() == "nobody" => {
                    return vec![ToBroker::SessionRefused(SessionRefused {
                        call: open.call,
                        code: Code::Unauthorized,
                        standing: Standing::Unproven,
                        reason: "no such token".to_owned(),
                    })];
                }
                Proof::Bearer(token) => {
                    let role = if token.expose_secret() == "rita" {
                        "reader"
                    } else {
                        "user"
                    };
                    (
                        principal(token.expose_secret(), role),
                        [u8::try_from(open.call.0).unwrap_or(9); 32],
                    )
                }
            };
            vec![ToBroker::SessionOpened(SessionOpened {
                call: open.call,
                session: SessionHandle(handle),
                principal,
                expires_at_ms: None,
            })]
        }
        ToWorker::Execute(execute) => vec![answered(execute, r#"{"as":"it came", "1":1e2}"#)],
        ToWorker::Transact(transact) => vec![ToBroker::Answer(Answer {
            call: transact.call,
            outcome: Ok(Reply {
                json: format!("[{}]", vec!["1"; transact.calls.len()].join(",")),
                rows: 1,
                database_us: 1,
            }),
        })],
        _ => Vec::new(),
    }
}

pub(crate) fn answered(execute: &Execute, json: &str) -> ToBroker {
    ToBroker::Answer(Answer {
        call: execute.call,
        outcome: Ok(Reply {
            json: json.to_owned(),
            rows: 1,
            database_us: 1,
        }),
    })
}

pub(crate) fn failed(execute: &Execute, failure: Failure) -> ToBroker {
    ToBroker::Answer(Answer {
        call: execute.call,
        outcome: Err(failure),
    })
}

pub(crate) fn welcome(agreed: Agreed) -> ToBroker {
    ToBroker::Welcome(Welcome {
        protocol: PROTOCOL,
        schema: agreed.schema,
        policy: agreed.policy,
        version: "test".to_owned(),
        capabilities: Capabilities {
            adapter: "sqlite".to_owned(),
            version: "3".to_owned(),
            transactions: false,
            joins: false,
            full_text_search: false,
            ttl: true,
            json_queries: false,
            aggregations: false,
            relations: false,
        },
        sandbox: vec![
            layer("seccomp", LayerState::InForce),
            layer(
                "landlock",
                LayerState::Missing {
                    why: "ABI 0".to_owned(),
                },
            ),
            layer("bounding_set", LayerState::Off),
        ],
    })
}

fn layer(name: &str, state: LayerState) -> Layer {
    let name = name.to_owned();
    Layer { name, state }
}

type Worker = dyn Fn(usize, &ToWorker) -> Said + Send + Sync;

async fn work(
    listener: UnixListener,
    agreed: Agreed,
    worker: Arc<Worker>,
    heard: Arc<Mutex<Vec<ToWorker>>>,
    greetings: Arc<AtomicUsize>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let generation = greetings.load(Ordering::SeqCst);
        live(stream, agreed, generation, &*worker, &heard, &greetings).await;
    }
}

async fn live(
    mut stream: UnixStream,
    agreed: Agreed,
    generation: usize,
    worker: &Worker,
    heard: &Mutex<Vec<ToWorker>>,
    greetings: &AtomicUsize,
) {
    let mut reader = FrameReader::new(FRAME_TO_WORKER_BYTES);
    while stream.read_buf(reader.space()).await.is_ok_and(|read| read > 0) {
        while let Some(message) = reader.next_message::<ToWorker>().unwrap() {
            let said = match &message {
                ToWorker::Hello(_) => {
                    greetings.fetch_add(1, Ordering::SeqCst);
                    Said::Messages(vec![welcome(agreed), ToBroker::Health(health(agreed))])
                }
                other => worker(generation, other),
            };
            heard.lock().unwrap().push(message);
            match said {
                Said::Dies => return,
                Said::Messages(messages) => {
                    let mut out = Vec::new();
                    for message in messages {
                        write_frame(&message, FRAME_TO_BROKER_BYTES, &mut out).unwrap();
                    }
                    stream.write_all(&out).await.unwrap();
                }
            }
        }
    }
}

fn health(agreed: Agreed) -> Health {
    Health {
        is_connected: true,
        latency_us: 2_500,
        active_connections: 1,
        pool: 4,
        queued: 0,
        audit_lag: 0,
        sessions: 0,
        policy: agreed.policy,
        failed_reloads: 0,
        cache: None,
        expired_rows: 0,
        expired_rows_held: 0,
    }
}

fn countersigner() -> dbal_witness::Signer {
    dbal_witness::Signer::new(&"1f".repeat(32)).unwrap()
}

fn verifier(folder: &Path, signer: &Signer) -> Verifier {
    let key = folder.join("key.pem");
    #[expect(
        clippy::disallowed_methods,
        reason = "a test makes the key that the broker reads"
    )]
    std::fs::write(&key, signer.public_pem()).unwrap();
    let key = serde_json::json!({"kid": signer.key_id(), "algorithm": "EdDSA", "public_key": key});
    let rules = serde_json::json!({"issuer": "i", "audience": "a", "keys": [key]});
    let rules: TokenRules = serde_json::from_value(rules).unwrap();
    Verifier::new(&rules, Secrets::Refused).unwrap()
}

/// A verifier that leaves everything to the worker.
pub(crate) fn no_keys() -> Verifier {
    let rules: TokenRules =
        serde_json::from_value(serde_json::json!({"issuer": "i", "audience": "a"})).unwrap();
    Verifier::new(&rules, Secrets::Refused).unwrap()
}
