//! The way of a request, as one function that reads like the sentence it is.

mod batch;
mod cancelled;
mod explain;
mod fold;
mod request_ids;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dbal_shared::fault::Code;
use dbal_shared::ids::RequestId;
use dbal_shared::limits::CALL_BUDGET_MS;
use dbal_shared::message::{Advice, Report};
use tokio::time::Instant;

use crate::acl;
use crate::admission::{Admission, Permit, Strikes};
use crate::auth::{Authenticator, Caller, Credentials, Origin};
use crate::call::{self, Call, Meta, Method, Params, Wanted};
use crate::channel::{Answered, Channel, ChannelError, Weight};
use crate::metrics::Metrics;
use crate::reload::Reloads;
use crate::respond::{self, Kind, Outcome, Refusal, Verdict};
use crate::rpc::{Auth, RawRequest, Unanswerable};
use crate::rulebook::Rulebook;
use crate::traces::Traces;
use cancelled::Charged;

/// How often a call is tried when workers come and go beneath it.
const ATTEMPTS: usize = 3;

pub use fold::Folds;
pub use request_ids::RequestIds;

/// All stations, for all connections.
pub struct Broker {
    /// Who everybody is and what they may do. Each try of a call takes it once and goes by it to its end.
    pub rulebook: ArcSwap<Rulebook>,
    /// What reloads came to.
    pub reloads: Arc<Reloads>,
    /// Who asks.
    pub authenticator: Authenticator,
    /// May they ask now.
    pub admission: Admission,
    /// What failed before anyone was known.
    pub strikes: Arc<Strikes>,
    /// To the worker.
    pub channel: Arc<Channel>,
    /// What happened.
    pub metrics: Arc<Metrics>,
    /// Where it stands in which trace.
    pub traces: Arc<Traces>,
    /// Names for requests.
    pub request_ids: RequestIds,
}

/// An answer, and what it means for the connection.
pub struct Served {
    /// The text to send; none for a notification.
    pub text: Option<String>,
    /// What follows.
    pub aftermath: Aftermath,
    /// To be dropped when the text is written.
    pub weights: Vec<Weight>,
}

/// One call, as far as it was read.
struct Asked<'a> {
    auth: &'a Auth,
    params: &'a Params,
    /// When the answer must be there at the latest.
    deadline: Instant,
    charged: &'a Charged,
}

/// The JSON of a result.
struct Found {
    json: String,
    weight: Option<Weight>,
}

/// What an answer means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aftermath {
    /// Nothing.
    GoOn,
    /// The rate limit held the call back: a client that does not slow down is flooding.
    Slow,
    /// The connection's own token does not hold (any more).
    Unauthenticated,
}

impl Served {
    /// Nothing but the refusal.
    fn refused(refusal: &Refusal, credentials: &Credentials, raw: &RawRequest) -> Self {
        Self {
            text: (raw.id.as_ref()).map(|id| respond::error(raw.dialect, id, refusal)),
            aftermath: aftermath(refusal, credentials, &raw.auth),
            weights: Vec::new(),
        }
    }
}

impl Broker {
    /// Serves one request.
    pub async fn serve(&self, credentials: &Credentials, raw: &RawRequest, request: RequestId) -> Served {
        self.serve_charging(credentials, raw, request, &Charged::default())
            .await
    }

    async fn serve_charging(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        request: RequestId,
        charged: &Charged,
    ) -> Served {
        let method = Method::by_name(&raw.method);
        if method == Some(Method::Batch) {
            return Box::pin(self.serve_batch(credentials, raw, request, charged)).await;
        }
        let mut outcome = Outcome::begin(request, credentials.address(), method);
        outcome.trace = self.traces.begin();
        let asked = Asked {
            auth: &raw.auth,
            params: &raw.params,
            deadline: deadline(),
            charged,
        };
        let answer = self.answer(credentials, &asked, &mut outcome).await;
        let answer = answer.map_err(|refusal| self.named(&outcome, refusal));
        self.conclude(&outcome, answer.as_ref().err());
        match answer {
            Ok(Found { json, weight }) => Served {
                text: (raw.id.as_ref()).map(|id| respond::result(raw.dialect, id, &json)),
                aftermath: Aftermath::GoOn,
                weights: weight.into_iter().collect(),
            },
            Err(refusal) => Served::refused(&refusal, credentials, raw),
        }
    }

