//! What the kernel says is in force.

use crate::SandboxError;

/// One layer of confinement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, as `/health` and `dbal sandbox status` print it.
    pub name: &'static str,
    /// Whether it holds.
    pub state: State,
}

/// Whether a layer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The kernel says so.
    InForce,
    /// It should, and doesn't; why.
    Missing(String),
    /// Not asked for.
    Off,
}

/// Proof that the process locked itself in.
#[derive(Clone, Debug)]
pub struct Locked {
    layers: Vec<Layer>,
}

impl Locked {
    pub(crate) fn new(layers: Vec<Layer>) -> Self {
        Self { layers }
    }

    /// What was read back from the kernel at that moment.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }
}

/// What `/proc/<pid>/status` says of another process.
pub fn read_back(_pid: u32) -> Result<Vec<Layer>, SandboxError> {
    Ok(Vec::new())
}
