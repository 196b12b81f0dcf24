//! Somebody has taken the broker: the socket lets them in and their codec is right. They must gain nothing but their callers' rights.

use dbal_shared::codec::Wire;
use dbal_shared::fault::Code;
use dbal_shared::ids::{CallId, ColumnId, Digest, EntityId, SessionHandle};
use dbal_shared::message::{Advice, Failure, Hello, OpenSession, PROTOCOL, Proof, Reply, ToBroker, ToWorker};
use dbal_shared::plan::Direction;
use dbal_shared::plan::{Action, Assignment, Page, Plan, SortKey, Target, Total};
use dbal_shared::predicate::{Comparison, Predicate};
use dbal_shared::principal::Principal;
use dbal_shared::value::{Earlier, Value};
use dbal_tests::journal;
use dbal_tests::worker_alone::{ALICE, BOB, CAROL, WorkerAlone, unix_seconds, uuid};
use serde_json::json;

use crate::fake_broker::{Broker, Session};

/// A worker in which Bob has one paper, with a title to look for in answers.
pub(crate) fn worker_with_bobs_paper() -> WorkerAlone {
    let worker = WorkerAlone::start();
    let mut broker = Broker::greeted(&worker);
    let bob = broker.open_as(BOB, &["user"]);
    let plan = broker.new_paper(BOB, "bobs secret");
    let execute = broker.honest(&bob, plan);
    let reply = broker
        .send(execute)
        .expect("an answer")
        .expect("bob may write his own paper");
    assert!(reply.json.contains("bobs secret"), "{}", reply.json);
    drop(broker);
    worker
}

/// The incident that must be on record.
fn assert_incident(worker: &WorkerAlone) {
    journal::wait_for(&worker.audit(), |record| record["event"] == "incident");
}

/// Whatever came back, Bob's paper was not in it.
fn assert_refused(outcome: Option<&Result<Reply, Failure>>) {
    if let Some(Ok(reply)) = outcome {
        panic!("this was executed: {}", reply.json);
    }
}

/// And neither the file nor the process took harm: an honest broker is served as before.
pub(crate) fn assert_whole(worker: &mut WorkerAlone) {
    assert!(worker.is_alive(), "the worker died");
    let mut broker = Broker::greeted(worker);
    let bob = broker.open_as(BOB, &["user"]);
    let plan = broker.papers(&["id", "title"]);
    let execute = broker.honest(&bob, plan);
    let reply = broker
        .send(execute)
        .expect("an answer")
        .expect("bob sees his own");
    assert_eq!(reply.json.matches("bobs secret").count(), 1, "{}", reply.json);
    assert_eq!(reply.rows, 1);
}

#[test]
fn an_honest_broker_is_served_so_that_the_refusals_below_mean_something() {
    let mut worker = worker_with_bobs_paper();
    assert_whole(&mut worker);
    let records = journal::records(&worker.audit());
    assert!(
        records.iter().all(|record| record["event"] != "incident"),
        "{records:#?}"
    );
}

