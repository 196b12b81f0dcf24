//! PostgreSQL's catalogue → [`Catalog`]: the tables and views of the one schema that the connection uses, asked for once each
//! kind of thing, whatever their number.

use std::collections::HashMap;

use dbal_schema::OnDelete;
use serde_json::Error;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::json_row::JsonRow;
use super::{defaults, types};
use crate::database::catalog::{
    Catalog, Column, Extent, Index, Names, Reference, Table, TableKind, Ties, Types,
};

const TABLES: &str = "SELECT c.oid, c.relname::text, c.relkind IN ('r', 'p'), pg_has_role(c.relowner, 'USAGE'), \
        has_any_column_privilege(c.oid, 'INSERT'), has_any_column_privilege(c.oid, 'UPDATE'), \
        has_table_privilege(c.oid, 'DELETE'), c.relrowsecurity, \
        (SELECT p.relname::text FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
            WHERE i.inhrelid = c.oid AND c.relispartition), \
        EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid), \
        EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) OR c.relhasrules, \
        EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname COLLATE \"C\"";

/// A domain counts as the type beneath it, however many there are in between.
const COLUMNS: &str = "WITH RECURSIVE chain (outermost, kind, modifier, is_never_null) AS ( \
        SELECT oid, oid, -1, false FROM pg_catalog.pg_type \
        UNION ALL SELECT chain.outermost, t.typbasetype, \
            CASE WHEN t.typtypmod = -1 THEN chain.modifier ELSE t.typtypmod END, chain.is_never_null OR t.typnotnull \
        FROM chain JOIN pg_catalog.pg_type t ON t.oid = chain.kind AND t.typtype = 'd') \
    SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod), \
        CASE WHEN b.oid <> a.atttypid THEN format_type(b.oid, chain.modifier) END, \
        CASE WHEN b.oid = a.atttypid THEN a.atttypmod ELSE chain.modifier END, \
        b.typname::text, b.typnamespace = 'pg_catalog'::regnamespace, b.typtype::text, b.typcategory::text, \
        a.attnotnull OR chain.is_never_null, has_column_privilege(a.attrelid, a.attnum, 'SELECT'), \
        (SELECT l.collname::text FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation AND NOT l.collisdeterministic), \
        a.attgenerated::text, a.attidentity::text, coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault), \
        (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid), \
        (SELECT l.collname::text FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation AND l.collprovider <> 'd'), \
        (SELECT CASE WHEN e.typtype = 'e' THEN 'enum' \
                WHEN e.typtype = 'b' AND e.typnamespace = 'pg_catalog'::regnamespace THEN e.typname::text ELSE 'other' END \
            FROM pg_catalog.pg_type e WHERE b.typcategory = 'A' AND e.typarray = b.oid) \
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
        JOIN chain ON chain.outermost = a.atttypid JOIN pg_catalog.pg_type b ON b.oid = chain.kind AND b.typtype <> 'd' \
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY a.attrelid, a.attnum";

const INDEXES: &str = "SELECT x.indrelid, i.relname::text, x.indisunique, x.indpred IS NULL AND x.indisvalid, \
        x.indexprs IS NOT NULL, m.amname::text, \
        array_agg(a.attname::text ORDER BY k.place) FILTER (WHERE k.place <= x.indnkeyatts) \
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
        JOIN pg_catalog.pg_am m ON m.oid = i.relam JOIN pg_catalog.pg_class c ON c.oid = x.indrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k (number, place) \
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number \
    WHERE n.nspname = current_schema() \
    GROUP BY x.indrelid, i.relname, x.indisunique, x.indpred IS NULL AND x.indisvalid, x.indexprs IS NOT NULL, m.amname \
    ORDER BY i.relname";

/// Keys, references and checks. What refers to a partitioned table has a constraint for each partition as well.
const CONSTRAINTS: &str = "SELECT k.conrelid, k.conname::text, k.contype::text, k.confdeltype::text, \
        CASE WHEN f.relnamespace = c.relnamespace THEN f.relname::text ELSE k.confrelid::regclass::text END, \
        (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.conkey) WITH ORDINALITY AS o (number, place) \
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = o.number), \
        (SELECT array_agg(a.attname::text ORDER BY o.place) FROM unnest(k.confkey) WITH ORDINALITY AS o (number, place) \
            JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = o.number), \
        pg_get_constraintdef(k.oid), k.confupdtype::text \
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_catalog.pg_class f ON f.oid = k.confrelid \
    WHERE n.nspname = current_schema() AND k.contype IN ('p', 'f', 'c', 'x') AND NOT EXISTS ( \
        SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid) \
    ORDER BY k.conname";

