//! Opaque session tokens: looked up in the rows of a configured entity, by the way that any read takes, on any database.
//!
//! They prove what the row says, for as long as it says so: a session is looked up again while it is open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dbal_config::{Hashed, SessionRoles, SessionRules};
use dbal_identity::Verified;
use dbal_schema::time::datetime_ms;
use dbal_schema::{Column, ColumnType, Entity, Schema};
use dbal_shared::fault::Code;
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_shared::json::Json;
use dbal_shared::message::{Reply, Standing};
use dbal_shared::plan::Target;
use dbal_shared::principal::Principal;
use dbal_sql::ValidPlan;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::database::Database;
use crate::job::{Control, Job, Refusal, Task, Ticket, What};

/// Longest time that one look-up may take. Callers wait for it before their first call.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest user id, role or tenant, in bytes, as for tokens.
const NAME_BYTES: usize = 255;
/// Digits of a hash.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Why the rules don't fit the entities.
#[derive(Debug, thiserror::Error)]
pub enum SessionRulesError {
    /// No such entity.
    #[error("auth.sessions: there is no entity `{entity}`")]
    NoEntity {
        /// Its name.
        entity: String,
    },
    /// No such field.
    #[error("auth.sessions: `{entity}` has no field `{field}`")]
    NoField {
        /// The entity.
        entity: String,
        /// The field's name.
        field: String,
    },
    /// A field that can't say what it should.
    #[error("auth.sessions: `{entity}.{field}` must be {expected}")]
    Unfit {
        /// The entity.
        entity: String,
        /// The field.
        field: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Nobody would have a role, or it isn't clear which.
    #[error("auth.sessions.roles: name `fixed` roles or a `field`, and an `entity` only with a `field`")]
    Roles,
}

/// Why a token opens no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSession {
    /// No row has it.
    #[error("no session has this token")]
    Unknown,
    /// Its time is over.
    #[error("the session has expired")]
    Expired,
    /// It was ended.
    #[error("the session was revoked")]
    Revoked,
    /// The row can't be understood, or speaks of a user who is not there.
    #[error("the session's row is of no use: {0}")]
    Unusable(&'static str),
    /// The database did not tell.
    #[error("the database did not tell: {0}")]
    NotTold(String),
}

/// What finds a session's row again: the hash of its token, or the token where that is what the database holds.
#[derive(Clone, Debug)]
pub struct Lookup(SecretString);

/// The rules, compiled against the schema.
#[derive(Clone, Debug)]
pub struct OpaqueSessions {
    schema: Arc<Schema>,
    entity: EntityId,
    token: ColumnId,
    hashed: Hashed,
    user: ColumnId,
    expires: ColumnId,
    revoked: Option<ColumnId>,
    tenant: Option<ColumnId>,
    roles: Roles,
    /// How often an open session is looked up again.
    pub recheck: Duration,
}

#[derive(Clone, Debug)]
enum Roles {
    Fixed(Vec<String>),
    OfSession(ColumnId),
    OfUser { entity: EntityId, field: ColumnId },
}

impl OpaqueSessions {
    /// Compiles the rules.
    pub fn new(rules: &SessionRules, schema: &Arc<Schema>) -> Result<Self, SessionRulesError> {
        let SessionRules {
            entity,
            token,
            hashed,
            user,
            expires,
            revoked,
            tenant,
            roles,
            recheck_seconds,
        } = rules;
        let of_session = find(schema, entity)?;
        let unfit = |field: &str, expected| SessionRulesError::Unfit {
            entity: entity.clone(),
            field: field.to_owned(),
            expected,
        };
        let token_column = field(of_session, token)?;
        if !of_session.is_unique(token_column.id) {
            // Without an index, each look-up would read the whole table.
            return Err(unfit(token, "unique"));
        }
        let expires_column = field(of_session, expires)?;
        if !matches!(expires_column.kind, ColumnType::Datetime | ColumnType::Bigint) {
            return Err(unfit(expires, "a datetime, or a bigint of Unix milliseconds"));
        }
        let optional =
            |name: &Option<String>| name.as_deref().map(|name| field(of_session, name)).transpose();
        Ok(Self {
            schema: Arc::clone(schema),
            entity: of_session.id,
            token: token_column.id,
            hashed: *hashed,
            user: field(of_session, user)?.id,
            expires: expires_column.id,
            revoked: optional(revoked)?.map(|column| column.id),
            tenant: optional(tenant)?.map(|column| column.id),
            roles: compile_roles(roles, of_session, schema)?,
            recheck: Duration::from_secs(u64::from(*recheck_seconds)),
        })
    }

