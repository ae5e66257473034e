//! Why the simulated platform cannot start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// Why the simulated platform cannot start.
#[derive(Debug, Error)]
pub enum SimError {
    /// The set-up is wrong.
    #[error("the simulated platform's set-up is wrong: {0}")]
    Config(String),
    /// The set-up's file cannot be read.
    #[error("cannot read the set-up {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing can listen there.
    #[error("cannot listen on {address}: {source}; with port 0 a free one is picked")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The log's file cannot be opened.
    #[error("cannot write the log {path}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
