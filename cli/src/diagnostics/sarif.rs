//! Findings as SARIF 2.1.0 (OASIS, 2020), which code hosts show beside the lines of a change.

use std::fmt::Write as _;

use dbal_review::finding::{Code, Finding};
use serde_json::{Value, json};

pub(super) fn render(findings: &[Finding]) -> String {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.name(),
                "shortDescription": {"text": code.meaning()},
                "defaultConfiguration": {"level": code.severity().name()},
            })
        })
        .collect();
    let results: Vec<Value> = findings.iter().map(result).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "dbal policy check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

fn result(finding: &Finding) -> Value {
    let Finding {
        code,
        at,
        text,
        advice,
    } = finding;
    let text = match advice {
        Some(advice) => format!("{text}; {advice}"),
        None => text.clone(),
    };
    let file = json!({"uri": uri(&at.file)});
    let place = if at.line > 0 {
        json!({
            "artifactLocation": file,
            "region": {"startLine": at.line, "startColumn": at.column.max(1)},
        })
    } else {
        json!({"artifactLocation": file})
    };
    json!({
        "ruleId": code.name(),
        "ruleIndex": Code::ALL.iter().position(|known| known == code),
        "level": code.severity().name(),
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    })
}

/// A path as a URI reference (RFC 3986 §4.1): relative ones stay so, since code hosts know files by their path in the repository.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.strip_prefix("./").unwrap_or(path).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbal_schema::Location;

    #[test]
    fn a_result_names_its_rule_and_its_place() {
        let finding = Finding {
            code: Code::Odd,
            at: Location {
                file: "./my rules/acl.yaml".into(),
                line: 3,
                column: 7,
            },
            text: "odd".to_owned(),
            advice: Some("change it".to_owned()),
        };
        let log: Value = serde_json::from_str(&render(&[finding])).unwrap();
        let run = &log["runs"][0];
        let result = &run["results"][0];
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        assert_eq!(result["message"]["text"], "odd; change it");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "my%20rules/acl.yaml");
        assert_eq!(place["region"], json!({"startLine": 3, "startColumn": 7}));
    }

    #[test]
    fn a_finding_about_a_whole_file_has_no_region() {
        let finding = Finding {
            code: Code::Invalid,
            at: Location {
                file: "/etc/dbal/acl.yaml".into(),
                line: 0,
                column: 0,
            },
            text: "empty".to_owned(),
            advice: None,
        };
        let place = &result(&finding)["locations"][0]["physicalLocation"];
        assert_eq!(
            place,
            &json!({"artifactLocation": {"uri": "file:///etc/dbal/acl.yaml"}})
        );
    }
}