#[test]
fn a_principal_is_never_taken_from_the_broker_so_alice_reads_nothing_of_bob() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let alice = broker.open_as(ALICE, &["user"]);
    // What the broker would send if alice were bob: bob's digest under alice's handle.
    let bob = Session {
        handle: alice.handle,
        principal: Principal {
            id: Some(BOB.to_owned()),
            ..alice.principal
        },
    };
    let plan = broker.papers(&["id", "title"]);
    let execute = broker.honest(&bob, plan);
    let outcome = broker.send(execute);
    assert_refused(outcome.as_ref());
    assert_incident(&worker);
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn a_grant_that_is_wider_than_the_workers_own_is_refused_and_the_channel_closed() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let alice = broker.open_as(ALICE, &["user"]);
    let moderator = Principal {
        roles: vec!["moderator".to_owned()],
        ..alice.principal.clone()
    };
    let widened = Session {
        handle: alice.handle,
        principal: moderator,
    };
    let plan = broker.papers(&["id", "title", "remark"]);
    let execute = broker.honest(&widened, plan);
    assert_refused(broker.send(execute).as_ref());
    assert_incident(&worker);
    let plan = broker.papers(&["id"]);
    let execute = broker.honest(&alice, plan);
    assert!(
        broker.send(execute).is_none(),
        "the channel goes on after an incident"
    );
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn a_made_up_handle_opens_nothing() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let mut bob = broker.open_as(BOB, &["user"]);
    for handle in [[0; 32], [0xff; 32], {
        let mut near = bob.handle.0;
        near[31] ^= 1;
        near
    }] {
        let plan = broker.papers(&["id", "title"]);
        let mut execute = broker.honest(&bob, plan);
        execute.session = SessionHandle(handle);
        assert_refused(broker.send(execute).as_ref());
        assert!(broker.channel.is_closed(), "guessing goes on");
        broker = Broker::greeted(&worker);
        bob = broker.open_as(BOB, &["user"]);
    }
    assert_incident(&worker);
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn a_handle_is_worth_nothing_on_another_connection() {
    let mut worker = worker_with_bobs_paper();
    let mut first = Broker::greeted(&worker);
    let bob = first.open_as(BOB, &["user"]);
    let mut second = Broker::greeted(&worker);
    let plan = second.papers(&["id", "title"]);
    let execute = second.honest(&bob, plan);
    assert_refused(second.send(execute).as_ref());
    drop(first);
    drop(second);
    let mut third = Broker::greeted(&worker);
    let plan = third.papers(&["id", "title"]);
    let execute = third.honest(&bob, plan);
    assert_refused(third.send(execute).as_ref());
    drop(third);
    assert_whole(&mut worker);
}

