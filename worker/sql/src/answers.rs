//! The worker's own table: answers to writes that came with an idempotency key. It is an entity like any other, made of
//! the same words, so that every dialect and every adapter knows how to store and read it; no client ever hears of it.

use std::sync::LazyLock;

use dbal_schema::{Column, Entity, Schema};
use dbal_shared::value::Value;

use crate::dialect::Dialect;
use crate::sql::{Sql, SqlError, Statement};

/// Expired answers that one new one removes at most: more than one, so that they become fewer, and few enough that
/// nobody's write takes long because of them.
const SWEPT: &str = " LIMIT 64";

/// `key` says whose request it is and under which name, `request` what it asks for and by which rights: digests in
/// hexadecimal. `created` is Unix time in milliseconds.
const ENTITY: &str = "
entity: Answer
fields:
  key:     {type: string, primary: true, max_length: 64}
  request: {type: string, required: true, max_length: 64}
  answer:  {type: text, required: true}
  affected: {type: bigint, required: true}
  created: {type: bigint, required: true, index: true}
";

static SCHEMA: LazyLock<Option<Schema>> = LazyLock::new(|| Schema::of_our_own("dbal_idempotency", ENTITY));

/// The table and its columns.
#[derive(Clone, Copy)]
pub struct Answers {
    schema: &'static Schema,
    /// As adapters want it beside a statement.
    pub entity: &'static Entity,
    key: &'static Column,
    /// What was asked.
    pub request: &'static Column,
    /// What was answered.
    pub answer: &'static Column,
    /// Rows that it changed.
    pub affected: &'static Column,
    created: &'static Column,
}

/// An answer to be kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose, and under which name.
    pub key: String,
    /// What was asked, and by which rights.
    pub request: String,
    /// The reply's JSON.
    pub answer: String,
    /// Rows that it changed.
    pub affected: i64,
    /// When.
    pub created: i64,
}

impl Answers {
    /// Rows that [`Answers::sweep`] removes at most.
    pub const SWEPT: u64 = 64;

    /// The table. It fails only if this file is wrong.
    pub fn table() -> Result<Self, SqlError> {
        let schema = SCHEMA.as_ref().ok_or(SqlError::NotInSchema)?;
        let entity = schema.entities().first().ok_or(SqlError::NotInSchema)?;
        let column = |name| entity.column_by_name(name).ok_or(SqlError::NotInSchema);
        Ok(Self {
            schema,
            entity,
            key: column("key")?,
            request: column("request")?,
            answer: column("answer")?,
            affected: column("affected")?,
            created: column("created")?,
        })
    }

    /// Statements that make it where it is missing.
    pub fn create(self, dialect: &'static Dialect) -> Result<Vec<Statement>, SqlError> {
        crate::ddl::create_tables(self.schema, dialect)
    }

    /// `request`, `answer` and `affected` of what is kept under this key since that time.
    pub fn find(self, key: &str, since: i64, dialect: &'static Dialect) -> Result<Statement, SqlError> {
        let mut sql = Sql::new(dialect);
        sql.keyword("SELECT ").identifier(&self.request.sql);
        sql.keyword(", ").identifier(&self.answer.sql);
        sql.keyword(", ").identifier(&self.affected.sql);
        sql.keyword(" FROM ").identifier(&self.entity.table);
        sql.keyword(" WHERE ").identifier(&self.key.sql);
        sql.keyword(" = ").parameter(Value::Text(key.to_owned()));
        sql.keyword(" AND ").identifier(&self.created.sql);
        sql.keyword(" >= ").parameter(Value::Int(since));
        sql.finish()
    }

