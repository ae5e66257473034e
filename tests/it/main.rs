//! Tests of the assembled crate, in one binary.

mod flv_oracles;