    /// What finds the row of a token.
    pub fn lookup(&self, token: &str) -> Lookup {
        Lookup(match self.hashed {
            Hashed::No => SecretString::from(token),
            Hashed::Sha256 => {
                let mut digits = String::with_capacity(64);
                for byte in Sha256::digest(token.as_bytes()) {
                    for half in [byte >> 4, byte & 15] {
                        digits.extend(DIGITS.get(usize::from(half)).map(|digit| char::from(*digit)));
                    }
                }
                SecretString::from(digits)
            }
        })
    }

    /// Looks a session up: whom it is of, and until when. `remote` is the caller's address, whose turn it counts for.
    pub async fn judge(
        &self,
        database: &Database,
        lookup: &Lookup,
        remote: &str,
        now_ms: i64,
    ) -> Result<Verified, NoSession> {
        let entity = self
            .schema
            .entity(self.entity)
            .ok_or(NoSession::Unusable("no entity"))?;
        let columns: Vec<ColumnId> = [Some(self.user), Some(self.expires), self.revoked, self.tenant]
            .into_iter()
            .flatten()
            .chain(match self.roles {
                Roles::OfSession(field) => Some(field),
                Roles::Fixed(_) | Roles::OfUser { .. } => None,
            })
            .collect();
        let token = Json::Text(lookup.0.expose_secret().to_owned());
        let row = self
            .row(database, entity, (self.token, &token), &columns, remote)
            .await?;
        let row = row.ok_or(NoSession::Unknown)?;
        let cell = |column: ColumnId| cell(&row, entity, column);
        if let Some(revoked) = self.revoked
            && !matches!(cell(revoked), None | Some(Json::Null | Json::Bool(false)))
        {
            return Err(NoSession::Revoked);
        }
        let expires_at_ms = cell(self.expires)
            .and_then(moment)
            .ok_or(NoSession::Unusable("no end"))?;
        if expires_at_ms <= now_ms {
            return Err(NoSession::Expired);
        }
        let user = cell(self.user).ok_or(NoSession::Unusable("no user"))?;
        let roles = match &self.roles {
            Roles::Fixed(roles) => roles.clone(),
            Roles::OfSession(field) => roles_in(cell(*field))?,
            Roles::OfUser { entity, field } => {
                let users = self
                    .schema
                    .entity(*entity)
                    .ok_or(NoSession::Unusable("no entity"))?;
                let row = self
                    .row(database, users, (users.key, user), &[*field], remote)
                    .await?;
                let row = row.ok_or(NoSession::Unusable("its user is not there"))?;
                roles_in(self::cell(&row, users, *field))?
            }
        };
        Ok(Verified {
            principal: Principal {
                id: Some(name(user).ok_or(NoSession::Unusable("its user has no usable id"))?),
                roles,
                tenant: self.tenant.and_then(cell).and_then(name),
                claims: Vec::new(),
            },
            expires_at_ms: Some(expires_at_ms),
            by: format!("session of {}", entity.name),
        })
    }

    /// The cells of one row, by the way of any read. None where no row has this value.
    async fn row(
        &self,
        database: &Database,
        entity: &Entity,
        (key, value): (ColumnId, &Json),
        columns: &[ColumnId],
        remote: &str,
    ) -> Result<Option<Json>, NoSession> {
        let column = entity.column(key).ok_or(NoSession::Unusable("no field"))?;
        // What can't be a value of the column is the value of no row.
        let Ok(value) = column.operand_from_json(value) else {
            return Ok(None);
        };
        let target = Target { column: key, value };
        let plan = ValidPlan::of_our_own(&self.schema, entity.id, target, columns.to_vec());
        let plan = plan.map_err(|invalid| NoSession::NotTold(invalid.to_string()))?;
        let task = Task {
            what: What::One(Box::new(plan)),
            once: None,
        };
        let (ticket, told) = Ticket::own(Arc::new(Control::within(PATIENCE)), remote);
        database.submit(Job { task, ticket });
        match told.await {
            Ok(Ok(Reply { json, .. })) => {
                let row = serde_json::from_str(&json);
                row.map(Some).map_err(|_| NoSession::Unusable("it is no JSON"))
            }
            Ok(Err(Refusal { failure, .. })) if failure.code == Code::NotFound => Ok(None),
            Ok(Err(Refusal { failure: _, detail })) => Err(NoSession::NotTold(detail)),
            Err(_) => Err(NoSession::NotTold("the database thread is gone".to_owned())),
        }
    }
}

impl NoSession {
    /// What the broker is told.
    pub fn code(&self) -> Code {
        match self {
            NoSession::NotTold(_) => Code::Unavailable,
            NoSession::Unknown | NoSession::Expired | NoSession::Revoked | NoSession::Unusable(_) => {
                Code::Unauthorized
            }
        }
    }

