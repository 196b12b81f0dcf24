//! The catalogue of MariaDB and MySQL → [`Catalog`]: the tables and views of the one database that the connection uses, asked
//! for once each kind of thing, whatever their number.

use std::collections::{HashMap, HashSet};

use dbal_schema::OnDelete;
use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, DriverError, Error, Row};

use super::server::Kind;
use super::types::{self, Described};
use super::{defaults, order, quoted};
use crate::database::catalog::{
    Catalog, Column, Extent, Index, Names, Reference, Table, TableKind, Ties, Types,
};

/// `lower_case_table_names` is 0 where two tables may differ in case alone.
const PLACE: &str = "SELECT DATABASE(), @@lower_case_table_names";

const TABLES: &str = "SELECT t.TABLE_NAME, t.TABLE_TYPE, COALESCE(e.TRANSACTIONS, 'NO') = 'YES', t.TABLE_COLLATION \
    FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE \
    WHERE t.TABLE_SCHEMA = DATABASE()";

const COLUMNS: &str = "SELECT c.TABLE_NAME, c.COLUMN_NAME, c.COLUMN_TYPE, c.DATA_TYPE, c.IS_NULLABLE, c.COLUMN_DEFAULT, \
        c.EXTRA, c.CHARACTER_MAXIMUM_LENGTH, c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.DATETIME_PRECISION, \
        c.CHARACTER_SET_NAME, s.MAXLEN, c.COLLATION_NAME, c.PRIVILEGES \
    FROM information_schema.COLUMNS c \
        LEFT JOIN information_schema.CHARACTER_SETS s ON s.CHARACTER_SET_NAME = c.CHARACTER_SET_NAME \
    WHERE c.TABLE_SCHEMA = DATABASE() ORDER BY c.TABLE_NAME, c.ORDINAL_POSITION";

/// An expression has no column.
const INDEXES: &str = "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE = 0, INDEX_TYPE, COLUMN_NAME, SUB_PART IS NOT NULL \
    FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX";

const REFERENCES: &str = "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, \
        CASE WHEN k.REFERENCED_TABLE_SCHEMA = DATABASE() THEN k.REFERENCED_TABLE_NAME \
            ELSE CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', k.REFERENCED_TABLE_NAME) END, \
        k.REFERENCED_COLUMN_NAME, r.DELETE_RULE \
    FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
        ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
            AND r.TABLE_NAME = k.TABLE_NAME \
    WHERE k.TABLE_SCHEMA = DATABASE() AND r.CONSTRAINT_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL \
    ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";

/// In MariaDB their names are those of a table's, in MySQL of the whole database's.
fn checks(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => {
            "SELECT TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS \
             WHERE CONSTRAINT_SCHEMA = DATABASE() ORDER BY TABLE_NAME, CONSTRAINT_NAME"
        }
        Kind::MySql => {
            "SELECT t.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS c \
                 JOIN information_schema.TABLE_CONSTRAINTS t ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA \
                     AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME AND t.CONSTRAINT_TYPE = 'CHECK' \
             WHERE c.CONSTRAINT_SCHEMA = DATABASE() ORDER BY t.TABLE_NAME, c.CONSTRAINT_NAME"
        }
    }
}

const TRIGGERS: &str = "SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS \
    WHERE EVENT_OBJECT_SCHEMA = DATABASE() ORDER BY TRIGGER_NAME";

/// Rights that no column has, by table; NULL is every table. What comes by a role is not told to whoever has it. `GRANTEE` is
/// `'user'@'host'`, `CURRENT_USER` the same without quotes; a name may hold the sign between.
const RIGHTS: &str = "WITH me (host, whole) AS (SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', -1), CURRENT_USER()), \
        grantee (name) AS (SELECT CONCAT('''', LEFT(whole, CHAR_LENGTH(whole) - CHAR_LENGTH(host) - 1), '''@''', host, '''') \
            FROM me) \
    SELECT NULL, r.PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES r JOIN grantee ON r.GRANTEE = grantee.name \
    UNION ALL SELECT NULL, r.PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES r \
        JOIN grantee ON r.GRANTEE = grantee.name WHERE DATABASE() LIKE r.TABLE_SCHEMA \
    UNION ALL SELECT r.TABLE_NAME, r.PRIVILEGE_TYPE FROM information_schema.TABLE_PRIVILEGES r \
        JOIN grantee ON r.GRANTEE = grantee.name WHERE r.TABLE_SCHEMA = DATABASE()";

const ROLE: &str = "SELECT COALESCE(CURRENT_ROLE(), 'NONE') = 'NONE'";

