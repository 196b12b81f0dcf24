//! What the database's unique indexes and references hold equal although it differs.

use super::{Report, Side, Weight};
use crate::database::catalog::{Extent, Index};

pub(super) fn compare(side: &Side<'_>, report: &mut Report<'_>) {
    let catalog = side.catalog;
    let is_of = |columns: &[String], name: &str| columns.iter().any(|one| catalog.names.are_one(one, name));
    for column in &side.entity.columns {
        let Some(found) = side.table.column(column.sql.as_str(), catalog.names) else {
            continue;
        };
        let mut unique = side.table.indexes.iter().filter(|index| index.is_unique);
        let cut = |index: &&Index| index.extent == Extent::Beginnings && is_of(&index.columns, &found.name);
        if let Some(index) = unique.clone().find(cut) {
            report.add(
                Weight::Matters,
                Some(column),
                format!(
                    "the unique index `{}` knows only the beginnings of its values: of two that begin alike the second is \
                     answered 409",
                    index.name
                ),
                "let the index be over the whole column",
                None,
            );
        }
        let is_kept_apart = is_of(&side.table.key, &found.name)
            || unique.any(|index| index.extent != Extent::Part && is_of(&index.columns, &found.name))
            || side
                .table
                .references
                .iter()
                .any(|reference| is_of(&reference.columns, &found.name));
        if is_kept_apart && column.kind.is_text() && (catalog.types.is_loose)(found) {
            report.add(
                Weight::Matters,
                Some(column),
                format!(
                    "by its collation {} texts that differ are one to its unique indexes and references: the second of them \
                     is answered 409",
                    found.collation.as_deref().unwrap_or_default()
                ),
                "give it one that tells all texts apart",
                None,
            );
        }
    }
}
