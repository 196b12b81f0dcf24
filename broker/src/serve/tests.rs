//! The way of a request with a worker that restarts, forgets, dawdles and lies.

mod cancelling;
mod countersigning;
mod explaining;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbal_shared::fault::{Code, Fault};
use dbal_shared::ids::ColumnId;
use dbal_shared::message::{Advice, Failure, Report, ToBroker, ToWorker};

use crate::fixture::{KEY, SEATS, Said, World, answered, failed, policy, policy_of, polite, request};
use crate::serve::Aftermath;

fn read(id: &str) -> String {
    format!(r#"{{"id":"{id}","method":"read","params":["Note","{KEY}"]}}"#)
}

fn write(id: &str) -> String {
    format!(r#"{{"id":"{id}","method":"create","params":["Note",{{"title":"t"}}]}}"#)
}

fn failure(code: Code, advice: Advice) -> Failure {
    Failure {
        code,
        fields: Vec::new(),
        advice,
        at: None,
    }
}

#[tokio::test]
async fn an_answer_is_spliced_in_verbatim_in_both_dialects() {
    let world = World::new();
    assert_eq!(
        world.ask(&read("1")).await,
        r#"{"id":"1","result":{"as":"it came", "1":1e2}}"#
    );
    let json_rpc =
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"read","params":{{"entity":"Note","id":"{KEY}"}}}}"#);
    assert_eq!(
        world.ask(&json_rpc).await,
        r#"{"jsonrpc":"2.0","id":7,"result":{"as":"it came", "1":1e2}}"#
    );
    let notification = json_rpc.replace(r#""id":7,"#, "");
    assert_eq!(world.ask(&notification).await, "");
    assert_eq!(world.executed().len(), 3, "a notification is done all the same");
}

#[tokio::test]
async fn what_goes_to_the_worker_is_the_wanted_plan_with_a_digest_of_the_grant() {
    let world = World::new();
    world.ask(&read("1")).await;
    let executed = world.executed().pop().unwrap();
    let policy = Arc::clone(&world.broker.rulebook.load().policy);
    assert_eq!(executed.policy, policy.hash());
    let subject = policy.subject(&crate::fixture::principal("alice", "user"));
    let grant = policy.decide(&subject, executed.plan.clone()).unwrap();
    assert_eq!(executed.grant, grant.digest());
    assert!(executed.budget_ms > 20_000 && executed.budget_ms <= 29_000);
}

#[tokio::test]
async fn calls_of_one_connection_share_a_session_and_tokens_of_messages_have_their_own() {
    let world = World::new();
    let connection = World::connection("alice");
    for _ in 0..3 {
        world.ask_on(&connection, &read("1")).await;
    }
    let as_bob = read("1").replace('}', r#","auth":{"token":"bob","user_id":"bob"}}"#);
    world.ask_on(&connection, &as_bob).await;
    world.ask_on(&connection, &as_bob).await;
    let opened = world.heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()));
    assert_eq!(opened.len(), 2);
    let sessions: Vec<_> = world.executed().iter().map(|execute| execute.session).collect();
    assert!(sessions[0] == sessions[2] && sessions[3] == sessions[4] && sessions[0] != sessions[3]);
}

