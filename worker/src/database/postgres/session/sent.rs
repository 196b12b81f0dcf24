//! Statements that are sent together, and answered one after the other.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::future::{MaybeDone, maybe_done};
use futures_util::poll;

/// What was sent and is not read yet, in order, each with what it is about. The driver keeps little of an answer that nobody reads, and then
/// reads no other from the socket: so each answer has to be read to its end before the next one is waited for.
pub(super) struct Sent<T, F: Future>(VecDeque<(T, Pin<Box<MaybeDone<F>>>)>);

impl<T, F: Future> Sent<T, F> {
    /// Sends them in this order, which the first poll of each does.
    pub(super) async fn together(queries: impl Iterator<Item = (T, F)>) -> Self {
        let mut sent: VecDeque<_> = queries
            .map(|(about, query)| (about, Box::pin(maybe_done(query))))
            .collect();
        for (_, query) in &mut sent {
            let _ = poll!(query);
        }
        Self(sent)
    }

    /// Waits for the beginning of the next answer.
    pub(super) async fn next(&mut self) -> Option<(T, F::Output)> {
        let (about, mut query) = self.0.pop_front()?;
        query.as_mut().await;
        Some((about, query.as_mut().take_output()?))
    }
}
