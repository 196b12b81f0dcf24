//! What a client wants, down to the grant: methods, parameters, filters, options, batches, explanations, for several callers. Each
//! refusal can be told as JSON, and nothing that is understood is beyond its limits.
#![no_main]

use std::sync::LazyLock;

use dbal_broker::call::{self, Hearer, Method};
use dbal_broker::respond::{self, Refusal};
use dbal_broker::rpc::{Dialect, Id, Message, RawRequest};
use dbal_fuzz::world::Caller;
use dbal_policy::{Policy, Subject};
use dbal_shared::limits::BATCH_CALLS;
use dbal_shared::principal::Principal;
use libfuzzer_sys::fuzz_target;

struct World {
    policy: Policy,
    callers: Vec<(Principal, Subject)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let schema = dbal_fuzz::world_schema();
    let policy = dbal_fuzz::world_policy(&schema);
    let callers = [Caller::Alice, Caller::Carol, Caller::Nobody].map(|caller| {
        let principal = caller.principal();
        let subject = policy.subject(&principal);
        (principal, subject)
    });
    World {
        policy,
        callers: callers.into(),
    }
});

fuzz_target!(|text: &str| {
    let Ok(message) = Message::parse(text, Some(Dialect::Native)) else {
        return;
    };
    let requests = match message {
        Message::One(request) => vec![request],
        Message::Batch(parts) => parts.into_iter().flatten().collect(),
    };
    for (principal, subject) in &WORLD.callers {
        requests
            .iter()
            .for_each(|request| understand(request, principal, subject));
    }
});

fn understand(request: &RawRequest, principal: &Principal, subject: &Subject) {
    let policy: &Policy = &WORLD.policy;
    let Some(method) = Method::by_name(&request.method) else {
        return;
    };
    let charged = call::count(method, &request.params);
    assert!(usize::try_from(charged.get()).is_ok_and(|count| count <= BATCH_CALLS));
    match method {
        Method::Batch => {
            if let Err(refusal) = call::batch(&request.params) {
                told(&refusal);
            }
        }
        Method::Explain => match call::explained(&request.params) {
            Ok(explained) => {
                let understood = call::interpret(explained.method, &explained.params, policy, subject);
                let judged = understood
                    .and_then(|call| Ok((call::judge(policy, principal, subject, &call.wanted)?, call)));
                let answer = match judged {
                    Ok((grants, call)) => call::granted(
                        explained.method,
                        &call.wanted,
                        &grants,
                        policy,
                        subject,
                        Hearer::Caller,
                    ),
                    Err(refusal) => call::refused(explained.method, &refusal),
                };
                assert!(answer.is_object());
            }
            Err(refusal) => told(&refusal),
        },
        _ => match call::interpret(method, &request.params, policy, subject) {
            Ok(call) => match call::judge(policy, principal, subject, &call.wanted) {
                Ok(grants) => assert_eq!(grants.len(), call.wanted.plans().len()),
                Err(refusal) => told(&refusal),
            },
            Err(refusal) => told(&refusal),
        },
    }
}

/// A refusal is one JSON value in both dialects.
fn told(refusal: &Refusal) {
    for dialect in [Dialect::Native, Dialect::JsonRpc] {
        let text = respond::error(dialect, &Id::null(), refusal);
        let value: serde_json::Value = serde_json::from_str(&text).expect("an answer is JSON");
        assert!(
            value.get("error").is_some() && value.get("result").is_none(),
            "{text}"
        );
        assert!(
            text.len() < 64 * 1024,
            "an answer far longer than what it is about"
        );
    }
}
