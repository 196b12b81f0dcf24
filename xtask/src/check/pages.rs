//! Manual pages are made from the command lines, so they are true; that they are pages is looked at here.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use super::Finding;
use crate::man;
use crate::run::{SHIPPED, command, needed, target};

/// Makes all pages and completions; `man` formats each page, and each word of warning is a failure.
pub fn check() -> Result<Finding, Box<dyn Error>> {
    let rule = "each program has a manual page that formats without a warning, and completions";
    if let Err(missing) = needed("man", "man-db") {
        return Ok(Finding {
            rule,
            seen: 0,
            broken: vec![missing],
        });
    }
    let folder = target().join("man");
    man::make(&folder)?;
    let (mut seen, mut broken) = (0, Vec::new());
    for section in ["man1", "man5", "man8"] {
        let mut pages: Vec<PathBuf> = fs::read_dir(folder.join("man").join(section))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        pages.sort();
        for page in pages {
            seen += 1;
            // lintian's own way: `man` would otherwise wrap what a terminal of no width can't hold.
            let mut format = command("man", ["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]);
            format.arg(&page).env("MANROFFSEQ", "").env("MANWIDTH", "80");
            let told = format.output()?;
            let words = String::from_utf8_lossy(&told.stderr).into_owned();
            broken.extend(words.lines().map(|line| format!("{}: {line}", page.display())));
            if !told.status.success() || told.stdout.is_empty() {
                broken.push(format!("{}: no page", page.display()));
            }
        }
    }
    for name in SHIPPED {
        let whole = ["man1", "man8"].iter().any(|section| {
            folder
                .join("man")
                .join(section)
                .join(format!("{name}.{}", &section[3..]))
                .exists()
        });
        if !whole {
            broken.push(format!("{name} has no page"));
        }
        for completion in [format!("{name}.bash"), format!("_{name}"), format!("{name}.fish")] {
            seen += 1;
            if !folder.join("completions").join(&completion).exists() {
                broken.push(format!("there is no completion {completion}"));
            }
        }
    }
    Ok(Finding { rule, seen, broken })
}
