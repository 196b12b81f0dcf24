//! Named writes: done once however often they are asked for, and answered to nobody but who asked, by the same rights.

use dbal_shared::message::Transact;

use super::together::{comment_with, earlier, note, transact};
use super::*;

fn named(stage: &Stage, session: SessionHandle, caller: (&str, &str), plan: Plan, name: &str) -> Execute {
    Execute {
        once: Some(name.to_owned()),
        ..stage.execute(session, caller, plan)
    }
}

/// A note of this caller's, with its id.
fn made(stage: &Stage, owner: &str, slug: &str) -> Plan {
    let values = [("ownerId", uuid(owner)), ("slug", text(slug))];
    Plan {
        entity: stage.fixture.entity("Note").id,
        action: Action::Create {
            values: stage.fixture.values("Note", &values),
            projection: stage.fixture.projection("Note", &["id", "slug"]),
        },
    }
}

#[tokio::test]
async fn a_named_write_is_done_once_and_answered_alike_however_often_it_is_asked_for() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let alice = (ALICE, "user");
    let first = broker
        .run(named(&stage, session, alice, made(&stage, ALICE, "a"), "k"))
        .await
        .unwrap();
    // Also for another session of the same caller, on another channel.
    let mut other = stage.greeted().await;
    let (again, _) = other.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    for _ in 0..2 {
        let repeated = named(&stage, again, alice, made(&stage, ALICE, "a"), "k");
        assert_eq!(other.run(repeated).await.as_ref(), Ok(&first));
    }
    let counted = broker.run(stage.execute(session, alice, stage.count())).await;
    assert_eq!(counted, Ok("1".to_owned()));
    let audit = stage.audit();
    assert_eq!(
        audit
            .matches("done before under the same idempotency key")
            .count(),
        2,
        "{audit}"
    );

    let plans = [note(&stage, text("b")), note(&stage, text("c"))];
    let whole = || Transact {
        once: Some("k2".to_owned()),
        ..transact(&stage, session, alice, &plans)
    };
    let first = broker.transact(whole()).await.unwrap();
    assert_eq!(broker.transact(whole()).await, Ok(first));
    let counted = broker.run(stage.execute(session, alice, stage.count())).await;
    assert_eq!(counted, Ok("3".to_owned()));
}

/// A line of a request could have all that it reads written down, each time.
#[tokio::test]
async fn a_named_write_keeps_no_more_than_its_own_length_and_a_little() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let alice = (ALICE, "user");
    let long = "\"".repeat(90_000);
    let commented = |slug: &str, text: &str| {
        let commented = comment_with(&stage, earlier(&stage, 0, "Note", "id"), text);
        [note(&stage, super::text(slug)), commented]
    };
    let whole = |plans: &[Plan], name: &str| Transact {
        once: Some(name.to_owned()),
        ..transact(&stage, session, alice, plans)
    };
    // What was sent is kept, also where JSON takes twice as much for it.
    let first = broker.transact(whole(&commented("a", &long), "k")).await;
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(broker.transact(whole(&commented("a", &long), "k")).await, first);

    // What is only read is not.
    let all = stage.fixture.list("Comment", Predicate::True, &["text"]);
    let list = Plan {
        entity: stage.fixture.entity("Comment").id,
        action: all,
    };
    let plans = [note(&stage, text("b")), list];
    let refused = broker.transact(whole(&plans, "l")).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.advice),
        (Code::TooLarge, Advice::TooLongToKeep)
    );
    let counted = broker.run(stage.execute(session, alice, stage.count())).await;
    assert_eq!(counted, Ok("1".to_owned()), "it was undone");
    // Without a name it is nobody's business; and the name is free.
    let unnamed = broker.transact(transact(&stage, session, alice, &plans)).await;
    assert!(unnamed.is_ok(), "{unnamed:?}");
    let free = named(&stage, session, alice, made(&stage, ALICE, "c"), "l");
    assert!(broker.run(free).await.is_ok());
}

#[tokio::test]
async fn a_name_stands_for_one_request_of_one_caller_by_the_same_rights_and_for_no_failure() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let alice = (ALICE, "user");
    let taken = |told: Result<String, Failure>| {
        let told = told.unwrap_err();
        assert_eq!((told.code, told.advice), (Code::Invalid, Advice::OtherRequest));
    };
    let first = named(&stage, session, alice, made(&stage, ALICE, "a"), "k");
    let answer = broker.run(first.clone()).await.unwrap();
    taken(
        broker
            .run(named(&stage, session, alice, made(&stage, ALICE, "b"), "k"))
            .await,
    );

    // Somebody else's name is another name.
    let (bobs, _) = broker.open(bearer(stage.token(BOB, "user", 60))).await.unwrap();
    let bob = broker
        .run(named(&stage, bobs, (BOB, "user"), made(&stage, BOB, "a"), "k"))
        .await;
    assert_ne!(bob.unwrap(), answer);

    // What failed was not done, so its name is free.
    let conflict = named(&stage, session, alice, made(&stage, ALICE, "a"), "l");
    assert_eq!(broker.run(conflict).await.unwrap_err().code, Code::Conflict);
    let free = named(&stage, session, alice, made(&stage, ALICE, "c"), "l");
    assert!(broker.run(free).await.is_ok());

    // The same caller, the same request, more rights: an answer of then would show what was shown then.
    let (admin, _) = broker
        .open(bearer(stage.token(ALICE, "admin", 60)))
        .await
        .unwrap();
    taken(
        broker
            .run(named(
                &stage,
                admin,
                (ALICE, "admin"),
                made(&stage, ALICE, "a"),
                "k",
            ))
            .await,
    );

    // Who has lost the right gets what everybody without it gets, not the answer.
    let (nobody, _) = broker
        .open(bearer(stage.token(ALICE, "editor", 60)))
        .await
        .unwrap();
    let lost = Execute {
        session: nobody,
        ..first
    };
    assert_eq!(broker.run(lost).await.unwrap_err().code, Code::Forbidden);
    assert_eq!(
        broker.next().await,
        None,
        "an honest broker would not have sent it"
    );
}

#[tokio::test]
async fn a_name_that_is_none_and_a_name_of_nobody_are_refused() {
    let stage = Stage::new();
    let mut broker = stage.greeted().await;
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    for name in ["", &"x".repeat(256)] {
        let told = broker
            .run(named(
                &stage,
                session,
                (ALICE, "user"),
                made(&stage, ALICE, "a"),
                name,
            ))
            .await;
        assert_eq!(told.unwrap_err().code, Code::Malformed);
    }
    let named = named(&stage, session, (ALICE, "user"), stage.count(), "k");
    assert_eq!(
        broker.run(named).await,
        Ok("0".to_owned()),
        "a read has no use for one"
    );
}
