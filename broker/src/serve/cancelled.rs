//! Calls that their own client gives up: answered like every call, and charged like every call.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use dbal_shared::fault::Code;
use dbal_shared::ids::RequestId;
use futures_util::future::{AbortRegistration, Abortable, Aborted};

use super::{Broker, Served, deadline};
use crate::auth::Credentials;
use crate::call::{self, Method};
use crate::respond::{Kind, Outcome, Refusal};
use crate::rpc::RawRequest;

/// Whether a call was charged to whoever asks: what is cancelled before that would else cost nothing, however often.
#[derive(Debug, Default)]
pub(super) struct Charged(AtomicBool);

impl Charged {
    /// From now on.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Broker {
    /// Serves one request, unless it is cancelled before it is answered.
    pub async fn serve_unless_cancelled(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        request: RequestId,
        registration: AbortRegistration,
    ) -> Served {
        let charged = Charged::default();
        // Where it stands: a future that is moved into another has room in both.
        let serving = pin!(self.serve_charging(credentials, raw, request, &charged));
        match Abortable::new(serving, registration).await {
            Ok(served) => served,
            Err(Aborted) => Box::pin(self.cancelled(credentials, raw, request, &charged)).await,
        }
    }

    /// Tells that the caller itself ended a call; or that it could not have been made at all.
    async fn cancelled(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        request: RequestId,
        charged: &Charged,
    ) -> Served {
        let mut outcome = Outcome::begin(request, credentials.address(), Method::by_name(&raw.method));
        outcome.is_given_up = true;
        let refusal = match self.charge_once(credentials, raw, charged, &mut outcome).await {
            Ok(()) => {
                Refusal::new(Kind::Code(Code::Timeout), "cancelled by the client").with_unknown_outcome()
            }
            Err(refusal) => refusal,
        };
        self.conclude(&outcome, Some(&refusal));
        Served::refused(&refusal, credentials, raw)
    }

    async fn charge_once(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        charged: &Charged,
        outcome: &mut Outcome,
    ) -> Result<(), Refusal> {
        if charged.is_noted() {
            return Ok(());
        }
        let method = outcome.method.ok_or_else(|| self.unknown_method(credentials))?;
        let (rulebook, deadline) = (self.rulebook.load_full(), deadline());
        let call = self
            .authenticator
            .authenticate(&rulebook, credentials, &raw.auth, (), deadline)
            .await?;
        let caller = call.share_caller();
        outcome.caller = Some(call.share_caller());
        self.admission
            .admit(&caller, call::count(method, &raw.params), deadline)?;
        Ok(())
    }
}
