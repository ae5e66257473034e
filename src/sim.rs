//! The simulated platform: the vendor's gateway, and the stores, recorders and cameras behind it, as a real server.
//!
//! It is what `rehearse`, `simulate` and the tests run against. It shares [`crate::platform::wire`] with the client, and
//! nothing else: its signature and its FLV writer are its own, so that one mistake cannot confirm itself.
//!
//! | module | what it is |
//! |---|---|
//! | [`config`] | a set-up: stores, recorders, cameras, faults, speed |
//! | [`server`] | sockets and the clock; [`start`], [`serve`], [`Running`] |
//! | [`world`] | one call from its parameters to its answer |
//! | [`gateway`], [`signature`] | the checks that come first |
//! | [`methods`], [`answer`] | what methods answer, and how it is written |
//! | [`model`] | who may download what, and when; no clock of its own |
//! | [`media`], [`footage`] | what a media URL sends |
//! | [`channels`] | how long a live channel lives; no clock of its own |
//! | [`live`], [`hls`] | what a live channel's URLs send |
//! | [`fault`], [`draw`] | what goes wrong, and how it follows from the seed |
//! | [`script`] | what a test forces |
//! | [`log`] | what happened |
//! | [`moment`], [`error`] | times as a set-up writes them; why it cannot start |

pub mod answer;
pub mod channels;
pub mod config;
pub mod draw;
pub mod error;
pub mod fault;
pub mod footage;
pub mod gateway;
pub mod hls;
pub mod live;
pub mod log;
pub mod media;
pub mod methods;
pub mod model;
pub mod moment;
pub mod script;
pub mod server;
pub mod signature;
pub mod world;

pub use config::{Config, LiveUrls, Speed};
pub use error::SimError;
pub use fault::{LiveFault, MediaFault, Profile};
pub use log::{CallRecord, LiveRecord, MediaEvent, MediaRecord};
pub use script::{Scripted, Trouble};
pub use server::{Options, Running, serve, start, start_rehearsal};
