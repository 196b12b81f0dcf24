//! What tests against real processes need: daemons to start, clients to speak as, /proc to look into. No test lives here.
#![forbid(unsafe_code)]

pub mod binaries;
pub mod daemon;
pub mod units;
pub mod client;
pub mod counted;
pub mod crowd;
pub mod worker_alone;
pub mod channel;
pub mod processes;
pub mod example;
pub mod journal;
pub mod terminal;
