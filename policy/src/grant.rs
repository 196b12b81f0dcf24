//! The proof that a plan was decided, and on what terms. Nobody but `decide` makes one, and it never crosses a process.

use std::sync::Arc;

use dbal_shared::codec::{self, CodecError};
use dbal_shared::ids::Digest;
use dbal_shared::terms::Terms;
use sha2::{Digest as _, Sha256};

use crate::cost::Cost;

/// What the policy grants of a plan.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Boxed, since grants and plans are moved from hand to hand.
    terms: Box<Terms>,
    digest: Digest,
    rules: Vec<Arc<str>>,
    cost: Cost,
}

impl Grant {
    pub(crate) fn new(terms: Box<Terms>, rules: Vec<Arc<str>>, cost: Cost) -> Result<Self, CodecError> {
        let mut bytes = Vec::with_capacity(256);
        codec::encode(&*terms, &mut bytes)?;
        let digest = Digest(Sha256::digest(&bytes).into());
        Ok(Self {
            terms,
            digest,
            rules,
            cost,
        })
    }

    /// The narrowed plan and its conditions.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The same, for whoever executes them.
    pub fn into_terms(self) -> Box<Terms> {
        self.terms
    }

    /// SHA-256 of the encoded terms: equal in broker and worker, or something is wrong.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Ids of the rules that granted, in the order of the policy.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(AsRef::as_ref)
    }

    /// The same, to be kept.
    pub fn rule_ids(&self) -> &[Arc<str>] {
        &self.rules
    }

    /// What the plan costs, in the unit of [`crate::RoleLimits::max_complexity`].
    pub fn complexity(&self) -> u32 {
        self.cost.total()
    }

    /// The same, line by line.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
