//! SIGHUP: reads policy, token keys, certificate and log level again and puts them in force as a whole, or says why not
//! and keeps the old ones.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use dbal_daemon::log::Level;
use dbal_daemon::reload::reason;
use dbal_sandbox::Rereadable;
use dbal_shared::ids::Digest;
use dbal_shared::message::{Lifecycle, Report};
use rustls::ServerConfig;
use tokio::signal::unix::Signal;

use crate::config::{BrokerConfig, ConfigError, Tls};
use crate::net::listen::Listening;
use crate::net::tls::{self, TlsError};
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
    tls: Arc<ServerConfig>,
    config: BrokerConfig,
}

/// What the sandbox has to leave readable for a reload.
pub fn rereadable(file: PathBuf, config: &BrokerConfig) -> Rereadable {
    let Tls { certificate, key } = &config.tls;
    let tokens = &config.auth.tokens;
    let mut files = vec![
        file.clone(),
        config.policy.clone(),
        certificate.clone(),
        key.clone(),
    ];
    files.extend(config.invariants.clone());
    files.extend(tokens.jwks.clone());
    files.extend(tokens.keys.iter().filter_map(|key| key.public_key.clone()));
    Rereadable {
        files,
        folders: vec![config.entities.clone()],
        // In its folder may lie the worker's configuration, and what opens that.
        never_beside: vec![file],
    }
}

impl Reloader {
    /// Reloads at each SIGHUP, until the task is aborted.
    pub async fn run(self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            self.reload().await;
        }
    }

    async fn reload(&self) {
        let broker = &self.listening.broker;
        let schema = broker.rulebook.load().policy.schema().hash();
        let file = self.config.clone();
        // Files may be slow and policies large: calls go on meanwhile, under the old rulebook.
        match tokio::task::spawn_blocking(move || Fresh::read(file, schema)).await {
            Ok(Ok(fresh)) => self.take_up(fresh),
            Ok(Err(error)) => self.keep(reason(&error)),
            Err(error) => self.keep(reason(&error)),
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
        broker.admission.start_over();
        self.listening.tls.store(tls);
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
            tls: tls::server_config(&config.tls.certificate, &config.tls.key)?,
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
