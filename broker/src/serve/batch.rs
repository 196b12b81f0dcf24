//! `batch`: several calls of one request, one after the other, each with an answer of its own.

use std::num::NonZeroU32;

use dbal_shared::ids::RequestId;

use super::{Aftermath, Asked, Broker, Charged, Found, Served, aftermath, deadline, shortened};
use crate::auth::Credentials;
use crate::call::{self, Member, Meta, Method};
use crate::respond::{self, Outcome, Refusal};
use crate::rpc::RawRequest;

impl Broker {
    /// Serves a batch. Each call goes the way of any call: it is charged, judged, counted and audited by itself. They run
    /// in order, so that one sees what the one before wrote, and so that a batch is never more than one call at a time.
    pub(super) async fn serve_batch(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        request: RequestId,
        charged: &Charged,
    ) -> Served {
        let mut outcome = Outcome::begin(request, credentials.address(), Some(Method::Batch));
        outcome.trace = self.traces.begin();
        let opened = self.open_batch(credentials, raw, &mut outcome).await;
        let opened = opened.map_err(|refusal| self.named(&outcome, refusal));
        self.conclude(&outcome, opened.as_ref().err());
        let (members, meta) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Served::refused(&refusal, credentials, raw),
        };
        let deadline = shortened(deadline(), &meta);
        let mut weights = Vec::new();
        let mut answers = Vec::with_capacity(members.len());
        let around = outcome.onward();
        let mut worst = Aftermath::GoOn;
        for Member { method, params } in members {
            let mut outcome = Outcome::begin(self.next_request(), credentials.address(), method);
            outcome.trace = around.map(|trace| self.traces.join(trace));
            let asked = Asked {
                auth: &raw.auth,
                params: &params,
                deadline,
                charged,
            };
            let answer = self.answer(credentials, &asked, &mut outcome).await;
            let answer = answer.map_err(|refusal| self.named(&outcome, refusal));
            self.conclude(&outcome, answer.as_ref().err());
            answers.push(match answer {
                Ok(Found { json, weight }) => {
                    weights.extend(weight);
                    respond::member_result(&json)
                }
                Err(refusal) => {
                    worst = worst.max(aftermath(&refusal, credentials, &raw.auth));
                    respond::member_error(raw.dialect, &refusal)
                }
            });
        }
        let json = respond::batch(&answers).unwrap_or_default();
        Served {
            text: (raw.id.as_ref()).map(|id| respond::result(raw.dialect, id, &json)),
            aftermath: worst,
            weights,
        }
    }

    /// Reads the list. A strange one is charged as one call, or it would cost its sender nothing.
    async fn open_batch(
        &self,
        credentials: &Credentials,
        raw: &RawRequest,
        outcome: &mut Outcome,
    ) -> Result<(Vec<Member>, Meta), Refusal> {
        let deadline = deadline();
        let rulebook = self.rulebook.load_full();
        let call = self
            .authenticator
            .authenticate(&rulebook, credentials, &raw.auth, (), deadline)
            .await?;
        let caller = call.share_caller();
        outcome.caller = Some(call.share_caller());
        self.join(outcome, Method::Batch, &raw.params);
        match call::batch(&raw.params) {
            Ok(opened) => Ok(opened),
            Err(refusal) => {
                self.admission.admit(&caller, NonZeroU32::MIN, deadline)?;
                Err(refusal)
            }
        }
    }
}
