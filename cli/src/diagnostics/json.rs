//! Findings for programs: one object, keys kept for good.

use dbal_review::finding::Finding;
use serde_json::json;

use super::Count;

pub(super) fn render(findings: &[Finding]) -> String {
    let Count {
        errors,
        warnings,
        notes,
    } = Count::of(findings);
    let listed: Vec<_> = findings
        .iter()
        .map(|finding| {
            let Finding {
                code,
                at,
                text,
                advice,
            } = finding;
            json!({
                "code": code.name(),
                "severity": code.severity().name(),
                "file": &*at.file,
                "line": at.line,
                "column": at.column,
                "message": text,
                "advice": advice,
            })
        })
        .collect();
    let all = json!({
        "version": 1,
        "errors": errors,
        "warnings": warnings,
        "notes": notes,
        "findings": listed,
    });
    format!("{all:#}\n")
}
