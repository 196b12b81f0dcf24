//! `who-can read User.email`: the roles that may, each with the rules that say so and the rows that it reaches.

use std::fmt;

use dbal_policy::roles::RoleId;
use dbal_policy::rule::{Restriction, Rule};
use dbal_policy::{Policy, is_open};
use dbal_schema::{Column, Entity, suggestion};
use dbal_shared::plan::Operation;

use crate::rights::{Rights, fields, rights};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// With rows of what.
    pub entity: &'a Entity,
    /// With which field of them; any at all otherwise.
    pub column: Option<&'a Column>,
}

/// Who may.
#[derive(Debug)]
pub struct Answer<'a> {
    question: Question<'a>,
    policy: &'a Policy,
    /// Why nobody may, whatever the rules say.
    pub closed: Option<&'static str>,
    /// Every role that may, in the policy's order.
    pub roles: Vec<RoleAnswer<'a>>,
}

/// What one role may.
#[derive(Debug)]
pub struct RoleAnswer<'a> {
    /// The role.
    pub role: RoleId,
    /// Rules by which it may; any of them is enough.
    pub rules: Vec<&'a Rule>,
    /// Restrictions that narrow all of them.
    pub walls: Vec<&'a Restriction>,
}

/// Why a question can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// No such operation.
    #[error("unknown operation `{name}`{hint}")]
    Operation {
        /// What was asked for.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// No such entity.
    #[error("unknown entity `{name}`{hint}")]
    Entity {
        /// What was asked for.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// No such field.
    #[error("`{entity}` has no field `{name}`{hint}")]
    Field {
        /// Of which entity.
        entity: String,
        /// What was asked for.
        name: String,
        /// What may be meant.
        hint: String,
    },
    /// Deleting takes whole rows.
    #[error("rows are deleted whole: ask for `delete {entity}`")]
    DeletesField {
        /// Of which entity.
        entity: String,
    },
}

impl<'a> Question<'a> {
    /// `operation` as in rules; `what` is `Entity` or `Entity.field`.
    pub fn new(policy: &'a Policy, operation: &str, what: &str) -> Result<Self, QuestionError> {
        let operation = Operation::ALL
            .into_iter()
            .find(|known| known.name() == operation)
            .ok_or_else(|| QuestionError::Operation {
                name: operation.to_owned(),
                hint: suggestion::hint(operation, Operation::ALL.into_iter().map(Operation::name)),
            })?;
        let (name, field) = match what.split_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => (what, None),
        };
        let schema = policy.schema();
        let entity = schema.by_name(name).ok_or_else(|| QuestionError::Entity {
            name: name.to_owned(),
            hint: suggestion::hint(name, schema.entities().iter().map(|entity| entity.name.as_str())),
        })?;
        let column = field.map(|name| {
            entity.column_by_name(name).ok_or_else(|| QuestionError::Field {
                entity: entity.name.clone(),
                name: name.to_owned(),
                hint: suggestion::hint(name, entity.columns.iter().map(|column| column.name.as_str())),
            })
        });
        let column = column.transpose()?;
        if column.is_some() && operation == Operation::Delete {
            return Err(QuestionError::DeletesField {
                entity: entity.name.clone(),
            });
        }
        Ok(Self {
            operation,
            entity,
            column,
        })
    }

    fn opens(&self, rule: &Rule) -> bool {
        self.column
            .is_none_or(|column| fields(rule, self.operation).contains(column.id))
    }

    fn closed(&self) -> Option<&'static str> {
        let is_read = matches!(self.operation, Operation::Read | Operation::List);
        if !is_open(self.entity, self.operation) {
            Some("the entity file keeps it to the daemon itself (`system_only`, `read_only`)")
        } else if is_read && self.column.is_some_and(|column| column.is_never_exposed) {
            Some("the field is `never_expose`: no rule can show it")
        } else {
            None
        }
    }
}

/// Every role that may do it. Somebody with several roles may what each of them may; a wall falls for who has any one of
/// its `unless_roles`.
pub fn who_can<'a>(policy: &'a Policy, question: Question<'a>) -> Answer<'a> {
    let closed = question.closed();
    let answer = |role| {
        let Rights { mut rules, walls } = rights(policy, role, question.entity, question.operation);
        rules.retain(|rule| question.opens(rule));
        (!rules.is_empty()).then_some(RoleAnswer { role, rules, walls })
    };
    Answer {
        question,
        policy,
        closed,
        roles: if closed.is_some() {
            Vec::new()
        } else {
            policy.roles().ids().filter_map(answer).collect()
        },
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = self.closed {
            return writeln!(out, "nobody: {why}");
        }
        if self.roles.is_empty() {
            return writeln!(out, "nobody: no rule grants it");
        }
        let names = self.policy.roles();
        for (nth, RoleAnswer { role, rules, walls }) in self.roles.iter().enumerate() {
            if nth > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", names.name(*role))?;
            for rule in rules {
                let rows = condition(rule, self.question.operation).map_or_else(
                    || "every row".to_owned(),
                    |text| format!("rows where {}", one_line(text)),
                );
                writeln!(out, "    {rows}")?;
                write!(out, "        rule `{}`, {}", rule.id, rule.at)?;
                if let Some(from) = inherited(self.policy, *role, rule) {
                    write!(out, ", by way of `{from}`")?;
                }
                if self.is_only_forced(rule) {
                    write!(out, "; only the value that `set` forces")?;
                }
                writeln!(out)?;
            }
            for wall in walls {
                writeln!(out, "    and only those where {}", one_line(&wall.written.text))?;
                writeln!(out, "        wall `{}`, {}", wall.id, wall.at)?;
            }
        }
        Ok(())
    }
}

