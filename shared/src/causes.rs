//! Names what led to an error: an operator needs the first cause, not only what it stopped.

/// An error and its causes, on one line. Some errors quote their cause themselves; it is not said twice.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("not found")]
        Root,
        #[error("a.yaml: {0}")]
        Quotes(#[source] Box<Example>),
        #[error("can't start")]
        Wraps(#[source] Box<Example>),
    }

    #[test]
    fn every_cause_is_named_once() {
        let quotes = Example::Quotes(Box::new(Example::Root));
        assert_eq!(
            causes(&Example::Wraps(Box::new(quotes))),
            "can't start: a.yaml: not found"
        );
    }
}