const TRIGGERS: &str = "SELECT t.tgrelid, t.tgname::text FROM pg_catalog.pg_trigger t \
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = current_schema() AND NOT t.tgisinternal ORDER BY t.tgname";

/// Who can ask the catalogue.
pub(in crate::database) trait Ask {
    /// The rows of a query, each as `row_to_json` writes it.
    async fn ask(&self, sql: &str) -> Result<Vec<String>, CatalogError>;
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The server does not answer.
    #[error("the catalogue does not answer")]
    Postgres(#[from] tokio_postgres::Error),
    /// The bridge does not.
    #[error("the catalogue does not answer")]
    Bridge(#[from] crate::database::prisma::open::AskError),
    /// It is not as we know it.
    #[error("the catalogue can't be read")]
    Unreadable(#[source] serde_json::Error),
}

impl Ask for Client {
    async fn ask(&self, sql: &str) -> Result<Vec<String>, CatalogError> {
        let sql = format!("SELECT row_to_json(dbal_part0)::text FROM ({sql}) AS dbal_part0");
        let none: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)] = &[];
        let rows = self.query_typed(&sql, none).await?;
        let text = |row: &tokio_postgres::Row| row.try_get(0);
        Ok(rows.iter().map(text).collect::<Result<_, _>>()?)
    }
}

/// Everything in the schema that the connection uses. `schema` is what it was told to use, for people.
pub(in crate::database) async fn catalog(database: &impl Ask, schema: &str) -> Result<Catalog, CatalogError> {
    let is_there = database.ask("SELECT current_schema() IS NOT NULL").await?;
    let is_there = match is_there.first() {
        Some(row) => read(row, |row| row.get(0))?,
        None => false,
    };
    let place = if is_there {
        format!("the schema `{schema}`")
    } else {
        format!("the schema `{schema}`: it does not exist, or the worker's user may not use it")
    };
    let mut tables = Tables::default();
    for text in database.ask(TABLES).await? {
        read(&text, |row| {
            let number = row.get(0)?;
            tables.positions.insert(number, tables.all.len());
            tables.all.push(table(row)?);
            Ok(())
        })?;
    }
    for text in database.ask(COLUMNS).await? {
        read(&text, |row| {
            if let Some(table) = tables.of(row)? {
                table.columns.push(column(row)?);
            }
            Ok(())
        })?;
    }
    for text in database.ask(INDEXES).await? {
        read(&text, |row| {
            tables.of(row)?.map_or(Ok(()), |table| index(row, table))
        })?;
    }
    for text in database.ask(CONSTRAINTS).await? {
        read(&text, |row| {
            tables.of(row)?.map_or(Ok(()), |table| constraint(row, table))
        })?;
    }
    for text in database.ask(TRIGGERS).await? {
        read(&text, |row| {
            let name: String = row.get(1)?;
            if let Some(table) = tables.of(row)? {
                let note = format!("the trigger `{name}` runs when rows are written");
                table.notes.push(note);
            }
            Ok(())
        })?;
    }
    Ok(Catalog {
        tables: tables.all,
        place: Some(place),
        table_names: Names::Exact,
        names: Names::Exact,
        types: Types {
            suggest: types::suggest,
            fit: types::fit,
            usable: types::usable,
            // Those are refused.
            is_loose: |_| false,
            is_comparable: types::is_comparable,
        },
    })
}

fn read<T>(text: &str, read: impl FnOnce(&JsonRow<'_>) -> Result<T, Error>) -> Result<T, CatalogError> {
    JsonRow::read(text)
        .and_then(|row| read(&row))
        .map_err(CatalogError::Unreadable)
}

/// Tables by their numbers, which are texts in JSON.
#[derive(Default)]
struct Tables {
    all: Vec<Table>,
    positions: HashMap<String, usize>,
}

impl Tables {
    /// The one that a row is about.
    fn of(&mut self, row: &JsonRow<'_>) -> Result<Option<&mut Table>, Error> {
        let position = self.positions.get(&row.get::<String>(0)?);
        Ok(position.and_then(|position| self.all.get_mut(*position)))
    }
}

fn table(row: &JsonRow<'_>) -> Result<Table, Error> {
    let rights = [(4, "INSERT"), (5, "UPDATE"), (6, "DELETE")];
    let mut forbidden = Vec::new();
    for (place, name) in rights {
        if !row.get::<bool>(place)? {
            forbidden.push(name);
        }
    }
    let mut notes = Vec::new();
    if row.get(7)? {
        notes.push(
            "policies of the database's own decide which rows the worker's user sees and writes".to_owned(),
        );
    }
    if let Some(whole) = row.get::<Option<String>>(8)? {
        notes.push(format!(
            "it is a part of the table `{whole}`, which has its rows too"
        ));
    }
    let (is_table, has_policies): (bool, bool) = (row.get(2)?, row.get(7)?);
    let (is_part, passes_on, has_triggers): (bool, bool, bool) = (row.get(9)?, row.get(10)?, row.get(11)?);
    Ok(Table {
        name: row.get(1)?,
        kind: if is_table {
            TableKind::Table
        } else {
            TableKind::View
        },
        ties: Ties {
            is_itself: is_table && !has_policies && !is_part,
            has_effects: !is_table || is_part || passes_on || has_triggers,
        },
        columns: Vec::new(),
        key: Vec::new(),
        indexes: Vec::new(),
        references: Vec::new(),
        is_ours: row.get(3)?,
        is_transactional: true,
        is_strict: true,
        forbidden,
        notes,
    })
}

fn column(row: &JsonRow<'_>) -> Result<Column, Error> {
    let declared: String = row.get(2)?;
    let beneath: Option<String> = row.get(3)?;
    let modifier: i32 = row.get(4)?;
    let (name, kind): (String, String) = (row.get(5)?, row.get(7)?);
    let category: String = row.get(8)?;
    let collation: Option<String> = row.get(11)?;
    let is_own: bool = row.get(6)?;
    let storage = if collation.is_some() || (!is_own && name == "citext") {
        types::LOOSE.to_owned()
    } else if category == "A" {
        let element: Option<String> = row.get(17)?;
        format!("{}{}", types::ARRAY, element.unwrap_or_default())
    } else if kind == "e" {
        let is_domain = beneath.is_some();
        if is_domain {
            types::ENUM_DOMAIN
        } else {
            types::ENUM
        }
        .to_owned()
    } else if is_own {
        types::storage(&name, modifier)
    } else {
        types::FOREIGN.to_owned()
    };
    let (generated, identity): (String, String) = (row.get(12)?, row.get(13)?);
    let expression: Option<String> = row.get(14)?;
    let declared = match (beneath, collation) {
        (Some(beneath), _) => format!("{declared} ({beneath})"),
        (None, Some(collation)) => format!("{declared} COLLATE {collation}"),
        (None, None) => declared,
    };
    Ok(Column {
        name: row.get(1)?,
        declared,
        collation: row.get(16)?,
        is_nullable: !row.get::<bool>(9)?,
        is_readable: row.get(10)?,
        max_length: types::max_length(&storage, modifier),
        range: types::range(&storage),
        values: row.get::<Option<Vec<String>>>(15)?.unwrap_or_default(),
        fill: defaults::fill(&generated, &identity, expression.as_deref()),
        storage,
    })
}

fn index(row: &JsonRow<'_>, table: &mut Table) -> Result<(), Error> {
    let (name, method): (String, String) = (row.get(1)?, row.get(5)?);
    // Others serve no order, and none of them makes a column unique.
    if method != "btree" {
        let note = format!("the index `{name}` ({method}) is left out: an entity's are b-trees");
        table.notes.push(note);
        return Ok(());
    }
    let is_of_expressions: bool = row.get(4)?;
    let columns: Option<Vec<Option<String>>> = row.get(6)?;
    table.indexes.push(Index {
        name,
        is_unique: row.get(2)?,
        extent: if !is_of_expressions && row.get(3)? {
            Extent::Whole
        } else {
            Extent::Part
        },
        // Those beside an expression would be taken for all that it is about.
        columns: if is_of_expressions {
            Vec::new()
        } else {
            columns.into_iter().flatten().flatten().collect()
        },
    });
    Ok(())
}

fn constraint(row: &JsonRow<'_>, table: &mut Table) -> Result<(), Error> {
    let (name, kind, on_delete): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let columns: Vec<String> = row.get::<Option<_>>(5)?.unwrap_or_default();
    let on_update: String = row.get(8)?;
    match kind.as_str() {
        "p" => table.key = columns,
        "f" => table.references.push(Reference {
            columns,
            table: row.get::<Option<_>>(4)?.unwrap_or_default(),
            to: row.get::<Option<_>>(6)?.unwrap_or_default(),
            on_delete: match on_delete.as_str() {
                "a" | "r" => Some(OnDelete::Restrict),
                "c" => Some(OnDelete::Cascade),
                "n" => Some(OnDelete::SetNull),
                _ => None,
            },
            follows_updates: !matches!(on_update.as_str(), "a" | "r"),
        }),
        _ => {
            let rule: String = row.get(7)?;
            table
                .notes
                .push(format!("the constraint `{name}` refuses rows: {rule}"));
        }
    }
    Ok(())
}
