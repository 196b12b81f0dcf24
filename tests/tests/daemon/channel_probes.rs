//! What a taken broker tries on the channel, as a table: each probe is played on a real worker in its sandbox and comes to what the table says.
//! docs/containment.md has the table. Longer attacks are in `hostile_broker.rs`.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use dbal_shared::codec::encode;
use dbal_shared::ids::{CallId, ColumnId, Digest, EntityId, SessionHandle};
use dbal_shared::message::{Execute, Failure, OpenSession, PROTOCOL, Proof, Reply, ToBroker, ToWorker};
use dbal_shared::plan::{Action, Assignment, Page, Plan, Target};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::principal::Principal;
use dbal_shared::value::Value;
use dbal_tests::journal;
use dbal_tests::worker_alone::{ALICE, BOB, WorkerAlone, uuid};

use crate::fake_broker::{Broker, Session};
use crate::hostile_broker::{assert_whole, worker_with_bobs_paper};

/// What comes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The worker closes the channel, and the audit has an incident.
    Incident,
    /// It closes the channel; an honest broker of another version might have sent this.
    Closed,
    /// It answers no: an honest broker can send this, too.
    Refused,
    /// It answers without what was not to be had.
    Without,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Incident => "channel closed, incident",
            Outcome::Closed => "channel closed",
            Outcome::Refused => "refused",
            Outcome::Without => "answered without it",
        }
    }
}

/// A row of the table.
struct Probe {
    name: &'static str,
    /// What it would give.
    harm: &'static str,
    must: Outcome,
    attempt: fn(&mut Stage<'_>) -> Told,
}

/// What the worker said to it.
#[derive(Debug)]
enum Told {
    Answer(Reply),
    No,
    /// No session.
    Nobody,
    Rejected,
    Nothing,
}

impl From<Option<Result<Reply, Failure>>> for Told {
    fn from(outcome: Option<Result<Reply, Failure>>) -> Self {
        match outcome {
            Some(Ok(reply)) => Told::Answer(reply),
            Some(Err(_)) => Told::No,
            None => Told::Nothing,
        }
    }
}

/// A broker that was welcomed, with a session of Alice, who is a user like Bob.
struct Stage<'a> {
    worker: &'a WorkerAlone,
    broker: Broker<'a>,
    alice: Session,
}

impl Stage<'_> {
    fn try_plan(&mut self, plan: Plan) -> Told {
        let execute = self.broker.honest(&self.alice, plan);
        self.broker.send(execute).into()
    }

    fn try_action(&mut self, action: Action) -> Told {
        let entity = self.broker.entity("Paper");
        self.try_plan(Plan { entity, action })
    }

    fn try_filter(&mut self, filter: Predicate) -> Told {
        self.try_action(Action::Count { filter })
    }

    fn try_list(&mut self, page: Page) -> Told {
        let mut plan = self.broker.papers(&["id"]);
        if let Action::List { page: asked, .. } = &mut plan.action {
            *asked = page;
        }
        self.try_plan(plan)
    }

    /// Bytes instead of a message. The worker may close before it has read all of them.
    fn try_bytes(&mut self, bytes: &[u8]) -> Told {
        let _ = self.broker.channel.send_bytes(bytes);
        self.rest()
    }

    fn rest(&mut self) -> Told {
        match self.broker.channel.receive() {
            None => Told::Nothing,
            Some(ToBroker::Rejected(_)) => Told::Rejected,
            Some(ToBroker::Answer(answer)) => Some(answer.outcome).into(),
            Some(other) => panic!("{other:?}"),
        }
    }

    fn papers(&mut self) -> Execute {
        let plan = self.broker.papers(&["id", "title"]);
        self.broker.honest(&self.alice, plan)
    }

    fn column(&self, name: &str) -> ColumnId {
        self.broker.column("Paper", name)
    }
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_le_bytes(), payload].concat()
}

fn encoded(message: &ToWorker) -> Vec<u8> {
    let mut payload = Vec::new();
    encode(message, &mut payload).unwrap();
    payload
}