#[tokio::test]
async fn a_claimed_user_must_be_the_tokens_subject() {
    let world = World::new();
    let connection = World::connection("alice");
    let raw = request(&read("1").replace('}', r#","auth":{"userId":"bob"}}"#));
    let served = world
        .broker
        .serve(&connection, &raw, world.broker.next_request())
        .await;
    assert!(served.text.unwrap().contains(r#""code":401"#));
    assert_eq!(
        served.aftermath,
        Aftermath::GoOn,
        "the connection's own session stands"
    );
    assert!(world.executed().is_empty());
}

#[tokio::test]
async fn a_token_that_does_not_hold_ends_its_connection_and_tells_why_only_to_the_operator() {
    let world = World::new();
    let served = world
        .broker
        .serve(
            &World::connection("nobody"),
            &request(&read("1")),
            world.broker.next_request(),
        )
        .await;
    let text = served.text.unwrap();
    assert!(
        text.contains(r#""code":401"#) && !text.contains("no such token"),
        "{text}"
    );
    assert_eq!(served.aftermath, Aftermath::Unauthenticated);
}

#[tokio::test]
async fn a_token_that_the_broker_can_check_never_troubles_the_worker_when_it_is_wrong() {
    let world = World::new();
    let expired = world
        .signer
        .sign(r#"{"iss":"i","aud":"a","sub":"alice","roles":["user"],"exp":1000}"#);
    let text = world.ask_on(&World::connection(&expired), &read("1")).await;
    assert!(text.contains(r#""code":401"#), "{text}");
    assert!(
        world
            .heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()))
            .is_empty()
    );
}

#[tokio::test]
async fn an_address_that_shows_too_many_wrong_proofs_is_told_to_wait() {
    let world = World::new();
    let mut last = String::new();
    for _ in 0..60 {
        last = world.ask_on(&World::connection("nobody"), &read("1")).await;
    }
    assert!(
        last.contains(r#""code":429"#) && last.contains(r#""retryAfter":"#),
        "{last}"
    );
    let asked = world.heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()));
    assert!(asked.len() < 60);
}

#[tokio::test]
async fn who_proves_nothing_hears_401_unless_the_policy_has_public_rules() {
    let world = World::new();
    let text = world.ask_on(&World::stranger(), &read("1")).await;
    assert!(text.contains(r#""code":401"#), "{text}");
    assert!(
        world
            .heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()))
            .is_empty()
    );

    let rules = "version: 1\nrules: [{id: all, entity: Note, roles: [public], operations: [read], fields: {read: [id, title]}}]\n";
    let world = World::with(policy_of(rules), |_, message| Said::Messages(polite(message)));
    let text = world.ask_on(&World::stranger(), &read("1")).await;
    assert!(text.contains(r#""result":"#), "{text}");
}

#[tokio::test]
async fn the_rate_limit_of_the_role_holds_and_tells_when_to_come_back() {
    let world = World::new();
    let connection = World::connection("rita");
    let count = r#"{"id":"1","method":"count","params":["Note"]}"#;
    for _ in 0..3 {
        assert!(world.ask_on(&connection, count).await.contains("result"));
    }
    let held = world.ask_on(&connection, count).await;
    assert_eq!(
        held,
        r#"{"id":"1","error":{"code":429,"message":"Rate limit exceeded","details":{"retryAfter":1}}}"#
    );
    assert!(
        world.ask(count).await.contains("result"),
        "others are not held back"
    );
}

#[tokio::test]
async fn a_read_that_a_dying_worker_had_is_asked_again_and_nobody_notices() {
    let world = World::with(policy(), |generation, message| match (generation, message) {
        (0, ToWorker::Execute(_)) => Said::Dies,
        _ => Said::Messages(polite(message)),
    });
    let text = world.ask(&read("1")).await;
    assert!(text.contains(r#""result":"#), "{text}");
    assert_eq!(world.greetings(), 2);
}

#[tokio::test]
async fn a_write_that_a_dying_worker_had_is_never_asked_again_nor_called_failed() {
    let world = World::with(policy(), |generation, message| match (generation, message) {
        (0, ToWorker::Execute(_)) => Said::Dies,
        _ => Said::Messages(polite(message)),
    });
    let text = world.ask(&write("1")).await;
    assert_eq!(
        text,
        r#"{"id":"1","error":{"code":503,"message":"Database unavailable","details":{"retryable":false,"outcome":"unknown"}}}"#
    );
    assert_eq!(world.executed().len(), 1);
    let after = world.ask(&write("2")).await;
    assert!(after.contains(r#""result":"#), "{after}");
}

#[tokio::test]
async fn a_worker_that_has_forgotten_the_session_is_shown_the_proof_again() {
    let forgets = Arc::new(AtomicBool::new(true));
    let world = World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) if forgets.swap(false, Ordering::SeqCst) => Said::Messages(vec![failed(
            execute,
            failure(Code::Unauthorized, Advice::UnknownSession),
        )]),
        _ => Said::Messages(polite(message)),
    });
    let text = world.ask(&write("1")).await;
    assert!(text.contains(r#""result":"#), "{text}");
    let opened = world.heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()));
    assert_eq!(opened.len(), 2);
}

#[tokio::test]
async fn a_worker_that_always_forgets_is_not_asked_for_ever() {
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Execute(execute) => Said::Messages(vec![failed(
            execute,
            failure(Code::Unauthorized, Advice::UnknownSession),
        )]),
        _ => Said::Messages(polite(message)),
    });
    let text = world.ask(&write("1")).await;
    assert!(
        text.contains(r#""code":503"#) && text.contains(r#""retryable":true"#),
        "{text}"
    );
    assert_eq!(world.executed().len(), 3);
}

/// The text with each request's name taken out: no two are alike.
fn anonymous(text: &str) -> String {
    let mut pieces = text.split("\"00000001-");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (_, rest) = piece.split_once('"').unwrap_or_else(|| panic!("{text}"));
        out.push_str("\"NAME\"");
        out.push_str(rest);
    }
    out
}

#[tokio::test]
async fn what_the_worker_says_is_put_in_words_that_the_caller_may_know() {
    let said = [
        (
            failure(Code::Unavailable, Advice::StalePolicy),
            r#"{"code":503,"message":"Database unavailable","details":{"reason":"the policy is being reloaded","retryable":true}}"#,
        ),
        (
            Failure {
                code: Code::Conflict,
                // `slug` may be known, `remark` and `secret` may not.
                fields: vec![
                    (ColumnId(3), Fault::Taken),
                    (ColumnId(7), Fault::Taken),
                    (ColumnId(8), Fault::Taken),
                ],
                advice: Advice::Final,
                at: None,
            },
            r#"{"code":409,"message":"Conflict","details":{"fields":[{"field":"slug","error":"is already taken"}]}}"#,
        ),
        (
            failure(Code::NotFound, Advice::Final),
            r#"{"code":404,"message":"Not found","details":{"decision":"NAME"}}"#,
        ),
        (
            failure(Code::Timeout, Advice::OutcomeUnknown),
            r#"{"code":504,"message":"Timed out","details":{"retryable":false,"outcome":"unknown"}}"#,
        ),
        (
            failure(Code::Internal, Advice::Final),
            r#"{"code":500,"message":"Internal error","details":{"incident":"NAME"}}"#,
        ),
    ];
    for (failure, expected) in said {
        let world = World::with(policy(), move |_, message| match message {
            ToWorker::Execute(execute) => Said::Messages(vec![failed(execute, failure.clone())]),
            _ => Said::Messages(polite(message)),
        });
        assert_eq!(
            anonymous(&world.ask(&write("1")).await),
            format!(r#"{{"id":"1","error":{expected}}}"#)
        );
    }
}

#[tokio::test]
async fn a_worker_that_dawdles_is_not_waited_for_and_told_so() {
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Execute(_) => Said::Messages(Vec::new()),
        _ => Said::Messages(polite(message)),
    });
    let began = Instant::now();
    let text = world
        .ask(r#"{"id":"1","method":"list","params":["Note",{"meta":{"timeoutMs":50}}]}"#)
        .await;
    assert!(
        text.contains(r#""code":504"#) && text.contains(r#""retryable":true"#),
        "{text}"
    );
    assert!(began.elapsed() < Duration::from_secs(2));
    let text = world
        .ask(r#"{"id":"1","method":"create","params":{"entity":"Note","data":{"title":"t"},"_meta":{"timeoutMs":50}}}"#)
        .await;
    assert!(
        text.contains(r#""code":504"#) && text.contains(r#""outcome":"unknown""#),
        "{text}"
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cancelled = world.heard(|message| match message {
        ToWorker::Cancel(call) => Some(*call),
        _ => None,
    });
    let executed: Vec<_> = world.executed().iter().map(|execute| execute.call).collect();
    assert_eq!(cancelled, executed);
}

#[tokio::test]
async fn an_answer_to_another_question_ends_the_channel() {
    let lies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&lies);
    let world = World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) if counted.fetch_add(1, Ordering::SeqCst) == 0 => {
            let mut opened = polite(&ToWorker::OpenSession(dbal_shared::message::OpenSession {
                call: execute.call,
                proof: dbal_shared::message::Proof::Bearer("admin".into()),
                remote: String::new(),
                certificate: None,
            }));
            Said::Messages(vec![opened.remove(0)])
        }
        _ => Said::Messages(polite(message)),
    });
    assert!(world.ask(&read("1")).await.contains("result"));
    assert_eq!(world.greetings(), 2, "the liar was left for another");
}

#[tokio::test]
async fn a_session_that_the_worker_ended_is_opened_again_by_the_next_call() {
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Execute(execute) => Said::Messages(vec![
            ToBroker::SessionEnded(execute.session),
            answered(execute, "1"),
        ]),
        _ => Said::Messages(polite(message)),
    });
    let connection = World::connection("alice");
    assert!(world.ask_on(&connection, &read("1")).await.contains("result"));
    assert!(world.ask_on(&connection, &read("2")).await.contains("result"));
    assert_eq!(opened(&world), 2);
}

fn opened(world: &World) -> usize {
    let opened = world.heard(|message| matches!(message, ToWorker::OpenSession(_)).then_some(()));
    opened.len()
}

/// The same rules, and another hash.
fn reload(broker: &crate::serve::Broker) {
    let old = broker.rulebook.load();
    let verifier = crate::fixture::no_keys();
    let policy = policy_of(&format!("{}# {:?}\n", crate::fixture::RULES, old.policy.hash()));
    broker.channel.go_by(policy.hash());
    broker.rulebook.store(Arc::new(crate::rulebook::Rulebook::new(
        policy,
        verifier,
        dbal_identity::Fingerprints::default(),
    )));
}

#[tokio::test]
async fn after_a_reload_the_next_call_on_a_connection_is_judged_by_the_new_policy() {
    let world = World::new();
    let connection = World::connection("alice");
    assert!(world.ask_on(&connection, &read("1")).await.contains("result"));
    reload(&world.broker);
    assert!(world.ask_on(&connection, &read("2")).await.contains("result"));
    assert_eq!(opened(&world), 2, "the proof is shown again: keys may have gone");
    let executed = world.executed();
    assert_ne!(executed[0].policy, executed[1].policy);
    assert_eq!(executed[1].policy, world.broker.rulebook.load().policy.hash());
}

#[tokio::test]
async fn a_call_that_was_under_way_while_the_broker_reloaded_is_asked_again_under_the_new_policy() {
    let broker: Arc<std::sync::OnceLock<Arc<crate::serve::Broker>>> = Arc::default();
    let later = Arc::clone(&broker);
    let asked = AtomicUsize::new(0);
    let world = World::with(policy(), move |_, message| match message {
        ToWorker::Execute(execute) if asked.fetch_add(1, Ordering::SeqCst) == 0 => {
            reload(later.get().unwrap());
            Said::Messages(vec![failed(
                execute,
                failure(Code::Unavailable, Advice::StalePolicy),
            )])
        }
        _ => Said::Messages(polite(message)),
    });
    assert!(broker.set(Arc::clone(&world.broker)).is_ok());
    assert!(world.ask(&write("1")).await.contains("result"));
    let executed = world.executed();
    assert_eq!(executed.len(), 2);
    assert_ne!(executed[0].policy, executed[1].policy);
}

#[tokio::test]
async fn without_a_worker_a_call_waits_a_little_and_may_be_tried_again() {
    let world = World::with(policy(), |_, _| Said::Dies);
    let began = Instant::now();
    let text = world.ask(&write("1")).await;
    assert!(
        text.contains(r#""code":503"#) && text.contains(r#""retryable":true"#),
        "{text}"
    );
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn what_the_broker_refuses_is_reported_for_the_audit_and_rate_limits_only_once_a_second() {
    let world = World::new();
    world
        .ask(r#"{"id":"1","method":"create","params":["Vault",{}]}"#)
        .await;
    let connection = World::connection("rita");
    world.ask_on(&connection, &write("1")).await;
    for _ in 0..20 {
        world.ask_on(&connection, &read("1")).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reported = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => {
            Some((refused.code, refused.method.clone(), refused.session.is_some()))
        }
        _ => None,
    });
    let create = Some("create".to_owned());
    assert_eq!(reported.len(), 3, "{reported:?}");
    assert_eq!(reported[0], (Code::NotFound, create.clone(), true));
    assert_eq!(reported[1], (Code::Forbidden, create, true));
    assert_eq!(reported[2], (Code::RateLimited, Some("read".to_owned()), true));
}

#[tokio::test]
async fn whoever_proves_nothing_fills_no_disk_with_records() {
    let world = World::new();
    let known: Vec<_> = (0..SEATS).map(|_| World::connection("alice")).collect();
    for connection in &known {
        assert!(world.ask_on(connection, &read("1")).await.contains("result"));
    }
    let stranger = World::stranger();
    for _ in 0..500 {
        let answer = world.ask_on(&stranger, &read("1")).await;
        assert!(answer.contains("401") || answer.contains("429"), "{answer}");
    }
    // Whoever is known is recorded all the same, from the same address too.
    for nth in 0..100 {
        world
            .ask_on(
                &known[nth % known.len()],
                r#"{"id":"1","method":"create","params":["Vault",{}]}"#,
            )
            .await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reported = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => Some(refused.code),
        _ => None,
    });
    let of_code = |code| reported.iter().filter(|it| **it == code).count();
    assert!(
        (60..70).contains(&of_code(Code::Unauthorized)),
        "{}",
        of_code(Code::Unauthorized)
    );
    assert_eq!(of_code(Code::NotFound), 100);
}

#[tokio::test]
async fn a_message_of_nothing_but_mistakes_is_answered_and_reported_in_few_words() {
    let world = World::new();
    let unknown: Vec<String> = (0..50_000).map(|nth| format!("\"u{nth}\":1")).collect();
    let unknown = format!("{{{}}}", unknown.join(","));
    let nested = (0..20).fold(unknown.clone(), |inner, _| format!("{{\"AND\":{inner}}}"));
    for (method, second) in [
        ("list", format!("{{\"filter\":{nested}}}")),
        ("count", format!("{{\"filter\":{nested}}}")),
        ("findFirst", nested),
        ("create", unknown.clone()),
        ("createMany", format!("[{unknown},{unknown}]")),
    ] {
        let answer = world
            .ask(&format!(
                r#"{{"id":"1","method":"{method}","params":["Note",{second}]}}"#
            ))
            .await;
        assert!(answer.contains("unknown field"), "{method}");
        assert!(answer.len() < 32 * 1024, "{method}: {} bytes", answer.len());
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reasons = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => Some(refused.reason.len()),
        _ => None,
    });
    assert_eq!(reasons.len(), 5, "{reasons:?}");
    assert!(reasons.iter().all(|length| *length <= 512), "{reasons:?}");
}

#[tokio::test]
async fn capabilities_name_what_the_caller_may_use_and_nothing_else() {
    let world = World::new();
    let text = world
        .ask_on(
            &World::connection("rita"),
            r#"{"id":"1","method":"getCapabilities"}"#,
        )
        .await;
    assert!(
        text.contains(r#""transactions":false"#) && text.contains(r#""adapter":"sqlite""#),
        "{text}"
    );
    assert!(
        text.contains(r#""entities":[{"name":"Note","operations":["read","list"]}]"#),
        "{text}"
    );
    assert!(!text.contains("Vault"));
}

#[tokio::test]
async fn each_call_of_a_batch_is_answered_for_itself_and_in_order_in_both_dialects() {
    let world = World::new();
    let calls = format!(
        r#"[{{"method":"read","params":["Note","{KEY}"]}},{{"method":"read","params":["Nothing","{KEY}"]}},
        {{"method":"create","params":{{"entity":"Note","data":{{"title":"t"}}}}}},{{"method":"strange"}},{{"method":"read"}}]"#
    );
    let found = r#"{"result":{"as":"it came", "1":1e2}}"#;
    let native = world
        .ask(&format!(r#"{{"id":"1","method":"batch","params":[{calls}]}}"#))
        .await;
    assert!(
        anonymous(&native).starts_with(&format!(
            r#"{{"id":"1","result":[{found},{{"error":{{"code":404,"message":"Not found","details":{{"reason":"unknown entity `Nothing`","decision":"NAME"}}}}}},{found},{{"error":{{"code":400"#
        )),
        "{native}"
    );
    let json_rpc = world
        .ask(&format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"batch","params":{{"calls":{calls}}}}}"#
        ))
        .await;
    for part in [r#""code":-32601"#, r#""code":-32602"#, r#""data":{"#] {
        assert!(json_rpc.contains(part), "{json_rpc}");
    }
    let requests: Vec<_> = world.executed().iter().map(|execute| execute.request).collect();
    assert_eq!(requests.len(), 4);
    assert!(requests[0] != requests[1], "each is on record by itself");
}

#[tokio::test]
async fn a_batch_is_charged_as_the_sum_of_its_calls_and_a_strange_one_as_one() {
    let world = World::new();
    let rita = World::connection("rita");
    let call = format!(r#"{{"method":"read","params":["Note","{KEY}"]}}"#);
    let five = [call.as_str(); 5].join(",");
    let text = world
        .ask_on(
            &rita,
            &format!(r#"{{"id":"1","method":"batch","params":[[{five}]]}}"#),
        )
        .await;
    assert_eq!(
        (
            text.matches("result").count(),
            text.matches(r#""code":429"#).count()
        ),
        (4, 2),
        "three of five, and the batch's own result: {text}"
    );
    let stranger = World::connection("rita");
    let strange = r#"{"id":"1","method":"batch","params":[[]]}"#;
    assert!(world.ask_on(&stranger, strange).await.contains(r#""code":429"#));
    assert!(world.ask(strange).await.contains(r#""code":422"#));
}

#[tokio::test]
async fn lists_of_calls_are_bounded_and_not_nested_and_say_who_asks_once() {
    let world = World::new();
    let call = format!(r#"{{"method":"read","params":["Note","{KEY}"]}}"#);
    for (calls, code) in [
        (format!("[{}]", [call.as_str(); 33].join(",")), 413),
        ("{}".to_owned(), 422),
        ("[1]".to_owned(), 422),
        (r#"[{"params":[]}]"#.to_owned(), 422),
        (r#"[{"method":"batch","params":[[]]}]"#.to_owned(), 422),
        (r#"[{"method":"transaction","params":[[]]}]"#.to_owned(), 422),
        (r#"[{"method":"$/cancelRequest","params":["1"]}]"#.to_owned(), 422),
        (r#"[{"method":"read","params":1}]"#.to_owned(), 422),
        (
            call.replace('}', r#","auth":{"token":"bob"}}"#)
                .replacen('{', "[{", 1)
                + "]",
            422,
        ),
    ] {
        let text = world
            .ask(&format!(r#"{{"id":"1","method":"batch","params":[{calls}]}}"#))
            .await;
        assert!(
            text.contains(&format!(r#""error":{{"code":{code}"#)),
            "{calls}: {text}"
        );
    }
    assert!(world.executed().is_empty());
    let unknown = r#"{"id":"1","method":"batch","params":[[{"method":"read"}]],"auth":{"token":"nobody"}}"#;
    assert!(world.ask(unknown).await.contains(r#""code":401"#));
}

#[tokio::test]
async fn a_transaction_goes_to_the_worker_as_one_question_with_a_digest_for_each_plan() {
    let world = World::new();
    let calls = r#"[{"method":"create","params":["Note",{"title":"t"}]},{"method":"read","params":["Note",{"$ref":"0.id"}]}]"#;
    let asked = format!(
        r#"{{"id":"1","method":"transaction","params":[{calls},{{"isolation":"repeatable_read"}}]}}"#
    );
    assert_eq!(world.ask(&asked).await, r#"{"id":"1","result":[1,1]}"#);
    let asked = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"transaction","params":{{"calls":{calls}}}}}"#);
    assert_eq!(
        world.ask(&asked).await,
        r#"{"jsonrpc":"2.0","id":1,"result":[1,1]}"#
    );
    let transacted = world.transacted();
    assert_eq!(
        transacted[0].isolation,
        dbal_shared::message::Isolation::RepeatableRead
    );
    let policy = Arc::clone(&world.broker.rulebook.load().policy);
    let subject = policy.subject(&crate::fixture::principal("alice", "user"));
    let plans = transacted[0].calls.iter().map(|wanted| wanted.plan.clone());
    let grants = policy.decide_together(&subject, plans).unwrap();
    let digests: Vec<_> = grants.iter().map(dbal_policy::Grant::digest).collect();
    let sent: Vec<_> = transacted[0].calls.iter().map(|wanted| wanted.grant).collect();
    assert_eq!(sent, digests);
}

#[tokio::test]
async fn what_is_wrong_with_one_call_of_a_transaction_keeps_all_of_it_from_the_worker() {
    let world = World::new();
    let first = r#"{"method":"create","params":["Note",{"title":"t"}]}"#;
    for (second, said) in [
        (
            r#"{"method":"create","params":["Note",{}]}"#,
            r#""fields":[{"field":"title","error":"is required"}],"call":1"#,
        ),
        (
            r#"{"method":"create","params":["Note",{"title":{"$ref":"0.rank"}}]}"#,
            r#""fields":[{"field":"title","error":"must be a string"}],"call":1"#,
        ),
        (r#"{"method":"delete","params":["Vault","KEY"]}"#, r#""call":1"#),
        (r#"{"method":"deleteMany","params":["Note"]}"#, r#""code":403"#),
    ] {
        let second = second.replace("KEY", KEY);
        let text = world
            .ask(&format!(
                r#"{{"id":"1","method":"transaction","params":[[{first},{second}]]}}"#
            ))
            .await;
        assert!(text.contains(said), "{second}: {text}");
    }
    // What comes after the reports on the same stream: they have been heard.
    world.ask(&read("1")).await;
    assert!(world.transacted().is_empty());
    let reports = world.heard(|message| match message {
        ToWorker::Report(Report::Refused(refused)) => refused.method.clone(),
        _ => None,
    });
    assert_eq!(reports, ["transaction"; 4]);
}

#[tokio::test]
async fn what_the_worker_says_of_a_transactions_call_is_said_with_its_place_and_its_fields() {
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Transact(transact) => {
            Said::Messages(vec![ToBroker::Answer(dbal_shared::message::Answer {
                call: transact.call,
                outcome: Err(Failure {
                    code: Code::Conflict,
                    fields: vec![(ColumnId(3), Fault::Taken), (ColumnId(7), Fault::Taken)],
                    advice: Advice::Final,
                    at: Some(1),
                }),
            })])
        }
        other => Said::Messages(polite(other)),
    });
    let call = r#"{"method":"create","params":["Note",{"title":"t"}]}"#;
    let text = world
        .ask(&format!(
            r#"{{"id":"1","method":"transaction","params":[[{call},{call}]]}}"#
        ))
        .await;
    assert_eq!(
        text,
        r#"{"id":"1","error":{"code":409,"message":"Conflict","details":{"fields":[{"field":"slug","error":"is already taken"}],"call":1}}}"#
    );
}

#[tokio::test]
async fn a_transaction_is_charged_as_the_sum_of_its_calls_all_or_none() {
    let world = World::new();
    let rita = World::connection("rita");
    let call = format!(r#"{{"method":"read","params":["Note","{KEY}"]}}"#);
    let asked = |count: usize| {
        let calls = vec![call.clone(); count].join(",");
        format!(r#"{{"id":"1","method":"transaction","params":[[{calls}]]}}"#)
    };
    let too_many = world.ask_on(&rita, &asked(4)).await;
    assert!(
        too_many.contains(r#""code":413"#) && too_many.contains("lets 3 through"),
        "{too_many}"
    );
    assert!(world.ask_on(&rita, &asked(2)).await.contains("result"));
    assert!(world.ask_on(&rita, &asked(2)).await.contains(r#""code":429"#));
    assert!(world.ask_on(&rita, &asked(1)).await.contains("result"));
}

#[tokio::test]
async fn a_named_write_that_a_dying_worker_had_is_asked_again_since_it_is_done_once() {
    let world = World::with(policy(), |generation, message| match (generation, message) {
        (0, ToWorker::Execute(_)) => Said::Dies,
        (_, other) => Said::Messages(polite(other)),
    });
    let named = r#"{"id":"1","method":"create","params":["Note",{"title":"t"},{"idempotencyKey":"k"}]}"#;
    assert!(world.ask(named).await.contains("result"));
    let sent: Vec<_> = world
        .executed()
        .iter()
        .map(|execute| execute.once.clone())
        .collect();
    assert_eq!(sent, [Some("k".to_owned()), Some("k".to_owned())]);
    let always = World::with(policy(), |_, message| match message {
        ToWorker::Execute(_) => Said::Dies,
        other => Said::Messages(polite(other)),
    });
    let text = always.ask(named).await;
    assert!(text.contains(r#""outcome":"unknown""#), "{text}");
}

#[tokio::test]
async fn a_name_that_stands_for_another_request_is_told_as_such() {
    let world = World::with(policy(), |_, message| match message {
        ToWorker::Execute(execute) => {
            let told = match execute.once.as_deref() {
                Some("other") => failure(Code::Invalid, Advice::OtherRequest),
                Some("long") => failure(Code::TooLarge, Advice::TooLongToKeep),
                _ => failure(Code::Unsupported, Advice::Final),
            };
            Said::Messages(vec![failed(execute, told)])
        }
        other => Said::Messages(polite(other)),
    });
    for (key, said) in [
        (
            "other",
            r#""code":422,"message":"Validation failed","details":{"fields":[{"field":"idempotencyKey","#,
        ),
        ("long", r#""code":413"#),
        (
            "long",
            "nothing was done: the answer is longer than those that are kept",
        ),
        ("k", r#""code":501"#),
        ("k", r#""capability":"idempotencyKey""#),
    ] {
        let named = format!(
            r#"{{"id":"1","method":"create","params":["Note",{{"title":"t"}},{{"idempotencyKey":"{key}"}}]}}"#
        );
        let text = world.ask(&named).await;
        assert!(text.contains(said), "{text}");
    }
}
