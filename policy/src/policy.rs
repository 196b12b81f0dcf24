//! The compiled policy: loaded once, asked for every call.

use std::path::Path;
use std::sync::Arc;

use dbal_schema::error::Problems;
use dbal_schema::report::Report;
use dbal_schema::{ColumnSet, Schema, Source, Warning};
use dbal_shared::ids::{Digest, EntityId};
use dbal_shared::plan::{Operation, Plan};
use dbal_shared::principal::Principal;
use sha2::{Digest as _, Sha256};

use crate::access::{Access, Kind, Shelf};
use crate::compile::{Compiled, compile};
use crate::denied::Denied;
use crate::error::PolicyError;
use crate::grant::Grant;
use crate::limits::{PartialLimits, RoleLimits};
use crate::roles::Roles;
use crate::rule::{Restriction, Rule};
use crate::rules_file;
use crate::slots::Slots;
use crate::subject::Subject;

/// All rules, compiled against one schema.
#[derive(Debug)]
pub struct Policy {
    pub(crate) schema: Arc<Schema>,
    hash: Digest,
    compiled: Compiled,
    shelf: Shelf,
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
    pub fn parse(source: &Source, schema: Arc<Schema>) -> Result<Loaded, PolicyError> {
        let mut report = Report::default();
        let file = rules_file::read(source, &mut report);
        let compiled = compile(&file, &schema, &mut report);
        let Report { problems, warnings } = report;
        if !problems.is_empty() {
            return Err(PolicyError::Invalid(Problems(problems)));
        }
        let hash = hash(&schema, &source.text);
        let policy = Self {
            schema,
            hash,
            compiled,
            shelf: Shelf::default(),
        };
        Ok(Loaded { policy, warnings })
    }

    /// SHA-256 over the schema's hash (which covers the inline acls) and the rules file. Equal hashes decide alike.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The schema that the rules were compiled against.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The caller as this policy sees it. Cheap to keep for as long as a session lasts.
    pub fn subject(&self, principal: &Principal) -> Subject {
        let Compiled {
            roles,
            slots,
            rules,
            restrictions,
            limits,
        } = &self.compiled;
        let held = roles.held(principal);
        let filled = slots.fill(&self.schema, roles, &held, principal);
        let parts: Vec<PartialLimits> = limits
            .iter()
            .filter(|(role, _)| held.holds_any(&[*role]))
            .map(|(_, part)| *part)
            .collect();
        let kind = Kind {
            roles: held,
            presence: filled.presence(),
        };
        let access = self
            .shelf
            .get(kind, |kind| Access::new(kind, &self.schema, rules, restrictions));
        Subject {
            policy: self.hash,
            access,
            filled,
            limits: RoleLimits::most_generous(&parts),
        }
    }

    /// What the caller may speak of. None where nothing at all is granted on the entity: it looks like an unknown one.
    pub fn vocabulary(
        &self,
        subject: &Subject,
        entity: EntityId,
        operation: Operation,
    ) -> Option<Vocabulary> {
        if !self.made(subject) {
            return None;
        }
        let access = subject.access.entity(entity)?;
        let table = access.operation(operation);
        Some(Vocabulary {
            readable: access.sight(operation).readable,
            writable: table.writable,
            preset: table.preset,
            is_permitted: !table.rules.is_empty(),
        })
    }

    /// Narrows `plan` to the rows, columns and values that the rules grant, or says why not.
    pub fn decide(&self, subject: &Subject, plan: Plan) -> Result<Grant, Denied> {
        crate::decide::decide(self, subject, plan, &[])
    }

    /// The same for the plans of one transaction, in which later ones may refer to what earlier ones answer; or why not,
    /// and of which of them.
    pub fn decide_together(
        &self,
        subject: &Subject,
        plans: impl IntoIterator<Item = Plan>,
    ) -> Result<Vec<Grant>, (usize, Denied)> {
        crate::together::decide(self, subject, plans)
    }

    /// Whether the subject was made by this policy: another one's speaks of other rules.
    pub(crate) fn made(&self, subject: &Subject) -> bool {
        subject.policy == self.hash
    }

    /// All rules, in the order of the file; after them those of the entity files.
    pub fn rules(&self) -> &[Rule] {
        &self.compiled.rules
    }

    /// All restrictions.
    pub fn restrictions(&self) -> &[Restriction] {
        &self.compiled.restrictions
    }

    /// All roles.
    pub fn roles(&self) -> &Roles {
        &self.compiled.roles
    }

    /// What the rules ask of callers.
    pub fn slots(&self) -> &Slots {
        &self.compiled.slots
    }

    pub(crate) fn rule(&self, index: usize) -> Option<&Rule> {
        self.compiled.rules.get(index)
    }

    pub(crate) fn restriction(&self, index: usize) -> Option<&Restriction> {
        self.compiled.restrictions.get(index)
    }

    /// How much the caller may ask for.
    pub fn limits(&self, subject: &Subject) -> RoleLimits {
        subject.limits
    }
}

/// Equal for equal rules under equal schemas. The file's name is left out: the processes may see it in different places.
fn hash(schema: &Schema, text: &str) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"dbal policy 1\0");
    hasher.update(schema.hash().0);
    hasher.update(text.as_bytes());
    Digest(hasher.finalize().into())
}