    /// Removes what was kept under this key before that time. Nothing younger: that is of whoever took the name since it was looked for,
    /// and must stand in the way of the answer that is to be kept.
    pub fn forget(self, key: &str, before: i64, dialect: &'static Dialect) -> Result<Statement, SqlError> {
        let mut sql = Sql::new(dialect);
        sql.keyword("DELETE FROM ").identifier(&self.entity.table);
        sql.keyword(" WHERE ").identifier(&self.key.sql);
        sql.keyword(" = ").parameter(Value::Text(key.to_owned()));
        sql.keyword(" AND ").identifier(&self.created.sql);
        sql.keyword(" < ").parameter(Value::Int(before));
        sql.finish()
    }

    /// Keeps an answer.
    pub fn keep(self, kept: Kept, dialect: &'static Dialect) -> Result<Statement, SqlError> {
        let Kept {
            key,
            request,
            answer,
            affected,
            created,
        } = kept;
        let cells = [
            (self.key, Value::Text(key)),
            (self.request, Value::Text(request)),
            (self.answer, Value::Text(answer)),
            (self.affected, Value::Int(affected)),
            (self.created, Value::Int(created)),
        ];
        let mut sql = Sql::new(dialect);
        sql.keyword("INSERT INTO ")
            .identifier(&self.entity.table)
            .keyword(" (");
        for (nth, (column, _)) in cells.iter().enumerate() {
            sql.keyword(if nth == 0 { "" } else { ", " })
                .identifier(&column.sql);
        }
        sql.keyword(") VALUES (");
        for (nth, (_, value)) in cells.into_iter().enumerate() {
            sql.keyword(if nth == 0 { "" } else { ", " }).parameter(value);
        }
        sql.keyword(")");
        sql.finish()
    }

    /// Removes some of those that were kept before that time.
    pub fn sweep(self, before: i64, dialect: &'static Dialect) -> Result<Statement, SqlError> {
        let mut sql = Sql::new(dialect);
        sql.keyword("DELETE FROM ").identifier(&self.entity.table);
        // Once more, since a name may be taken anew between the look and the end of what stood under it.
        sql.keyword(" WHERE ").identifier(&self.created.sql);
        sql.keyword(" < ").parameter(Value::Int(before));
        sql.keyword(" AND ").identifier(&self.key.sql);
        // The table in between is for MySQL, which takes no LIMIT right below IN.
        sql.keyword(" IN (SELECT ").identifier(&self.key.sql);
        sql.keyword(" FROM (SELECT ").identifier(&self.key.sql);
        sql.keyword(" FROM ").identifier(&self.entity.table);
        sql.keyword(" WHERE ").identifier(&self.created.sql);
        sql.keyword(" < ").parameter(Value::Int(before));
        sql.keyword(" ORDER BY ").identifier(&self.created.sql);
        sql.keyword(SWEPT).keyword(") AS expired)");
        sql.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SQLITE;

    #[test]
    fn the_workers_own_table_is_made_of_the_same_words_as_every_other() {
        let table = Answers::table().unwrap();
        let made: Vec<String> = table
            .create(&SQLITE)
            .unwrap()
            .iter()
            .map(|statement| statement.sql().to_owned())
            .collect();
        assert_eq!(made.len(), 2);
        assert!(
            made[0].starts_with(
                r#"CREATE TABLE IF NOT EXISTS "dbal_idempotency" ("key" TEXT PRIMARY KEY NOT NULL"#
            ),
            "{made:?}"
        );
        let found = table.find("k", 7, &SQLITE).unwrap();
        assert_eq!(
            found.sql(),
            r#"SELECT "request", "answer", "affected" FROM "dbal_idempotency" WHERE "key" = ? AND "created" >= ?"#
        );
        assert_eq!(found.parameters(), [Value::Text("k".to_owned()), Value::Int(7)]);
        assert_eq!(SWEPT, format!(" LIMIT {}", Answers::SWEPT));
        let swept = table.sweep(7, &SQLITE).unwrap();
        assert!(
            swept
                .sql()
                .contains(r#"ORDER BY "created" LIMIT 64) AS expired)"#),
            "{}",
            swept.sql()
        );
    }
}
