//! Where in a file a mistake in an expression stands, and the expression with a caret under it.

use dbal_schema::Location;

use crate::expression::Mistake;

/// An expression as it stands in a file.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    /// Where it begins.
    pub(crate) at: &'a Location,
    pub(crate) written: &'a str,
    /// The file's text, where it is at hand.
    pub(crate) file: Option<&'a str>,
}

impl Text<'_> {
    /// The mistake's place in the file, as exactly as it can be told, and what to say there.
    pub(crate) fn pinpoint(&self, mistake: &Mistake) -> (Location, String) {
        let before = self.written.get(..mistake.at).unwrap_or(self.written);
        let at = match self.first_column() {
            // Escapes and folded lines move characters about; then the beginning must do.
            Some(first) if !before.contains('\n') => Location {
                column: first.saturating_add(characters(before)),
                ..self.at.clone()
            },
            Some(_) | None => self.at.clone(),
        };
        let line_start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let line = self
            .written
            .get(line_start..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let indent = " ".repeat(before.get(line_start..).unwrap_or_default().chars().count());
        (at, format!("{}\n    {line}\n    {indent}^", mistake.text))
    }

    /// The column of the expression's first character, if the file has it as it is.
    fn first_column(&self) -> Option<u32> {
        let line = self
            .file?
            .lines()
            .nth(usize::try_from(self.at.line.checked_sub(1)?).ok()?)?;
        let skipped = usize::try_from(self.at.column.checked_sub(1)?).ok()?;
        let rest: &str = line
            .char_indices()
            .nth(skipped)
            .and_then(|(start, _)| line.get(start..))?;
        let unquoted = rest.strip_prefix(['"', '\'']);
        let first_line = self.written.lines().next().unwrap_or_default();
        unquoted
            .unwrap_or(rest)
            .starts_with(first_line)
            .then(|| self.at.column.saturating_add(u32::from(unquoted.is_some())))
    }
}

fn characters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}
