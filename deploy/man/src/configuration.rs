//! Section 5: the configuration files. Every key is in the examples of docs/config.md, which tests load, so they are shown.

use std::path::Path;

use crate::{PageError, failed, made};

const DOCUMENTATION: &str = include_str!("../../../docs/config.md");

/// One file, and the headings of docs/config.md under which its keys stand.
struct Page {
    name: &'static str,
    about: &'static str,
    description: &'static str,
    headings: &'static [&'static str],
    daemon: &'static str,
}

const PAGES: [Page; 2] = [
    Page {
        name: "broker.yaml",
        about: "configuration of dbal\\-broker",
        description: "Where clients connect, how they prove who they are, and where the worker is. It holds no secret. Relative \
            paths start at the file's folder. Unknown keys are errors that name file, line and column and suggest what was meant.",
        headings: &["## broker.yaml"],
        daemon: "dbal\\-broker",
    },
    Page {
        name: "worker.yaml",
        about: "configuration of dbal\\-worker",
        description: "The database with its credential, and how callers' proofs are verified. It holds secrets and is normally \
            sealed as worker.yaml.age by dbal\\-config\\-encrypt(1); plain, nobody but its owner may read it. Relative paths \
            start at the file's folder. Exactly one kind of database is named.",
        headings: &["## worker.yaml", "### PostgreSQL", "### MariaDB and MySQL"],
        daemon: "dbal\\-worker",
    },
];

/// Both pages.
pub(crate) fn write(folder: &Path) -> Result<(), PageError> {
    let folder = made(folder.join("man/man5"))?;
    for page in PAGES {
        let path = folder.join(format!("{}.5", page.name));
        std::fs::write(&path, text(&page)?).map_err(failed(&path))?;
    }
    Ok(())
}

fn text(page: &Page) -> Result<String, PageError> {
    let Page {
        name,
        about,
        description,
        headings,
        daemon,
    } = page;
    let mut text = format!(
        ".TH {} 5 \"\" \"dbal {}\" dbal\n.SH NAME\n{name} \\- {about}\n.SH SYNOPSIS\n.I /etc/dbal/{name}\n.SH DESCRIPTION\n{description}\n",
        name.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
    );
    for heading in *headings {
        let title = heading.trim_start_matches(['#', ' ']).to_uppercase();
        text.extend([".SH ", &title, "\n.EX\n"]);
        for line in example(heading)?.lines() {
            text.push_str(&verbatim(line));
            text.push('\n');
        }
        text.push_str(".EE\n");
        for (keys, default, about) in table(heading) {
            for part in [
                ".TP\n",
                &verbatim(&keys),
                " (default ",
                &verbatim(&default),
                ")\n",
                &verbatim(&about),
                "\n",
            ] {
                text.push_str(part);
            }
        }
    }
    text.extend([
        ".SH SEE ALSO\n.BR ",
        daemon,
        " (8),\n.BR dbal\\-config (1)\n.PP\n.I /usr/share/doc/dbal/config.md\n",
    ]);
    Ok(text)
}

/// The first block of YAML under a heading.
fn example(heading: &'static str) -> Result<&'static str, PageError> {
    let missing = PageError::NoExample(heading);
    let Some((_, section)) = DOCUMENTATION.split_once(&format!("{heading}\n")) else {
        return Err(missing);
    };
    section
        .split_once("```yaml\n")
        .and_then(|(_, block)| block.split_once("```"))
        .map(|(block, _)| block)
        .ok_or(missing)
}

/// The rows of a section's table of keys: names, default, meaning.
fn table(heading: &str) -> Vec<(String, String, String)> {
    let section = DOCUMENTATION
        .split_once(&format!("{heading}\n"))
        .map_or("", |(_, section)| section);
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix('|'));
    // The first one is the table's head.
    rows.skip(1)
        .filter_map(|row| {
            let mut cells = row.split('|').map(|cell| cell.replace('`', "").trim().to_owned());
            Some((cells.next()?, cells.next()?, cells.next()?))
        })
        .collect()
}

/// roff(7): a backslash, a minus, and a dot or quote at the beginning of a line mean something.
fn verbatim(line: &str) -> String {
    let line = line.replace('\\', r"\e").replace('-', r"\-").replace('…', "...");
    if line.starts_with(['.', '\'']) {
        format!(r"\&{line}")
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_the_documentation_shows_stand_in_the_manual_pages() {
        let [broker, worker] = PAGES.map(|page| text(&page).unwrap());
        for key in ["handshake_ms", "token_in_query", "leave_network", "certificate"] {
            assert!(
                broker.contains(key) || !DOCUMENTATION.contains(key),
                "{key}:\n{broker}"
            );
        }
        for key in [
            "sqlite:",
            "postgresql:",
            "mysql:",
            "ssl_mode:",
            "allow_uid:",
            "durability:",
        ] {
            assert!(worker.contains(key), "{key}:\n{worker}");
        }
    }

    #[test]
    fn nothing_of_an_example_is_taken_for_roff() {
        assert_eq!(verbatim(".SH x"), r"\&.SH x");
        assert_eq!(verbatim(r"- a\b"), r"\- a\eb");
    }
}
