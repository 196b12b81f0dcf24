//! `dbal schema import-prisma`: a Prisma schema file → entity files. What has no counterpart is told with its place.

mod token;
mod told;
mod syntax;
mod native;
mod names;
mod field;
mod model;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::entity_file::{self, EntityFile};
use super::loadable::{self, Change};
use crate::error::ToolError;
use crate::output;
use crate::visible::one_line;
use syntax::Document;
use token::{FILE_BYTES, Place, Unreadable};
use told::Told;

pub(super) fn run(file: &Path, out: &Path) -> Result<(), ToolError> {
    let text = read(file)?;
    let mut told = Told::new(&file.display().to_string());
    let entities = import(&text, &mut told);
    for problem in &told.problems {
        output::say(format_args!("error: {}", one_line(&problem.to_string())));
    }
    for warning in &told.warnings {
        output::say(format_args!("warning: {}", one_line(&warning.to_string())));
    }
    if entities.is_empty() {
        return Err(ToolError::Failed(format!(
            "{}: no model became an entity",
            file.display()
        )));
    }
    let count = entity_file::write(out, &entities)?;
    output::line(format_args!("{}: entity files: {count}", out.display()))?;
    if told.problems.is_empty() {
        return Ok(());
    }
    Err(ToolError::Failed(format!(
        "not all of {} is in the entities; see the errors above",
        file.display()
    )))
}

/// The entities of a schema, as far as there can be any.
fn import(text: &str, told: &mut Told) -> Vec<EntityFile> {
    match token::tokens(text) {
        Ok(tokens) => {
            let document = syntax::parse(&tokens, told);
            let mut entities = model::entities(&document, told);
            for change in loadable::settle(&mut entities) {
                tell(&document, change, told);
            }
            entities
        }
        Err(Unreadable { at, text }) => {
            told.problem(at, text);
            Vec::new()
        }
    }
}

/// What the daemons would not load, at its place in the file.
fn tell(document: &Document, change: Change, told: &mut Told) {
    let (model, field) = match &change {
        Change::Refused {
            entity,
            field,
            why: _,
        } => (entity, field.as_ref()),
        Change::Unlinked { entity, field, to: _ } => (entity, Some(field)),
    };
    let model = document.models.iter().find(|other| other.name == *model);
    let line = model.and_then(|model| names::find(model, field?));
    let start = Place { line: 1, column: 1 };
    let at = line.map_or_else(|| model.map_or(start, |model| model.at), |line| line.at);
    match change {
        Change::Refused { entity, field, why } => {
            let name = field.map_or_else(|| entity.clone(), |field| format!("{entity}.{field}"));
            told.problem(
                at,
                format!("`{name}`: the daemons refuse this: {why}; so `{entity}` is a comment in its file, to be mended"),
            );
        }
        Change::Unlinked { entity, field, to } => told.warning(
            at,
            format!("`{entity}.{field}`: `{to}` is left out, so there is no `foreign_key` to it"),
        ),
    }
}

fn read(file: &Path) -> Result<String, ToolError> {
    let failed = |source| ToolError::file(file, source);
    let limit = u64::try_from(FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = String::new();
    let open = File::open(file).map_err(failed)?;
    open.take(limit).read_to_string(&mut text).map_err(failed)?;
    if text.len() > FILE_BYTES {
        return Err(ToolError::Usage(format!(
            "{}: longer than {FILE_BYTES} bytes; is it a schema?",
            file.display()
        )));
    }
    Ok(text)
}

/// The texts of the entity files that a schema becomes, and how many errors and warnings there are. For the fuzz targets, in no
/// build but theirs (`--cfg fuzzing`).
#[cfg(fuzzing)]
pub fn imported(text: &str) -> (Vec<String>, usize, usize) {
    let mut told = Told::new("schema.prisma");
    let entities = import(text, &mut told);
    let texts = entities.iter().map(EntityFile::text).collect();
    (texts, told.problems.len(), told.warnings.len())
}

#[cfg(test)]
mod tests;
