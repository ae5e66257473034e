//! Tests over real sockets and files, and beside other programs, in one binary so that it links once.

mod codes;
mod commands;
mod documents;
mod flv_oracles;
mod forecast;
mod kill;
mod outcomes;
mod sim_footage;
mod sim_server;
mod stop;
mod support;
