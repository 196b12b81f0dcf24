//! Sessions of a conversation: opened by proofs that hold, looked up again, and ended.

use std::sync::Arc;

use dbal_identity::{Bearer, Verified};
use dbal_shared::fault::Code;
use dbal_shared::ids::{CallId, SessionHandle};
use dbal_shared::message::{OpenSession, Proof, SessionOpened, SessionRefused, Standing, ToBroker};
use dbal_shared::principal::Principal;
use secrecy::ExposeSecret;

use super::{Conversation, End, REMOTE_BYTES};
use crate::database::queue::Lane;
use crate::generate::now_ms;
use crate::ledger::cut;
use crate::opaque::{Lookup, NoSession};
use crate::proof::{self, NoProof};
use crate::rulebook::Rulebook;
use crate::session::Session;

/// When a session is looked up again that the database did not tell of, in milliseconds.
const TRY_AGAIN_MS: i64 = 1_000;
/// Most sessions that end in one sweep; the next one takes the rest.
const ENDED_PER_SWEEP: usize = 1_024;

/// A session that was asked for.
pub(super) struct Opening {
    call: CallId,
    remote: String,
    lookup: Option<Lookup>,
}

impl Opening {
    fn of(call: CallId, remote: String, lookup: Option<Lookup>) -> Self {
        Self { call, remote, lookup }
    }
}

/// Why a token is looked up.
pub(super) enum Wanted {
    /// To open a session.
    Opened(Opening),
    /// To see whether an open one still holds.
    Confirmed(SessionHandle, Arc<Session>),
}

/// Refuses a proof that lacks what the policy requires of every proof. Other claims that aren't what the policy declares count as
/// missing, which takes rights away without a word to the caller; so the operator is told.
fn check_claims(rulebook: &Rulebook, principal: &Principal) -> Result<(), (Code, Standing, String)> {
    for fault in rulebook.policy.claim_faults(principal) {
        if fault.is_required {
            return Err((Code::Unauthorized, Standing::Lapsed, fault.to_string()));
        }
        tracing::warn!(principal = principal.id, claim = fault.name, "{fault}");
    }
    Ok(())
}

impl Conversation {
    pub(super) async fn open_session(&mut self, open: OpenSession) -> Result<(), End> {
        let OpenSession {
            call,
            proof,
            remote,
            certificate,
        } = open;
        let remote = cut(&remote, REMOTE_BYTES).to_owned();
        let token = match proof {
            Proof::Anonymous => {
                let nobody = Opening::of(call, remote, None);
                return self.open(nobody, Principal::anonymous(), None, None).await;
            }
            Proof::Bearer(token) => token,
            Proof::Certificate => {
                let judged = proof::judge_certificate(&self.rulebook, certificate.as_ref());
                return self.judged(Opening::of(call, remote, None), judged).await;
            }
        };
        if let (Bearer::Opaque, Some(rules)) = (Bearer::of(token.expose_secret()), &self.rulebook.sessions) {
            let lookup = rules.lookup(token.expose_secret());
            let opening = Opening::of(call, remote, Some(lookup));
            return self.look_up(Wanted::Opened(opening)).await;
        }
        let opening = Opening::of(call, remote, None);
        let judged = proof::judge(
            &self.rulebook,
            token.expose_secret(),
            certificate.as_ref(),
            now_ms(),
        );
        self.judged(opening, judged).await
    }

    async fn judged(&mut self, opening: Opening, judged: Result<Verified, NoProof>) -> Result<(), End> {
        match judged {
            Ok(Verified {
                principal,
                expires_at_ms,
                by,
            }) => self.open(opening, principal, expires_at_ms, Some(&by)).await,
            Err(error) => {
                let (standing, reason) = (error.standing(), error.to_string());
                self.refuse(&opening, Code::Unauthorized, standing, reason).await
            }
        }
    }

    /// Opens a session and says so.
    async fn open(
        &mut self,
        opening: Opening,
        principal: Principal,
        expires_at_ms: Option<i64>,
        by: Option<&str>,
    ) -> Result<(), End> {
        if let Err((code, standing, reason)) = check_claims(&self.rulebook, &principal) {
            return self.refuse(&opening, code, standing, reason).await;
        }
        let session = Session {
            lane: Lane::of(&principal, &opening.remote),
            subject: self.rulebook.policy.subject(&principal),
            principal: principal.clone(),
            remote: opening.remote.clone(),
            expires_at_ms,
            lookup: opening.lookup.clone(),
        };
        match self.sessions.open(session) {
            Ok(session) => {
                if let Some(by) = by {
                    self.shared.ledger.accepted_proof(&principal, &opening.remote, by);
                }
                if let (Some(_), Some(rules)) = (&opening.lookup, &self.rulebook.sessions) {
                    self.sessions.confirm(session, now_ms(), rules.recheck);
                }
                let call = opening.call;
                self.send(ToBroker::SessionOpened(SessionOpened {
                    call,
                    session,
                    principal,
                    expires_at_ms,
                }))
                .await
            }
            Err(full) => {
                self.refuse(&opening, Code::Unavailable, Standing::Lapsed, full.to_string())
                    .await
            }
        }
    }