    /// Whether the token was perhaps guessed.
    pub fn standing(&self) -> Standing {
        match self {
            NoSession::Unknown => Standing::Unproven,
            NoSession::Expired | NoSession::Revoked | NoSession::Unusable(_) | NoSession::NotTold(_) => {
                Standing::Lapsed
            }
        }
    }
}

fn compile_roles(
    rules: &SessionRoles,
    of_session: &Entity,
    schema: &Schema,
) -> Result<Roles, SessionRulesError> {
    match rules {
        SessionRoles {
            fixed,
            field: None,
            entity: None,
        } if !fixed.is_empty() => Ok(Roles::Fixed(sorted(fixed.clone()))),
        SessionRoles {
            fixed,
            field: Some(name),
            entity,
        } if fixed.is_empty() => match entity {
            None => Ok(Roles::OfSession(field(of_session, name)?.id)),
            Some(entity) => {
                let users = find(schema, entity)?;
                Ok(Roles::OfUser {
                    entity: users.id,
                    field: field(users, name)?.id,
                })
            }
        },
        SessionRoles { .. } => Err(SessionRulesError::Roles),
    }
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<&'a Entity, SessionRulesError> {
    schema.by_name(name).ok_or_else(|| SessionRulesError::NoEntity {
        entity: name.to_owned(),
    })
}

fn field<'a>(entity: &'a Entity, name: &str) -> Result<&'a Column, SessionRulesError> {
    entity
        .column_by_name(name)
        .ok_or_else(|| SessionRulesError::NoField {
            entity: entity.name.clone(),
            field: name.to_owned(),
        })
}

fn cell<'a>(row: &'a Json, entity: &Entity, column: ColumnId) -> Option<&'a Json> {
    row.member(&entity.column(column)?.name)
}

/// Unix milliseconds of a cell.
fn moment(cell: &Json) -> Option<i64> {
    match cell {
        Json::Int(ms) => Some(*ms),
        // 64-bit integers beyond 2^53 − 1 are written as text.
        Json::Text(text) => datetime_ms(text).or_else(|| text.parse().ok()),
        Json::Null | Json::Bool(_) | Json::Unsigned(_) | Json::Float(_) | Json::List(_) | Json::Object(_) => {
            None
        }
    }
}

fn name(cell: &Json) -> Option<String> {
    match cell {
        Json::Int(number) => Some(number.to_string()),
        Json::Text(text) if (1..=NAME_BYTES).contains(&text.len()) => Some(text.clone()),
        Json::Null
        | Json::Bool(_)
        | Json::Text(_)
        | Json::Unsigned(_)
        | Json::Float(_)
        | Json::List(_)
        | Json::Object(_) => None,
    }
}

/// One role, several between spaces, or a list of them.
fn roles_in(cell: Option<&Json>) -> Result<Vec<String>, NoSession> {
    let roles: Option<Vec<String>> = match cell {
        None | Some(Json::Null) => Some(Vec::new()),
        Some(Json::Text(text)) => Some(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Json::List(items)) => items.iter().map(name).collect(),
        Some(Json::Bool(_) | Json::Int(_) | Json::Unsigned(_) | Json::Float(_) | Json::Object(_)) => None,
    };
    let roles = roles.filter(|roles| roles.iter().all(|role| role.len() <= NAME_BYTES));
    roles
        .map(sorted)
        .ok_or(NoSession::Unusable("roles that are none"))
}

fn sorted(roles: Vec<String>) -> Vec<String> {
    roles.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}