#[test]
fn a_closed_session_can_not_be_replayed() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let bob = broker.open_as(BOB, &["user"]);
    broker.channel.send(&ToWorker::CloseSession(bob.handle)).unwrap();
    let plan = broker.papers(&["id", "title"]);
    let execute = broker.honest(&bob, plan);
    assert_refused(broker.send(execute).as_ref());
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn a_proof_that_does_not_hold_opens_no_session() {
    let mut worker = worker_with_bobs_paper();
    let now = unix_seconds();
    let good = json!({"iss": "https://issuer.test", "aud": "dbal-test", "sub": BOB, "roles": ["user"], "iat": now, "exp": now + 60});
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        worker.token_with(&claims)
    };
    let genuine = worker.token_with(&good);
    let stranger = dbal_identity::Signer::generate().unwrap().sign(&good.to_string());
    let (signed, _) = genuine.rsplit_once('.').unwrap();
    let unsigned = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
        genuine.split('.').nth(1).unwrap()
    );
    let cases = [
        ("expired", with("exp", json!(now - 3600))),
        ("not yet valid", with("nbf", json!(now + 3600))),
        ("for another audience", with("aud", json!("another"))),
        ("from another issuer", with("iss", json!("https://evil.test"))),
        ("signed by a stranger", stranger),
        ("unsigned", unsigned),
        ("with its signature cut off", format!("{signed}.")),
        ("no token", "x".to_owned()),
        ("empty", String::new()),
        ("as long as a frame", "a".repeat(100_000)),
    ];
    for (what, token) in cases {
        let mut broker = Broker::greeted(&worker);
        assert_eq!(
            broker.open(Proof::Bearer(token.into())).err(),
            Some(Code::Unauthorized),
            "a token {what}"
        );
    }
    let mut broker = Broker::greeted(&worker);
    let made_up = broker.open(Proof::Certificate).err();
    assert_eq!(
        made_up,
        Some(Code::Unauthorized),
        "a certificate that only the broker has seen"
    );
    assert!(broker.open(Proof::Bearer(genuine.into())).is_ok());
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn plans_that_name_what_is_not_there_or_not_allowed_are_refused_and_recorded() {
    let mut worker = worker_with_bobs_paper();
    let names = Broker::greeted(&worker);
    let paper = names.entity("Paper");
    let column = |name| names.column("Paper", name);
    let hidden = names.column("User", "passwordHash");
    let title = column("title");
    let page = Page { number: 1, limit: 50 };
    let list = |entity, filter, order: Vec<SortKey>, page, projection| Plan {
        entity,
        action: Action::List {
            filter,
            order,
            page,
            total: Total::Counted,
            projection,
            includes: Vec::new(),
            cursor: None,
        },
    };
    let equals = |column, value: &str| Predicate::Compare {
        column,
        op: Comparison::Eq,
        value: Value::Text(value.to_owned()),
    };
    let text = |column, value: &str| Assignment {
        column,
        value: Value::Text(value.to_owned()),
    };
    let user = names.entity("User");
    let deep = (0..40).fold(Predicate::True, |inner, _| Predicate::Not(Box::new(inner)));
    let cases = [
        (
            "an unknown entity",
            list(EntityId(999), Predicate::True, vec![], page, vec![ColumnId(0)]),
        ),
        (
            "an unknown column",
            list(paper, Predicate::True, vec![], page, vec![ColumnId(999)]),
        ),
        (
            "an unknown column in a filter",
            list(paper, equals(ColumnId(65_535), "x"), vec![], page, vec![title]),
        ),
        (
            "a hidden column",
            list(user, Predicate::True, vec![], page, vec![hidden]),
        ),
        (
            "a hidden column in a filter",
            list(
                user,
                equals(hidden, "do-not-show"),
                vec![],
                page,
                vec![names.column("User", "id")],
            ),
        ),
        (
            "a hidden column in an order",
            list(
                user,
                Predicate::True,
                vec![SortKey {
                    column: hidden,
                    direction: Direction::Ascending,
                }],
                page,
                vec![names.column("User", "id")],
            ),
        ),
        (
            "a column for moderators",
            list(paper, equals(column("remark"), "x"), vec![], page, vec![title]),
        ),
        ("an entity without rules", names.list("Vault", &["id", "secret"])),
        (
            "no rows at all per page",
            list(
                paper,
                Predicate::True,
                vec![],
                Page { number: 1, limit: 0 },
                vec![title],
            ),
        ),
        (
            "a value of another type",
            list(
                paper,
                Predicate::Compare {
                    column: column("rank"),
                    op: Comparison::Lt,
                    value: Value::Text("x".to_owned()),
                },
                vec![],
                page,
                vec![title],
            ),
        ),
        (
            "nesting without sense",
            list(
                paper,
                Predicate::And(vec![Predicate::Or(vec![deep; 100]); 50]),
                vec![],
                page,
                vec![title],
            ),
        ),
        (
            "a write to a hidden column",
            Plan {
                entity: user,
                action: Action::Create {
                    values: vec![text(hidden, "x")],
                    projection: vec![],
                },
            },
        ),
        ("a paper for somebody else", names.new_paper(BOB, "forged")),
        (
            "a title that is too long",
            names.new_paper(ALICE, &"x".repeat(101)),
        ),
        (
            "a key of its own choice",
            Plan {
                entity: paper,
                action: Action::Create {
                    values: vec![
                        Assignment {
                            column: column("id"),
                            value: Value::Uuid([1; 16]),
                        },
                        text(title, "mine"),
                    ],
                    projection: vec![],
                },
            },
        ),
        (
            "everybody's papers gone",
            Plan {
                entity: paper,
                action: Action::DeleteMany {
                    filter: Predicate::True,
                },
            },
        ),
        (
            "a target that is not unique",
            Plan {
                entity: paper,
                action: Action::Delete {
                    target: Target {
                        column: title,
                        value: Value::Text("bobs secret".to_owned()),
                    },
                },
            },
        ),
    ];
    drop(names);
    for (what, plan) in cases {
        let mut broker = Broker::greeted(&worker);
        let alice = broker.open_as(ALICE, &["user"]);
        // With the digest that decide gives, or any, when it gives none.
        let execute = broker.honest(&alice, plan);
        match broker.send(execute) {
            Some(Ok(reply)) => panic!("{what} was executed: {}", reply.json),
            Some(Err(failure)) => assert_ne!(failure.code, Code::Internal, "{what}: {failure:?}"),
            None => {}
        }
    }
    // An honest broker sends none of these: each left a record.
    assert_incident(&worker);
    assert_whole(&mut worker);
}

