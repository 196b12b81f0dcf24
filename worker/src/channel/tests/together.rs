//! Transactions over the channel: whole or not at all, judged call by call, and worth nothing to a broker that lies.

use dbal_shared::fault::Fault;
use dbal_shared::message::{Isolation, Transact, Wanted};
use dbal_shared::plan::Assignment;
use dbal_shared::value::{Earlier, Value};

use super::*;

/// What an honest broker sends for these plans; digests of zeros where the policy denies them.
pub(super) fn transact(
    stage: &Stage,
    session: SessionHandle,
    caller: (&str, &str),
    plans: &[Plan],
) -> Transact {
    let subject = stage.fixture.subject(caller.0, caller.1);
    let grants = stage
        .fixture
        .policy
        .decide_together(&subject, plans.iter().cloned());
    let digests: Vec<Digest> = match grants {
        Ok(grants) => grants.iter().map(dbal_policy::Grant::digest).collect(),
        Err(_) => vec![Digest([0; 32]); plans.len()],
    };
    let wanted = digests.into_iter().zip(plans.iter().cloned());
    Transact {
        call: CallId(0),
        request: RequestId { boot: 7, sequence: 1 },
        session,
        budget_ms: 5_000,
        policy: stage.fixture.policy.hash(),
        isolation: Isolation::Serializable,
        once: None,
        trace: None,
        calls: wanted.map(|(grant, plan)| Wanted { grant, plan }).collect(),
    }
}

