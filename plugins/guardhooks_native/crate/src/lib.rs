//! The native core of guardhooks: from a block of log lines to columns of failures.
//!
//! What a filter means is decided in Python; this crate executes it, in safe Rust.
#![forbid(unsafe_code)]

pub mod block;
pub mod charset;
pub mod dates;
pub mod deferred;
pub mod jail;
pub mod linear;
pub mod matcher;
pub mod nfa;
pub mod numbers;
pub mod plain;
pub mod reach;
pub mod regex;
pub mod scan;
pub mod sessions;
pub mod text;
pub mod walk;
pub mod windows;

#[cfg(feature = "python")]
mod python;

#[cfg(test)]
mod tests;
