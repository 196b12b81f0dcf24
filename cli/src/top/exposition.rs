//! The page that Prometheus reads (OpenMetrics text), taken apart. A broker that was taken over may write anything there.

/// Most lines with figures that are looked at. All of a broker's are a few hundred.
const SERIES: usize = 20_000;
/// Most labels of one of them; none of ours has more than two and the bucket's.
const LABELS: usize = 8;

/// One figure.
#[derive(Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

impl Series {
    /// A label's value.
    pub(super) fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, value)| value)
    }
}

/// All figures of a page, or what is wrong with it.
pub(super) fn parse(page: &str) -> Result<Vec<Series>, String> {
    let mut found = Vec::new();
    let mut has_end = false;
    for line in page.lines() {
        if let Some(comment) = line.strip_prefix('#') {
            has_end = comment == " EOF";
        } else if !line.is_empty() {
            if found.len() >= SERIES {
                return Err(format!("more than {SERIES} figures"));
            }
            found.push(series(line).ok_or("not a page of metrics")?);
        }
    }
    if has_end {
        Ok(found)
    } else {
        Err("the page of metrics is cut off".to_owned())
    }
}

/// `name{label="value",…} number`
fn series(line: &str) -> Option<Series> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at_checked(end)?;
    let mut labels = Vec::new();
    if let Some(within) = rest.strip_prefix('{') {
        rest = within;
        while !rest.starts_with('}') {
            if labels.len() >= LABELS {
                return None;
            }
            let (label, behind) = rest.split_once("=\"")?;
            let (value, behind) = quoted(behind)?;
            labels.push((label.to_owned(), value));
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()?;
    Some(Series {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()?.1 {
            '"' => return Some((value, letters.as_str())),
            '\\' => value.push(match letters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn figures_are_read_as_the_broker_writes_them() {
        let page = "# HELP dbal_requests Requests.\n# TYPE dbal_requests counter\n\
            dbal_requests_total{method=\"list\",status=\"success\",code=\"ok\"} 12\n\
            dbal_request_duration_seconds_bucket{le=\"+Inf\",method=\"a\\\"b\\\\\\n\"} 3\n\
            dbal_sessions 0\n# EOF\n";
        let found = parse(page).unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].name, "dbal_requests_total");
        assert_eq!((found[0].label("method"), found[0].label("code")), ("list", "ok"));
        assert_eq!(found[1].label("method"), "a\"b\\\n");
        assert!((found[1].value - 3.0).abs() < f64::EPSILON);
        assert_eq!(found[2].labels, []);
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_told() {
        assert!(parse("dbal_sessions 0\n").unwrap_err().contains("cut off"));
        assert!(parse("<html>\n# EOF\n").unwrap_err().contains("not a page"));
        let many = "a 1\n".repeat(SERIES + 1) + "# EOF\n";
        assert!(parse(&many).unwrap_err().contains("more than"));
        let labels = (0..9).map(|number| format!("l{number}=\"\"")).collect::<Vec<_>>();
        assert!(parse(&format!("a{{{}}} 1\n# EOF\n", labels.join(","))).is_err());
    }

    proptest! {
        #[test]
        fn any_page_is_read_or_refused(page in "(\\PC|[\"{}=\\\\, \n])*") {
            let _ = parse(&(page + "\n# EOF\n"));
        }
    }
}
