//! What must hold of any input: for each fuzz target a module with a function `holds`, which panics when it does not.
//!
//! libFuzzer runs them over whatever it makes up (`targets/`), `cargo test` over the seeds (`tests/it/seeds.rs`).

pub mod amf;
pub mod answers;
pub mod catalog;
pub mod containers;
pub mod cutter;
pub mod devices;
pub mod flv;
pub mod names;
pub mod pieces;
pub mod playlists;
pub mod settings;
pub mod shown;
pub mod times;
