//! Who asks: the caller's own proof, judged by the worker, kept for as long as it holds.
//!
//! What can be verified without a secret is verified here first, so that rubbish never reaches the worker. The verdict
//! that counts is the worker's.

mod credentials;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dbal_identity::{Bearer, Checkable, ShownKey};
use dbal_policy::{Policy, Subject};
use dbal_shared::fault::Code;
use dbal_shared::message::{Certificate, Proof, Standing};
use dbal_shared::principal::Principal;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::admission::{Guesses, Strikes, Turns};
use crate::channel::{Channel, ChannelError, Session};
use crate::respond::{Kind, Refusal};
use crate::rpc::Auth;
use crate::rulebook::Rulebook;
use crate::serve::Folds;

pub use credentials::{Credentials, Origin};

/// When to try again for whose principal has as many connections as it may: some of them will end.
const SEAT_PAUSE: Duration = Duration::from_secs(5);

/// Proof that a caller is who it says. Made by [`Authenticator::authenticate`] only.
pub struct Authenticated<T> {
    caller: Arc<Caller>,
    asks: T,
}

/// A session and what the policy makes of its principal.
pub struct Caller {
    session: Session,
    /// What this caller goes by, whatever is reloaded meanwhile; the next call finds out.
    rulebook: Arc<Rulebook>,
    subject: Subject,
    rate_key: Arc<str>,
    /// When the audit was last told that the rate limit held this caller back: Unix time in milliseconds.
    told_of_limit: AtomicI64,
    /// What they were refused last, so that a flood of it is told with a count.
    folds: Folds,
}

/// Judges proofs.
pub struct Authenticator {
    channel: Arc<Channel>,
    strikes: Arc<Strikes>,
    guesses: Guesses,
    /// Connections of each principal.
    seats: Arc<Turns>,
    most_seats: u32,
}

impl Authenticator {
    /// An authenticator that lets the worker on `channel` judge, and each principal be on so many connections at once.
    pub fn new(
        channel: Arc<Channel>,
        strikes: Arc<Strikes>,
        guesses: Guesses,
        connections_per_principal: u32,
    ) -> Self {
        Self {
            channel,
            strikes,
            guesses,
            seats: Arc::default(),
            most_seats: connections_per_principal,
        }
    }

    /// Who sent this, under this rulebook? The message's own proof counts before the connection's.
    pub async fn authenticate<T>(
        &self,
        rulebook: &Arc<Rulebook>,
        credentials: &Credentials,
        auth: &Auth,
        asks: T,
        deadline: Instant,
    ) -> Result<Authenticated<T>, Refusal> {
        let origin = credentials.origin(auth);
        if origin == Origin::Nothing && !rulebook.is_public {
            let address = credentials.address();
            if let Some(wait) = self.strikes.remaining(address) {
                return Err(Refusal::rate_limited(
                    wait,
                    "too many calls without a proof from this address",
                ));
            }
            // Refusing takes as long as refusing a bad proof.
            self.strikes.strike(address);
            return Err(Refusal::unauthorized("a token is needed"));
        }
        let place = credentials.place(&origin, rulebook);
        let caller = if let Some(caller) = place.get() {
            caller
        } else {
            // Apart: a call whose session is open has no use for the room that this takes.
            let open = || self.open(rulebook, credentials.proof(auth), credentials, deadline);
            Box::pin(place.get_or_try_init(open)).await?
        };
        let session = &caller.session;
        if caller.is_expired() {
            credentials.forget(&place);
            return Err(Refusal::unauthorized("the token has ended"));
        }
        // Constant time is not needed: the id is no secret, the signature was checked before.
        if let Some(claimed) = &auth.user_id
            && session.principal().id.as_ref() != Some(claimed)
        {
            return Err(Refusal::unauthorized("`auth.user_id` is not the token's subject"));
        }
        credentials.prove();
        Ok(Authenticated {
            caller: Arc::clone(caller),
            asks,
        })
    }

    async fn open(
        &self,
        rulebook: &Arc<Rulebook>,
        proof: Proof,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Arc<Caller>, Refusal> {
        let (address, certificate) = (credentials.address(), credentials.certificate());
        if let Proof::Bearer(token) = &proof {
            // Before any signature is checked and before anything is looked up: neither is for those who guess.
            let wait = self
                .strikes
                .remaining(address)
                .max(self.guesses.remaining(address));
            if let Some(wait) = wait {
                return Err(Refusal::rate_limited(
                    wait,
                    "too many refused proofs from this address",
                ));
            }
            let token = token.expose_secret();
            if let Err(Unverified { standing, why }) = check_here(rulebook, token, certificate) {
                self.count(address, standing);
                return Err(Refusal::unauthorized(why));
            }
        }
        match self
            .channel
            .open_session(proof, address.to_string(), certificate.cloned(), deadline)
            .await
        {
            Ok(session) => {
                let subject = rulebook.policy.subject(session.principal());
                let rate_key = rate_key(session.principal(), address);
                // Nobody's connections are counted by address already.
                let is_somebody = session.principal().id.is_some();
                if is_somebody
                    && !credentials.seat(&rate_key, || self.seats.begin(&rate_key, self.most_seats))
                {
                    let why = format!("{} connections of this principal", self.most_seats);
                    return Err(Refusal::rate_limited(SEAT_PAUSE, why));
                }
                Ok(Arc::new(Caller {
                    rate_key,
                    told_of_limit: AtomicI64::new(0),
                    folds: Folds::default(),
                    rulebook: Arc::clone(rulebook),
                    subject,
                    session,
                }))
            }
            Err(ChannelError::ProofRefused {
                code,
                standing,
                reason,
            }) => {
                if code == Code::Unauthorized {
                    self.count(address, standing);
                }
                let told = if code == Code::Unauthorized {
                    Refusal::unauthorized("the token does not hold")
                } else {
                    Refusal::unavailable("")
                };
                Err(told.for_operator(reason, None))
            }
            Err(ChannelError::Unavailable(why)) => Err(Refusal::unavailable(why)),
            Err(ChannelError::Timeout { .. }) => Err(Refusal::silent(
                Code::Timeout,
                "the worker did not judge the proof in time",
            )
            .with_retryable(true)),
            Err(ChannelError::TooLarge) => {
                Err(Refusal::new(Kind::Code(Code::TooLarge), "the token is too long"))
            }
            // Neither answers a question about a session; nothing was done in any case.
            Err(ChannelError::Failed(_) | ChannelError::SessionGone | ChannelError::Broken) => {
                Err(Refusal::unavailable("the channel broke"))
            }
        }
    }
}

impl Authenticator {
    /// Every refused proof is a strike, as is none where one is needed; one that nobody ever issued is a guess as well.
    fn count(&self, address: IpAddr, standing: Standing) {
        self.strikes.strike(address);
        match standing {
            Standing::Unproven => self.guesses.failed(address),
            Standing::Lapsed => {}
        }
    }
}

impl<T> Authenticated<T> {
    /// Who.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What they ask for.
    pub fn asks(&self) -> &T {
        &self.asks
    }