    async fn refuse(
        &mut self,
        opening: &Opening,
        code: Code,
        standing: Standing,
        reason: String,
    ) -> Result<(), End> {
        self.shared.ledger.refused_proof(&opening.remote, code, &reason);
        self.send(ToBroker::SessionRefused(SessionRefused {
            call: opening.call,
            code,
            standing,
            reason,
        }))
        .await
    }

    /// Has a token looked up; what comes of it comes by `looked_up`. The channel goes on meanwhile.
    async fn look_up(&mut self, wanted: Wanted) -> Result<(), End> {
        let (lookup, remote) = match &wanted {
            Wanted::Opened(opening) => (opening.lookup.clone(), opening.remote.clone()),
            Wanted::Confirmed(_, session) => (session.lookup.clone(), session.remote.clone()),
        };
        let room = Arc::clone(&self.lookups).try_acquire_owned();
        let (Some(rules), Some(lookup)) = (self.rulebook.sessions.clone(), lookup) else {
            return Ok(());
        };
        let Ok(room) = room else {
            let busy = NoSession::NotTold("too many look-ups at once".to_owned());
            return self.looked_up(wanted, Err(busy)).await;
        };
        let (shared, told) = (Arc::clone(&self.shared), self.told.clone());
        tokio::spawn(async move {
            let judged = rules.judge(&shared.database, &lookup, &remote, now_ms()).await;
            // INVARIANT: there is room for as many as there are places in `lookups`.
            let _ = told.send((wanted, judged)).await;
            drop(room);
        });
        Ok(())
    }

    pub(super) async fn looked_up(
        &mut self,
        wanted: Wanted,
        judged: Result<Verified, NoSession>,
    ) -> Result<(), End> {
        match (wanted, judged) {
            (
                Wanted::Opened(opening),
                Ok(Verified {
                    principal,
                    expires_at_ms,
                    by,
                }),
            ) => self.open(opening, principal, expires_at_ms, Some(&by)).await,
            (Wanted::Opened(opening), Err(error)) => {
                self.refuse(&opening, error.code(), error.standing(), error.to_string())
                    .await
            }
            (Wanted::Confirmed(handle, session), Ok(verified)) => {
                let is_same = verified.principal == session.principal
                    && verified.expires_at_ms == session.expires_at_ms;
                match &self.rulebook.sessions {
                    Some(rules) if is_same => {
                        self.sessions.confirm(handle, now_ms(), rules.recheck);
                        Ok(())
                    }
                    // Who it is, or how long, is to be told anew: the broker shows the token again.
                    Some(_) | None => self.end(handle).await,
                }
            }
            (Wanted::Confirmed(handle, _), Err(NoSession::NotTold(why))) => {
                tracing::debug!(why, "a session could not be looked up again");
                self.sessions
                    .try_again(handle, now_ms().saturating_add(TRY_AGAIN_MS));
                Ok(())
            }
            (Wanted::Confirmed(handle, session), Err(error)) => {
                self.shared
                    .ledger
                    .refused_proof(&session.remote, Code::Unauthorized, &error.to_string());
                self.end(handle).await
            }
        }
    }

    async fn end(&mut self, handle: SessionHandle) -> Result<(), End> {
        self.sessions.close(handle);
        self.send(ToBroker::SessionEnded(handle)).await
    }

    /// Ends sessions whose proofs have ended, and says so; looks those up again whose time it is.
    pub(super) async fn sweep(&mut self) -> Result<(), End> {
        let free = self.lookups.available_permits();
        for (handle, session) in self.sessions.take_due(now_ms(), free) {
            self.look_up(Wanted::Confirmed(handle, session)).await?;
        }
        let ended: Vec<SessionHandle> = self.sessions.expire(now_ms(), ENDED_PER_SWEEP);
        for session in ended {
            self.send(ToBroker::SessionEnded(session)).await?;
        }
        Ok(())
    }
}
