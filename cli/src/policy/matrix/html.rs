//! The matrix as one page for auditors: to search, to print, and safe to open. It loads nothing, and its policy (CSP Level 3) lets
//! nothing run but the one script and the one style sheet that it holds, known by their hashes.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dbal_review::matrix::{EntityRights, Extent, Matrix, OperationRights, RoleRights};
use dbal_shared::plan::Operation;
use sha2::{Digest as _, Sha256};

use super::{joined, of_public};
use crate::visible::one_line;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(super) fn render(matrix: &Matrix) -> String {
    let Matrix {
        hash,
        roles,
        entities,
    } = matrix;
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{}'; style-src '{}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Who may do what</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        digest(SCRIPT),
        digest(STYLE)
    );
    let _ = write!(
        out,
        "<header>\n<h1>Who may do what</h1>\n<p>{} entities, {} roles. What is not listed is refused. Policy <code>{}</code></p>\n\
         </header>\n",
        entities.len(),
        roles.len(),
        escaped(hash)
    );
    overview(&mut out, matrix);
    controls(&mut out, matrix);
    details(&mut out, entities);
    let _ = write!(out, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

/// As a source expression of a content security policy (<https://www.w3.org/TR/CSP3/#grammardef-hash-source>).
fn digest(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn overview(out: &mut String, matrix: &Matrix) {
    out.push_str("<section class=\"overview\">\n<table>\n<thead><tr><th scope=\"col\">Entity</th>");
    for role in &matrix.roles {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(role));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for entity in &matrix.entities {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escaped(&entity.name));
        for rights in &entity.roles {
            cell(out, entity, rights);
        }
        out.push_str("</tr>\n");
    }
    out.push_str(
        "</tbody>\n</table>\n<p class=\"legend\"><b class=\"all\">R</b> every row <b class=\"some\">R</b> some rows \
         <b class=\"nothing\">·</b> nothing — <b>C</b>reate, <b>R</b>ead, <b>L</b>ist, <b>U</b>pdate, <b>D</b>elete</p>\n",
    );
    if let Some(public) = of_public(matrix) {
        let _ = writeln!(out, "<p class=\"legend\">{}</p>", escaped(public));
    }
    out.push_str("</section>\n");
}

fn cell(out: &mut String, entity: &EntityRights, rights: &RoleRights) {
    let _ = write!(
        out,
        "<td><button type=\"button\" data-entity=\"{}\" data-role=\"{}\" aria-label=\"{} on {}\">",
        escaped(&entity.name),
        escaped(&rights.role),
        escaped(&rights.role),
        escaped(&entity.name)
    );
    for (operation, letter) in Operation::ALL.into_iter().zip(["C", "R", "L", "U", "D"]) {
        let name = operation.name();
        let _ = match rights.extent(operation) {
            Extent::All => write!(out, "<b class=\"all\" title=\"{name}: every row\">{letter}</b>"),
            Extent::Some => write!(out, "<b class=\"some\" title=\"{name}: some rows\">{letter}</b>"),
            Extent::Nothing => write!(out, "<b class=\"nothing\" title=\"{name}: nothing\">·</b>"),
        };
    }
    out.push_str("</button></td>");
}

fn controls(out: &mut String, matrix: &Matrix) {
    out.push_str(
        "<form class=\"controls\">\n<label>Search <input type=\"search\" id=\"words\" placeholder=\"any word: email, tenantId, \
         delete…\" autocomplete=\"off\"></label>\n",
    );
    let names = matrix.entities.iter().map(|entity| entity.name.as_str());
    choice(out, "entity", "Entity", names);
    choice(out, "role", "Role", matrix.roles.iter().map(String::as_str));
    choice(
        out,
        "operation",
        "Operation",
        Operation::ALL.into_iter().map(Operation::name),
    );
    out.push_str("<button type=\"reset\">Show all</button> <output id=\"count\"></output>\n</form>\n");
}

fn choice<'a>(out: &mut String, id: &str, label: &str, options: impl Iterator<Item = &'a str>) {
    let _ = write!(
        out,
        "<label>{label} <select id=\"{id}\"><option value=\"\">any</option>"
    );
    for option in options {
        let option = escaped(option);
        let _ = write!(out, "<option value=\"{option}\">{option}</option>");
    }
    out.push_str("</select></label>\n");
}