#[test]
fn another_users_row_is_out_of_reach_for_every_operation() {
    let mut worker = worker_with_bobs_paper();
    let id = {
        let database = rusqlite::Connection::open(worker.database()).unwrap();
        let row: rusqlite::types::Value = database
            .query_row("SELECT id FROM Paper", [], |row| row.get(0))
            .unwrap();
        match row {
            rusqlite::types::Value::Text(text) => uuid(&text),
            rusqlite::types::Value::Blob(bytes) => bytes.try_into().unwrap(),
            other => panic!("{other:?}"),
        }
    };
    let mut broker = Broker::greeted(&worker);
    let alice = broker.open_as(ALICE, &["user"]);
    let paper = broker.entity("Paper");
    let (key, title) = (broker.column("Paper", "id"), broker.column("Paper", "title"));
    let target = || Target {
        column: key,
        value: Value::Uuid(id),
    };
    let filter = || Predicate::Compare {
        column: key,
        op: Comparison::Eq,
        value: Value::Uuid(id),
    };
    let values = || {
        vec![Assignment {
            column: title,
            value: Value::Text("taken".to_owned()),
        }]
    };
    let projection = || vec![key, title];
    let actions = [
        Action::Read {
            target: target(),
            projection: projection(),
            includes: Vec::new(),
        },
        Action::FindFirst {
            filter: filter(),
            order: vec![],
            projection: projection(),
            includes: Vec::new(),
        },
        Action::Count { filter: filter() },
        Action::Update {
            target: target(),
            values: values(),
            projection: projection(),
        },
        Action::UpdateMany {
            filter: filter(),
            values: values(),
        },
        Action::Delete { target: target() },
        Action::DeleteMany { filter: filter() },
    ];
    for action in actions {
        let name = action.name();
        let execute = broker.honest(
            &alice,
            Plan {
                entity: paper,
                action,
            },
        );
        match broker.send(execute).expect("an honest call is answered") {
            Ok(reply) => assert!(
                ["null", "0", "false"].contains(&reply.json.as_str()),
                "{name}: {}",
                reply.json
            ),
            Err(failure) => assert!(
                [Code::NotFound, Code::Forbidden].contains(&failure.code),
                "{name}: {failure:?}"
            ),
        }
    }
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn what_carol_may_see_does_not_leak_into_alices_session_on_the_same_channel() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let carol = broker.open_as(CAROL, &["moderator"]);
    let alice = broker.open_as(ALICE, &["user"]);
    let plan = broker.papers(&["id", "title"]);
    let as_carol = broker.honest(&carol, plan.clone());
    let as_alice = broker.honest(&alice, plan);
    let seen = broker
        .send(as_carol)
        .unwrap()
        .expect("a moderator reads every paper");
    assert!(seen.json.contains("bobs secret"), "{}", seen.json);
    // The statement is the same up to its parameters: a cache that forgot the principal would answer from it.
    let seen = broker.send(as_alice).unwrap().expect("alice may list her own");
    assert!(!seen.json.contains("bobs secret"), "{}", seen.json);
    drop(broker);
    assert_whole(&mut worker);
}

#[test]
fn messages_out_of_phase_end_the_channel() {
    let mut worker = worker_with_bobs_paper();
    let mut early = Broker::silent(&worker);
    let open = OpenSession {
        call: CallId(1),
        proof: Proof::Anonymous,
        remote: String::new(),
        certificate: None,
    };
    early.channel.send(&ToWorker::OpenSession(open)).unwrap();
    assert!(early.channel.is_closed(), "a session before the greeting");

    let mut twice = Broker::greeted(&worker);
    let again = ToWorker::Hello(twice.hello());
    twice.channel.send(&again).unwrap();
    assert!(twice.channel.is_closed(), "a second greeting");
    assert_incident(&worker);
    assert_whole(&mut worker);
}