    async fn answer(
        &self,
        credentials: &Credentials,
        asked: &Asked<'_>,
        outcome: &mut Outcome,
    ) -> Result<Found, Refusal> {
        let method = outcome.method.ok_or_else(|| self.unknown_method(credentials))?;
        let Asked {
            auth,
            params,
            deadline,
            charged,
        } = *asked;
        let mut permit: Option<Permit> = None;
        let mut last = ChannelError::SessionGone;
        let mut may_be_done = false;
        for _ in 0..ATTEMPTS {
            let rulebook = self.rulebook.load_full();
            let call = self
                .authenticator
                .authenticate(&rulebook, credentials, auth, (), deadline)
                .await?;
            let caller = call.share_caller();
            outcome.caller = Some(Arc::clone(&caller));
            self.join(outcome, method, params);
            let is_first = permit.is_none();
            let admitted: &Permit = match &mut permit {
                Some(permit) => permit,
                none => none.insert(
                    self.admission
                        .admit(&caller, call::count(method, params), deadline)?,
                ),
            };
            charged.note();
            if let Some(here) = self.answer_here(method, &caller) {
                return here.map(Found::light);
            }
            if method == Method::Explain {
                return self.explain(call, params, outcome).map(Found::light);
            }
            let wanted = call::interpret(method, params, caller.policy(), caller.subject())
                .inspect_err(|refusal| outcome.judge(refusal))?;
            let until = admitted.until(shortened(deadline, &wanted.meta));
            outcome.is_given_up = wanted.meta.patience.is_some();
            let is_write = wanted.wanted.is_write();
            let once = once(&wanted, &caller)?;
            // Of a transaction the worker names each plan in a record of its own.
            if let Wanted::One(plan) = &wanted.wanted {
                outcome.entity = Some(plan.entity);
                outcome.operation = Some(plan.action.operation());
            }
            let authorized =
                acl::authorize(call.asking(wanted.wanted)).inspect_err(|refusal| outcome.judge(refusal))?;
            outcome.verdict = Some(Verdict::Allowed);
            if is_first {
                self.admission.charge(&caller, authorized.complexity())?;
            }
            outcome.was_executed = true;
            match self
                .channel
                .execute(
                    &authorized,
                    once.as_deref(),
                    outcome.request,
                    outcome.onward(),
                    until,
                )
                .await
            {
                Ok(Answered { reply, weight }) => {
                    outcome.rows = reply.rows;
                    outcome.database_us = reply.database_us;
                    return Ok(Found {
                        json: reply.json,
                        weight: Some(weight),
                    });
                }
                // Nothing was done. If a reload of ours came in between, both may agree by now.
                Err(ChannelError::Failed(failure))
                    if failure.advice == Advice::StalePolicy && self.has_other_than(&rulebook) =>
                {
                    last = ChannelError::Unavailable("the policy is being reloaded");
                }
                Err(ChannelError::Failed(failure)) => {
                    return Err(authorized.failed(&failure, outcome.request));
                }
                // Nothing was done: the session's worker is gone, or never heard of the call.
                Err(error @ ChannelError::SessionGone) => {
                    credentials.forget_caller(&caller);
                    last = error;
                }
                // A read changes nothing, and what has a name is done once: they may be asked again.
                Err(error @ ChannelError::Broken) if !is_write || once.is_some() => {
                    may_be_done = is_write;
                    last = error;
                }
                Err(error) => {
                    outcome.was_executed = false;
                    return Err(respond::unreached(&error, is_write));
                }
            }
            outcome.was_executed = false;
        }
        Err(respond::unreached(&last, may_be_done))
    }

    /// Shows the connection's own proof again, though nobody asks for anything: a connection whose proof no longer holds
    /// shall end also if it is idle.
    pub async fn confirm(&self, credentials: &Credentials) -> Aftermath {
        let auth = Auth::default();
        let rulebook = self.rulebook.load_full();
        let shown = self
            .authenticator
            .authenticate(&rulebook, credentials, &auth, (), deadline());
        match shown
            .await
            .map_err(|refusal| aftermath(&refusal, credentials, &auth))
        {
            Err(Aftermath::Unauthenticated) => Aftermath::Unauthenticated,
            Err(Aftermath::Slow) => Aftermath::Slow,
            // Whether it holds is not known: the next call will tell.
            Ok(_) | Err(Aftermath::GoOn) => Aftermath::GoOn,
        }
    }

    /// Tells what is no request, in the words of the dialect that it seems to be.
    pub fn refuse(&self, credentials: &Credentials, unanswerable: &Unanswerable) -> Served {
        self.strikes.strike(credentials.address());
        let outcome = Outcome::begin(self.next_request(), credentials.address(), None);
        self.conclude(&outcome, Some(&unanswerable.refusal));
        Served {
            text: Some(respond::error(
                unanswerable.dialect,
                &unanswerable.id,
                &unanswerable.refusal,
            )),
            aftermath: if self.strikes.remaining(credentials.address()).is_some() {
                Aftermath::Slow
            } else {
                Aftermath::GoOn
            },
            weights: Vec::new(),
        }
    }