impl Broker {
    pub(super) async fn transact(&mut self, transact: Transact) -> Result<serde_json::Value, Failure> {
        self.calls = self.calls.saturating_add(1);
        let call = CallId(self.calls);
        self.send(&ToWorker::Transact(Transact { call, ..transact }))
            .await;
        match self.next().await {
            Some(ToBroker::Answer(answer)) => {
                assert_eq!(answer.call, call);
                answer
                    .outcome
                    .map(|reply| serde_json::from_str(&reply.json).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn as_alice(stage: &Stage) -> (Self, SessionHandle) {
        let mut broker = stage.greeted().await;
        let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
        (broker, session)
    }
}

fn plan(stage: &Stage, entity: &str, action: Action) -> Plan {
    Plan {
        entity: stage.fixture.entity(entity).id,
        action,
    }
}

pub(super) fn earlier(stage: &Stage, call: u16, entity: &str, column: &str) -> Value {
    Value::Earlier(Earlier {
        call,
        column: stage.fixture.column(entity, column),
    })
}

fn create(stage: &Stage, entity: &str, values: &[(&str, Value)], projection: &[&str]) -> Plan {
    let values: Vec<Assignment> = stage.fixture.values(entity, values);
    let projection = stage.fixture.projection(entity, projection);
    plan(stage, entity, Action::Create { values, projection })
}

pub(super) fn note(stage: &Stage, slug: Value) -> Plan {
    let values = [("ownerId", uuid(ALICE)), ("slug", slug)];
    create(stage, "Note", &values, &["id", "slug", "ownerId"])
}

fn comment(stage: &Stage, note: Value) -> Plan {
    comment_with(stage, note, "t")
}

pub(super) fn comment_with(stage: &Stage, note: Value, words: &str) -> Plan {
    create(
        stage,
        "Comment",
        &[("noteId", note), ("text", text(words))],
        &["noteId", "text"],
    )
}

fn read(stage: &Stage, column: &str, value: Value, projection: &[&str]) -> Plan {
    let action = Action::Read {
        target: stage.fixture.target("Note", column, value),
        projection: stage.fixture.projection("Note", projection),
        includes: Vec::new(),
    };
    plan(stage, "Note", action)
}

async fn count(stage: &Stage, broker: &mut Broker, session: SessionHandle) -> String {
    let execute = stage.execute(session, (ALICE, "user"), stage.count());
    broker.run(execute).await.unwrap()
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_and_later_calls_use_what_earlier_ones_answer() {
    let stage = Stage::new();
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let id = || earlier(&stage, 0, "Note", "id");
    let filter = stage.fixture.eq("Comment", "noteId", id());
    let plans = [
        note(&stage, text("first")),
        comment(&stage, id()),
        read(&stage, "id", id(), &["slug"]),
        plan(
            &stage,
            "Comment",
            stage.fixture.list("Comment", filter, &["text"]),
        ),
        note(&stage, earlier(&stage, 1, "Comment", "text")),
    ];
    let answer = broker
        .transact(transact(&stage, session, (ALICE, "user"), &plans))
        .await
        .unwrap();
    assert_eq!(answer[1]["noteId"], answer[0]["id"]);
    assert_eq!(answer[2], serde_json::json!({"slug": "first"}));
    assert_eq!(answer[3]["data"], serde_json::json!([{"text": "t"}]));
    assert_eq!(
        (&answer[3]["total"], &answer[4]["slug"]),
        (&1.into(), &"t".into())
    );
    assert_eq!(count(&stage, &mut broker, session).await, "2");
    let audit = stage.audit();
    for (method, times) in [("create", 3), ("read", 1), ("list", 1), ("transaction", 1)] {
        let found = audit.matches(&format!("\"method\":\"{method}\"")).count();
        assert_eq!(found, times, "{method}: {audit}");
    }
    let id = answer[0]["id"].as_str().unwrap();
    assert!(audit.matches(id).count() >= 2, "made and read: {audit}");
}

#[tokio::test]
async fn nothing_of_a_transaction_that_fails_remains_and_the_failure_names_its_call() {
    let stage = Stage::new();
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let plans = [
        note(&stage, text("first")),
        note(&stage, earlier(&stage, 0, "Note", "slug")),
        note(&stage, text("third")),
    ];
    let failure = broker
        .transact(transact(&stage, session, (ALICE, "user"), &plans))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.code, failure.at, failure.advice),
        (Code::Conflict, Some(1), Advice::Final)
    );
    let columns: Vec<_> = failure.fields.iter().map(|(column, _)| *column).collect();
    assert_eq!(columns, stage.fixture.projection("Note", &["ownerId", "slug"]));
    assert_eq!(count(&stage, &mut broker, session).await, "0");
    let audit = stage.audit();
    assert_eq!(
        audit.matches("\"code\":409").count(),
        4,
        "each call and the whole: {audit}"
    );
    assert_eq!(
        audit.matches("the transaction that it belongs to failed").count(),
        2,
        "{audit}"
    );
    assert!(!audit.contains(
        "\"method\":\"create\",\"operation\":\"create\",\"entity\":\"Note\",\"outcome\":\"allowed\""
    ));
}

#[tokio::test]
async fn what_an_earlier_call_answered_is_judged_again_once_it_is_known() {
    let stage = Stage::new();
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let (bobs, _) = broker.open(bearer(stage.token(BOB, "user", 60))).await.unwrap();
    let published = [
        ("ownerId", uuid(BOB)),
        ("slug", text("bobs")),
        ("state", text("published")),
    ];
    let published = create(&stage, "Note", &published, &["id"]);
    let execute = stage.execute(bobs, (BOB, "user"), published);
    let made = broker.run(execute).await.unwrap();
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let long = create(
        &stage,
        "Comment",
        &[
            ("noteId", uuid(made["id"].as_str().unwrap())),
            ("text", text(&"x".repeat(41))),
        ],
        &["text"],
    );
    let find = |slug: &str| {
        let filter = stage.fixture.eq("Note", "slug", text(slug));
        let projection = stage.fixture.projection("Note", &["id", "ownerId", "rank"]);
        plan(
            &stage,
            "Note",
            Action::FindFirst {
                filter,
                order: Vec::new(),
                projection,
                includes: Vec::new(),
            },
        )
    };
    let owned = |owner| {
        create(
            &stage,
            "Note",
            &[("ownerId", owner), ("slug", text("new"))],
            &["id"],
        )
    };
    let mine = || earlier(&stage, 0, "Note", "id");
    for (what, plans, code, fields) in [
        (
            "a field's own rules",
            vec![long, note(&stage, earlier(&stage, 0, "Comment", "text"))],
            Code::Invalid,
            vec![(stage.fixture.column("Note", "slug"), Fault::TooLong { max: 40 })],
        ),
        (
            "a row that the caller may not write",
            vec![find("bobs"), owned(earlier(&stage, 0, "Note", "ownerId"))],
            Code::Forbidden,
            vec![],
        ),
        (
            "a row that is not there",
            vec![find("nobodys"), comment(&stage, mine())],
            Code::NotFound,
            vec![],
        ),
    ] {
        let wanted = transact(&stage, session, (ALICE, "user"), &plans);
        let failure = broker.transact(wanted).await.unwrap_err();
        assert_eq!(
            (failure.code, failure.at, &failure.fields),
            (code, Some(1), &fields),
            "{what}"
        );
    }
    // NULL can be written where it is a value, and not be looked for.
    let ranked = |rank| {
        let values = [("ownerId", uuid(ALICE)), ("slug", text("null")), ("rank", rank)];
        create(&stage, "Note", &values, &["rank"])
    };
    let plans = [find("bobs"), ranked(earlier(&stage, 0, "Note", "rank"))];
    let wanted = transact(&stage, session, (ALICE, "user"), &plans);
    let answer = broker.transact(wanted).await.unwrap();
    assert_eq!(answer[1], serde_json::json!({"rank": null}));
    let filter = stage
        .fixture
        .eq("Note", "rank", earlier(&stage, 0, "Note", "rank"));
    let plans = [find("bobs"), plan(&stage, "Note", Action::Count { filter })];
    let wanted = transact(&stage, session, (ALICE, "user"), &plans);
    let failure = broker.transact(wanted).await.unwrap_err();
    assert_eq!((failure.code, failure.at), (Code::Invalid, Some(1)));
}

#[tokio::test]
async fn a_broker_that_lies_about_a_transaction_gains_nothing_and_loses_its_channel() {
    let stage = Stage::new();
    let id = |call| earlier(&stage, call, "Note", "id");
    let made = || note(&stage, text("first"));
    let by_name = Action::Read {
        target: stage.fixture.target("User", "username", text("alice")),
        projection: stage.fixture.projection("User", &["username"]),
        includes: Vec::new(),
    };
    let hidden = create(
        &stage,
        "Note",
        &[("ownerId", earlier(&stage, 0, "User", "id")), ("slug", text("s"))],
        &["id"],
    );
    let masked = read(&stage, "id", uuid(ALICE), &["remark"]);
    let counted = plan(
        &stage,
        "Note",
        Action::Count {
            filter: Predicate::True,
        },
    );
    for (what, plans) in [
        ("a reference to itself", vec![made(), comment(&stage, id(1))]),
        (
            "a reference to a later call",
            vec![comment(&stage, id(1)), made()],
        ),
        ("a reference to no call", vec![made(), comment(&stage, id(9))]),
        (
            "a reference to a hidden column",
            vec![plan(&stage, "User", by_name), hidden],
        ),
        (
            "a reference to a column that only some rows show",
            vec![masked, note(&stage, earlier(&stage, 0, "Note", "remark"))],
        ),
        (
            "a reference to a column that is not answered",
            vec![made(), note(&stage, earlier(&stage, 0, "Note", "state"))],
        ),
        (
            "a reference of another type",
            vec![made(), comment(&stage, earlier(&stage, 0, "Note", "slug"))],
        ),
        (
            "a reference to what is no row",
            vec![counted, comment(&stage, id(0))],
        ),
        ("no call", vec![]),
        ("too many calls", vec![made(); 33]),
    ] {
        let (mut broker, session) = Broker::as_alice(&stage).await;
        let lie = transact(&stage, session, (ALICE, "user"), &plans);
        let failure = broker.transact(lie).await.unwrap_err();
        assert_eq!(failure.advice, Advice::Final, "{what}");
        assert!(broker.next().await.is_none(), "the channel goes on after {what}");
    }
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let mut lie = transact(
        &stage,
        session,
        (ALICE, "user"),
        &[made(), comment(&stage, id(0))],
    );
    lie.calls[1].grant.0[0] ^= 1;
    let failure = broker.transact(lie).await.unwrap_err();
    assert_eq!((failure.code, failure.at), (Code::Forbidden, Some(1)));
    assert!(broker.next().await.is_none());
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let single = stage.execute(session, (ALICE, "user"), comment(&stage, id(0)));
    assert!(
        broker.run(single).await.is_err(),
        "outside of a transaction there is nothing earlier"
    );
    assert!(broker.next().await.is_none());
    let (mut broker, session) = Broker::as_alice(&stage).await;
    assert_eq!(count(&stage, &mut broker, session).await, "0");
    assert_eq!(stage.audit().matches("\"event\":\"incident\"").count(), 12);
}

#[tokio::test]
async fn a_transaction_under_another_policy_is_told_so_and_one_that_only_reads_runs_beside_writes() {
    let stage = Stage::new();
    let (mut broker, session) = Broker::as_alice(&stage).await;
    let plans = [note(&stage, text("first"))];
    let old = Transact {
        policy: Digest([7; 32]),
        ..transact(&stage, session, (ALICE, "user"), &plans)
    };
    let failure = broker.transact(old).await.unwrap_err();
    assert_eq!((failure.advice, failure.at), (Advice::StalePolicy, None));
    let list = plan(
        &stage,
        "Note",
        stage.fixture.list("Note", Predicate::True, &["slug"]),
    );
    let wanted = transact(&stage, session, (ALICE, "user"), &[list, stage.count()]);
    assert!(!wanted.is_write());
    let answer = broker.transact(wanted).await.unwrap();
    assert_eq!((&answer[0]["total"], &answer[1]), (&0.into(), &0.into()));
}
