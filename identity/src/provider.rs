//! Signature checks for jsonwebtoken, done by ring.
