//! Tests over real sockets and files, and beside other programs, in one binary so that it links once.

mod bandwidth;
mod calls;
mod codes;
mod commands;
mod container_oracles;
mod devices;
mod documents;
mod flv_oracles;
mod folding;
mod forecast;
mod healing;
mod hostile;
mod kill;
mod kill_live;
mod live;
mod live_edges;
mod live_oracles;
mod live_support;
mod outcomes;
mod play;
mod record_live;
mod sim_footage;
mod sim_server;
mod slow_disk;
mod stop;
mod support;
