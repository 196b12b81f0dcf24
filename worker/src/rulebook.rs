//! What a reload replaces, all at once: the policy, and the keys that proofs are checked with.

use std::path::PathBuf;
use std::sync::Arc;

use dbal_config::{CertificateName, CertificateRules, SessionRules, WorkerConfig};
use dbal_identity::{ApiKeys, Fingerprints, IdentityError, KeyFileError, Secrets, TokenRules, Verifier};
use dbal_policy::tested::{self, NotTested};
use dbal_policy::{Policy, PolicyError};
use dbal_sandbox::Rereadable;
use dbal_schema::{Schema, SchemaError};
use dbal_shared::ids::Digest;

use crate::opaque::{OpaqueSessions, SessionRulesError};

/// Policy (with the schema in it) and keys, compiled. Sessions live no longer than the one that they were opened under.
#[derive(Debug)]
pub struct Rulebook {
    /// What everybody may do.
    pub policy: Arc<Policy>,
    /// Who everybody is, by signed tokens.
    pub verifier: Verifier,
    /// And by API keys.
    pub api_keys: ApiKeys,
    /// And by tokens that the database knows.
    pub sessions: Option<Arc<OpaqueSessions>>,
    /// And by client certificates, where the broker is entrusted with them.
    pub certificates: Vec<CertificateName>,
    /// What the files of keys looked like before they were read.
    pub looks: Fingerprints,
}

/// Why there is no rulebook.
#[derive(Debug, thiserror::Error)]
pub enum RulebookError {
    /// The entities.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy has not passed its tests.
    #[error(transparent)]
    NotTested(#[from] NotTested),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file of API keys.
    #[error(transparent)]
    ApiKeys(#[from] KeyFileError),
    /// Where sessions are looked up.
    #[error(transparent)]
    Sessions(#[from] SessionRulesError),
    /// Only while it runs: tables, statements and the broker go by the schema that the worker started with.
    #[error(
        "{path}: the entities, or the acl in them, have changed, and they are taken up by a restart only",
        path = path.display()
    )]
    OtherSchema {
        /// The folder.
        path: PathBuf,
    },
}

/// Where a rulebook is read from. Of the sealed configuration this is all that is known later on.
#[derive(Clone, Debug)]
pub struct Sources {
    entities: PathBuf,
    policy: PathBuf,
    invariants: Option<PathBuf>,
    policy_tested: Option<PathBuf>,
    tokens: Option<TokenRules>,
    api_keys: Option<PathBuf>,
    sessions: Option<SessionRules>,
    certificates: Vec<CertificateName>,
}

impl Sources {
    /// As configured.
    pub fn of(config: &WorkerConfig) -> Self {
        Self {
            entities: config.entities.clone(),
            policy: config.policy.clone(),
            invariants: config.invariants.clone(),
            policy_tested: config.policy_tested.clone(),
            tokens: config.auth.tokens.clone(),
            api_keys: config.auth.api_keys.clone(),
            sessions: config.auth.sessions.clone(),
            certificates: entrusted(config.auth.certificates.as_ref()),
        }
    }

    /// Reads everything. A part that can't be read fails the whole.
    pub fn read(&self) -> Result<Rulebook, RulebookError> {
        let looks = Fingerprints::of(&self.key_files());
        let schema = Schema::load(&self.entities)?;
        let invariants = self.invariants.as_deref();
        let policy = Policy::load(&self.policy, invariants, Arc::new(schema.schema))?;
        if let Some(note) = &self.policy_tested {
            tested::confirm(&policy.policy, note)?;
        }
        let verifier = Verifier::new(self.tokens.as_ref(), Secrets::Allowed)?;
        let api_keys = self.api_keys.as_deref().map(ApiKeys::load).transpose()?;
        let of_policy = policy.policy.schema();
        let sessions = self
            .sessions
            .as_ref()
            .map(|rules| OpaqueSessions::new(rules, of_policy));
        let sessions = sessions.transpose()?.map(Arc::new);
        for warning in schema.warnings.iter().chain(&policy.warnings) {
            tracing::warn!("{warning}");
        }
        Ok(Rulebook {
            policy: Arc::new(policy.policy),
            verifier,
            api_keys: api_keys.unwrap_or_default(),
            sessions,
            certificates: self.certificates.clone(),
            looks,
        })
    }

    /// The same while it runs: only for the schema that it started with.
    pub fn read_again(&self, schema: Digest) -> Result<Rulebook, RulebookError> {
        let rulebook = self.read()?;
        if rulebook.policy.schema().hash() == schema {
            Ok(rulebook)
        } else {
            Err(RulebookError::OtherSchema {
                path: self.entities.clone(),
            })
        }
    }

    /// The same policy with the keys as their files have them now.
    pub fn read_keys(&self, rulebook: &Rulebook) -> Result<Rulebook, RulebookError> {
        let looks = Fingerprints::of(&self.key_files());
        let api_keys = self.api_keys.as_deref().map(ApiKeys::load).transpose()?;
        Ok(Rulebook {
            policy: Arc::clone(&rulebook.policy),
            verifier: rulebook.verifier.again()?,
            api_keys: api_keys.unwrap_or_default(),
            sessions: rulebook.sessions.clone(),
            certificates: self.certificates.clone(),
            looks,
        })
    }

    fn key_files(&self) -> Vec<PathBuf> {
        let tokens = self.tokens.iter().flat_map(TokenRules::files);
        tokens.chain(self.api_keys.clone()).collect()
    }

    /// What the sandbox has to leave readable for [`Sources::read_again`]. `secrets` are the files that the
    /// worker must not get back to: its configuration and the identity.
    pub fn rereadable(&self, secrets: Vec<PathBuf>) -> Rereadable {
        let mut files = self.key_files();
        files.push(self.policy.clone());
        files.extend(self.invariants.clone());
        files.extend(self.policy_tested.clone());
        Rereadable {
            files,
            folders: vec![self.entities.clone()],
            never_beside: secrets,
        }
    }
}

/// INVARIANT (`CertificateRules`): where there are any, the operator has written that the broker is trusted with them.
fn entrusted(rules: Option<&CertificateRules>) -> Vec<CertificateName> {
    rules.map_or_else(Vec::new, |rules| rules.names.clone())
}
