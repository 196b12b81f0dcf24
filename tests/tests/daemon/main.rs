//! Real processes, real sockets, real enemies. One binary, so that the harness is linked once; each module is one topic.
#![forbid(unsafe_code)]

mod random;
mod excess;
mod fake_broker;
mod handshake;
mod methods;
mod monitoring;
mod transactions;
mod relations;
mod refusals;
mod attacks;
mod enforcement;
mod broken_messages;
mod api_keys;
mod token_keys;
mod guessing;
mod authentication;
mod declared_claims;
mod foreign_clients;
mod confinement;
mod secrets;
mod hostile_broker;
mod limits;
mod worker_death;
mod audit_trail;
mod lifecycle;
mod reload;
mod service;
mod health;
mod postgresql;
mod readme;
mod schema_tool;
mod schema_tool_mariadb;
mod schema_tool_postgresql;
mod mariadb;
mod mysql;
