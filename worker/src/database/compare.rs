//! Entities against a live database: what differs, whether it matters, and what makes it right. The worker's start and
//! `dbal schema check` say the same, because both ask here.

mod limits;
mod unique;

use dbal_schema::{Column, ColumnType, Entity, OnDelete, Schema};
use dbal_shared::ids::{ColumnId, EntityId};
use dbal_sql::Answers;
use dbal_sql::ddl::{Wanted, wanted_indexes};

use super::catalog::{Catalog, Column as Found, Extent, Fill, Fit, Names, Reference, Table, TableKind};

/// One difference.
#[derive(Debug)]
pub struct Finding {
    /// Whether it matters.
    pub weight: Weight,
    /// The entity.
    pub entity: String,
    /// Its table.
    pub table: String,
    /// The field, where it is about one.
    pub field: Option<String>,
    /// Its column, or one that no field names.
    pub column: Option<String>,
    /// What differs.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// What would be made to put it right, where making something does.
    pub repair: Option<Repair>,
}

/// How much a difference matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The worker does not start: nothing of the entity would work, or it would be wrong.
    Refuses,
    /// Some calls fail, or do something else than the entity says.
    Matters,
    /// It works, perhaps slowly.
    Advice,
}

/// What is missing and can be made without changing anything that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// A table with its indexes.
    Table(EntityId),
    /// An index of a table that is there.
    Index(EntityId, Wanted),
    /// The table that the worker keeps for itself.
    Own,
}

impl Weight {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Weight::Refuses => "refuses",
            Weight::Matters => "matters",
            Weight::Advice => "advice",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            weight: _,
            entity,
            table,
            field,
            column,
            what,
            advice,
            repair: _,
        } = self;
        match field {
            Some(field) => write!(out, "`{entity}.{field}`")?,
            None => write!(out, "`{entity}`")?,
        }
        match column {
            Some(column) => write!(out, " (column `{column}` of the table `{table}`)")?,
            None => write!(out, " (table `{table}`)")?,
        }
        write!(out, ": {what}; {advice}")
    }
}

/// Everything that differs, the weightiest first.
pub fn compare(schema: &Schema, catalog: &Catalog) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entity in schema.entities() {
        let mut report = Report {
            entity,
            findings: &mut findings,
        };
        match catalog.table(entity.table.as_str()) {
            None => report.missing_table(catalog.place.as_deref()),
            Some(table) => Side {
                schema,
                entity,
                table,
                catalog,
            }
            .compare(&mut report),
        }
    }
    own_table(catalog, &mut findings);
    findings.sort_by_key(|finding| finding.weight);
    findings
}

/// The worker works without it, but for calls that need it.
fn own_table(catalog: &Catalog, findings: &mut Vec<Finding>) {
    let Ok(own) = Answers::table() else {
        return;
    };
    if catalog.table(own.entity.table.as_str()).is_none() {
        findings.push(Finding {
            weight: Weight::Advice,
            entity: "dbal".to_owned(),
            table: own.entity.table.to_string(),
            field: None,
            column: None,
            what: "the worker's own table is missing: calls with an `idempotencyKey` fail".to_owned(),
            advice: "`dbal schema apply` makes it; nothing, if nobody sends one".to_owned(),
            repair: Some(Repair::Own),
        });
    }
}

struct Report<'a> {
    entity: &'a Entity,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn add(
        &mut self,
        weight: Weight,
        column: Option<&Column>,
        what: String,
        advice: &str,
        repair: Option<Repair>,
    ) {
        self.findings.push(Finding {
            weight,
            entity: self.entity.name.clone(),
            table: self.entity.table.to_string(),
            field: column.map(|column| column.name.clone()),
            column: column.map(|column| column.sql.to_string()),
            what,
            advice: advice.to_owned(),
            repair,
        });
    }

    fn missing_table(&mut self, place: Option<&str>) {
        let place = place.map(|place| format!(" in {place}"));
        self.add(
            Weight::Refuses,
            None,
            format!("there is no such table{}", place.unwrap_or_default()),
            "`dbal schema apply` makes it, `dbal schema ddl` prints how; or correct `table`",
            Some(Repair::Table(self.entity.id)),
        );
    }
}

/// An entity beside its table.
struct Side<'a> {
    schema: &'a Schema,
    entity: &'a Entity,
    table: &'a Table,
    catalog: &'a Catalog,
}

