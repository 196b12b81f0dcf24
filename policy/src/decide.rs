//! The decision.

use dbal_shared::plan::Plan;
use dbal_shared::predicate::Predicate;
use dbal_shared::terms::{ReadTerms, Terms};

use crate::denied::{Denied, Reason};
use crate::grant::Grant;
use crate::policy::Policy;
use crate::subject::Subject;

pub(crate) fn decide(policy: &Policy, subject: &Subject, plan: Plan) -> Result<Grant, Denied> {
    let operation = plan.action.operation();
    let entity = policy
        .schema
        .entity(plan.entity)
        .map_or(String::new(), |entity| entity.name.clone());
    if subject.policy != policy.hash {
        return Err(Denied {
            reason: Reason::StaleSubject,
            operation,
            entity,
            rule: None,
        });
    }
    let read = ReadTerms {
        rows: Predicate::False,
        masks: Vec::new(),
    };
    let terms = Terms {
        plan,
        read,
        write: Vec::new(),
        create: Predicate::False,
    };
    Grant::new(terms, Vec::new(), 1).map_err(|_| Denied {
        reason: Reason::Unencodable,
        operation,
        entity,
        rule: None,
    })
}
