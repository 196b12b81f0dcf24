//! The compiled policy: loaded once, asked for every call.

use std::path::Path;
use std::sync::Arc;

use dbal_schema::error::Problems;
use dbal_schema::{ColumnSet, Schema, Source, Warning};
use dbal_shared::ids::{Digest, EntityId};
use dbal_shared::plan::{Operation, Plan};
use dbal_shared::principal::Principal;

use crate::denied::Denied;
use crate::error::PolicyError;
use crate::grant::Grant;
use crate::limits::RoleLimits;
use crate::subject::Subject;

/// All rules, compiled against one schema.
#[derive(Debug)]
pub struct Policy {
    pub(crate) schema: Arc<Schema>,
    pub(crate) hash: Digest,
}

/// A policy and what is odd about its files.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// What loads but deserves a look.
    pub warnings: Vec<Warning>,
}

/// The part of an entity that a caller may speak of in one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// Columns that answers, filters and sorts may hold.
    pub readable: ColumnSet,
    /// Columns that some rule lets the caller write.
    pub writable: ColumnSet,
    /// Columns that some rule fills by force; the caller may leave them out, or name them with that very value.
    pub preset: ColumnSet,
    /// Whether any rule grants this operation.
    pub is_permitted: bool,
}

impl Policy {
    /// Reads the rules file and compiles it together with the schema's inline acls.
    pub fn load(rules: &Path, schema: Arc<Schema>) -> Result<Loaded, PolicyError> {
        let text = std::fs::read_to_string(rules).map_err(|source| PolicyError::Unreadable {
            path: rules.to_owned(),
            source,
        })?;
        Self::parse(
            &Source {
                name: rules.display().to_string(),
                text,
            },
            schema,
        )
    }

    /// The same from a text.
    pub fn parse(_source: &Source, _schema: Arc<Schema>) -> Result<Loaded, PolicyError> {
        Err(PolicyError::Invalid(Problems(Vec::new())))
    }

    /// SHA-256 over the schema's hash, the rules file and the inline acls. Equal hashes decide alike.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The schema that the rules were compiled against.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The caller as this policy sees it. Cheap to keep for as long as a session lasts.
    pub fn subject(&self, _principal: &Principal) -> Subject {
        Subject {
            policy: self.hash,
            limits: RoleLimits::default(),
        }
    }

    /// What the caller may speak of. None where nothing at all is granted on the entity: it looks like an unknown one.
    pub fn vocabulary(
        &self,
        _subject: &Subject,
        _entity: EntityId,
        _operation: Operation,
    ) -> Option<Vocabulary> {
        None
    }

    /// Narrows `plan` to the rows, columns and values that the rules grant, or says why not.
    pub fn decide(&self, subject: &Subject, plan: Plan) -> Result<Grant, Denied> {
        crate::decide::decide(self, subject, plan)
    }

    /// How much the caller may ask for.
    pub fn limits(&self, subject: &Subject) -> RoleLimits {
        subject.limits
    }
}
