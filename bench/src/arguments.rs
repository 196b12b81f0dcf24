//! What the command line of the load generator takes. `cargo xtask bench` reads it, too (xtask/src/bench.rs).

use clap::{Args, Subcommand};

/// Measure what dbal costs: latency and throughput over wss beside the same statements made directly, release build.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// Something else than that.
    #[command(subcommand)]
    pub other: Option<Other>,
    /// One JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
    /// The database.
    #[arg(long, value_name = "NAME", default_value = "sqlite", value_parser = ["sqlite", "postgresql", "mariadb"])]
    pub database: String,
    /// Only these calls.
    #[arg(long, value_name = "C,…", value_delimiter = ',', value_parser = ["read", "create", "update", "delete", "list", "createMany"])]
    pub calls: Option<Vec<String>>,
    /// Clients at once.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 8, 64])]
    pub clients: Vec<usize>,
    /// Threads that dbal's clients share (direct ones have one each); as many as there are CPUs by default.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// The worker's connections to a server.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub pool: u32,
    /// For each call and number of clients.
    #[arg(long, value_name = "S", default_value_t = 1.5)]
    pub seconds: f64,
    /// Measure each so often, both sides in turn, and keep the round whose throughput ratio is the median: on few CPUs it depends on where
    /// the kernel happens to put whom.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// With the result cache; PostgreSQL only.
    #[arg(long)]
    pub cache: bool,
    /// With a trace of every call, whose spans both daemons print.
    #[arg(long)]
    pub trace: bool,
}

/// What else can be measured.
#[derive(Debug, Subcommand)]
pub enum Other {
    Overload(Overload),
}

/// What attackers and too many clients cost the honest ones, and the daemon's memory meanwhile (docs/overload.md).
#[derive(Debug, Args)]
pub struct Overload {
    /// Shorter and smaller: whether it runs, not how fast.
    #[arg(long)]
    pub quick: bool,
    /// Only these.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub only: Option<Vec<String>>,
}
