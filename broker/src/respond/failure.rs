//! What the worker or the way to it says, in words for the client: which code, whether to try again, and never
//! "failed" where a write may have happened.

use dbal_schema::{ColumnSet, Entity};
use dbal_shared::fault::Code;
use dbal_shared::ids::RequestId;
use dbal_shared::message::{Advice, Failure};

use crate::channel::ChannelError;
use dbal_call::{FieldFault, Kind, Refusal, name_fields};

/// The worker's own verdict. Only columns of `entity` that are in `known` are named; none where it is about no entity.
pub fn failed(failure: &Failure, about: Option<(&Entity, &ColumnSet)>, request: RequestId) -> Refusal {
    let Failure {
        code,
        fields,
        advice,
        at,
    } = failure;
    let described = about
        .map(|(entity, _)| entity.describe(fields))
        .unwrap_or_default();
    let named = about.map(|(entity, known)| name_fields(entity, known, fields));
    let operator = format!("the worker says: {} {described}", code.message());
    let refusal = if *code == Code::Forbidden {
        // The call was granted; what it would write, or the row as it was, was not.
        Refusal::new(Kind::Code(*code), "Insufficient permissions for a row like this")
            .for_operator(operator, None)
    } else {
        Refusal::silent(*code, operator)
    };
    let refusal = refusal.with_fields(named.unwrap_or_default());
    let refusal = match advice {
        Advice::Final => refusal,
        Advice::Retry | Advice::UnknownSession => refusal.with_retryable(true),
        Advice::StalePolicy => {
            Refusal::new(Kind::Code(Code::Unavailable), "the policy is being reloaded").with_retryable(true)
        }
        Advice::OutcomeUnknown => refusal.with_unknown_outcome(),
        Advice::OtherRequest => Refusal::invalid(vec![FieldFault::text(
            "idempotencyKey",
            "stands for another request, or for this one under other rights",
        )]),
        Advice::TooLongToKeep => Refusal::new(
            Kind::Code(*code),
            "nothing was done: the answer is longer than those that are kept for `idempotencyKey`; have less answered, or leave the key out",
        ),
    };
    if *code == Code::Unsupported {
        // The only thing that a worker may find missing once the broker has understood the call.
        return Refusal::unsupported("idempotencyKey");
    }
    let refusal = match at {
        Some(call) => refusal.at_call(usize::from(*call)),
        None => refusal,
    };
    match code {
        Code::Internal => refusal.with_incident(request.to_string()),
        Code::Malformed
        | Code::Unauthorized
        | Code::Forbidden
        | Code::NotFound
        | Code::Conflict
        | Code::TooLarge
        | Code::Invalid
        | Code::RateLimited
        | Code::Unsupported
        | Code::Unavailable
        | Code::Timeout
        | Code::Quota
        | Code::SandboxViolation => refusal,
    }
}

/// No verdict was heard. `is_write` says whether something may have been changed nevertheless.
pub fn unreached(error: &ChannelError, is_write: bool) -> Refusal {
    match error {
        ChannelError::Broken if is_write => {
            Refusal::silent(Code::Unavailable, "the worker left while it had the write")
                .with_unknown_outcome()
        }
        ChannelError::Broken | ChannelError::SessionGone => {
            Refusal::unavailable("the worker left again and again")
        }
        ChannelError::Unavailable(why) => Refusal::unavailable(*why),
        ChannelError::Timeout { was_sent: true } if is_write => {
            Refusal::silent(Code::Timeout, "no answer within the deadline").with_unknown_outcome()
        }
        ChannelError::Timeout { .. } => {
            Refusal::silent(Code::Timeout, "no answer within the deadline").with_retryable(true)
        }
        ChannelError::TooLarge => Refusal::new(
            Kind::Code(Code::TooLarge),
            "the call is larger than the daemon takes in one piece",
        ),
        ChannelError::ProofRefused { reason, .. } => Refusal::silent(Code::Unauthorized, reason.clone()),
        ChannelError::Failed(failure) => Refusal::silent(failure.code, "an answer to nothing"),
    }
}
