//! Rows → JSON text, written once and bounded: the broker splices it into the response without reading it.

use dbal_schema::{Entity, json_text};
use dbal_shared::limits::ANSWER_BYTES;
use dbal_sql::Cell;

use super::session::Row;
use super::trouble::Trouble;

/// JSON in the making.
pub(super) struct Rows<'a> {
    entity: &'a Entity,
    json: String,
}

impl<'a> Rows<'a> {
    pub(super) fn new(entity: &'a Entity) -> Self {
        Self {
            entity,
            json: String::with_capacity(256),
        }
    }

    pub(super) fn word(&mut self, word: &'static str) {
        self.json.push_str(word);
    }

    /// Writes a text of our own alphabet.
    pub(super) fn text(&mut self, text: &str) {
        json_text::push_text(text, &mut self.json);
    }

    /// Writes an object that is written already.
    pub(super) fn whole(&mut self, object: &str) {
        self.json.push_str(object);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.json.push_str(&number.to_string());
    }

    /// Writes the row whose cells stand behind the first `skip` columns of the result; the column that comes next.
    pub(super) fn object(&mut self, row: &dyn Row, skip: usize, cells: &[Cell]) -> Result<usize, Trouble> {
        let next = self.open_object(row, skip, cells)?;
        self.json.push('}');
        if self.json.len() > ANSWER_BYTES {
            return Err(Trouble::AnswerTooLarge);
        }
        Ok(next)
    }

    /// The same without the closing bracket; the column of the result that comes next.
    pub(super) fn open_object(
        &mut self,
        row: &dyn Row,
        skip: usize,
        cells: &[Cell],
    ) -> Result<usize, Trouble> {
        let mut nth = skip;
        let mut is_first = true;
        self.json.push('{');
        for Cell { column, is_masked } in cells {
            let column = self.entity.column(*column).ok_or(Trouble::NotInSchema)?;
            let is_shown = if *is_masked {
                let shown = row.is_true(nth)?;
                nth = nth.saturating_add(1);
                shown
            } else {
                true
            };
            let stored = nth;
            nth = nth.saturating_add(1);
            if !is_shown {
                continue;
            }
            if !is_first {
                self.json.push(',');
            }
            is_first = false;
            json_text::push_text(&column.name, &mut self.json);
            self.json.push(':');
            let value = row.value(stored, column)?;
            json_text::push_value(column, &value, &mut self.json);
        }
        Ok(nth)
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    pub(super) fn finish(self) -> String {
        self.json
    }
}