impl Side<'_> {
    fn compare(&self, report: &mut Report<'_>) {
        for column in &self.entity.columns {
            match self.table.column(column.sql.as_str(), self.names()) {
                None => report.add(
                    Weight::Refuses,
                    Some(column),
                    "there is no such column".to_owned(),
                    "add it to the table, correct `column`, or leave the field out",
                    None,
                ),
                Some(found) => {
                    self.kind(column, found, report);
                    self.presence(column, found, report);
                    self.link(column, found, report);
                    limits::compare(column, found, report);
                }
            }
        }
        self.rights(report);
        match self.table.kind {
            TableKind::View => self.view(report),
            TableKind::Table => {
                self.engine(report);
                self.key(report);
                self.wanted(report);
                unique::compare(self, report);
                self.unclaimed(report);
                for column in &self.entity.columns {
                    self.reference(column, report);
                }
                self.nameless(report);
            }
        }
    }

    fn names(&self) -> Names {
        self.catalog.names
    }

    /// A row that may not be written is noticed, on some databases, when it is written already.
    fn engine(&self, report: &mut Report<'_>) {
        if !self.table.is_transactional && !self.entity.is_read_only {
            report.add(
                Weight::Refuses,
                None,
                "its engine knows no transactions, so what must be undone would stay".to_owned(),
                "let the table have one that does (`ENGINE=InnoDB`), or say `read_only: true`",
                None,
            );
        }
    }

    fn view(&self, report: &mut Report<'_>) {
        if !self.entity.is_read_only {
            report.add(
                Weight::Matters,
                None,
                "it is a view or a virtual table, which may take no rows".to_owned(),
                "say `read_only: true`",
                None,
            );
        }
    }

    fn kind(&self, column: &Column, found: &Found, report: &mut Report<'_>) {
        let declared = &found.declared;
        match (self.catalog.types.fit)(found, column.kind) {
            Fit::Whole => {}
            Fit::Partly(which) => report.add(
                Weight::Matters,
                Some(column),
                format!("its type is `{declared}`: {which}"),
                "change the type of one of the two",
                None,
            ),
            Fit::Wrong(why) => report.add(
                Weight::Refuses,
                Some(column),
                format!("its type is `{declared}`: {why}"),
                "change it, or leave the field out",
                None,
            ),
            Fit::Not => report.add(
                Weight::Refuses,
                Some(column),
                format!(
                    "its type is `{declared}`, which can't hold what the field's type {} needs{}",
                    column.kind.name(),
                    self.usable(column.kind)
                ),
                "change the type of one of the two",
                None,
            ),
        }
    }

    fn usable(&self, kind: ColumnType) -> String {
        let usable = (self.catalog.types.usable)(kind);
        if usable.is_empty() {
            return String::new();
        }
        format!(" (usable are {})", usable.join(", "))
    }

    fn rights(&self, report: &mut Report<'_>) {
        let forbidden = &self.table.forbidden;
        if !forbidden.is_empty() && !self.entity.is_read_only {
            report.add(
                Weight::Matters,
                None,
                format!("the worker's user has no right to {}", forbidden.join(", ")),
                "grant it, if the policy lets anybody do that, or say `read_only: true`",
                None,
            );
        }
    }

    fn presence(&self, column: &Column, found: &Found, report: &mut Report<'_>) {
        if found.fill == Fill::Computed && !self.entity.is_read_only {
            report.add(
                Weight::Matters,
                Some(column),
                "the database computes it, and the daemon writes every field of a new row".to_owned(),
                "leave the field out, or say `read_only: true`",
                None,
            );
        } else if found.fill == Fill::OnlyCounter && !self.entity.is_read_only {
            report.add(
                Weight::Matters,
                Some(column),
                "the database counts it up and takes no other number, and the daemon writes every field of a new row: every \
                 create fails"
                    .to_owned(),
                "let it take others (`GENERATED BY DEFAULT`), or say `read_only: true`",
                None,
            );
        } else if column.id == self.entity.key {
            self.key_presence(column, found, report);
        } else if column.is_nullable && !found.is_nullable {
            report.add(
                Weight::Matters,
                Some(column),
                "the field may be left out or null, and the database refuses NULL there".to_owned(),
                "say `required: true` or give it a `default`, or allow NULL",
                None,
            );
        } else if !column.is_nullable && found.is_nullable && self.table.kind == TableKind::Table {
            report.add(
                Weight::Advice,
                Some(column),
                "the field is never null, and the database allows NULL there".to_owned(),
                "forbid it there if no row holds it; clients get such a row with null",
                None,
            );
        }
    }

    /// NULL names no row: nobody reads, changes or deletes one whose key it is.
    fn key_presence(&self, column: &Column, found: &Found, report: &mut Report<'_>) {
        let is_unique = self.table.is_unique(&[column.sql.to_string()], self.names());
        if found.is_nullable && is_unique && self.table.kind == TableKind::Table {
            report.add(
                Weight::Advice,
                Some(column),
                "it is the entity's key, and the database allows NULL there".to_owned(),
                "forbid it there; a row with NULL stands in lists only, and ends their pages by cursor",
                None,
            );
        }
    }

    fn key(&self, report: &mut Report<'_>) {
        let entity = self.entity;
        let Some(column) = entity.column(entity.key) else {
            return;
        };
        let sql = [column.sql.to_string()];
        if self.table.column(column.sql.as_str(), self.names()).is_none()
            || self.table.is_unique(&sql, self.names())
        {
            return;
        }
        report.add(
            // Who reads gets the first of several; who writes would write them all.
            if entity.is_read_only {
                Weight::Matters
            } else {
                Weight::Refuses
            },
            Some(column),
            "it is the entity's key, and nothing in the database makes it unique".to_owned(),
            if self.table.is_ours {
                "make it the primary key there, or let `dbal schema apply` make a unique index"
            } else {
                "let the table's owner make it the primary key"
            },
            self.index(Wanted {
                columns: vec![entity.key],
                is_unique: true,
                name: None,
                is_inline: true,
            }),
        );
    }

    fn wanted(&self, report: &mut Report<'_>) {
        for wanted in wanted_indexes(self.entity) {
            let Some(columns) = self.in_table(&wanted.columns) else {
                continue;
            };
            let only = match wanted.columns.as_slice() {
                [only] => self.entity.column(*only),
                _ => None,
            };
            let fields = self.fields(&wanted.columns);
            let (weight, what) = if wanted.is_unique {
                if self.table.is_unique(&columns, self.names()) {
                    continue;
                }
                let what =
                    format!("the entity says that {fields} is unique, and no index of the database does");
                (Weight::Matters, what)
            } else {
                if self.table.is_indexed(&columns, self.names()) {
                    continue;
                }
                let what = match only.filter(|column| !column.is_indexed) {
                    Some(column) if column.references.is_some() => {
                        "no index begins with it: whenever a row that it may refer to is deleted, the whole \
                                table is read"
                            .to_owned()
                    }
                    Some(column) if self.entity.expires_by().is_some_and(|by| by.id == column.id) => {
                        "no index begins with it: each look for rows whose time is over (`ttl`) reads the whole table".to_owned()
                    }
                    Some(_) | None => format!("no index begins with {fields}, as the entity wants it"),
                };
                (Weight::Advice, what)
            };
            let advice = if self.table.is_ours {
                "`dbal schema apply` makes the index"
            } else {
                "let the table's owner make the index"
            };
            report.add(weight, only, what, advice, self.index(wanted));
        }
    }

    fn index(&self, wanted: Wanted) -> Option<Repair> {
        self.table
            .is_ours
            .then_some(Repair::Index(self.entity.id, wanted))
    }

    /// Names in the database, where all of the columns are there.
    fn in_table(&self, columns: &[ColumnId]) -> Option<Vec<String>> {
        let name = |id: &ColumnId| {
            let column = self.entity.column(*id)?;
            let found = self.table.column(column.sql.as_str(), self.names())?;
            Some(found.name.clone())
        };
        columns.iter().map(name).collect()
    }

    fn fields(&self, columns: &[ColumnId]) -> String {
        let names = columns.iter().filter_map(|id| self.entity.column(*id));
        let names: Vec<String> = names.map(|column| format!("`{}`", column.name)).collect();
        names.join(" with ")
    }

    /// What the database holds unique and the entity does not.
    fn unclaimed(&self, report: &mut Report<'_>) {
        let wanted = wanted_indexes(self.entity);
        let claimed = wanted.iter().filter(|wanted| wanted.is_unique);
        let mut claimed: Vec<Vec<String>> = claimed
            .filter_map(|wanted| self.in_table(&wanted.columns))
            .collect();
        claimed.extend(self.in_table(&[self.entity.key]));
        for index in self
            .table
            .indexes
            .iter()
            .filter(|index| index.is_unique && index.extent == Extent::Whole)
        {
            let is_within = |some: &Vec<String>| {
                let is_in = |one: &String| {
                    index
                        .columns
                        .iter()
                        .any(|column| self.names().are_one(column, one))
                };
                some.iter().all(is_in)
            };
            if !claimed.iter().any(is_within) {
                report.add(
                    Weight::Advice,
                    None,
                    format!(
                        "the database lets no two rows agree in {}, of which the entity says nothing",
                        index.columns.join(", ")
                    ),
                    "say `unique`, for those who read the entity; a conflict is answered 409 either way",
                    None,
                );
            }
        }
    }

    /// What follows a link compares the two columns as they are.
    fn link(&self, column: &Column, found: &Found, report: &mut Report<'_>) {
        let target = column.references.and_then(|reference| {
            let other = self.schema.entity(reference.entity)?;
            let table = self.catalog.table(other.table.as_str())?;
            let target = other.column(reference.column)?;
            Some((table, table.column(target.sql.as_str(), self.names())?))
        });
        let Some((table, target)) = target else {
            return;
        };
        if (self.catalog.types.is_comparable)(column.kind, found, target) {
            return;
        }
        let shown = |column: &Found| match &column.collation {
            Some(collation) => format!("`{}`, collation {collation}", column.declared),
            None => format!("`{}`", column.declared),
        };
        report.add(
            Weight::Refuses,
            Some(column),
            format!(
                "it refers to the column `{}` of the table `{}`, and the database does not compare the two ({} and {}): whatever \
                 follows the link would fail",
                target.name,
                table.name,
                shown(found),
                shown(target)
            ),
            "give both the same type and collation, or leave `foreign_key` out",
            None,
        );
    }

    fn reference(&self, column: &Column, report: &mut Report<'_>) {
        let is_over = |reference: &&Reference| match reference.columns.as_slice() {
            [only] => self.names().are_one(only, column.sql.as_str()),
            _ => false,
        };
        let mut there = self.table.references.iter().filter(is_over);
        let Some(reference) = column.references else {
            if let Some(Reference { table, .. }) = there.next() {
                report.add(
                    Weight::Advice,
                    Some(column),
                    format!("the database has a foreign key to the table `{table}`, of which the entity says nothing"),
                    "say `foreign_key`, if that table is an entity",
                    None,
                );
            }
            return;
        };
        let Some((other, target)) = self
            .schema
            .entity(reference.entity)
            .and_then(|other| Some((other, other.column(reference.column)?)))
        else {
            return;
        };
        if self.table.column(column.sql.as_str(), self.names()).is_none() {
            return;
        }
        let to = [target.sql.to_string()];
        let is_same = |reference: &&Reference| {
            self.catalog
                .table_names
                .are_one(&reference.table, other.table.as_str())
                && self.names().are_all_one(&reference.to, &to)
        };
        let wanted = action(Some(reference.on_delete));
        match there.find(is_same) {
            None => report.add(
                Weight::Matters,
                Some(column),
                format!(
                    "the database has no foreign key to `{}` (`{}`): rows can refer to nothing, and `on_delete: \
                     {wanted}` does not happen",
                    other.table, target.sql
                ),
                "add the constraint there, or leave `foreign_key` out",
                None,
            ),
            Some(found) if found.on_delete != Some(reference.on_delete) => report.add(
                Weight::Matters,
                Some(column),
                format!(
                    "`on_delete` is {wanted} in the entity and {} in the database, which is what happens",
                    action(found.on_delete)
                ),
                "let them say the same",
                None,
            ),
            Some(_) => {}
        }
    }

    /// Columns that no field names.
    fn nameless(&self, report: &mut Report<'_>) {
        let is_nameless = |found: &&Found| {
            let mut columns = self.entity.columns.iter();
            !columns.any(|column| self.names().are_one(column.sql.as_str(), &found.name))
        };
        let mut harmless = Vec::new();
        for found in self.table.columns.iter().filter(is_nameless) {
            if found.is_nullable || found.fill != Fill::Nothing || self.entity.is_read_only {
                harmless.push(format!("`{}`", found.name));
                continue;
            }
            report.add(
                Weight::Matters,
                None,
                format!(
                    "the column `{}` takes no row without a value, and no field names it: every create fails",
                    found.name
                ),
                "add a field for it, give it a default there, or say `read_only: true`",
                None,
            );
        }
        if !harmless.is_empty() {
            report.add(
                Weight::Advice,
                None,
                format!("no field names {}", harmless.join(", ")),
                "nothing, if clients shall not see them",
                None,
            );
        }
    }
}

fn action(on_delete: Option<OnDelete>) -> &'static str {
    on_delete.map_or("something that no entity can say", OnDelete::name)
}

#[cfg(test)]
mod tests;
