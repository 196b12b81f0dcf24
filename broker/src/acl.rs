//! What of a plan its caller may have. The only file that makes `Authorized`, and nothing less goes to the worker.

use std::sync::Arc;

use dbal_policy::Grant;
use dbal_shared::fault::Code;
use dbal_shared::ids::{Digest, RequestId};
use dbal_shared::message::Failure;
use dbal_shared::plan::{Action, Plan};

use crate::auth::Authenticated;
use crate::call::{self, Together, Wanted, known};
use crate::channel::Session;
use crate::respond::{self, FieldFault, INVALID_CURSOR, Refusal};

/// Proof that the policy grants what an authenticated caller wants: one plan, or all plans of a transaction.
pub struct Authorized {
    call: Authenticated<Wanted>,
    grants: Vec<Grant>,
    policy: Digest,
}

/// Asks the policy. The worker asks its own again; what is refused here never troubles it.
pub fn authorize(call: Authenticated<Wanted>) -> Result<Authorized, Refusal> {
    let (policy, subject) = (call.caller().policy(), call.caller().subject());
    let grants = call::judge(policy, call.caller().session().principal(), subject, call.asks())?;
    Ok(Authorized {
        policy: policy.hash(),
        call,
        grants,
    })
}

impl Authorized {
    /// Whose call it is, as the worker knows it.
    pub fn session(&self) -> &Session {
        self.call.caller().session()
    }

    /// Whose calls and answers it counts among.
    pub fn payer(&self) -> &Arc<str> {
        self.call.caller().rate_key()
    }

    /// What the caller wants, not yet narrowed: the worker narrows it by its own policy.
    pub fn wanted(&self) -> &Wanted {
        self.call.asks()
    }

    /// What the broker's policy grants of it, plan by plan.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// What the policy counts for all of it.
    pub fn complexity(&self) -> u32 {
        let each = self.grants.iter().map(Grant::complexity);
        each.fold(0, u32::saturating_add)
    }

    /// What the worker says of the call, in words that this caller may know.
    pub fn failed(&self, failure: &Failure, request: RequestId) -> Refusal {
        let policy = self.call.caller().policy();
        let plan = match self.wanted() {
            Wanted::One(plan) => Some(plan),
            Wanted::Together(Together { isolation: _, plans }) => {
                failure.at.and_then(|at| plans.get(usize::from(at)))
            }
        };
        let Some(Plan { entity, action }) = plan else {
            return respond::failed(failure, None, request);
        };
        let vocabulary = policy.vocabulary(self.call.caller().subject(), *entity, action.operation());
        match (policy.schema().entity(*entity), vocabulary) {
            (Some(entity), Some(vocabulary)) => {
                let refusal = respond::failed(failure, Some((entity, &known(&vocabulary))), request);
                let is_paged = matches!(action, Action::List { cursor: Some(_), .. });
                if is_paged && failure.code == Code::Invalid {
                    // The only thing that a worker may find wrong with such a list.
                    refusal.with_fields(vec![FieldFault::text("cursor", INVALID_CURSOR)])
                } else {
                    refusal
                }
            }
            _ => Refusal::silent(Code::Internal, "a failure of an entity that nobody may know"),
        }
    }

    /// Hash of the policy that granted it.
    pub fn policy(&self) -> Digest {
        self.policy
    }
}
