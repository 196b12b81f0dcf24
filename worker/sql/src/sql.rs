//! Builds statements through three doors: our own words, identifiers of the schema, and parameters. There is no fourth.

use std::fmt::Write;
use std::ops::Range;

use dbal_schema::{Entity, Identifier};
use dbal_shared::ids::EntityId;
use dbal_shared::value::Value;

use crate::dialect::{Dialect, Placeholder};

/// SQL text and the values of its placeholders, in order. The text depends only on the shape of a plan, never on a value,
/// so that drivers can keep prepared statements by it.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    sql: String,
    parameters: Vec<Value>,
    /// Where in the text each numbered placeholder begins.
    places: Vec<usize>,
    is_change: bool,
}

impl Statement {
    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The values, one for each placeholder.
    pub fn parameters(&self) -> &[Value] {
        &self.parameters
    }

    /// The same with `values` for the value at `at`, whose placeholder is the part `piece` of the text: each has one of its own.
    /// Only where placeholders are not numbered.
    pub(crate) fn repeated(&self, piece: Range<usize>, at: usize, values: Vec<Value>) -> Option<Self> {
        let (before, placeholder) = (self.sql.get(..piece.start)?, self.sql.get(piece.clone())?);
        let behind = self.sql.get(piece.end..)?;
        let more = values.len().saturating_mul(placeholder.len().saturating_add(2));
        let mut sql = String::with_capacity(self.sql.len().saturating_add(more));
        sql.push_str(before);
        for nth in 0..values.len() {
            sql.push_str(if nth == 0 { "" } else { ", " });
            sql.push_str(placeholder);
        }
        sql.push_str(behind);
        let mut parameters = self.parameters.get(..at)?.to_vec();
        parameters.extend(values);
        parameters.extend_from_slice(self.parameters.get(at.saturating_add(1)..)?);
        Some(Self {
            sql,
            parameters,
            places: Vec::new(),
            is_change: self.is_change,
        })
    }

    /// Whether it changes rows.
    pub fn is_change(&self) -> bool {
        self.is_change
    }

    /// Writes the text as a part of a larger statement, behind `before` parameters of other parts.
    fn push_behind(&self, before: usize, text: &mut String) {
        let mut done = 0;
        for (nth, place) in self.places.iter().enumerate() {
            // INVARIANT: `Sql::parameter` wrote `$` and the number that `nth` gives there.
            text.push_str(self.sql.get(done..*place).unwrap_or_default());
            let own = nth.saturating_add(1);
            text.push('$');
            text.push_str(&before.saturating_add(own).to_string());
            done = place.saturating_add(1).saturating_add(own.to_string().len());
        }
        text.push_str(self.sql.get(done..).unwrap_or_default());
    }
}

/// Why a valid plan could not be put into SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// More placeholders than the database takes: filters and rules together are too large.
    #[error("the statement needs {needed} placeholders, the database takes {most}")]
    TooManyParameters {
        /// Needed.
        needed: usize,
        /// Allowed.
        most: usize,
    },
    /// Relations inside relations beyond what there are aliases for.
    #[error("relations nest deeper than {most}")]
    TooManyRelations {
        /// Allowed.
        most: usize,
    },
    /// A page that begins at a place which nobody has looked up.
    #[error("the page begins at a place that is not known")]
    NoPlace,
    /// An index that is not of this schema; a valid plan holds none.
    #[error("an entity or column of the plan is not in the schema")]
    NotInSchema,
    /// Two columns of which one keeps a uuid as octets and the other as text.
    #[error(
        "a rule or relation compares a uuid kept as octets with one kept as text, which the database finds different"
    )]
    Incomparable,
}

/// Several statements as one, which PostgreSQL runs on one snapshot and undoes together. Each of its rows is the number of the
/// statement that it is of (`n`) and a JSON object of its columns in their order (`r`), as text: so a row passes whoever would
/// make something of its own of a column's name or type. Of two columns of one name both are in it.
pub fn as_json(statements: &[&Statement], dialect: &Dialect) -> Result<Statement, SqlError> {
    let mut text = String::with_capacity(1_024);
    let mut parameters = Vec::new();
    for (nth, statement) in statements.iter().enumerate() {
        text.push_str(if nth == 0 { "WITH " } else { ", " });
        // No table begins so (`dbal_schema` refuses it).
        // Writing into a string can't fail.
        let _ = write!(text, "dbal_part{nth} AS (");
        statement.push_behind(parameters.len(), &mut text);
        text.push(')');
        parameters.extend_from_slice(statement.parameters());
    }
    for nth in 0..statements.len() {
        text.push_str(if nth == 0 {
            " SELECT "
        } else {
            " UNION ALL SELECT "
        });
        let _ = write!(
            text,
            "{nth} AS n, row_to_json(dbal_part{nth})::text AS r FROM dbal_part{nth}"
        );
    }
    let (needed, most) = (parameters.len(), dialect.most_parameters);
    if needed > most {
        return Err(SqlError::TooManyParameters { needed, most });
    }
    Ok(Statement {
        sql: text,
        parameters,
        // A whole: nothing is put around it again.
        places: Vec::new(),
        is_change: statements.iter().any(|statement| statement.is_change),
    })
}

