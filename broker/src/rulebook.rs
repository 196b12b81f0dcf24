//! What a reload replaces, all at once: the policy, and the public keys that tokens are checked with.

use std::path::PathBuf;
use std::sync::Arc;

use dbal_identity::{Fingerprints, IdentityError, Secrets, Verifier};
use dbal_policy::tested::{self, NotTested};
use dbal_policy::{Policy, PolicyError, Subject};
use dbal_schema::{Schema, SchemaError};
use dbal_shared::ids::Digest;
use dbal_shared::plan::Operation;
use dbal_shared::principal::Principal;

use crate::config::BrokerConfig;

/// Policy (with the schema in it) and keys, compiled. A caller is known under one of them and no longer than it holds.
pub struct Rulebook {
    /// What everybody may do.
    pub policy: Arc<Policy>,
    /// Who everybody is, as far as that can be told without a secret.
    pub verifier: Verifier,
    /// What the files of keys looked like before they were read.
    pub looks: Fingerprints,
    /// Whether the policy grants anything to a caller who proves nothing.
    pub is_public: bool,
}

/// Why there is no rulebook.
#[derive(Debug, thiserror::Error)]
pub enum RulebookError {
    /// Entity files.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy has not passed its tests.
    #[error(transparent)]
    NotTested(#[from] NotTested),
    /// Keys for tokens.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Only while it runs: the worker's tables go by the schema that both started with.
    #[error(
        "{path}: the entities, or the acl in them, have changed, and they are taken up by a restart only",
        path = path.display()
    )]
    OtherSchema {
        /// The folder.
        path: PathBuf,
    },
}

impl Rulebook {
    /// Of a policy and keys that are read already.
    pub fn new(policy: Arc<Policy>, verifier: Verifier, looks: Fingerprints) -> Self {
        let is_public = grants_anything(&policy, &policy.subject(&Principal::anonymous()));
        Self {
            policy,
            verifier,
            looks,
            is_public,
        }
    }

    /// Reads everything that the configuration names. A part that can't be read fails the whole.
    pub fn read(config: &BrokerConfig) -> Result<Self, RulebookError> {
        let looks = Fingerprints::of(&config.auth.key_files());
        let schema = Schema::load(&config.entities)?;
        let invariants = config.invariants.as_deref();
        let policy = Policy::load(&config.policy, invariants, Arc::new(schema.schema))?;
        if let Some(note) = &config.policy_tested {
            tested::confirm(&policy.policy, note)?;
        }
        let verifier = Verifier::new(config.auth.tokens.as_ref(), Secrets::Refused)?;
        for warning in schema.warnings.iter().chain(&policy.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(Self::new(Arc::new(policy.policy), verifier, looks))
    }

    /// The same policy with the keys as their files have them now.
    pub fn with_new_keys(&self) -> Result<Self, IdentityError> {
        let looks = Fingerprints::of(&self.looks.files());
        Ok(Self::new(Arc::clone(&self.policy), self.verifier.again()?, looks))
    }

    /// The same while it runs: only for the schema that it started with.
    pub fn read_again(config: &BrokerConfig, schema: Digest) -> Result<Self, RulebookError> {
        let rulebook = Self::read(config)?;
        if rulebook.policy.schema().hash() == schema {
            Ok(rulebook)
        } else {
            Err(RulebookError::OtherSchema {
                path: config.entities.clone(),
            })
        }
    }
}

fn grants_anything(policy: &Policy, subject: &Subject) -> bool {
    policy.schema().entities().iter().any(|entity| {
        Operation::ALL
            .iter()
            .any(|operation| policy.vocabulary(subject, entity.id, *operation).is_some())
    })
}