    /// Tells that there is no memory for a call: nothing of it was done.
    pub fn shed(&self, credentials: &Credentials, raw: &RawRequest) -> Served {
        let refusal = Refusal::unavailable("too many long messages are worked on (`limits.messages_mib`)");
        let outcome = Outcome::begin(
            self.next_request(),
            credentials.address(),
            Method::by_name(&raw.method),
        );
        self.conclude(&outcome, Some(&refusal));
        Served {
            text: raw
                .id
                .as_ref()
                .map(|id| respond::error(raw.dialect, id, &refusal)),
            aftermath: Aftermath::GoOn,
            weights: Vec::new(),
        }
    }

    /// Methods that ask nothing of the database.
    fn answer_here(&self, method: Method, caller: &Caller) -> Option<Result<String, Refusal>> {
        if method == Method::GetCapabilities {
            Some(self.capabilities(caller))
        } else if method == Method::Discover {
            Some(Ok(call::discover(caller.policy(), caller.subject())))
        } else {
            None
        }
    }

    fn capabilities(&self, caller: &Caller) -> Result<String, Refusal> {
        let welcome = self.channel.worker().welcome;
        let welcome = welcome.ok_or_else(|| Refusal::unavailable("no worker has greeted yet"))?;
        Ok(call::capabilities(
            &welcome.capabilities,
            caller.policy(),
            caller.subject(),
        ))
    }

    fn has_other_than(&self, rulebook: &Arc<Rulebook>) -> bool {
        !Arc::ptr_eq(rulebook, &self.rulebook.load())
    }

    fn unknown_method(&self, credentials: &Credentials) -> Refusal {
        self.strikes.strike(credentials.address());
        Refusal::new(
            Kind::UnknownMethod,
            "unknown method; `getCapabilities` lists what there is",
        )
    }

    fn conclude(&self, outcome: &Outcome, refusal: Option<&Refusal>) {
        self.metrics.count(outcome, refusal);
        outcome.log(refusal);
        self.traces.tell(outcome, refusal);
        if let Some(refusal) = refusal {
            self.record(outcome, refusal);
        }
    }

    /// The caller has said which trace its call belongs to. Said again at another try, it is the same.
    fn join(&self, outcome: &mut Outcome, method: Method, params: &Params) {
        if let Some(trace) = call::trace(method, params)
            && outcome.trace.is_none_or(|traced| traced.id != trace.id)
        {
            outcome.trace = Some(self.traces.join(trace));
        }
    }

    /// Has a refusal written down that the worker did not see.
    fn record(&self, outcome: &Outcome, refusal: &Refusal) {
        // A repetition has the name of another refusal, which is on record and will tell how often it was repeated.
        let is_repetition = refusal
            .details()
            .and_then(|details| details.decision.as_deref())
            .is_some_and(|decision| decision != outcome.request.to_string());
        if is_repetition {
            return;
        }
        if let Some(refused) = outcome.report(refusal)
            && (outcome.caller.is_some() || self.strikes.is_worth_a_record(outcome.address))
        {
            self.channel.report(Report::Refused(refused));
        }
    }

    /// A name for the next request.
    pub fn next_request(&self) -> RequestId {
        self.request_ids.next()
    }
}

impl Found {
    /// What the broker itself says; it is small.
    fn light(json: String) -> Self {
        Self { json, weight: None }
    }
}

/// The call's name for being done once, if it has one and may have one.
fn once(call: &Call, caller: &Caller) -> Result<Option<String>, Refusal> {
    if call.meta.once.is_some() && (!call.wanted.is_write() || caller.session().principal().id.is_none()) {
        // Names of nobody would be everybody's.
        let why = "`idempotencyKey` goes with writes of a caller who has proven an identity";
        return Err(Refusal::new(Kind::Code(Code::Invalid), why));
    }
    Ok(call.meta.once.clone())
}

fn deadline() -> Instant {
    let now = Instant::now();
    now.checked_add(Duration::from_millis(CALL_BUDGET_MS.into()))
        .unwrap_or(now)
}

/// The deadline, or the end of the caller's patience where that comes first.
fn shortened(deadline: Instant, meta: &Meta) -> Instant {
    let patience = meta
        .patience
        .and_then(|patience| Instant::now().checked_add(patience));
    patience.map_or(deadline, |sooner| sooner.min(deadline))
}

fn aftermath(refusal: &Refusal, credentials: &Credentials, auth: &Auth) -> Aftermath {
    // A message may be refused for its own sake (`auth.user_id`) while the connection's session stands.
    let is_token_gone =
        || credentials.origin(auth) == Origin::Connection && credentials.of_connection().is_none();
    if refusal.code() == Code::RateLimited {
        Aftermath::Slow
    } else if refusal.code() == Code::Unauthorized && is_token_gone() {
        Aftermath::Unauthenticated
    } else {
        Aftermath::GoOn
    }
}

#[cfg(test)]
mod tests;
