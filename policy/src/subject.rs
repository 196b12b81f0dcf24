//! A caller as the policy sees it: roles with all that they inherit, and claims in the types of the columns they meet.

use dbal_shared::ids::Digest;

use crate::limits::RoleLimits;

/// Made once per session by [`crate::Policy::subject`]; good only with the policy that made it.
#[derive(Clone, Debug)]
pub struct Subject {
    pub(crate) policy: Digest,
    pub(crate) limits: RoleLimits,
}
