//! The matrix as Markdown tables, one for each entity.

use std::fmt::Write as _;

use dbal_review::matrix::{Matrix, OperationRights};

use super::{joined, of_public};
use crate::visible::one_line;

pub(super) fn render(matrix: &Matrix) -> String {
    let Matrix {
        hash,
        roles: _,
        entities,
    } = matrix;
    let mut out = format!("# Who may do what\n\nPolicy {}.\n", escaped(hash));
    if let Some(public) = of_public(matrix) {
        let _ = writeln!(out, "\n{}", escaped(public));
    }
    for entity in entities {
        let _ = writeln!(out, "\n## {}\n", escaped(&entity.name));
        if let Some(description) = &entity.description {
            let _ = writeln!(out, "{}\n", escaped(description));
        }
        out.push_str("| role | may | rows | fields | by |\n|---|---|---|---|---|\n");
        let mut is_empty = true;
        for rights in &entity.roles {
            for (operations, cell) in rights.merged() {
                is_empty = false;
                rows(&mut out, &rights.role, &joined(&operations), cell);
            }
        }
        if is_empty {
            out.push_str("| nobody | | | | |\n");
        }
    }
    out
}

fn rows(out: &mut String, role: &str, operations: &str, cell: &OperationRights) {
    let OperationRights {
        operation: _,
        ways,
        walls,
    } = cell;
    let mut walled = String::new();
    for wall in walls {
        let _ = write!(
            walled,
            " **and** {} (wall {})",
            escaped(&wall.rows),
            escaped(&wall.id)
        );
    }
    for way in ways {
        let condition = way
            .rows
            .as_deref()
            .map_or_else(|| "every row".to_owned(), escaped);
        let mut fields = way.fields.as_deref().map(escaped).unwrap_or_default();
        if !way.forced.is_empty() {
            let _ = write!(fields, "; forced: {}", escaped(&way.forced.join(", ")));
        }
        let _ = writeln!(
            out,
            "| {} | {operations} | {condition}{walled} | {fields} | {} ({}) |",
            escaped(role),
            escaped(&way.rule),
            escaped(&way.at.to_string()),
        );
    }
}

/// What Markdown or HTML would take for markup is told apart by a backslash (CommonMark §2.4: any ASCII punctuation may be
/// escaped so).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in one_line(text).chars() {
        if letter.is_ascii_punctuation()
            && !matches!(
                letter,
                '.' | ',' | ':' | '\'' | '-' | '/' | '=' | '(' | ')' | '$' | ';'
            )
        {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::matrix::fixture;

    #[test]
    fn markup_in_names_and_expressions_stays_text() {
        assert_eq!(
            escaped("a|b <i>*x*</i> [l](u) `c`\n# h"),
            "a\\|b \\<i\\>\\*x\\*\\</i\\> \\[l\\](u) \\`c\\`\u{fffd}\\# h"
        );
        let text = render(&fixture::hostile());
        let unescaped = text.replace("\\<", "");
        assert!(!unescaped.contains('<'), "{text}");
    }

    #[test]
    fn each_rule_of_a_cell_has_a_line() {
        let text = render(&fixture::matrix());
        assert!(
            text.contains("| user | create, read, list, update, delete | ownerId = $user.id | "),
            "{text}"
        );
    }
}
