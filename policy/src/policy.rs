//! The compiled policy: loaded once, asked for every call.

use std::path::Path;
use std::sync::Arc;

use dbal_schema::error::Problems;
use dbal_schema::mapping::At;
use dbal_schema::report::Report;
use dbal_schema::{ColumnSet, Schema, Source, Warning};
use dbal_shared::ids::{Digest, EntityId};
use dbal_shared::limits::TRIED;
use dbal_shared::message;
use dbal_shared::plan::{Operation, Plan};
use dbal_shared::predicate::Predicate;
use dbal_shared::principal::Principal;
use sha2::{Digest as _, Sha256};

use crate::access::{Access, Kind, Shelf};
use crate::claims::{ClaimFault, Claims};
use crate::compile::{Compiled, compile};
use crate::decide::{Asked, Tried};
use crate::denied::Denied;
use crate::error::PolicyError;
use crate::grant::Grant;
use crate::limits::{PartialLimits, RoleLimits};
use crate::roles::Roles;
use crate::rule::{Accepted, Restriction, Rule};
use crate::slots::Slots;
use crate::subject::Subject;
use crate::{invariants, invariants_file, rules_file};

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
    /// Reads the rules file and compiles it together with the schema's inline acls; then proves the invariants of it, if a
    /// file of them is named. Rules that are not proven to keep them don't load.
    pub fn load(rules: &Path, invariants: Option<&Path>, schema: Arc<Schema>) -> Result<Loaded, PolicyError> {
        let invariants = invariants.map(source).transpose()?;
        Self::uphold(&source(rules)?, invariants.as_ref(), schema)
    }

    /// The same from a text, without invariants.
    pub fn parse(rules: &Source, schema: Arc<Schema>) -> Result<Loaded, PolicyError> {
        Self::uphold(rules, None, schema)
    }

    /// The same from texts.
    pub fn uphold(
        rules: &Source,
        invariants: Option<&Source>,
        schema: Arc<Schema>,
    ) -> Result<Loaded, PolicyError> {
        let mut report = Report::default();
        let file = rules_file::read(rules, &mut report);
        let compiled = compile(&file, &schema, &mut report);
        if let Some(source) = invariants {
            let file = invariants_file::read(source, &mut report);
            // Of rules that don't load there is nothing to prove.
            if report.problems.is_empty() {
                invariants::uphold(&file, &compiled, &schema, &mut report);
            }
        }
        let Report { problems, warnings } = report;
        if !problems.is_empty() {
            return Err(PolicyError::Invalid(Problems(problems)));
        }
        let hash = hash(
            &schema,
            &rules.text,
            invariants.map(|source| source.text.as_str()),
        );
        let policy = Self {
            schema,
            hash,
            compiled,
            shelf: Shelf::default(),
        };
        Ok(Loaded { policy, warnings })
    }

    /// SHA-256 over the schema's hash (which covers the inline acls), the rules file and the invariants. Equal hashes decide
    /// alike, and were proven to keep the same.
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
            claims,
            roles,
            slots,
            rules,
            restrictions,
            limits,
            declared_roles: _,
            accepted: _,
        } = &self.compiled;
        let held = roles.held(principal);
        let filled = slots.fill(&self.schema, claims, roles, &held, principal);
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

    /// What of a proof's claims isn't as the policy declares it. One that is required makes the whole proof worthless; the
    /// others count as missing, which an operator should hear of.
    pub fn claim_faults(&self, principal: &Principal) -> Vec<ClaimFault> {
        self.compiled.claims.faults(principal)
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

    /// Each rule and restriction that could have had a say in what was asked, and what it came to. For operators.
    pub fn trace(&self, principal: &Principal, subject: &Subject, asked: &Asked<'_>) -> Vec<Tried> {
        crate::decide::trace(self, principal, subject, asked)
    }

    /// The same as audit records have it: no more than [`TRIED`], those first that came closest to granting.
    pub fn tried(&self, principal: &Principal, subject: &Subject, asked: &Asked<'_>) -> Vec<message::Tried> {
        let mut traced = self.trace(principal, subject, asked);
        traced.sort_by_key(|tried| tried.effect.rank());
        let told = traced.into_iter().take(TRIED).map(|tried| message::Tried {
            rule: tried.id.as_ref().to_owned(),
            at: tried.at.to_string(),
            why: tried.plain,
        });
        told.collect()
    }

    /// A condition in words, for an operator.
    pub fn words(&self, entity: EntityId, condition: &Predicate) -> String {
        crate::words::for_operator(self, entity, condition)
    }

    /// A condition in words, for the caller whom it binds in `operation`: what he may not know is called
    /// [`crate::words::UNSAID`].
    pub fn words_for(
        &self,
        subject: &Subject,
        operation: Operation,
        entity: EntityId,
        condition: &Predicate,
    ) -> String {
        crate::words::for_caller(self, subject, operation, entity, condition)
    }

    /// Whether the subject was made by this policy: another one's speaks of other rules.
    pub(crate) fn made(&self, subject: &Subject) -> bool {
        subject.policy == self.hash
    }

    /// All rules, in the order of the file; after them those of the entity files.
    pub fn rules(&self) -> &[Rule] {
        &self.compiled.rules
    }

    /// Those of one entity.
    pub(crate) fn rules_of(&self, entity: EntityId) -> impl Iterator<Item = &Rule> {
        self.compiled
            .rules
            .iter()
            .filter(move |rule| rule.entity == entity)
    }

    /// All restrictions.
    pub fn restrictions(&self) -> &[Restriction] {
        &self.compiled.restrictions
    }

    /// The roles that the rules file itself declares; none where it goes by levels.
    pub fn declared_roles(&self) -> &[At<String>] {
        &self.compiled.declared_roles
    }

    /// Findings of reviews that the author stands by.
    pub fn accepted(&self) -> &[Accepted] {
        &self.compiled.accepted
    }

    /// What is declared of claims.
    pub fn claims(&self) -> &Claims {
        &self.compiled.claims
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

fn source(path: &Path) -> Result<Source, PolicyError> {
    let text = std::fs::read_to_string(path).map_err(|source| PolicyError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

/// Equal for equal rules under equal schemas. The file's name is left out: the processes may see it in different places.
fn hash(schema: &Schema, rules: &str, invariants: Option<&str>) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"dbal policy 1\0");
    hasher.update(schema.hash().0);
    hasher.update(rules.as_bytes());
    if let Some(invariants) = invariants {
        // No YAML holds a NUL, so no rules file reads like one with invariants behind it.
        hasher.update(b"\0invariants\0");
        hasher.update(invariants.as_bytes());
    }
    Digest(hasher.finalize().into())
}
