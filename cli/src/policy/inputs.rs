//! Which entities and which rules: named one by one, by a configuration file, or found where they usually are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbal_policy::{Policy, PolicyError};
use dbal_review::finding::Finding;
use dbal_schema::error::Problems;
use dbal_schema::{Schema, SchemaError, Warning};
use serde::Deserialize;

use crate::diagnostics::{self, Count};
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
    /// What the rules must be proven to keep.
    #[arg(long, value_name = "FILE", requires = "policy")]
    invariants: Option<PathBuf>,
    /// broker.yaml, or a plain worker.yaml, which names them; or a folder with broker.yaml, or with acl.yaml and entities. Without
    /// any of the three: ./broker.yaml, else ./acl.yaml with ./entities, else /etc/dbal/broker.yaml.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["entities", "policy", "invariants"])]
    config: Option<PathBuf>,
}

/// A policy, if its files make one, and what is wrong or odd about them.
pub(crate) struct Examined {
    pub(crate) policy: Option<Policy>,
    pub(crate) findings: Vec<Finding>,
}

impl Inputs {
    /// The policy, loaded as the daemons do. What is wrong with it is printed.
    pub(crate) fn load(&self) -> Result<Policy, ToolError> {
        self.examine()?.policy()
    }

    /// The rules that stand in one place: a folder with broker.yaml, or with acl.yaml and entities; a configuration file; or a
    /// rules file beside its entities, if those are not in `entities`. Invariants are left out: what rules grant is asked.
    pub(crate) fn load_at(place: &Path, entities: Option<&Path>) -> Result<Policy, ToolError> {
        Named::at(place, entities)?.examine()?.policy()
    }

    /// The same, with all that can be said of the files. Fails only where they can't be read.
    pub(crate) fn examine(&self) -> Result<Examined, ToolError> {
        self.named()?.examine()
    }

    pub(super) fn named(&self) -> Result<Named, ToolError> {
        let Self {
            entities,
            policy,
            invariants,
            config,
        } = self;
        if let (Some(entities), Some(policy)) = (entities, policy) {
            return Ok(Named {
                entities: entities.clone(),
                policy: policy.clone(),
                invariants: invariants.clone(),
                policy_tests: None,
                policy_tested: None,
                admin: None,
            });
        }
        if let Some(config) = config {
            return Named::by(config);
        }
        let [here, installed] = USUAL.map(Path::new);
        if here.exists() {
            return Named::by(here);
        }
        let beside = Named::within(Path::new(""));
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

impl Examined {
    pub(super) fn policy(self) -> Result<Policy, ToolError> {
        let Self { policy, findings } = self;
        policy.ok_or_else(|| {
            diagnostics::complain(&findings);
            ToolError::Failed(format!("the policy does not load: {}", Count::of(&findings)))
        })
    }

    fn broken(warnings: Vec<Warning>, Problems(problems): Problems) -> Self {
        let problems = problems.into_iter().map(Finding::from);
        Self {
            policy: None,
            findings: problems.chain(warnings.into_iter().map(Finding::from)).collect(),
        }
    }
}

/// Where the files are. Other keys of a configuration are no business of this command.
#[derive(Deserialize)]
pub(crate) struct Named {
    entities: PathBuf,
    policy: PathBuf,
    #[serde(default)]
    invariants: Option<PathBuf>,
    #[serde(default)]
    policy_tests: Option<PathBuf>,
    /// Where the daemons look whether the policy has passed them.
    #[serde(default)]
    pub(super) policy_tested: Option<PathBuf>,
    /// Where the broker tells operators how it is.
    #[serde(default)]
    pub(super) admin: Option<SocketAddr>,
}

impl Named {
    /// What the daemons' configuration names: this one, or the one at a usual place.
    pub(super) fn configured(config: Option<&Path>) -> Result<Self, ToolError> {
        let usual = USUAL.iter().map(Path::new).find(|path| path.exists());
        match config.or(usual) {
            Some(config) => Self::by(config),
            None => Err(ToolError::Usage(
                "which policy? Name the broker's configuration with --config".to_owned(),
            )),
        }
    }

    /// The files of policy tests that are named.
    pub(crate) fn tests(&self) -> Result<Vec<PathBuf>, ToolError> {
        let Some(named) = &self.policy_tests else {
            return Ok(Vec::new());
        };
        if !named.is_dir() {
            return Ok(vec![named.clone()]);
        }
        let entries = std::fs::read_dir(named).map_err(|source| ToolError::file(named, source))?;
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
            .collect();
        found.sort_unstable();
        Ok(found)
    }

    fn at(place: &Path, entities: Option<&Path>) -> Result<Self, ToolError> {
        let is_config = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("broker") || name.starts_with("worker")
        };
        let config = if place.is_dir() {
            place.join("broker.yaml")
        } else {
            place.to_owned()
        };
        let named = if is_config(&config) && config.exists() {
            Self::by(&config)?
        } else {
            let policy = if place.is_dir() {
                place.join("acl.yaml")
            } else {
                config
            };
            let folder = policy.parent().unwrap_or(Path::new(""));
            Self {
                entities: folder.join("entities"),
                policy,
                invariants: None,
                policy_tests: None,
                policy_tested: None,
                admin: None,
            }
        };
        Ok(Self {
            entities: entities.map_or(named.entities, Path::to_owned),
            invariants: None,
            ..named
        })
    }

    pub(crate) fn examine(&self) -> Result<Examined, ToolError> {
        let Named {
            entities,
            policy,
            invariants,
            policy_tests: _,
            policy_tested: _,
            admin: _,
        } = self;
        let dbal_schema::Loaded { schema, warnings } = match Schema::load(entities) {
            Err(SchemaError::Invalid(problems)) => return Ok(Examined::broken(Vec::new(), problems)),
            loaded => loaded?,
        };
        match Policy::load(policy, invariants.as_deref(), Arc::new(schema)) {
            Err(PolicyError::Invalid(problems)) => Ok(Examined::broken(warnings, problems)),
            loaded => {
                let loaded = loaded?;
                let findings = warnings.into_iter().chain(loaded.warnings);
                Ok(Examined {
                    policy: Some(loaded.policy),
                    findings: findings.map(Finding::from).collect(),
                })
            }
        }
    }

    /// What usually lies in a folder without a configuration.
    fn within(folder: &Path) -> Self {
        let present = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self {
            entities: folder.join("entities"),
            policy: folder.join("acl.yaml"),
            invariants: present("invariants.yaml"),
            policy_tests: present("tests.yaml"),
            policy_tested: None,
            admin: None,
        }
    }

    /// As the configuration says, or the one in this folder; relative paths start from its folder.
    pub(crate) fn by(config: &Path) -> Result<Self, ToolError> {
        let in_folder = config.join("broker.yaml");
        let config = match config.is_dir() {
            true if !in_folder.exists() && config.join("acl.yaml").exists() => {
                return Ok(Self::within(config));
            }
            true => &in_folder,
            false => config,
        };
        let text = files::read(config)?;
        let Self {
            entities,
            policy,
            invariants,
            policy_tests,
            policy_tested,
            admin,
        } = dbal_settings::parse(config, &text)?;
        let folder = config.parent().unwrap_or(Path::new(""));
        Ok(Self {
            entities: folder.join(entities),
            policy: folder.join(policy),
            invariants: invariants.map(|path| folder.join(path)),
            policy_tests: policy_tests.map(|path| folder.join(path)),
            policy_tested: policy_tested.map(|path| folder.join(path)),
            admin,
        })
    }
}
