//! Why a reload failed, in one line that also says what to do where the sandbox is the likely reason.

use std::error::Error;
use std::io;

/// The error with its causes.
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let mut text = crate::causes(error);
    let mut cause = Some(error);
    while let Some(error) = cause {
        let is_forbidden = error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        if is_forbidden {
            text.push_str("; a file beside the configuration can be rewritten, not replaced, while a daemon runs (docs/config.md, Reloading)");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("acl.yaml can't be read")]
    struct Unreadable(#[source] io::Error);

    #[test]
    fn a_file_that_the_sandbox_hides_is_told_with_what_to_do() {
        let hidden = reason(&Unreadable(io::ErrorKind::PermissionDenied.into()));
        assert!(
            hidden.starts_with("acl.yaml can't be read: permission denied; a file beside"),
            "{hidden}"
        );
        let missing = reason(&Unreadable(io::ErrorKind::NotFound.into()));
        assert!(!missing.contains("beside"), "{missing}");
    }
}