#[test]
fn a_greeting_in_another_version_or_schema_is_rejected() {
    let mut worker = worker_with_bobs_paper();
    for break_it in [
        (|hello: &mut Hello| hello.protocol = PROTOCOL + 1) as fn(&mut Hello),
        |hello| hello.schema = Digest([9; 32]),
    ] {
        let mut broker = Broker::silent(&worker);
        let mut hello = broker.hello();
        break_it(&mut hello);
        broker.channel.send(&ToWorker::Hello(hello)).unwrap();
        assert!(matches!(broker.channel.receive(), Some(ToBroker::Rejected(_))));
        assert!(broker.channel.is_closed());
    }
    assert_whole(&mut worker);
}

/// The worker's log names what a broker of another version calls itself.
#[test]
fn a_taken_broker_begins_no_line_of_the_workers_log() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::silent(&worker);
    let hello = Hello {
        protocol: PROTOCOL + 1,
        version: "9\n2026-01-01T00:00:00Z dbal-worker INFO forged\r\u{1b}[2J".to_owned(),
        ..broker.hello()
    };
    broker.channel.send(&ToWorker::Hello(hello)).unwrap();
    assert!(matches!(broker.channel.receive(), Some(ToBroker::Rejected(_))));
    assert!(broker.channel.is_closed());
    assert_whole(&mut worker);
    let said = worker.said();
    let told = said.lines().find(|line| line.contains("forged"));
    assert!(told.is_some_and(|line| line.contains("channel ended")), "{said}");
    assert!(!said.contains(['\r', '\u{1b}']), "{said}");
}

#[test]
fn frames_that_are_no_messages_end_the_channel_and_nothing_else() {
    let mut worker = worker_with_bobs_paper();
    let frame = |payload: &[u8]| [&u32::try_from(payload.len()).unwrap().to_le_bytes(), payload].concat();
    let cases = [
        ("a frame of no bytes", vec![0, 0, 0, 0]),
        ("a frame of 4 GiB", vec![0xff; 4]),
        ("an unknown message", frame(&[250, 1, 2, 3])),
        ("a message and more", {
            let mut payload = Vec::new();
            dbal_shared::codec::encode(&ToWorker::Cancel(CallId(1)), &mut payload).unwrap();
            payload.push(0);
            frame(&payload)
        }),
        (
            "a length beyond the frame",
            frame(&[1, 1, 1, 253, 0, 0, 0, 0, 0, 0, 0, 16]),
        ),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let mut broker = Broker::greeted(&worker);
        broker.channel.send_bytes(&bytes).unwrap();
        assert!(broker.channel.is_closed(), "{what}");
    }
    assert_incident(&worker);
    assert_whole(&mut worker);
}

#[test]
fn an_older_policy_is_told_to_ask_again_and_is_no_incident() {
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let bob = broker.open_as(BOB, &["user"]);
    let plan = broker.papers(&["id"]);
    let mut execute = broker.honest(&bob, plan);
    execute.policy = Digest([3; 32]);
    match broker.send(execute) {
        Some(Err(failure)) => assert_eq!(failure.advice, Advice::StalePolicy),
        other => panic!("{other:?}"),
    }
    drop(broker);
    assert_whole(&mut worker);
    let records = journal::records(&worker.audit());
    assert!(
        records.iter().all(|record| record["event"] != "incident"),
        "{records:#?}"
    );
}

/// Half random bytes, half true messages with a few bytes changed: the second kind gets past the first checks.
#[test]
fn fifty_thousand_malformed_frames_neither_end_nor_swell_the_worker() {
    let mut worker = worker_with_bobs_paper();
    let before = dbal_tests::processes::resident_kib(worker.pid());
    let mut random = crate::random::Random::seeded(0x5eed);
    let mut sample = Vec::new();
    {
        let mut broker = Broker::greeted(&worker);
        let bob = broker.open_as(BOB, &["user"]);
        let plan = broker.papers(&["id", "title"]);
        let execute = ToWorker::Execute(broker.honest(&bob, plan));
        encode(&execute, &mut sample);
    }
    let mut frames = 0;
    while frames < 50_000 {
        let mut broker = Broker::greeted(&worker);
        // What is a message all the same is worked on (and mostly an incident); the first that is none ends the channel, so
        // that nothing behind it would be looked at.
        loop {
            let payload = if random.below(2) == 0 {
                random.bytes(200)
            } else {
                random.changed(&sample)
            };
            let is_message = dbal_shared::codec::decode::<ToWorker>(&payload).is_ok();
            let mut bytes = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
            bytes.extend(payload);
            frames += 1;
            if broker.channel.send_bytes(&bytes).is_err() || !is_message {
                break;
            }
        }
    }
    assert_whole(&mut worker);
    let after = dbal_tests::processes::resident_kib(worker.pid());
    assert!(
        after < before + 64 * 1024,
        "resident memory went from {before} to {after} KiB"
    );
}