impl Answer<'_> {
    fn is_only_forced(&self, rule: &Rule) -> bool {
        matches!(self.question.operation, Operation::Create | Operation::Update)
            && self
                .question
                .column
                .is_some_and(|column| !rule.write.contains(column.id))
    }
}

/// The expression that says which rows a rule reaches; for a create, which ones may be made.
pub fn condition(rule: &Rule, operation: Operation) -> Option<&str> {
    let written = match operation {
        Operation::Create => rule.written.check.as_ref().or(rule.written.rows.as_ref()),
        Operation::Read | Operation::List | Operation::Update | Operation::Delete => {
            rule.written.rows.as_ref()
        }
    };
    written.map(|scalar| scalar.text.as_str())
}

/// The role that the rule names, where this one only inherits it.
pub fn inherited<'a>(policy: &'a Policy, holder: RoleId, rule: &Rule) -> Option<&'a str> {
    if rule.roles.contains(&holder) {
        return None;
    }
    let held = crate::rights::held(policy, holder);
    held.iter()
        .find(|held| rule.roles.contains(held))
        .map(|from| policy.roles().name(from))
}

/// An expression in one line, however the file folds it.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::policy;

    const ENTITIES: &str = "\
entity: User
fields:
  id: {type: uuid}
  email: {type: email}
  tenantId: {type: string}
  passwordHash: {type: string}
security: {never_expose: [passwordHash]}
---
{entity: Journal, read_only: true, fields: {id: {type: uuid}}}
";
    const RULES: &str = "\
version: 1
roles: {user: {}, admin: {inherits: [user]}, root: {}}
rules:
  - {id: own, entity: User, roles: [user], operations: [read], rows: \"id = $user.id\"}
  - {id: names, entity: User, roles: [public], operations: [list], fields: {read: [id]}}
  - {id: all, entity: User, roles: [admin, root], operations: [\"*\"], set: {tenantId: $user.tenantId}, fields: {write: [email]}}
  - {id: journal, entity: Journal, roles: [admin], operations: [\"*\"]}
restrict:
  - {id: tenants, entity: User, rows: \"tenantId = $user.tenantId\", unless_roles: [root]}
";

    fn ask(operation: &str, what: &str) -> String {
        let policy = policy(ENTITIES, RULES);
        let question = Question::new(&policy, operation, what).unwrap();
        who_can(&policy, question).to_string()
    }

    #[test]
    fn each_role_is_told_with_its_rows_its_rules_and_its_walls() {
        assert_eq!(
            ask("read", "User.email"),
            "\
user
    rows where id = $user.id
        rule `own`, acl.yaml:4:5
    and only those where tenantId = $user.tenantId
        wall `tenants`, acl.yaml:9:5

admin
    rows where id = $user.id
        rule `own`, acl.yaml:4:5, by way of `user`
    every row
        rule `all`, acl.yaml:6:5
    and only those where tenantId = $user.tenantId
        wall `tenants`, acl.yaml:9:5

root
    every row
        rule `all`, acl.yaml:6:5
"
        );
    }

    #[test]
    fn forced_values_are_told_from_free_ones() {
        assert!(ask("update", "User.tenantId").contains("only the value that `set` forces"));
        assert!(!ask("update", "User.email").contains("forces"));
    }

    #[test]
    fn nobody_may_what_the_schema_closes() {
        assert!(ask("read", "User.passwordHash").starts_with("nobody: the field is `never_expose`"));
        assert!(ask("update", "Journal").starts_with("nobody: the entity file"));
        assert!(ask("read", "Journal").starts_with("admin"));
        assert_eq!(ask("create", "User.id"), "nobody: no rule grants it\n");
    }

    #[test]
    fn a_question_that_makes_no_sense_gets_a_suggestion() {
        let policy = policy(ENTITIES, RULES);
        let fails = |operation, what| Question::new(&policy, operation, what).unwrap_err().to_string();
        assert_eq!(
            fails("raed", "User"),
            "unknown operation `raed`; did you mean `read`?"
        );
        assert_eq!(fails("read", "Usr"), "unknown entity `Usr`; did you mean `User`?");
        assert_eq!(
            fails("read", "User.emial"),
            "`User` has no field `emial`; did you mean `email`?"
        );
        assert!(fails("delete", "User.email").contains("delete User"));
    }
}
