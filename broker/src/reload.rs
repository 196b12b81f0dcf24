//! SIGHUP: reads policy, token keys, certificate and log level again and puts them in force as a whole, or says why not
//! and keeps the old ones. A file of token keys that has changed does the same to the keys alone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dbal_daemon::log::Level;
use dbal_daemon::reload::reason;
use dbal_identity::{Fingerprints, WATCH_PAUSE, Watch};
use dbal_sandbox::Rereadable;
use dbal_shared::ids::Digest;
use dbal_shared::message::{Lifecycle, Report};
use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{BrokerConfig, ConfigError, Tls};
use crate::net::listen::Listening;
use crate::net::tls::{self, ServerSide, TlsError};
use crate::rulebook::{Rulebook, RulebookError};

/// What reloads came to, for `/health` and the metrics.
pub struct Reloads(Mutex<Reloaded>);

/// The last word on reloads.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// The policy in force.
    pub policy: Digest,
    /// Reloads that changed what is in force.
    pub succeeded: u64,
    /// Reloads that failed.
    pub failed: u64,
    /// Why the last one failed, if it did.
    pub error: Option<String>,
}

/// Reloads a serving broker.
pub struct Reloader {
    /// The configuration file. Of what it says now, only what a reload replaces is taken.
    pub config: PathBuf,
    /// Where policy, keys and certificate are used.
    pub listening: Arc<Listening>,
    /// What is logged.
    pub level: Level,
}

#[derive(Debug, thiserror::Error)]
enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Rulebook(#[from] RulebookError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Everything new, read and found usable, and not in force yet.
struct Fresh {
    rulebook: Rulebook,
    tls: ServerSide,
    config: BrokerConfig,
}

/// What the sandbox has to leave readable for a reload.
pub fn rereadable(file: PathBuf, config: &BrokerConfig) -> Rereadable {
    let Tls {
        certificate,
        key,
        clients,
    } = &config.tls;
    let mut files = vec![
        file.clone(),
        config.policy.clone(),
        certificate.clone(),
        key.clone(),
    ];
    files.extend(config.invariants.clone());
    files.extend(config.policy_tested.clone());
    if let Some(clients) = clients {
        files.push(clients.ca.clone());
        files.extend(clients.crl.iter().cloned());
    }
    files.extend(config.auth.key_files());
    Rereadable {
        files,
        folders: vec![config.entities.clone()],
        // In its folder may lie the worker's configuration, and what opens that.
        never_beside: vec![file],
    }
}

impl Reloader {
    /// Reloads at each SIGHUP and when files of keys change, until the task is aborted.
    pub async fn run(self, mut hangups: Signal) {
        let looks_in_force = || self.listening.broker.rulebook.load().looks.clone();
        let mut watch = Watch::new(looks_in_force());
        let mut looks = interval(WATCH_PAUSE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                hung_up = hangups.recv() => match hung_up {
                    Some(()) => {
                        if self.reload().await {
                            watch.reset(looks_in_force());
                        }
                    }
                    None => return,
                },
                _ = looks.tick() => {
                    let files = watch.files();
                    // Looking may block, as reading may.
                    let now = tokio::task::spawn_blocking(move || Fingerprints::of(&files)).await;
                    if now.is_ok_and(|now| watch.note(now)) {
                        self.reload_keys().await;
                    }
                }
            }
        }
    }

    /// The policy may be half edited: it waits for its SIGHUP.
    async fn reload_keys(&self) {
        let broker = &self.listening.broker;
        let old = broker.rulebook.load_full();
        match tokio::task::spawn_blocking(move || old.with_new_keys()).await {
            Ok(Ok(rulebook)) => {
                let policy = rulebook.policy.hash();
                broker.rulebook.store(Arc::new(rulebook));
                broker.reloads.note(Ok(policy));
                tracing::info!("a file of token keys has changed: reloaded the keys");
            }
            Ok(Err(error)) => self.keep(reason(&error)),
            Err(error) => self.keep(reason(&error)),
        }
    }

    /// Whether something else is in force now.
    async fn reload(&self) -> bool {
        let broker = &self.listening.broker;
        let schema = broker.rulebook.load().policy.schema().hash();
        let file = self.config.clone();
        // Files may be slow and policies large: calls go on meanwhile, under the old rulebook.
        match tokio::task::spawn_blocking(move || Fresh::read(file, schema)).await {
            Ok(Ok(fresh)) => {
                self.take_up(fresh);
                true
            }
            Ok(Err(error)) => {
                self.keep(reason(&error));
                false
            }
            Err(error) => {
                self.keep(reason(&error));
                false
            }
        }
    }

    /// Nothing in here can fail.
    fn take_up(&self, fresh: Fresh) {
        let Fresh {
            rulebook,
            tls,
            config,
        } = fresh;
        let broker = &self.listening.broker;
        let policy = rulebook.policy.hash();
        broker.channel.go_by(policy);
        broker.rulebook.store(Arc::new(rulebook));
        tls.warn();
        self.listening.tls.send_replace(Arc::new(tls));
        if let Err(error) = self.level.set(config.log.level) {
            tracing::error!(%error, "the log keeps its level");
        }
        broker.reloads.note(Ok(policy));
        broker
            .channel
            .report(Report::Lifecycle(Lifecycle::PolicyReloaded { policy }));
        tracing::info!(%policy, "reloaded policy, token keys, certificate and log level");
    }

    fn keep(&self, reason: String) {
        tracing::error!(
            reason,
            "nothing was reloaded; all that was in force stays in force"
        );
        self.listening.broker.reloads.note(Err(reason));
    }
}

impl Fresh {
    fn read(file: PathBuf, schema: Digest) -> Result<Self, ReloadError> {
        let config = BrokerConfig::load(&file)?;
        Ok(Self {
            rulebook: Rulebook::read_again(&config, schema)?,
            tls: tls::server_side(&config.tls)?,
            config,
        })
    }
}

impl Reloads {
    /// None yet.
    pub fn new(policy: Digest) -> Self {
        Self(Mutex::new(Reloaded {
            policy,
            succeeded: 0,
            failed: 0,
            error: None,
        }))
    }

    /// The last word.
    pub fn last(&self) -> Reloaded {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, outcome: Result<Digest, String>) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(policy) => {
                last.policy = policy;
                last.succeeded = last.succeeded.saturating_add(1);
                last.error = None;
            }
            Err(error) => {
                last.failed = last.failed.saturating_add(1);
                last.error = Some(error);
            }
        }
    }
}
