//! Which entities and which rules: named one by one, by a configuration file, or found where they usually are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbal_policy::Policy;
use dbal_schema::{Schema, Warning};
use serde::Deserialize;

use crate::error::ToolError;
use crate::files;

/// Where a configuration is sought when nothing is named.
const USUAL: [&str; 2] = ["broker.yaml", "/etc/dbal/broker.yaml"];

/// The files that make a policy.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Inputs {
    /// Folder of entity files.
    #[arg(long, value_name = "DIR", requires = "policy")]
    entities: Option<PathBuf>,
    /// The policy's rules.
    #[arg(long, value_name = "FILE", requires = "entities")]
    policy: Option<PathBuf>,
    /// broker.yaml, or a plain worker.yaml, which names both. Without any of the three: ./broker.yaml, else ./acl.yaml with
    /// ./entities, else /etc/dbal/broker.yaml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["entities", "policy"])]
    config: Option<PathBuf>,
}

/// A policy, and what is odd about its files.
pub(crate) struct Loaded {
    pub(crate) policy: Policy,
    pub(crate) warnings: Vec<Warning>,
}

impl Inputs {
    /// Loads both, as the daemons do.
    pub(crate) fn load(&self) -> Result<Loaded, ToolError> {
        let Named { entities, policy } = self.named()?;
        let dbal_schema::Loaded { schema, mut warnings } = Schema::load(&entities)?;
        let rules = Policy::load(&policy, Arc::new(schema))?;
        warnings.extend(rules.warnings);
        Ok(Loaded {
            policy: rules.policy,
            warnings,
        })
    }

    fn named(&self) -> Result<Named, ToolError> {
        let Self {
            entities,
            policy,
            config,
        } = self;
        if let (Some(entities), Some(policy)) = (entities, policy) {
            return Ok(Named {
                entities: entities.clone(),
                policy: policy.clone(),
            });
        }
        if let Some(config) = config {
            return Named::by(config);
        }
        let [here, installed] = USUAL.map(Path::new);
        if here.exists() {
            return Named::by(here);
        }
        let beside = Named {
            entities: "entities".into(),
            policy: "acl.yaml".into(),
        };
        if beside.entities.is_dir() && beside.policy.exists() {
            return Ok(beside);
        }
        if installed.exists() {
            return Named::by(installed);
        }
        Err(ToolError::Usage(
            "which policy? Name --entities and --policy, or a --config that names them".to_owned(),
        ))
    }
}

/// Where the files are. Other keys of a configuration are no business of this command.
#[derive(Deserialize)]
struct Named {
    entities: PathBuf,
    policy: PathBuf,
}

impl Named {
    /// As the configuration says; relative paths start from its folder.
    fn by(config: &Path) -> Result<Self, ToolError> {
        let text = files::read(config)?;
        let Self { entities, policy } = dbal_settings::parse(config, &text)?;
        let folder = config.parent().unwrap_or(Path::new(""));
        Ok(Self {
            entities: folder.join(entities),
            policy: folder.join(policy),
        })
    }
}
