//! Columns as they stand in a statement: of a table, of an alias, or of a row that is about to be written.

use dbal_schema::{Column, ColumnType, Entity, Identifier};
use dbal_shared::ids::ColumnId;
use dbal_shared::plan::Assignment;
use dbal_shared::predicate::Comparison;
use dbal_shared::value::Value;

use crate::dialect::UuidForm;
use crate::sql::{Sql, SqlError};

/// The row that a condition speaks of.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) entity: &'a Entity,
    name: Name<'a>,
    /// Values that the row will have. Conditions then speak of the row as it will be, before it is written: a conflict
    /// with a row that the caller may not know can't tell more than the refusal does.
    written: &'a [Assignment],
    times: Times,
}

/// By what of a time a row is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    /// By what clients read of it.
    AsRead,
    /// By all that the database has.
    Exact,
}

#[derive(Clone, Copy)]
enum Name<'a> {
    Table(&'a Identifier),
    Alias(&'static str),
}

impl<'a> Row<'a> {
    /// A row as the table has it.
    pub(crate) fn stored(entity: &'a Entity) -> Self {
        Self {
            entity,
            name: Name::Table(&entity.table),
            written: &[],
            times: Times::AsRead,
        }
    }

    /// A row as it will be once these values are in it.
    pub(crate) fn written(entity: &'a Entity, written: &'a [Assignment]) -> Self {
        Self {
            written,
            ..Self::stored(entity)
        }
    }

    /// A row of a subquery.
    pub(crate) fn aliased(entity: &'a Entity, alias: &'static str) -> Self {
        Self {
            entity,
            name: Name::Alias(alias),
            written: &[],
            times: Times::AsRead,
        }
    }

    /// The same row in the order's own terms, where a time stands with all of its digits.
    pub(crate) fn exactly(self) -> Self {
        Self {
            times: Times::Exact,
            ..self
        }
    }

    pub(crate) fn is_exact(self) -> bool {
        self.times == Times::Exact
    }

    pub(crate) fn column(self, id: ColumnId) -> Result<&'a Column, SqlError> {
        self.entity.column(id).ok_or(SqlError::NotInSchema)
    }

    /// Writes the column, or the value that it will have.
    pub(crate) fn operand(self, column: &Column, sql: &mut Sql) {
        let new = self.written.iter().find(|new| new.column == column.id);
        if let Some(Assignment { column: _, value }) = new {
            let cast = (sql.dialect().written)(column.kind);
            sql.typed(self.kept(column, value, sql), cast);
        } else {
            match self.name {
                Name::Table(table) => sql.identifier(table),
                Name::Alias(alias) => sql.keyword(alias),
            };
            sql.keyword(".").identifier(&column.sql);
        }
    }

    /// Writes the column so that it is compared as what it is read as: a text by code point, a boolean by whether it is true.
    pub(crate) fn as_read(self, column: &Column, sql: &mut Sql) {
        let (open, close) = if column.kind.is_text() {
            sql.dialect().around_text
        } else if column.kind == ColumnType::Boolean {
            sql.dialect().around_boolean
        } else {
            ("", "")
        };
        sql.keyword(open);
        self.operand(column, sql);
        sql.keyword(close);
    }

    /// Whether the column's own equality may hold for more texts than the exact one: then it stands beside that, for the
    /// sake of an index.
    pub(crate) fn has_loose_equality(self, column: &Column, sql: &Sql) -> bool {
        column.kind.is_text()
            && sql.dialect().around_text != ("", "")
            && self.written.iter().all(|new| new.column != column.id)
    }

    /// Writes the column with what its type needs to be equal to something or not.
    pub(crate) fn equatable(self, column: &Column, sql: &mut Sql) {
        self.as_read(column, sql);
        sql.keyword((sql.dialect().equality)(column.kind));
    }

    /// Writes the column with what its type needs to stand before or behind something.
    pub(crate) fn ordered(self, column: &Column, sql: &mut Sql) {
        match self.uuid_form(column, sql) {
            UuidForm::Text | UuidForm::Octets => self.as_read(column, sql),
            UuidForm::OwnOrder => {
                let (open, close) = sql.dialect().uuid_as_text;
                sql.keyword(open);
                self.operand(column, sql);
                sql.keyword(close);
            }
        }
        sql.keyword((sql.dialect().order)(column.kind));
    }

    fn uuid_form(self, column: &Column, sql: &Sql) -> UuidForm {
        sql.dialect().uuid_form(self.entity.id, column)
    }

    /// A value as the column keeps it.
    pub(crate) fn kept(self, column: &Column, value: &Value, sql: &Sql) -> Value {
        match (self.uuid_form(column, sql), value) {
            (UuidForm::Octets, Value::Uuid(octets)) => Value::Bytes(octets.to_vec()),
            (UuidForm::Text | UuidForm::OwnOrder | UuidForm::Octets, value) => value.clone(),
        }
    }

    /// Writes that this row's column stands in a relation to a column of `other`, or of the same row.
    ///
    /// # Errors
    ///
    /// The database would compare the octets of the one with the text of the other and find them different.
    pub(crate) fn beside(
        self,
        (column, op): (&Column, Comparison),
        (other, its): (Row<'_>, &Column),
        sql: &mut Sql,
    ) -> Result<(), SqlError> {
        let is_octets = |row: Row<'_>, column| row.uuid_form(column, sql) == UuidForm::Octets;
        if is_octets(self, column) != is_octets(other, its) {
            return Err(SqlError::Incomparable);
        }
        self.side(column, op, sql);
        sql.keyword(operator(op));
        other.side(its, op, sql);
        Ok(())
    }

    fn side(self, column: &Column, op: Comparison, sql: &mut Sql) {
        if !self.is_cut(column, sql) {
            self.comparable(column, op, sql);
        }
    }

    /// Writes a time as it is read, if the database may keep it finer.
    pub(crate) fn is_cut(self, column: &Column, sql: &mut Sql) -> bool {
        let cut = sql.dialect().cut_time;
        let Some((open, close)) = cut.filter(|_| column.kind == ColumnType::Datetime) else {
            return false;
        };
        sql.keyword(open);
        self.operand(column, sql);
        sql.keyword(close);
        true
    }

    /// Writes the column with what this comparison needs.
    pub(crate) fn comparable(self, column: &Column, op: Comparison, sql: &mut Sql) {
        match op {
            Comparison::Eq | Comparison::Ne => self.equatable(column, sql),
            Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte => self.ordered(column, sql),
        }
    }

    /// Writes a value that the column is compared with.
    pub(crate) fn compared(self, column: &Column, value: &Value, sql: &mut Sql) {
        let cast = (sql.dialect().compared)(column.kind);
        sql.typed(self.kept(column, value, sql), cast);
    }
}

pub(crate) fn operator(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => " = ",
        Comparison::Ne => " <> ",
        Comparison::Lt => " < ",
        Comparison::Lte => " <= ",
        Comparison::Gt => " > ",
        Comparison::Gte => " >= ",
    }
}
