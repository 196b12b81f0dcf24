//! May they ask now? Rates and calls at once per principal; and per address for what fails before anyone is known.

mod table;
mod rate;
mod turns;
mod shares;
mod arrivals;
mod squandered;
mod strikes;
mod guesses;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dbal_policy::RoleLimits;
use dbal_shared::fault::Code;

use crate::auth::Caller;
use crate::respond::{Kind, Refusal};
use rate::{Held, Quota, Rates};

pub use arrivals::Arrivals;
pub use guesses::Guesses;
pub use shares::{Share, Shares};
pub use squandered::Squandered;
pub use strikes::Strikes;
pub use turns::{Turn, Turns};

/// When to try again for whom too many calls are worked on: most are done within a second.
const SOON: Duration = Duration::from_secs(1);

/// Limits calls per principal, as the policy says for their roles.
pub struct Admission {
    known: Rates,
    /// Those who proved nothing have their own table, so that many addresses can't crowd known principals out of theirs.
    anonymous: Rates,
    turns: Arc<Turns>,
}

/// Proof that a call was admitted, and until when it may take. The call counts as worked on while it lives.
pub struct Permit {
    deadline: tokio::time::Instant,
    _turn: Turn,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Nobody has called yet.
    pub fn new() -> Self {
        Self {
            known: Rates::new(),
            anonymous: Rates::new(),
            turns: Arc::default(),
        }
    }

    /// Takes so many calls from the caller's bucket, or none of them.
    pub fn admit(
        &self,
        caller: &Caller,
        calls: NonZeroU32,
        deadline: tokio::time::Instant,
    ) -> Result<Permit, Refusal> {
        let limits = caller.policy().limits(caller.subject());
        self.take(caller, &limits, calls)?;
        let turn = self.turns.begin(caller.rate_key(), limits.max_in_flight);
        let turn = turn.ok_or_else(|| {
            Refusal::rate_limited(SOON, format!("{} calls are worked on", limits.max_in_flight))
        })?;
        Ok(Permit {
            deadline,
            _turn: turn,
        })
    }

    /// Takes what a call counts for beyond the one that [`Admission::admit`] took, where the policy counts by complexity. A
    /// call that counts for more than the whole bucket takes the whole bucket: whether it is too complex at all is the
    /// policy's to say.
    pub fn charge(&self, caller: &Caller, complexity: u32) -> Result<(), Refusal> {
        let limits = caller.policy().limits(caller.subject());
        let Some(each) = limits.complexity_per_request else {
            return Ok(());
        };
        let count = complexity.div_ceil(each.max(1)).min(limits.burst);
        match NonZeroU32::new(count.saturating_sub(1)) {
            Some(more) => self.take(caller, &limits, more),
            None => Ok(()),
        }
    }

    fn take(&self, caller: &Caller, limits: &RoleLimits, calls: NonZeroU32) -> Result<(), Refusal> {
        let RoleLimits {
            requests_per_minute,
            burst,
            ..
        } = *limits;
        let rates = if caller.session().principal().id.is_none() {
            &self.anonymous
        } else {
            &self.known
        };
        match rates.take(caller.rate_key(), Quota::new(requests_per_minute, burst), calls) {
            Ok(()) => Ok(()),
            Err(Held::For(wait)) => Err(Refusal::rate_limited(
                wait,
                format!("{requests_per_minute} calls per minute"),
            )),
            Err(Held::ForEver) => Err(Refusal::new(
                Kind::Code(Code::TooLarge),
                format!("{calls} calls at once; the rate limit lets {burst} through"),
            )),
        }
    }
}

impl Permit {
    /// When the answer must be there; a client may be less patient than the daemon, never more.
    pub fn until(&self, deadline: tokio::time::Instant) -> tokio::time::Instant {
        self.deadline.min(deadline)
    }
}
