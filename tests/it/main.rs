//! Tests of the assembled crate, in one binary.

mod flv_oracles;
//! Tests over real sockets and files, in one binary so that it links once.

mod sim_footage;
mod sim_server;
