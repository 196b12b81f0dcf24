//! A finding with the line that it is about and a mark under the words.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use dbal_review::finding::{Finding, Severity};
use dbal_schema::Location;

use crate::visible::painted_lines;

/// Whether colour may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Yes,
    No,
}

impl Colour {
    /// In a terminal, unless <https://no-color.org> or a terminal that knows none says otherwise.
    pub(crate) fn wanted() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        if is_unwanted { Colour::No } else { Colour::Yes }
    }
}

pub(super) fn render(findings: &[Finding], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Yes => Renderer::styled(),
        Colour::No => Renderer::plain(),
    };
    let mut files: HashMap<Arc<str>, Option<String>> = HashMap::new();
    let mut out = String::new();
    for finding in findings {
        let file = Arc::clone(&finding.at.file);
        let text = files
            .entry(file)
            .or_insert_with_key(|file| fs::read_to_string(&**file).ok());
        out.push_str(&rendered(&renderer, group(finding, text.as_deref())));
        out.push_str("\n\n");
    }
    out
}

/// What the renderer lets pass of the file, a terminal may obey all the same; of what begins with an escape character it passes nothing.
fn rendered(renderer: &Renderer, group: Group<'_>) -> String {
    painted_lines(&renderer.render(&[group]))
}

fn group<'a>(finding: &'a Finding, file: Option<&'a str>) -> Group<'a> {
    let Finding {
        code,
        at,
        text,
        advice,
    } = finding;
    let level = match code.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(text.as_str()).id(code.name());
    let group = match file.and_then(|file| span(file, at).map(|span| (file, span))) {
        Some((file, span)) => title.element(
            Snippet::source(file)
                .path(&*at.file)
                .annotation(AnnotationKind::Primary.span(span)),
        ),
        None => title.element(Origin::path(&*at.file)),
    };
    match advice {
        Some(advice) => group.element(Level::HELP.message(advice.as_str())),
        None => group,
    }
}

/// The bytes of the file that a place means: a quoted text, a word, or one character.
fn span(file: &str, at: &Location) -> Option<Range<usize>> {
    let before = usize::try_from(at.line.checked_sub(1)?).ok()?;
    let start_of_line: usize = file.split_inclusive('\n').take(before).map(str::len).sum();
    let line = file.get(start_of_line..)?.lines().next()?;
    let skipped = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let within = line
        .char_indices()
        .map(|(at, _)| at)
        .chain([line.len()])
        .nth(skipped)?;
    let start = start_of_line.checked_add(within)?;
    let length = length(line.get(within..)?);
    Some(start..start.checked_add(length)?)
}

fn length(rest: &str) -> usize {
    let is_wordy = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '$' | '.' | '-');
    let first = rest.chars().next();
    if let Some(quote @ ('"' | '\'')) = first {
        let inner = rest.get(1..).unwrap_or_default();
        return inner.find(quote).map_or(1, |end| end.saturating_add(2));
    }
    let word = rest.find(|letter| !is_wordy(letter)).unwrap_or(rest.len());
    // An item of a list begins with what it says, and all of the line says it.
    word.max(first.map_or(0, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible::is_harmless;
    use dbal_review::finding::Code;

    fn at(line: u32, column: u32) -> Location {
        Location {
            file: "acl.yaml".into(),
            line,
            column,
        }
    }

    #[test]
    fn a_place_covers_the_word_or_the_quoted_text_that_begins_there() {
        let file = "a: b\nrows: \"ä = $user.idd\" # x\n";
        let covered = |line, column| span(file, &at(line, column)).and_then(|span| file.get(span));
        assert_eq!(covered(2, 12), Some("$user.idd"));
        assert_eq!(covered(2, 7), Some("\"ä = $user.idd\""));
        assert_eq!(covered(2, 10), Some("="));
        assert_eq!(covered(1, 5), Some(""));
        assert_eq!(covered(1, 9), None);
        assert_eq!(covered(0, 0), None);
        assert_eq!(covered(9, 1), None);
    }

    #[test]
    fn a_finding_shows_its_line_with_a_mark_and_its_advice() {
        let finding = Finding {
            code: Code::Invalid,
            at: at(2, 12),
            text: "`Note` has no claim `idd`".to_owned(),
            advice: Some("did you mean `id`?".to_owned()),
        };
        let file = "version: 1\n  - rows: \"ownerId = $user.idd\"\n";
        let finding = Finding {
            at: at(2, 22),
            ..finding
        };
        let shown = Renderer::plain().render(&[group(&finding, Some(file))]);
        assert_eq!(
            shown,
            "\
error[invalid]: `Note` has no claim `idd`
 --> acl.yaml:2:22
  |
2 |   - rows: \"ownerId = $user.idd\"
  |                      ^^^^^^^^^
  |
  = help: did you mean `id`?"
        );
    }

    #[test]
    fn what_would_move_the_cursor_is_not_printed() {
        let finding = Finding {
            code: Code::Odd,
            at: at(1, 1),
            text: "role `\u{1b}[2Jx` is odd".to_owned(),
            advice: None,
        };
        let file = "\u{1b}[2Jx\u{9b}\u{202e}\r: 1\n";
        let shown = rendered(&Renderer::plain(), group(&finding, Some(file)));
        assert!(is_harmless(&shown, false), "{shown:?}");
        let painted = rendered(&Renderer::styled(), group(&finding, Some(file)));
        assert!(
            !painted.contains("\u{1b}[2J") && !painted.contains('\u{9b}'),
            "{painted:?}"
        );
        assert!(!super::super::plain::render(&[finding]).contains('\u{1b}'));
    }
}