/// Everything in the database that the connection uses.
pub(super) async fn catalog(connection: &mut Conn, kind: Kind) -> Result<Catalog, Error> {
    let place: Option<Row> = connection.query_first(PLACE).await?;
    let (database, folding): (Option<String>, u8) = match &place {
        Some(row) => (cell(row, 0)?, cell(row, 1)?),
        None => (None, 0),
    };
    let rights = Rights::read(connection).await?;
    let mut tables = Tables::default();
    for row in connection.query::<Row, _>(TABLES).await? {
        tables.add(&row, &rights, kind)?;
    }
    tables.all.sort_by(|one, other| one.name.cmp(&other.name));
    let positions = tables.all.iter().enumerate();
    tables.positions = positions.map(|(nth, table)| (table.name.clone(), nth)).collect();

    let mut json = HashSet::new();
    for row in connection.query::<Row, _>(checks(kind)).await? {
        let (name, rule): (String, String) = (cell(&row, 1)?, cell(&row, 2)?);
        if let Some(table) = tables.of(&row)? {
            match only_json(&rule) {
                Some(column) => {
                    json.insert((table.name.clone(), column.to_ascii_lowercase()));
                }
                None => table
                    .notes
                    .push(format!("the constraint `{name}` refuses rows: {rule}")),
            }
        }
    }
    for row in connection.query::<Row, _>(COLUMNS).await? {
        if let Some(table) = tables.of(&row)? {
            let name: String = cell(&row, 1)?;
            let is_json = json.contains(&(table.name.clone(), name.to_ascii_lowercase()));
            column(&row, kind, is_json, table)?;
        }
    }
    for row in connection.query::<Row, _>(INDEXES).await? {
        if let Some(table) = tables.of(&row)? {
            index(&row, table)?;
        }
    }
    let mut last = None;
    for row in connection.query::<Row, _>(REFERENCES).await? {
        let name: (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let is_next = last.as_ref() == Some(&name);
        last = Some(name);
        if let Some(table) = tables.of(&row)? {
            reference(&row, is_next, table)?;
        }
    }
    for row in connection.query::<Row, _>(TRIGGERS).await? {
        let name: String = cell(&row, 1)?;
        if let Some(table) = tables.of(&row)? {
            let note = format!("the trigger `{name}` runs when rows are written");
            table.notes.push(note);
        }
    }
    let database = database.unwrap_or_default();
    Ok(Catalog {
        tables: tables.all,
        place: Some(format!(
            "the database `{database}`, as far as the worker's user may see it"
        )),
        table_names: if folding == 0 {
            Names::Exact
        } else {
            Names::AnyCase
        },
        names: Names::AnyCase,
        types: Types {
            suggest: types::suggest,
            fit: types::fit,
            usable: types::usable,
            is_loose: types::is_loose,
            is_comparable: types::is_comparable,
        },
    })
}

/// A row's value; an error where it is none of that type.
fn cell<T: FromValue>(row: &Row, nth: usize) -> Result<T, Error> {
    let value = row.get_opt(nth).and_then(Result::ok);
    value.ok_or_else(|| Error::Driver(DriverError::FromRow { row: row.clone() }))
}

/// What the worker's user may do, apart from what stands beside each column.
enum Rights {
    /// A role gives some, and it can't be known which.
    Unknown,
    /// Kinds of rights, by table or of all tables.
    Known(Vec<(Option<String>, String)>),
}

impl Rights {
    async fn read(connection: &mut Conn) -> Result<Self, Error> {
        let has_no_role: Option<bool> = connection.query_first(ROLE).await?;
        if has_no_role != Some(true) {
            return Ok(Self::Unknown);
        }
        let mut rights = Vec::new();
        for row in connection.query::<Row, _>(RIGHTS).await? {
            rights.push((cell(&row, 0)?, cell(&row, 1)?));
        }
        Ok(Self::Known(rights))
    }

    fn has(&self, table: &str, wanted: &str) -> bool {
        match self {
            Self::Unknown => true,
            Self::Known(rights) => rights
                .iter()
                .any(|(of, right)| right == wanted && of.as_deref().is_none_or(|of| of == table)),
        }
    }
}

/// Tables by their names.
#[derive(Default)]
struct Tables {
    all: Vec<Table>,
    positions: HashMap<String, usize>,
}

impl Tables {
    /// The one that a row is about.
    fn of(&mut self, row: &Row) -> Result<Option<&mut Table>, Error> {
        let name: String = cell(row, 0)?;
        let position = self.positions.get(&name);
        Ok(position.and_then(|position| self.all.get_mut(*position)))
    }

    fn add(&mut self, row: &Row, rights: &Rights, server: Kind) -> Result<(), Error> {
        let (name, kind): (String, String) = (cell(row, 0)?, cell(row, 1)?);
        let kind = match kind.as_str() {
            "BASE TABLE" | "SYSTEM VERSIONED" => TableKind::Table,
            "VIEW" => TableKind::View,
            // A counter is no table.
            _ => return Ok(()),
        };
        // The other two stand beside the columns.
        let forbidden = if rights.has(&name, "DELETE") {
            Vec::new()
        } else {
            vec!["DELETE"]
        };
        let is_transactional: bool = cell(row, 2)?;
        let collation: Option<String> = cell(row, 3)?;
        let mut notes = Vec::new();
        if kind == TableKind::Table && !is_transactional {
            notes.push(
                "its engine knows no transactions: give it one that does, or say `read_only: true`"
                    .to_owned(),
            );
        }
        self.all.push(Table {
            kind,
            columns: Vec::new(),
            key: Vec::new(),
            indexes: Vec::new(),
            references: Vec::new(),
            is_ours: rights.has(&name, "INDEX"),
            is_transactional,
            // As the worker makes them: nobody else's default.
            is_strict: collation.as_deref() == Some(order::collation(server)),
            ties: Ties {
                is_itself: kind == TableKind::Table,
                // Triggers are shown to those only who may make some.
                has_effects: true,
            },
            forbidden: [["INSERT", "UPDATE"].as_slice(), &forbidden].concat(),
            notes,
            name,
        });
        Ok(())
    }
}

/// The column of a check that lets in JSON and nothing else, as MariaDB makes it for its type `JSON`.
fn only_json(rule: &str) -> Option<&str> {
    rule.strip_prefix("json_valid(`")?.strip_suffix("`)")
}

fn column(row: &Row, kind: Kind, is_json: bool, table: &mut Table) -> Result<(), Error> {
    let described = Described {
        declared: cell(row, 2)?,
        name: cell::<String>(row, 3)?.to_ascii_lowercase(),
        length: cell(row, 7)?,
        precision: cell(row, 8)?,
        scale: cell(row, 9)?,
        time_digits: cell(row, 10)?,
        letters: cell(row, 11)?,
        letter_octets: cell(row, 12)?,
        is_json,
    };
    let (nullable, extra): (String, String) = (cell(row, 4)?, cell(row, 6)?);
    let default: Option<String> = cell(row, 5)?;
    let rights: String = cell(row, 14)?;
    let may = |right: &str| {
        rights
            .split(',')
            .any(|one| one.trim().eq_ignore_ascii_case(right))
    };
    // Who may write some columns of a table may write rows of it.
    table.forbidden.retain(|right| !may(right));
    let name: String = cell(row, 1)?;
    if extra.to_ascii_lowercase().contains("on update") {
        let note = format!("the database sets `{name}` to the time whenever a row is changed without it");
        table.notes.push(note);
    }
    table.columns.push(Column {
        name,
        storage: described.storage(),
        collation: cell(row, 13)?,
        is_nullable: nullable == "YES",
        is_readable: may("select"),
        max_length: described.max_length(),
        range: described.range(),
        values: quoted::values(&described.declared).unwrap_or_default(),
        fill: defaults::fill(kind, &extra, default.as_deref()),
        declared: if is_json {
            "json".to_owned()
        } else {
            described.declared
        },
    });
    Ok(())
}

fn index(row: &Row, table: &mut Table) -> Result<(), Error> {
    let (name, method): (String, String) = (cell(row, 1)?, cell(row, 3)?);
    let column: Option<String> = cell(row, 4)?;
    // Those of texts and of shapes serve no order and make nothing unique.
    if method != "BTREE" && method != "HASH" {
        let note = format!("the index `{name}` ({method}) is left out: an entity's are b-trees");
        if table.notes.last() != Some(&note) {
            table.notes.push(note);
        }
        return Ok(());
    }
    let is_cut: bool = cell(row, 5)?;
    if name == "PRIMARY" {
        table.key.extend(column.clone());
    }
    if table.indexes.last().is_none_or(|last| last.name != name) {
        table.indexes.push(Index {
            name,
            columns: Vec::new(),
            is_unique: cell(row, 2)?,
            extent: Extent::Whole,
        });
    }
    if let Some(index) = table.indexes.last_mut() {
        match column {
            Some(column) => index.columns.push(column),
            None => index.extent = Extent::Part,
        }
        if is_cut && index.extent == Extent::Whole {
            index.extent = Extent::Beginnings;
        }
    }
    Ok(())
}

fn reference(row: &Row, is_next: bool, table: &mut Table) -> Result<(), Error> {
    let (column, to): (String, String) = (cell(row, 2)?, cell(row, 4)?);
    if !is_next {
        let on_delete: String = cell(row, 5)?;
        table.references.push(Reference {
            columns: Vec::new(),
            table: cell(row, 3)?,
            to: Vec::new(),
            on_delete: match on_delete.as_str() {
                "NO ACTION" | "RESTRICT" => Some(OnDelete::Restrict),
                "CASCADE" => Some(OnDelete::Cascade),
                "SET NULL" => Some(OnDelete::SetNull),
                _ => None,
            },
            follows_updates: true,
        });
    }
    if let Some(reference) = table.references.last_mut() {
        reference.columns.push(column);
        reference.to.push(to);
    }
    Ok(())
}
