//! What a message asks for, worked on to its answer.

use std::sync::Arc;

use futures_util::future::{AbortRegistration, join_all};

use super::super::intake::Load;
use super::super::long::Turn;
use crate::auth::Credentials;
use crate::channel::Weight;
use crate::respond;
use crate::rpc::{RawRequest, Unanswerable};
use crate::serve::{Aftermath, Broker, Served};

/// What a message asks for.
pub(super) enum Work {
    One(RawRequest, AbortRegistration),
    Batch(Vec<Result<RawRequest, Unanswerable>>),
    /// One for which there is no memory.
    ShedOne(RawRequest),
    /// The same of a batch.
    ShedBatch(Vec<Result<RawRequest, Unanswerable>>),
    Refuse(Unanswerable),
    Done(Option<String>),
    /// Nothing: the connection itself asks whether its proof holds.
    Confirm,
}

impl Work {
    /// As how many calls it counts.
    pub(super) fn calls(&self) -> usize {
        match self {
            Work::Batch(items) | Work::ShedBatch(items) => items.len(),
            Work::One(..) | Work::ShedOne(_) | Work::Refuse(_) | Work::Done(_) | Work::Confirm => 1,
        }
    }
}

/// A message's answer, when it is there.
pub(super) struct Finished {
    pub(super) ticket: u64,
    pub(super) calls: usize,
    pub(super) weights: Vec<Weight>,
    pub(super) text: Option<String>,
    /// None: no call was judged, so it says nothing of who sent the message.
    pub(super) aftermath: Option<Aftermath>,
    /// What the message weighed.
    pub(super) load: Option<Load>,
}

/// Works on one message, which weighs `load` meanwhile. A single call, which most are, is kept small: its future is copied to where it
/// waits, and the allocator is quick only with what is small.
pub(super) async fn work_off(
    broker: &Broker,
    credentials: &Credentials,
    work: Work,
    ticket: u64,
    load: Option<Load>,
) -> Finished {
    let finished = match work {
        Work::One(raw, registration) => {
            let request = broker.next_request();
            Finished::one(
                broker
                    .serve_unless_cancelled(credentials, &raw, request, registration)
                    .await,
            )
        }
        Work::Batch(items) => {
            Finished::batch(Box::pin(served_side_by_side(broker, credentials, &items)).await)
        }
        Work::ShedOne(raw) => Finished::one(broker.shed(credentials, &raw)),
        Work::ShedBatch(items) => {
            let shed = items.iter().map(|item| match item {
                Ok(raw) => broker.shed(credentials, raw),
                Err(unanswerable) => broker.refuse(credentials, unanswerable),
            });
            Finished::batch(shed.collect())
        }
        Work::Refuse(unanswerable) => Finished::one(broker.refuse(credentials, &unanswerable)),
        Work::Confirm => Finished::without_answer(Some(Box::pin(broker.confirm(credentials)).await)),
        Work::Done(text) => Finished {
            text,
            ..Finished::without_answer(None)
        },
    };
    Finished {
        ticket,
        load,
        ..finished
    }
}

async fn served_side_by_side(
    broker: &Broker,
    credentials: &Credentials,
    items: &[Result<RawRequest, Unanswerable>],
) -> Vec<Served> {
    join_all(items.iter().map(|item| async move {
        match item {
            Ok(raw) => broker.serve(credentials, raw, broker.next_request()).await,
            Err(unanswerable) => broker.refuse(credentials, unanswerable),
        }
    }))
    .await
}

/// The same on the thread for long messages.
pub(super) fn work_off_in_turn(
    broker: Arc<Broker>,
    credentials: Arc<Credentials>,
    work: Work,
    ticket: u64,
    load: Option<Load>,
    turn: Turn,
) -> impl Future<Output = Option<Finished>> + Send {
    let begun = turn.run(async move { work_off(&broker, &credentials, work, ticket, load).await });
    async move {
        let finished = begun.await;
        drop(turn);
        finished
    }
}

impl Finished {
    /// Of which nobody will hear.
    pub(super) fn lost(ticket: u64, calls: usize) -> Self {
        Self {
            ticket,
            calls,
            ..Self::without_answer(None)
        }
    }

    fn without_answer(aftermath: Option<Aftermath>) -> Self {
        Self {
            ticket: 0,
            calls: 1,
            weights: Vec::new(),
            text: None,
            aftermath,
            load: None,
        }
    }

    fn one(served: Served) -> Self {
        let Served {
            text,
            aftermath,
            weights,
        } = served;
        Self {
            weights,
            text,
            ..Self::without_answer(Some(aftermath))
        }
    }

    /// One array answers all members of a batch (JSON-RPC 2.0 §6).
    fn batch(served: Vec<Served>) -> Self {
        let mut finished = Self {
            calls: served.len(),
            ..Self::without_answer(None)
        };
        let mut texts = Vec::with_capacity(served.len());
        for one in served {
            finished.aftermath = finished.aftermath.max(Some(one.aftermath));
            finished.weights.extend(one.weights);
            texts.extend(one.text);
        }
        finished.text = respond::batch(&texts);
        finished
    }
}
