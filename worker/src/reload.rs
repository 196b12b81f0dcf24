//! SIGHUP: reads the rulebook again and puts it in force as a whole, or says why not and keeps the old one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dbal_daemon::reload::reason;
use tokio::signal::unix::Signal;

use crate::channel::Shared;
use crate::rulebook::{Rulebook, Sources};

/// Reloads at each SIGHUP. Never returns: it ends with the select that drives it.
pub async fn at_each(mut hangup: Signal, sources: Sources, shared: &Shared) {
    let sources = Arc::new(sources);
    while hangup.recv().await.is_some() {
        reload(&sources, shared).await;
    }
    std::future::pending::<()>().await;
}

/// Reloads once.
pub async fn reload(sources: &Arc<Sources>, shared: &Shared) {
    let schema = shared.rulebook.borrow().policy.schema().hash();
    let again = Arc::clone(sources);
    // Files may be slow and policies large: calls go on meanwhile, under the old rulebook.
    let read = tokio::task::spawn_blocking(move || again.read_again(schema)).await;
    match read {
        Ok(Ok(rulebook)) => take_up(rulebook, shared),
        Ok(Err(error)) => keep(&reason(&error), shared),
        Err(error) => keep(&reason(&error), shared),
    }
}

fn take_up(rulebook: Rulebook, shared: &Shared) {
    let policy = rulebook.policy.hash();
    // Before it is in force, so that the journal shows under which policy each later call was judged.
    shared.ledger.reloaded(policy);
    shared.rulebook.send_replace(Arc::new(rulebook));
    tracing::info!(%policy, "reloaded policy and token keys");
}

fn keep(reason: &str, shared: &Shared) {
    shared.failed_reloads.fetch_add(1, Ordering::Relaxed);
    shared.ledger.not_reloaded(reason);
    tracing::error!(
        reason,
        "nothing was reloaded; the old policy and token keys stay in force"
    );
}