fn encode<T: Wire>(message: &T, buffer: &mut Vec<u8>) {
    dbal_shared::codec::encode(message, buffer).unwrap();
}

#[test]
fn a_transaction_gives_a_taken_broker_nothing_that_its_calls_alone_would_not() {
    let mut worker = worker_with_bobs_paper();
    let names = Broker::greeted(&worker);
    let earlier = |call, entity, column| {
        Value::Earlier(Earlier {
            call,
            column: names.column(entity, column),
        })
    };
    let column = |name| names.column("Paper", name);
    let with_title = |title| Plan {
        entity: names.entity("Paper"),
        action: Action::Create {
            values: vec![
                Assignment {
                    column: column("title"),
                    value: title,
                },
                Assignment {
                    column: column("ownerId"),
                    value: Value::Uuid(uuid(ALICE)),
                },
            ],
            projection: vec![column("id"), column("title")],
        },
    };
    let made = || with_title(Value::Text("made".to_owned()));
    let user = |projection: &[&str]| Plan {
        entity: names.entity("User"),
        action: Action::Read {
            target: Target {
                column: names.column("User", "id"),
                value: Value::Uuid(uuid(BOB)),
            },
            projection: projection.iter().map(|name| names.column("User", name)).collect(),
            includes: Vec::new(),
        },
    };
    let cases = [
        (
            "a reference forward",
            vec![with_title(earlier(1, "Paper", "title")), made()],
        ),
        (
            "a reference to itself",
            vec![with_title(earlier(0, "Paper", "title"))],
        ),
        (
            "a reference to a hidden column",
            vec![user(&["id"]), with_title(earlier(0, "User", "passwordHash"))],
        ),
        (
            "a hidden column that is asked for and referred to",
            vec![
                user(&["id", "passwordHash"]),
                with_title(earlier(0, "User", "passwordHash")),
            ],
        ),
        (
            "a column for moderators",
            vec![made(), with_title(earlier(0, "Paper", "remark"))],
        ),
        ("no calls", vec![]),
        ("more calls than there may be", vec![made(); 33]),
    ];
    for (what, plans) in cases {
        let mut broker = Broker::greeted(&worker);
        let alice = broker.open_as(ALICE, &["user"]);
        let lie = broker.honest_together(&alice, plans);
        assert_refused(broker.transact(lie).as_ref());
        assert!(broker.channel.is_closed(), "the channel goes on after {what}");
    }
    // A digest that is not the worker's, in the middle of good ones.
    let mut broker = Broker::greeted(&worker);
    let alice = broker.open_as(ALICE, &["user"]);
    let mut lie = broker.honest_together(&alice, vec![made(), made(), made()]);
    lie.calls[1].grant = Digest([1; 32]);
    assert_refused(broker.transact(lie).as_ref());
    assert!(broker.channel.is_closed());
    // The same plans, honestly: the refusals above were no accident.
    let mut broker = Broker::greeted(&worker);
    let alice = broker.open_as(ALICE, &["user"]);
    let honest = broker.honest_together(&alice, vec![made(), with_title(earlier(0, "Paper", "title"))]);
    let reply = broker.transact(honest).expect("an answer").expect("alice may");
    assert_eq!(reply.json.matches("made").count(), 2, "{}", reply.json);
    let papers = broker.papers(&["title"]);
    let execute = broker.honest(&alice, papers);
    let reply = broker
        .send(execute)
        .expect("an answer")
        .expect("alice sees her own");
    assert_eq!(
        reply.rows, 2,
        "nothing of the refused ones was done: {}",
        reply.json
    );
    assert_incident(&worker);
    drop((broker, names));
    assert_whole(&mut worker);
}