/// As long as nesting is: encoders of ours refuse it, so the byte that nests is put in by hand.
fn nested(stage: &mut Stage<'_>, times: usize) -> Vec<u8> {
    let mut once = |depth: usize| {
        let filter = (0..depth).fold(Predicate::True, |inner, _| Predicate::Not(Box::new(inner)));
        let entity = stage.broker.entity("Paper");
        let action = Action::Count { filter };
        let mut execute = stage
            .broker
            .execute(stage.alice.handle, Plan { entity, action }, Digest([0; 32]));
        execute.call = CallId(9);
        execute.request.sequence = 9;
        encoded(&ToWorker::Execute(execute))
    };
    let (one, two) = (once(1), once(2));
    let at = one
        .iter()
        .zip(&two)
        .position(|(one, two)| one != two)
        .unwrap_or(one.len());
    assert_eq!(two.len(), one.len() + 1, "one byte nests");
    let mut deep = one[..at].to_vec();
    deep.extend(std::iter::repeat_n(two[at - 1], times));
    deep.extend(&one[at..]);
    deep
}

const PROBES: &[Probe] = &[
    Probe {
        name: "forged-handle",
        harm: "somebody's session, by guessing",
        must: Outcome::Incident,
        attempt: |stage| {
            let mut execute = stage.papers();
            execute.session = SessionHandle([7; 32]);
            stage.broker.send(execute).into()
        },
    },
    Probe {
        name: "handle-of-another-channel",
        harm: "a session that was seen elsewhere",
        must: Outcome::Incident,
        attempt: |stage| {
            let mut other = Broker::greeted(stage.worker);
            let bob = other.open_as(BOB, &["user"]);
            let plan = stage.broker.papers(&["id", "title"]);
            let execute = stage.broker.honest(&bob, plan);
            stage.broker.send(execute).into()
        },
    },
    Probe {
        name: "replayed-frame",
        harm: "a call of another channel once more",
        must: Outcome::Incident,
        attempt: |stage| {
            let mut other = Broker::greeted(stage.worker);
            let bob = other.open_as(BOB, &["user"]);
            let plan = other.papers(&["id", "title"]);
            let execute = other.honest(&bob, plan);
            let frame = framed(&encoded(&ToWorker::Execute(execute.clone())));
            assert!(
                matches!(other.send(execute), Some(Ok(_))),
                "it was good where it came from"
            );
            stage.try_bytes(&frame)
        },
    },
    Probe {
        name: "closed-session",
        harm: "the rights of somebody who has gone",
        must: Outcome::Refused,
        attempt: |stage| {
            let close = ToWorker::CloseSession(stage.alice.handle);
            stage.broker.channel.send(&close).unwrap();
            let execute = stage.papers();
            stage.broker.send(execute).into()
        },
    },
    Probe {
        name: "forged-principal",
        harm: "another one's rows",
        must: Outcome::Incident,
        attempt: |stage| {
            let bob = Principal {
                id: Some(BOB.to_owned()),
                ..stage.alice.principal.clone()
            };
            stage.alice.principal = bob;
            let execute = stage.papers();
            stage.broker.send(execute).into()
        },
    },
    Probe {
        name: "widened-grant",
        harm: "a moderator's rights",
        must: Outcome::Incident,
        attempt: |stage| {
            stage.alice.principal.roles = vec!["moderator".to_owned()];
            let plan = stage.broker.papers(&["id", "title", "remark"]);
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "forged-token",
        harm: "anybody's session",
        must: Outcome::Refused,
        attempt: |stage| {
            let (head, _) = stage
                .worker
                .token(BOB, &["moderator"])
                .rsplit_once('.')
                .map(|(head, tail)| (head.to_owned(), tail.to_owned()))
                .unwrap();
            match stage
                .broker
                .open(Proof::Bearer(format!("{head}.{}", "A".repeat(86)).into()))
            {
                Ok(session) => panic!("a session of {:?}", session.principal),
                Err(_) => Told::Nobody,
            }
        },
    },
    Probe {
        name: "made-up-certificate",
        harm: "whoever has a client certificate",
        must: Outcome::Refused,
        attempt: |stage| match stage.broker.open(Proof::Certificate) {
            Ok(session) => panic!("a session of {:?}", session.principal),
            Err(_) => Told::Nobody,
        },
    },
    Probe {
        name: "unknown-entity",
        harm: "a table that no entity is about",
        must: Outcome::Incident,
        attempt: |stage| {
            let mut plan = stage.broker.papers(&["id"]);
            plan.entity = EntityId(999);
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "unknown-column",
        harm: "a column that no field is about",
        must: Outcome::Incident,
        attempt: |stage| {
            stage.try_filter(Predicate::Compare {
                column: ColumnId(65_535),
                op: Comparison::Eq,
                value: Value::Int(1),
            })
        },
    },
    Probe {
        name: "entity-without-rules",
        harm: "what nobody may see",
        must: Outcome::Incident,
        attempt: |stage| {
            let plan = stage.broker.list("Vault", &["id", "secret"]);
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "hidden-column",
        harm: "password hashes",
        must: Outcome::Incident,
        attempt: |stage| {
            let plan = stage.broker.list("User", &["passwordHash"]);
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "hidden-column-among-others",
        harm: "password hashes",
        must: Outcome::Without,
        attempt: |stage| {
            let plan = stage.broker.list("User", &["id", "passwordHash"]);
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "hidden-column-in-a-filter",
        harm: "password hashes, letter by letter",
        must: Outcome::Incident,
        attempt: |stage| {
            let filter = Predicate::Compare {
                column: stage.broker.column("User", "passwordHash"),
                op: Comparison::Eq,
                value: Value::Text("do-not-show".to_owned()),
            };
            let entity = stage.broker.entity("User");
            stage.try_plan(Plan {
                entity,
                action: Action::Count { filter },
            })
        },
    },
    Probe {
        name: "column-of-another-role-in-a-filter",
        harm: "what moderators remark, letter by letter",
        must: Outcome::Incident,
        attempt: |stage| {
            let column = stage.column("remark");
            stage.try_filter(Predicate::Compare {
                column,
                op: Comparison::Ne,
                value: Value::Text("x".to_owned()),
            })
        },
    },
    Probe {
        name: "row-of-another",
        harm: "Bob's paper, by its key",
        must: Outcome::Refused,
        attempt: |stage| {
            let database = rusqlite::Connection::open(stage.worker.database()).unwrap();
            let id: String = database
                .query_row("SELECT id FROM Paper WHERE ownerId = ?1", [BOB], |row| row.get(0))
                .unwrap();
            let action = Action::Read {
                target: Target {
                    column: stage.column("id"),
                    value: Value::Uuid(uuid(&id)),
                },
                projection: vec![stage.column("title")],
                includes: Vec::new(),
            };
            stage.try_action(action)
        },
    },
    Probe {
        name: "row-for-another",
        harm: "words in Bob's mouth",
        must: Outcome::Incident,
        attempt: |stage| {
            let plan = stage.broker.new_paper(BOB, "forged");
            stage.try_plan(plan)
        },
    },
    Probe {
        name: "key-of-its-own-choice",
        harm: "a place in somebody's order of things",
        must: Outcome::Incident,
        attempt: |stage| {
            let values = vec![
                Assignment {
                    column: stage.column("id"),
                    value: Value::Uuid([1; 16]),
                },
                Assignment {
                    column: stage.column("title"),
                    value: Value::Text("mine".to_owned()),
                },
            ];
            stage.try_action(Action::Create {
                values,
                projection: Vec::new(),
            })
        },
    },
    Probe {
        name: "value-of-another-type",
        harm: "what a database makes of it",
        must: Outcome::Incident,
        attempt: |stage| {
            let filter = Predicate::Compare {
                column: stage.column("rank"),
                op: Comparison::Lt,
                value: Value::Text("x".to_owned()),
            };
            stage.try_filter(filter)
        },
    },
    Probe {
        name: "rows-beyond-the-ceiling",
        harm: "a whole table at once",
        must: Outcome::Incident,
        attempt: |stage| {
            stage.try_list(Page {
                number: 1,
                limit: u32::MAX,
            })
        },
    },
    Probe {
        name: "offset-beyond-the-ceiling",
        harm: "a database that counts for ever",
        must: Outcome::Incident,
        attempt: |stage| {
            stage.try_list(Page {
                number: u32::MAX,
                limit: 50,
            })
        },
    },
    Probe {
        name: "values-beyond-the-ceiling",
        harm: "a statement without end",
        must: Outcome::Incident,
        attempt: |stage| {
            let filter = Predicate::In {
                column: stage.column("title"),
                values: vec![Value::Text("x".to_owned()); 5_000],
            };
            stage.try_filter(filter)
        },
    },
    Probe {
        name: "conditions-beyond-the-ceiling",
        harm: "a statement without end",
        must: Outcome::Incident,
        attempt: |stage| {
            let wide = Predicate::Or(vec![Predicate::True; 100]);
            stage.try_filter(Predicate::And(vec![wide; 50]))
        },
    },
    Probe {
        name: "other-policy",
        harm: "rules that are not in force",
        must: Outcome::Refused,
        attempt: |stage| {
            let mut execute = stage.papers();
            execute.policy = Digest([3; 32]);
            stage.broker.send(execute).into()
        },
    },
    Probe {
        name: "recursive-frame",
        harm: "the worker's stack",
        must: Outcome::Incident,
        attempt: |stage| {
            let frame = framed(&nested(stage, 1_000_000));
            stage.try_bytes(&frame)
        },
    },
    Probe {
        name: "oversized-frame",
        harm: "the worker's memory",
        must: Outcome::Incident,
        attempt: |stage| stage.try_bytes(&[0xff; 4]),
    },
    Probe {
        name: "length-beyond-the-frame",
        harm: "the worker's memory, or what lies behind the frame",
        must: Outcome::Incident,
        attempt: |stage| stage.try_bytes(&framed(&[1, 1, 1, 253, 0, 0, 0, 0, 0, 0, 0, 16])),
    },
    Probe {
        name: "truncated-message",
        harm: "a half of a message taken for the whole",
        must: Outcome::Incident,
        attempt: |stage| {
            let execute = stage.papers();
            let payload = encoded(&ToWorker::Execute(execute));
            stage.try_bytes(&framed(&payload[..payload.len() - 1]))
        },
    },
    Probe {
        name: "message-and-more",
        harm: "bytes that nobody looks at",
        must: Outcome::Incident,
        attempt: |stage| {
            let mut payload = encoded(&ToWorker::Cancel(CallId(1)));
            payload.push(0);
            stage.try_bytes(&framed(&payload))
        },
    },
    Probe {
        name: "empty-frame",
        harm: "a loop without end",
        must: Outcome::Incident,
        attempt: |stage| stage.try_bytes(&[0; 4]),
    },
    Probe {
        name: "unknown-message",
        harm: "what a decoder makes of it",
        must: Outcome::Incident,
        attempt: |stage| stage.try_bytes(&framed(&[250, 1, 2, 3])),
    },
    Probe {
        name: "another-protocol",
        harm: "what a decoder makes of it",
        must: Outcome::Incident,
        attempt: |stage| stage.try_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    },
    Probe {
        name: "second-greeting",
        harm: "another schema in the middle of a conversation",
        must: Outcome::Incident,
        attempt: |stage| {
            let again = ToWorker::Hello(stage.broker.hello());
            stage.broker.channel.send(&again).unwrap();
            stage.rest()
        },
    },
    Probe {
        name: "no-greeting",
        harm: "a conversation without an agreement on the schema",
        must: Outcome::Incident,
        attempt: |stage| {
            stage.broker = Broker::silent(stage.worker);
            let open = OpenSession {
                call: CallId(1),
                proof: Proof::Anonymous,
                remote: String::new(),
                certificate: None,
            };
            stage.broker.channel.send(&ToWorker::OpenSession(open)).unwrap();
            stage.rest()
        },
    },
    Probe {
        name: "other-schema",
        harm: "columns taken for others",
        must: Outcome::Closed,
        attempt: |stage| {
            stage.broker = Broker::silent(stage.worker);
            let mut hello = stage.broker.hello();
            hello.schema = Digest([9; 32]);
            stage.broker.channel.send(&ToWorker::Hello(hello)).unwrap();
            stage.rest()
        },
    },
    Probe {
        name: "other-version",
        harm: "messages taken for others",
        must: Outcome::Closed,
        attempt: |stage| {
            stage.broker = Broker::silent(stage.worker);
            let mut hello = stage.broker.hello();
            hello.protocol = PROTOCOL + 1;
            stage.broker.channel.send(&ToWorker::Hello(hello)).unwrap();
            stage.rest()
        },
    },
];

fn incidents(worker: &WorkerAlone) -> usize {
    let records = journal::records(&worker.audit());
    records
        .iter()
        .filter(|record| record["event"] == "incident")
        .count()
}

/// What really came of it.
fn outcome(stage: &mut Stage<'_>, probe: &Probe, before: usize) -> Result<Outcome, String> {
    let told = (probe.attempt)(stage);
    if let Told::Answer(reply) = &told {
        let has_it = ["do-not-show", "bobs secret", "passwordHash", "remark"];
        let is_without = !has_it.iter().any(|text| reply.json.contains(text));
        if probe.must == Outcome::Without && is_without {
            return Ok(Outcome::Without);
        }
        return Err(format!("executed: {}", reply.json));
    }
    let is_closed = match told {
        Told::Nothing => true,
        Told::Rejected => stage.broker.channel.is_closed(),
        Told::Nobody | Told::No | Told::Answer(_) => {
            let token = stage.worker.token(ALICE, &["user"]);
            let open = OpenSession {
                call: CallId(1_000_000),
                proof: Proof::Bearer(token.into()),
                remote: String::new(),
                certificate: None,
            };
            let _ = stage.broker.channel.send(&ToWorker::OpenSession(open));
            !matches!(stage.broker.channel.receive(), Some(ToBroker::SessionOpened(_)))
        }
    };
    // Records reach the file with the next answer or flush.
    let expected = probe.must == Outcome::Incident;
    let until = Instant::now()
        + if expected {
            Duration::from_secs(10)
        } else {
            Duration::ZERO
        };
    let mut is_incident = incidents(stage.worker) > before;
    while !is_incident && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
        is_incident = incidents(stage.worker) > before;
    }
    match (is_closed, is_incident) {
        (true, true) => Ok(Outcome::Incident),
        (true, false) => Ok(Outcome::Closed),
        (false, false) => Ok(Outcome::Refused),
        (false, true) => Err("an incident after which the channel goes on".to_owned()),
    }
}

#[test]
fn every_probe_of_the_channel_comes_to_what_the_table_says() {
    let mut worker = worker_with_bobs_paper();
    let mut wrong = Vec::new();
    for probe in PROBES {
        let mut broker = Broker::greeted(&worker);
        let alice = broker.open_as(ALICE, &["user"]);
        let mut stage = Stage {
            worker: &worker,
            broker,
            alice,
        };
        let before = incidents(&worker);
        let came = outcome(&mut stage, probe, before);
        if came != Ok(probe.must) {
            wrong.push(format!("{}: {came:?}, not {:?}", probe.name, probe.must));
        }
        drop(stage);
        assert_whole(&mut worker);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/containment.md");
/// Set, it makes the section anew.
const UPDATE: &str = "DBAL_UPDATE";
/// Where the section begins; what stands before is `sandbox/attacks/tests/containment.rs`'s.
const HEAD: &str = "
## The channel, with the broker taken

Made from the table that `tests/tests/daemon/channel_probes.rs` plays: a program with the broker's codec, schema and policy and one caller's good
token, before a real worker in its sandbox. After each probe the worker serves an honest broker as before. Longer attacks, such as floods, are in
[attacks.md](attacks.md).

| probe | what it would give | comes to |
|---|---|---|
";

#[test]
fn docs_tell_of_every_probe_of_the_channel_what_comes_of_it() {
    let mut section = HEAD.to_owned();
    for Probe { name, harm, must, .. } in PROBES {
        writeln!(section, "| `{name}` | {harm} | {} |", must.word()).unwrap();
    }
    let page = fs::read_to_string(PAGE).unwrap();
    let title = HEAD.lines().nth(1).unwrap();
    let (before, _) = page.split_once(&format!("\n{title}\n")).unwrap_or((&page, ""));
    let wanted = format!("{before}{section}");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(PAGE, &wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/containment.md is out of date: run this test with {UPDATE}=1"
        );
    }
}
