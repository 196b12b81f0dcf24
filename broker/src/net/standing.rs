//! Whether a client that was let in would be let in today: its certificate may be revoked, or come to its end, while it is
//! connected.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;
use tokio::time::timeout;

use super::tls::ServerSide;

/// How often a certificate is looked at though nothing was reloaded: it has an end. A look costs two signatures.
const AGAIN: Duration = Duration::from_mins(5);

/// What a connection proved in its handshake, and by what that is judged.
pub struct Standing {
    /// The client's certificate and what stands between it and its authority; empty if it showed none.
    pub chain: Vec<CertificateDer<'static>>,
    /// Where the certificate was taken for a proof by itself: the origins of the page for which it was shown.
    pub alone: Option<Vec<String>>,
    /// Subscribed before the handshake, so that no reload comes in between.
    pub in_force: watch::Receiver<Arc<ServerSide>>,
}

impl Standing {
    /// Returns when the client would not be let in any more.
    pub async fn lost(mut self) {
        loop {
            let changed = self.in_force.changed();
            let changed = if self.chain.is_empty() {
                changed.await
            } else {
                timeout(AGAIN, changed).await.unwrap_or(Ok(()))
            };
            if changed.is_err() {
                // Nobody can reload any more: the broker ends, and its connections with it.
                std::future::pending::<()>().await;
            }
            let in_force = Arc::clone(&self.in_force.borrow_and_update());
            let is_alone_no_more =
                (self.alone.as_deref()).is_some_and(|origins| !in_force.takes_alone(origins));
            if is_alone_no_more || !in_force.lets_in(&self.chain, UnixTime::now()) {
                return;
            }
        }
    }
}
