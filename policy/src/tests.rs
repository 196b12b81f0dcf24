//! What the policy as a whole decides.

mod world;
mod examples;