fn details(out: &mut String, entities: &[EntityRights]) {
    out.push_str(
        "<table class=\"details\">\n<thead><tr><th scope=\"col\">Entity</th><th scope=\"col\">Role</th><th scope=\"col\">May</th>\
         <th scope=\"col\">Rows</th><th scope=\"col\">Fields</th><th scope=\"col\">By</th></tr></thead>\n",
    );
    for entity in entities {
        out.push_str("<tbody>\n");
        let mut is_empty = true;
        for rights in &entity.roles {
            for (operations, cell) in rights.merged() {
                is_empty = false;
                detail(out, entity, rights, &operations, cell);
            }
        }
        if is_empty {
            let _ = writeln!(
                out,
                "<tr data-entity=\"{0}\" data-role=\"\" data-operations=\"\"><th scope=\"row\">{0}</th>\
                 <td colspan=\"5\">nobody may do anything</td></tr>",
                escaped(&entity.name)
            );
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table>\n");
}

/// One line for each rule; what narrows all of them stands with each, so that no line reads as more than it is.
fn detail(
    out: &mut String,
    entity: &EntityRights,
    rights: &RoleRights,
    operations: &[Operation],
    cell: &OperationRights,
) {
    let OperationRights {
        operation: _,
        ways,
        walls,
    } = cell;
    for way in ways {
        let names = joined(operations);
        let _ = write!(
            out,
            "<tr data-entity=\"{0}\" data-role=\"{1}\" data-operations=\"{2}\"><th scope=\"row\">{0}</th><td>{1}</td><td class=\"may\">",
            escaped(&entity.name),
            escaped(&rights.role),
            names.replace(", ", " ")
        );
        for operation in operations {
            let _ = write!(out, "<span class=\"op {0}\">{0}</span> ", operation.name());
        }
        out.push_str("</td><td>");
        match &way.rows {
            Some(rows) => {
                let _ = write!(out, "<code>{}</code>", escaped(rows));
            }
            None => out.push_str("<em>every row</em>"),
        }
        for wall in walls {
            let _ = write!(
                out,
                "<div class=\"wall\">and only <code>{}</code> <small>wall {}, {}</small></div>",
                escaped(&wall.rows),
                escaped(&wall.id),
                escaped(&wall.at.to_string())
            );
        }
        let _ = write!(
            out,
            "</td><td>{}",
            way.fields.as_deref().map(escaped).unwrap_or_default()
        );
        for forced in &way.forced {
            let _ = write!(
                out,
                "<div class=\"forced\">forced <code>{}</code></div>",
                escaped(forced)
            );
        }
        let _ = write!(
            out,
            "</td><td><code>{}</code> <small>{}</small>",
            escaped(&way.rule),
            escaped(&way.at.to_string())
        );
        if let Some(through) = &way.through {
            let _ = write!(
                out,
                "<div><small>inherited from {}</small></div>",
                escaped(through)
            );
        }
        out.push_str("</td></tr>\n");
    }
}

/// For text and for quoted attributes (HTML Standard §13.3).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in one_line(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::matrix::fixture;

    #[test]
    fn nothing_that_is_input_becomes_markup() {
        assert_eq!(
            escaped("<img src=x onerror='a(\"b\")'>&"),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;"
        );
        let page = render(&fixture::hostile());
        assert_eq!(page.matches("<script>").count(), 1);
        assert_eq!(page.matches("</script>").count(), 1);
        assert_eq!(page.matches("<img").count(), 0);
    }

    #[test]
    fn the_page_loads_nothing_and_runs_only_what_its_policy_names() {
        let page = render(&fixture::matrix());
        assert!(page.contains(&format!(
            "script-src '{}'; style-src '{}'",
            digest(SCRIPT),
            digest(STYLE)
        )));
        assert!(page.contains("default-src 'none'"));
        for part in [
            "http://",
            "https://",
            "src=\"",
            "@import",
            "url(",
            " onclick",
            " style=\"",
            "innerHTML",
            "eval(",
        ] {
            assert!(!page.contains(part), "{part}");
        }
        // A script that ended the element early would be cut off, and its hash would not fit.
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
    }

    #[test]
    fn every_cell_is_told() {
        let page = render(&fixture::matrix());
        assert!(page.contains(
            "data-entity=\"Note\" data-role=\"user\" data-operations=\"create read list update delete\""
        ));
        assert!(page.contains("<code>ownerId = $user.id</code>"));
    }
}