/// Most bytes of a name in PostgreSQL (§4.1.1); no other database takes fewer.
const NAME_BYTES: usize = 63;

/// A statement in the making.
#[derive(Debug)]
pub(crate) struct Sql {
    dialect: &'static Dialect,
    writes: Option<EntityId>,
    text: String,
    parameters: Vec<Value>,
    places: Vec<usize>,
}

impl Sql {
    pub(crate) fn new(dialect: &'static Dialect) -> Self {
        Self {
            dialect,
            writes: None,
            text: String::with_capacity(256),
            parameters: Vec::new(),
            places: Vec::new(),
        }
    }

    /// A statement that changes rows of this entity.
    pub(crate) fn changing(entity: &Entity, dialect: &'static Dialect) -> Self {
        Self {
            writes: Some(entity.id),
            ..Self::new(dialect)
        }
    }

    /// The entity whose rows the statement changes.
    pub(crate) fn writes(&self) -> Option<EntityId> {
        self.writes
    }

    pub(crate) fn dialect(&self) -> &'static Dialect {
        self.dialect
    }

    /// First door: words that stand in this crate's source.
    pub(crate) fn keyword(&mut self, words: &'static str) -> &mut Self {
        self.text.push_str(words);
        self
    }

    /// Second door: a name that only the schema can have made, quoted.
    pub(crate) fn identifier(&mut self, name: &Identifier) -> &mut Self {
        self.quoted(name.as_str())
    }

    /// The second door once more: the name of a single column's index, made of names that only the schema can have made.
    pub(crate) fn index_of(&mut self, table: &Identifier, column: &Identifier) -> &mut Self {
        self.derived(table, column, "index")
    }

    /// The same for an index that makes the column unique.
    pub(crate) fn unique_index_of(&mut self, table: &Identifier, column: &Identifier) -> &mut Self {
        self.derived(table, column, "unique")
    }

    /// The same for a foreign key.
    pub(crate) fn reference_of(&mut self, table: &Identifier, column: &Identifier) -> &mut Self {
        self.derived(table, column, "fkey")
    }

    /// Databases cut long names off, so that two would be one and `IF NOT EXISTS` made only the first.
    fn derived(&mut self, table: &Identifier, column: &Identifier, kind: &'static str) -> &mut Self {
        let whole = format!("{table}_{column}_{kind}");
        if whole.len() <= NAME_BYTES {
            return self.quoted(&whole);
        }
        // FNV-1a: the same name in every version, and two names of one schema that share it are not to be expected.
        let digest = whole.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let end = format!("_{digest:016x}_{kind}");
        let room = NAME_BYTES.saturating_sub(end.len());
        let kept = (0..=room).rev().find_map(|room| whole.get(..room));
        self.quoted(&format!("{}{end}", kept.unwrap_or_default()))
    }

    fn quoted(&mut self, name: &str) -> &mut Self {
        let quote = self.dialect.quote;
        self.text.push(quote);
        for character in name.chars() {
            if character == quote {
                self.text.push(quote);
            }
            self.text.push(character);
        }
        self.text.push(quote);
        self
    }

    /// Third door: a value, of which only the placeholder gets into the text.
    pub(crate) fn parameter(&mut self, value: Value) -> &mut Self {
        let (open, close) = (self.dialect.cast)(&value);
        self.parameters.push(value);
        self.text.push_str(open);
        match self.dialect.placeholder {
            Placeholder::Question => self.text.push('?'),
            Placeholder::Numbered => {
                self.places.push(self.text.len());
                self.text.push('$');
                self.text.push_str(&self.parameters.len().to_string());
            }
        }
        self.text.push_str(close);
        self
    }

    /// The third door once more: a value, and our own words for its type behind the placeholder.
    pub(crate) fn typed(&mut self, value: Value, cast: &'static str) -> &mut Self {
        self.parameter(value).keyword(cast)
    }

    /// How long the text is.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The place that the next value will have among the parameters.
    pub(crate) fn next_parameter(&self) -> usize {
        self.parameters.len()
    }

    pub(crate) fn finish(self) -> Result<Statement, SqlError> {
        let needed = self.parameters.len();
        let most = self.dialect.most_parameters;
        if needed > most {
            return Err(SqlError::TooManyParameters { needed, most });
        }
        Ok(Statement {
            sql: self.text,
            parameters: self.parameters,
            places: self.places,
            is_change: self.writes.is_some(),
        })
    }
}
