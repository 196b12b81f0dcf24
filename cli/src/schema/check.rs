//! `dbal schema check` and `apply`: what differs between a live database and the entities, for a person to read.

use serde::Deserialize;

use super::worker::{Asked, parsed};
use crate::error::ToolError;
use crate::indent::indented;
use crate::output;
use crate::visible::one_line;

#[derive(Debug, Deserialize)]
struct Answer {
    adapter: String,
    entities: u64,
    made: Vec<String>,
    findings: Vec<Finding>,
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    weight: Weight,
    entity: String,
    table: String,
    field: Option<String>,
    column: Option<String>,
    what: String,
    advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Weight {
    Refuses,
    Matters,
    Advice,
}

/// Each weight, and what it means.
const WEIGHTS: [(Weight, &str); 3] = [
    (Weight::Refuses, "the worker does not start"),
    (
        Weight::Matters,
        "some calls fail, or do something else than the entity says",
    ),
    (Weight::Advice, "works; worth a look"),
];

pub(super) fn run(asked: &Asked, task: &str, json: bool) -> Result<(), ToolError> {
    let text = asked.answer(task)?;
    let answer: Answer = parsed(&text)?;
    if json {
        output::line(format_args!("{}", indented(text.trim_end())))?;
    } else {
        output::print(shown(&answer))?;
    }
    let matters = answer
        .findings
        .iter()
        .filter(|finding| finding.weight != Weight::Advice);
    match matters.count() {
        0 => Ok(()),
        1 => Err(ToolError::Failed("1 difference matters".to_owned())),
        count => Err(ToolError::Failed(format!("{count} differences matter"))),
    }
}

fn shown(answer: &Answer) -> String {
    let Answer {
        adapter,
        entities,
        made,
        findings,
        warnings,
    } = answer;
    let mut lines: Vec<String> = warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .collect();
    lines.extend(made.iter().map(|made| format!("made {made}")));
    for (weight, meaning) in WEIGHTS {
        let mut of_weight = findings
            .iter()
            .filter(|finding| finding.weight == weight)
            .peekable();
        if of_weight.peek().is_some() {
            lines.push(format!("{meaning}:"));
        }
        let rows: Vec<(String, String, &Finding)> = of_weight
            .map(|finding| (finding.field_name(), finding.place(), finding))
            .collect();
        let first = rows
            .iter()
            .map(|(field, _, _)| field.chars().count())
            .max()
            .unwrap_or(0);
        let second = rows
            .iter()
            .map(|(_, place, _)| place.chars().count())
            .max()
            .unwrap_or(0);
        for (field, place, finding) in &rows {
            lines.push(format!("  {field:<first$}  {place:<second$}  {}", finding.what));
            lines.push(format!("  {:<first$}  {:<second$}  → {}", "", "", finding.advice));
        }
    }
    if findings.is_empty() {
        lines.push(format!("the {adapter} database fits the entities ({entities})"));
    }
    let lines: Vec<String> = lines.iter().map(|line| format!("{}\n", one_line(line))).collect();
    lines.concat()
}

impl Finding {
    fn field_name(&self) -> String {
        match &self.field {
            Some(field) => format!("{}.{field}", self.entity),
            None => self.entity.clone(),
        }
    }

    fn place(&self) -> String {
        match &self.column {
            Some(column) => format!("{}.{column}", self.table),
            None => self.table.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_in_columns_under_what_they_mean() {
        let answer: Answer = parsed(
            r#"{"adapter":"sqlite","entities":2,"made":["the table `a`"],"warnings":["w"],"findings":[
              {"weight":"advice","entity":"A","table":"a","field":null,"column":null,"what":"w1","advice":"d1","can_be_made":false},
              {"weight":"refuses","entity":"B","table":"bs","field":"long","column":"l\u001b[2J","what":"w2","advice":"d2","can_be_made":true},
              {"weight":"refuses","entity":"B","table":"bs","field":null,"column":null,"what":"w3","advice":"d3","can_be_made":true}]}"#,
        )
        .unwrap();
        assert_eq!(
            shown(&answer),
            "warning: w\nmade the table `a`\nthe worker does not start:\n\
             \x20 B.long  bs.l\u{fffd}[2J  w2\n\
             \x20                   → d2\n\
             \x20 B       bs        w3\n\
             \x20                   → d3\n\
             works; worth a look:\n\
             \x20 A  a  w1\n\
             \x20       → d1\n"
        );
    }
}
