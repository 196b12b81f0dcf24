//! SIGHUP: reads the rulebook again and puts it in force as a whole, or says why not and keeps the old one. A file of keys
//! that has changed does the same to the keys alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dbal_daemon::reload::reason;
use dbal_identity::{Fingerprints, WATCH_PAUSE, Watch};
use tokio::signal::unix::Signal;
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};

use crate::channel::Shared;
use crate::rulebook::{Rulebook, RulebookError, Sources};

/// What is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Policy and keys.
    All,
    /// Keys. The policy may be half edited: it waits for its SIGHUP.
    Keys,
}

/// Reloads at each SIGHUP and when files of keys change. Never returns: it ends with the select that drives it.
pub async fn at_each(mut hangup: Signal, sources: Sources, shared: &Shared) {
    let sources = Arc::new(sources);
    let mut watch = Watch::new(shared.rulebook.borrow().looks.clone());
    let mut looks = interval(WATCH_PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            hung_up = hangup.recv() => match hung_up {
                Some(()) => {
                    if reload(&sources, shared, Part::All).await {
                        watch.reset(shared.rulebook.borrow().looks.clone());
                    }
                }
                None => break,
            },
            _ = looks.tick() => {
                let files = watch.files();
                // Looking may block, as reading may.
                let now = tokio::task::spawn_blocking(move || Fingerprints::of(&files)).await;
                if now.is_ok_and(|now| watch.note(now)) {
                    reload(&sources, shared, Part::Keys).await;
                }
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Reloads once. Whether something else is in force now.
async fn reload(sources: &Arc<Sources>, shared: &Shared, part: Part) -> bool {
    let old = Arc::clone(&shared.rulebook.borrow());
    let again = Arc::clone(sources);
    // Files may be slow and policies large: calls go on meanwhile, under the old rulebook.
    let read = tokio::task::spawn_blocking(move || match part {
        Part::All => again.read_again(old.policy.schema().hash()),
        Part::Keys => again.read_keys(&old),
    });
    take_up(read.await, shared, part)
}

fn take_up(read: Result<Result<Rulebook, RulebookError>, JoinError>, shared: &Shared, part: Part) -> bool {
    let rulebook = match read {
        Ok(Ok(rulebook)) => rulebook,
        Ok(Err(error)) => return keep(&reason(&error), shared),
        Err(error) => return keep(&reason(&error), shared),
    };
    let policy = rulebook.policy.hash();
    // Before it is in force, so that the journal shows by what each later call was judged.
    match part {
        Part::All => shared.ledger.reloaded(policy),
        Part::Keys => shared.ledger.reloaded_keys(),
    }
    shared.rulebook.send_replace(Arc::new(rulebook));
    if let Some(cache) = shared.database.cache() {
        cache.empty();
    }
    match part {
        Part::All => tracing::info!(%policy, "reloaded policy and keys"),
        Part::Keys => tracing::info!("a file of keys has changed: reloaded the keys"),
    }
    true
}

fn keep(reason: &str, shared: &Shared) -> bool {
    shared.failed_reloads.fetch_add(1, Ordering::Relaxed);
    shared.ledger.not_reloaded(reason);
    tracing::error!(
        reason,
        "nothing was reloaded; the old policy and keys stay in force"
    );
    false
}
