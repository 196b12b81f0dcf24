//! The matrix at a terminal: an overview by letters, then each cell in words.

use std::fmt::Write as _;

use dbal_review::matrix::{Extent, Matrix, OperationRights, RoleRights, Wall, Way};
use dbal_shared::plan::Operation;

use super::{joined, of_public};
use crate::diagnostics::Colour;
use crate::visible::one_line;

/// Where no terminal says how wide it is.
const WIDTH: usize = 100;
/// Narrower ones get lines that their terminal wraps.
const NARROWEST: usize = 50;

/// The terminal's width in columns.
pub(super) fn width() -> usize {
    let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    width.unwrap_or(WIDTH).max(NARROWEST)
}

pub(super) fn render(matrix: &Matrix, width: usize, colour: Colour) -> String {
    let mut page = Page {
        out: String::new(),
        width,
        colour,
    };
    page.overview(matrix);
    for entity in &matrix.entities {
        page.line("");
        let name = one_line(&entity.name);
        let heading = page.painted(BOLD, &name);
        page.line(&heading);
        let mut is_empty = true;
        for rights in entity.roles.iter().filter(|rights| !rights.operations.is_empty()) {
            is_empty = false;
            page.role(rights);
        }
        if is_empty {
            page.line("  nobody may do anything");
        }
    }
    page.out
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const DIM: &str = "2";

struct Page {
    out: String,
    width: usize,
    colour: Colour,
}

impl Page {
    /// Entities by roles, in as many blocks as the width asks for.
    fn overview(&mut self, matrix: &Matrix) {
        let names: Vec<String> = matrix
            .entities
            .iter()
            .map(|entity| one_line(&entity.name))
            .collect();
        let roles: Vec<String> = matrix.roles.iter().map(|role| one_line(role)).collect();
        let first = names.iter().map(|name| length(name)).max().unwrap_or(0);
        let cell = roles.iter().map(|role| length(role)).max().unwrap_or(0).max(5);
        let room = self
            .width
            .saturating_sub(first)
            .div_euclid(cell.saturating_add(2).max(1));
        for (nth, block) in roles.chunks(room.max(1)).enumerate() {
            if nth > 0 {
                self.line("");
            }
            let skipped = nth.saturating_mul(room.max(1));
            let mut line = " ".repeat(first);
            for role in block {
                let _ = write!(line, "  {role}{}", " ".repeat(cell.saturating_sub(length(role))));
            }
            let line = self.painted(BOLD, line.trim_end());
            self.line(&line);
            for (name, entity) in names.iter().zip(&matrix.entities) {
                let mut line = format!("{name}{}", " ".repeat(first.saturating_sub(length(name))));
                for rights in entity.roles.iter().skip(skipped).take(block.len()) {
                    let letters = self.letters(rights);
                    let _ = write!(line, "  {letters}{}", " ".repeat(cell.saturating_sub(5)));
                }
                self.line(line.trim_end());
            }
        }
        self.line("");
        let legend = "C create, R read, L list, U update, D delete: a capital where every row is reached, else a small letter";
        let legend = self.painted(DIM, legend);
        self.line(&legend);
        if let Some(public) = of_public(matrix) {
            self.wrapped(public, 0);
        }
    }

    fn letters(&self, rights: &RoleRights) -> String {
        let mut letters = String::new();
        for (operation, letter) in Operation::ALL.into_iter().zip(["c", "r", "l", "u", "d"]) {
            letters.push_str(&match rights.extent(operation) {
                Extent::Nothing => self.painted(DIM, "-"),
                Extent::Some => self.painted(YELLOW, letter),
                Extent::All => self.painted(GREEN, &letter.to_uppercase()),
            });
        }
        letters
    }

    fn role(&mut self, rights: &RoleRights) {
        let role = one_line(&rights.role);
        for (operations, cell) in rights.merged() {
            let OperationRights {
                operation: _,
                ways,
                walls,
            } = cell;
            let heading = format!("  {}  {}", self.painted(BOLD, &role), joined(&operations));
            self.line(&heading);
            for way in ways {
                self.way(way);
            }
            for Wall { id, at, rows } in walls {
                self.wrapped(&format!("and only where {}", one_line(rows)), 4);
                self.note(&format!("wall `{id}`, {at}"));
            }
        }
    }

    fn way(&mut self, way: &Way) {
        let Way {
            rule,
            at,
            through,
            rows,
            fields,
            forced,
        } = way;
        let mut text = match rows {
            Some(rows) => format!("where {}", one_line(rows)),
            None => "every row".to_owned(),
        };
        if let Some(fields) = fields {
            let _ = write!(text, "; fields: {}", one_line(fields));
        }
        if !forced.is_empty() {
            let _ = write!(text, "; forced: {}", one_line(&forced.join(", ")));
        }
        self.wrapped(&text, 4);
        let through = through
            .as_ref()
            .map_or_else(String::new, |role| format!(", by way of `{role}`"));
        self.note(&format!("rule `{rule}`, {at}{through}"));
    }

    fn note(&mut self, text: &str) {
        let note = self.painted(DIM, &one_line(text));
        self.line(&format!("        {note}"));
    }

    /// Words in lines of the terminal's width; what follows the first line is set in further.
    fn wrapped(&mut self, text: &str, indent: usize) {
        let mut line = " ".repeat(indent);
        let mut is_fresh = true;
        for word in text.split(' ') {
            let needed = length(&line).saturating_add(length(word)).saturating_add(1);
            if !is_fresh && needed > self.width {
                self.line(&line);
                line = " ".repeat(indent.saturating_add(2));
                is_fresh = true;
            }
            if !is_fresh {
                line.push(' ');
            }
            line.push_str(word);
            is_fresh = false;
        }
        self.line(&line);
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn painted(&self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::Yes => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Colour::No => text.to_owned(),
        }
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::matrix::fixture;

    #[test]
    fn the_overview_and_the_words_fit_the_width() {
        let matrix = fixture::matrix();
        for width in [50, 72, 120] {
            let text = render(&matrix, width, Colour::No);
            let widest = text
                .lines()
                .filter(|line| !line.contains('`') && !line.starts_with("C create"));
            assert!(widest.clone().count() > 10);
            for line in widest {
                assert!(length(line) <= width, "{width}: {line}");
            }
            assert!(!text.contains('\u{1b}'));
        }
    }

    #[test]
    fn a_right_of_ones_own_is_not_taken_for_one_of_strangers() {
        let mut matrix = fixture::matrix();
        let told = |matrix: &Matrix| render(matrix, 72, Colour::No).contains("public is everybody; where");
        assert!(!told(&matrix));
        for rights in matrix.entities.iter_mut().flat_map(|entity| &mut entity.roles) {
            rights.role = "public".to_owned();
        }
        assert!(told(&matrix));
    }

    #[test]
    fn letters_tell_how_far_a_role_reaches() {
        let text = render(&fixture::matrix(), 100, Colour::No);
        let line = text.lines().find(|line| line.starts_with("Note ")).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["Note", "-----", "crlud", "CRLUD"]
        );
    }
}
