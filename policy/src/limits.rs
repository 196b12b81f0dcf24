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
    /// Most calls that are worked on at once, over all connections.
    pub max_in_flight: u32,
    /// Complexity for which a call counts as one; what is more complex counts as several. None: each call counts as one.
    pub complexity_per_request: Option<u32>,
}

impl Default for RoleLimits {
    /// For roles of which the policy says nothing.
    fn default() -> Self {
        Self {
            requests_per_minute: 100,
            burst: 20,
            max_complexity: 1_000,
            max_rows: 100,
            max_in_flight: 512,
            complexity_per_request: None,
        }
    }
}

/// What a policy says of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialLimits {
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) burst: Option<u32>,
    pub(crate) max_complexity: Option<u32>,
    pub(crate) max_rows: Option<u32>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) complexity_per_request: Option<u32>,
}

impl RoleLimits {
    /// The limits of a caller to whom all of `parts` apply.
    pub(crate) fn most_generous(parts: &[PartialLimits]) -> Self {
        let most = |of: fn(&PartialLimits) -> Option<u32>| parts.iter().filter_map(of).max();
        let least = Self::default();
        Self {
            requests_per_minute: most(|part| part.requests_per_minute).unwrap_or(least.requests_per_minute),
            burst: most(|part| part.burst).unwrap_or(least.burst),
            max_complexity: most(|part| part.max_complexity).unwrap_or(least.max_complexity),
            max_rows: most(|part| part.max_rows).unwrap_or(least.max_rows),
            max_in_flight: most(|part| part.max_in_flight).unwrap_or(least.max_in_flight),
            complexity_per_request: most(|part| part.complexity_per_request),
        }
    }
}