    /// The same caller, asking for what `asks` was read to mean.
    pub fn asking<U>(self, asks: U) -> Authenticated<U> {
        Authenticated {
            caller: self.caller,
            asks,
        }
    }

    /// A handle on the caller, to watch the session's end.
    pub fn share_caller(&self) -> Arc<Caller> {
        Arc::clone(&self.caller)
    }
}

impl Caller {
    /// The worker's verdict.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The principal as the policy sees it.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The policy that `subject` belongs to.
    pub fn policy(&self) -> &Policy {
        &self.rulebook.policy
    }

    /// Whether calls may go on in this session. Where its worker ended it, it reloaded: the proof is to be shown again.
    fn holds(&self, rulebook: &Arc<Rulebook>) -> bool {
        self.session.is_reachable() && !self.session.is_ended() && Arc::ptr_eq(&self.rulebook, rulebook)
    }

    /// Whether the proof has to be shown again: the worker ended the session, or other rules are in force here.
    pub fn is_in_doubt(&self, rulebook: &Arc<Rulebook>) -> bool {
        self.session.is_ended() || !Arc::ptr_eq(&self.rulebook, rulebook)
    }

    fn is_expired(&self) -> bool {
        self.session.expires_at_ms().is_some_and(|end| end <= unix_ms())
    }

    /// What the rate limit counts by: the principal, or the address of a caller who proved nothing.
    pub fn rate_key(&self) -> &Arc<str> {
        &self.rate_key
    }

    /// Whether the audit is to be told (again) that the rate limit holds this caller back. Once a second is enough: a
    /// flood of refused calls must not become a flood of records.
    pub fn is_limit_news(&self) -> bool {
        const NEWS_MS: i64 = 1_000;
        let now = unix_ms();
        let last = self.told_of_limit.load(Ordering::Relaxed);
        let is_news = now.saturating_sub(last) >= NEWS_MS;
        if is_news {
            self.told_of_limit.store(now, Ordering::Relaxed);
        }
        is_news
    }

    /// What they were refused last.
    pub fn folds(&self) -> &Folds {
        &self.folds
    }

    /// How long the proof still holds, if it ends at all.
    pub fn remaining(&self) -> Option<Duration> {
        let end = self.session.expires_at_ms()?;
        let left = u64::try_from(end.saturating_sub(unix_ms())).unwrap_or(0);
        Some(Duration::from_millis(left))
    }
}

/// As much as can be told without a secret. The reason tells what is wrong with the token (ended, wrong audience), never
/// what is in it.
fn check_here(rulebook: &Rulebook, token: &str, certificate: Option<&Certificate>) -> Result<(), Unverified> {
    let thumbprint = certificate.map(|certificate| &certificate.thumbprint);
    match Bearer::of(token) {
        Bearer::ApiKey => match ShownKey::parse(token) {
            Some(_) => Ok(()),
            None => Err(Unverified {
                standing: Standing::Unproven,
                why: "the API key is misspelt or cut off".to_owned(),
            }),
        },
        Bearer::Jwt => match rulebook.verifier.can_verify(token) {
            Checkable::Yes => match rulebook.verifier.verify_with(token, thumbprint, unix_ms()) {
                Ok(_) => Ok(()),
                Err(error) => Err(Unverified {
                    standing: error.standing(),
                    why: error.to_string(),
                }),
            },
            Checkable::OnlyWorker => Ok(()),
        },
        Bearer::Opaque => Ok(()),
    }
}

/// A proof that does not even hold here.
struct Unverified {
    standing: Standing,
    why: String,
}

/// What is counted by an address of which nobody is known.
fn address_key(address: IpAddr) -> Arc<str> {
    format!("\0{}", crate::net::prefix(address)).into()
}

fn rate_key(principal: &Principal, address: IpAddr) -> Arc<str> {
    match (&principal.id, &principal.tenant) {
        // The separator can't stand in an id: JSON strings with NUL are refused everywhere.
        (Some(id), Some(tenant)) => format!("{tenant}\0{id}").into(),
        (Some(id), None) => id.as_str().into(),
        (None, _) => address_key(address),
    }
}

/// The time, as tokens tell it.
pub(crate) fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
