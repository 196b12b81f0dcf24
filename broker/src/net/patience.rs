//! What the clock makes of a connection: nobody answers, nobody proves anything, a message never comes to its end. No clock
//! of its own and no socket: it is told the time, and tells when it wants to be asked again.

use std::time::Duration;

use tokio::time::Instant;

use super::close::Closing;
use super::connection::ConnectionLimits;

/// A connection that shows a proof and asks nothing is judged after so long: its principal has a limit of connections.
const OWN_PROOF: Duration = Duration::from_secs(1);
/// How soon a session that the worker ended is noticed on a connection that asks nothing, and a proof that could not be judged
/// is judged again.
const SESSION_CHECK: Duration = Duration::from_secs(15);
/// How often a long message is looked at while it comes.
const PART_CHECK: Duration = Duration::from_secs(1);

/// What is known of who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proven {
    /// Somebody, or nobody where the policy lets nobody in.
    Somebody,
    /// There is a proof that nobody has judged, or a call that is worked on.
    NotYetJudged,
    /// A proof that is not looked at: its address or its principal has too many.
    HeldBack,
    /// No proof that holds.
    Nothing,
}

/// A message of which only a part has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// When its first byte came.
    pub(super) since: Instant,
    /// Whether it takes memory that is short.
    pub(super) is_weighed: bool,
}

/// The patience with one connection.
#[derive(Debug)]
pub(super) struct Patience {
    limits: ConnectionLimits,
    opened: Instant,
    heard: Instant,
    looked: Instant,
    /// Since when its socket is read. None while it is not: what a client does meanwhile can't be seen, so nothing counts
    /// against it.
    listening: Option<Instant>,
}

impl Patience {
    /// With a connection that was opened now.
    pub(super) fn new(limits: ConnectionLimits, now: Instant) -> Self {
        Self {
            limits,
            opened: now,
            heard: now,
            looked: now,
            listening: Some(now),
        }
    }

    /// Whether its socket is read from now on.
    pub(super) fn listen(&mut self, is_read: bool) {
        if is_read != self.listening.is_some() {
            self.listening = is_read.then(Instant::now);
        }
    }

    /// A frame came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The clock was looked at.
    pub(super) fn looked(&mut self, now: Instant) {
        self.looked = now;
    }

    /// Whether a message that began then takes longer than is allowed.
    pub(super) fn is_late(&self, since: Instant, allowed: Duration, now: Instant) -> bool {
        self.listening
            .is_some_and(|listening| now.saturating_duration_since(since.max(listening)) >= allowed)
    }

    /// Why the connection ends now, if it does.
    pub(super) fn is_out(&self, proven: Proven, part: Option<Part>, now: Instant) -> Option<Closing> {
        let ConnectionLimits {
            in_flight: _,
            idle,
            unproven,
            message,
            write: _,
        } = self.limits;
        if self.is_late(self.heard, idle, now) {
            return Some(Closing::Idle);
        }
        if part.is_some_and(|part| self.is_late(part.since, message, now)) {
            return Some(Closing::Slow);
        }
        let is_long_enough = now.saturating_duration_since(self.opened) >= unproven;
        match proven {
            Proven::Nothing if is_long_enough => Some(Closing::Unproven),
            Proven::HeldBack if is_long_enough => Some(Closing::Full),
            Proven::Nothing | Proven::HeldBack | Proven::NotYetJudged | Proven::Somebody => None,
        }
    }

    /// Whether it is to be asked whether it is there: it may miss one ping and still stay.
    pub(super) fn wants_a_ping(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= self.ping()
    }

    /// When to look again: always later than the last look.
    pub(super) fn next_look(&self, proven: Proven, part: Option<Part>) -> Instant {
        let pause = match proven {
            Proven::Nothing => self.ping(),
            Proven::Somebody | Proven::NotYetJudged | Proven::HeldBack => self.ping().min(SESSION_CHECK),
        };
        let after = |from: Instant, pause: Duration| from.checked_add(pause);
        let proof = match proven {
            Proven::Somebody => [None, None],
            Proven::NotYetJudged | Proven::HeldBack | Proven::Nothing => [
                after(self.opened, OWN_PROOF),
                after(self.opened, self.limits.unproven),
            ],
        };
        let message = part.map_or([None, None], |part| {
            let begun = self.listening.map(|listening| part.since.max(listening));
            [
                begun.and_then(|begun| after(begun, self.limits.message)),
                part.is_weighed.then(|| after(self.looked, PART_CHECK)).flatten(),
            ]
        });
        let times = [after(self.looked, pause)]
            .into_iter()
            .chain(proof)
            .chain(message);
        let next = times.flatten().filter(|time| *time > self.looked).min();
        next.unwrap_or(self.looked)
    }

    fn ping(&self) -> Duration {
        self.limits.idle.checked_div(3).unwrap_or(self.limits.idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        in_flight: 1,
        idle: Duration::from_mins(5),
        unproven: Duration::from_mins(1),
        message: Duration::from_secs(30),
        write: Duration::from_secs(20),
    };

    fn at(opened: Instant, seconds: u64) -> Instant {
        opened.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn who_proves_nothing_is_sent_away_and_who_could_not_be_judged_is_not() {
        let opened = Instant::now();
        let patience = Patience::new(LIMITS, opened);
        for (proven, seconds, closing) in [
            (Proven::Nothing, 59, None),
            (Proven::Nothing, 60, Some(Closing::Unproven)),
            (Proven::HeldBack, 60, Some(Closing::Full)),
            (Proven::NotYetJudged, 200, None),
            (Proven::Somebody, 200, None),
            (Proven::Somebody, 300, Some(Closing::Idle)),
        ] {
            assert_eq!(
                patience.is_out(proven, None, at(opened, seconds)),
                closing,
                "{proven:?}"
            );
        }
    }

    #[test]
    fn a_message_has_its_time_and_none_of_it_passes_while_nobody_reads() {
        let opened = Instant::now();
        let mut patience = Patience::new(LIMITS, opened);
        let part = Some(Part {
            since: at(opened, 10),
            is_weighed: false,
        });
        assert_eq!(patience.is_out(Proven::Somebody, part, at(opened, 39)), None);
        assert_eq!(
            patience.is_out(Proven::Somebody, part, at(opened, 40)),
            Some(Closing::Slow)
        );
        patience.listen(false);
        assert_eq!(patience.is_out(Proven::Somebody, part, at(opened, 4_000)), None);
        patience.listen(true);
        assert_eq!(patience.is_out(Proven::Somebody, part, at(opened, 29)), None);
    }

    #[test]
    fn the_next_look_is_when_something_may_be_over_and_never_before_the_last_one() {
        let opened = Instant::now();
        let mut patience = Patience::new(LIMITS, opened);
        let mut looks = Vec::new();
        for _ in 0..5 {
            let next = patience.next_look(Proven::Nothing, None);
            assert!(next > patience.looked);
            looks.push(next.duration_since(opened).as_secs());
            patience.looked(next);
        }
        assert_eq!(looks, [1, 60, 160, 260, 360]);
        let part = |is_weighed| {
            let since = patience.looked;
            patience.next_look(Proven::Somebody, Some(Part { since, is_weighed }))
        };
        assert_eq!((part(true), part(false)), (at(opened, 361), at(opened, 375)));
    }
}
