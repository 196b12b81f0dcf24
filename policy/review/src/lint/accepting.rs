//! Findings that the policy's author stands by (`accept:`) are dropped; acceptances of nothing are found.

use dbal_policy::Policy;
use dbal_schema::suggestion;

use super::Raised;
use crate::finding::{Code, Finding};

/// The findings that nobody accepts, and what is odd about the acceptances.
pub(super) fn settle(policy: &Policy, raised: Vec<Raised>) -> Vec<Finding> {
    let accepted = policy.accepted();
    let mut is_used = vec![false; accepted.len()];
    let mut findings = Vec::new();
    for Raised { about, finding } in raised {
        let mut is_accepted = false;
        for (acceptance, is_used) in accepted.iter().zip(&mut is_used) {
            if *acceptance.about == *about && acceptance.code == finding.code.name() {
                is_accepted = true;
                *is_used = true;
            }
        }
        if !is_accepted {
            findings.push(finding);
        }
    }
    for (acceptance, is_used) in accepted.iter().zip(is_used) {
        if is_used {
            continue;
        }
        let acceptable = || {
            let codes = Code::ALL.into_iter().filter(|code| code.is_acceptable());
            codes.map(Code::name)
        };
        let is_known = acceptable().any(|name| name == acceptance.code);
        let text = if is_known {
            format!(
                "`{}` of `{}` is accepted, but is not found",
                acceptance.code, acceptance.about
            )
        } else {
            format!("there is no finding called `{}`", acceptance.code)
        };
        let near = suggestion::nearest(&acceptance.code, acceptable());
        let advice = match near.filter(|_| !is_known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "remove it".to_owned(),
        };
        findings.push(Finding {
            code: Code::NeedlessAcceptance,
            at: acceptance.at.clone(),
            text,
            advice: Some(advice),
        });
    }
    findings
}
