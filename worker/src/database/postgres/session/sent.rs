//! Statements that are sent together, and answered one after the other.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};
use futures_util::poll;

/// What was sent and is not read yet, in order. The driver keeps little of an answer that nobody reads, and then reads no other from the
/// socket: so each answer has to be read to its end before the next one is waited for.
pub(super) struct Sent<F: Future>(VecDeque<Pin<Box<MaybeDone<F>>>>);

impl<F: Future> Sent<F> {
    /// Sends them in this order, which the first poll of each does.
    pub(super) async fn together(queries: impl Iterator<Item = F>) -> Self {
        let mut sent: VecDeque<_> = queries.map(|query| Box::pin(maybe_done(query))).collect();
        for query in &mut sent {
            let _ = poll!(query);
        }
        Self(sent)
    }

    /// Waits for the beginning of the next answer.
    pub(super) async fn next(&mut self) -> Option<F::Output> {
        let mut query = self.0.pop_front()?;
        query.as_mut().await;
        query.as_mut().take_output()
    }
}
