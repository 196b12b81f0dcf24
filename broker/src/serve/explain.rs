//! `explain`: the way of a call up to where it would be handed to the worker, and in words instead.

use dbal_policy::Grant;
use dbal_shared::message::{Explained, Report};

use super::{Broker, once};
use crate::acl::{self, Authorized};
use crate::auth::Authenticated;
use crate::call::{self, Hearer, Method, Params, Wanted};
use crate::respond::{Outcome, Refusal, Verdict};

impl Broker {
    /// Explains a call to its caller: the same steps with the same answers as if it were made, so it tells nothing that the
    /// call would not. What would be refused is on record like a refusal, and what would be allowed is too.
    pub(super) fn explain(
        &self,
        call: Authenticated<()>,
        params: &Params,
        outcome: &mut Outcome,
    ) -> Result<String, Refusal> {
        let explained = call::explained(params)?;
        let caller = call.share_caller();
        let (method, params) = (explained.method, &explained.params);
        let authorized =
            call::interpret(method, params, caller.policy(), caller.subject()).and_then(|wanted| {
                once(&wanted, &caller)?;
                acl::authorize(call.asking(wanted.wanted))
            });
        let told = match authorized {
            Ok(authorized) => {
                outcome.verdict = Some(Verdict::Allowed);
                self.channel
                    .report(Report::Explained(record(method, &authorized, outcome)));
                call::granted(
                    method,
                    authorized.wanted(),
                    authorized.grants(),
                    caller.policy(),
                    caller.subject(),
                    Hearer::Caller,
                )
            }
            Err(refusal) => {
                outcome.judge(&refusal);
                let refusal = refusal.of_explained(method);
                let refusal = self.named(outcome, refusal);
                self.record(outcome, &refusal);
                call::refused(method, &refusal)
            }
        };
        Ok(told.to_string())
    }
}

fn record(method: Method, authorized: &Authorized, outcome: &mut Outcome) -> Explained {
    let rules: Vec<&str> = authorized.grants().iter().flat_map(Grant::rules).collect();
    let costs = authorized.grants().iter().map(Grant::complexity);
    // Of a transaction the record names none: it has many.
    if let Wanted::One(plan) = authorized.wanted() {
        outcome.entity = Some(plan.entity);
        outcome.operation = Some(plan.action.operation());
    }
    Explained {
        request: outcome.request,
        session: authorized.session().handle(),
        entity: outcome.entity,
        operation: outcome.operation,
        method: method.name().to_owned(),
        rule: (!rules.is_empty()).then(|| rules.join(",")),
        complexity: costs.fold(0, u32::saturating_add),
        trace: outcome.trace.map(|trace| trace.id),
    }
}
