//! How much a caller may ask for, by role.

/// Limits of one caller. With several roles the most generous number counts, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleLimits {
    /// Calls per minute, in the long run.
    pub requests_per_minute: u32,
    /// Calls that may come at once.
    pub burst: u32,
    /// Most complex plan; see [`crate::Grant::complexity`].
    pub max_complexity: u32,
    /// Most rows of one answer.
    pub max_rows: u32,
}

impl Default for RoleLimits {
    /// For roles of which the policy says nothing.
    fn default() -> Self {
        Self {
            requests_per_minute: 100,
            burst: 20,
            max_complexity: 1_000,
            max_rows: 100,
        }
    }
}
