//! Saves the recordings of shop cameras before the recorders overwrite them.
//!
//! A chain's stores each have a network video recorder (NVR) that keeps footage for some days. The vendor's cloud lets
//! a client ask for at most ten minutes of one camera at a time and refuses while the NVR is busy. This crate plans
//! what to ask for, asks for it, judges what comes back, publishes what is whole, and keeps a ledger in which every
//! second that was asked for is in exactly one state: archived, or a gap with a cause.
//!
//! # The map
//!
//! Modules are in five layers. A module may use those of its own group's layer above it in this list, never one below,
//! and adapters never use each other; `tests/layers.rs` holds the rule.
//!
//! | layer | modules | what they may do |
//! |---|---|---|
//! | words | [`time_range`], [`instant`], [`untrusted`], [`mac`], [`device`], [`wording`], [`window`], [`outcome`], [`absence`], [`recording`], [`catalog`], [`lease`], [`live_runs`], [`ledger_place`], [`event`], [`report`], [`manifest`], [`upkeep`], [`exit_code`], [`failpoint`] | plain values, no I/O; [`failpoint`]'s is in no release build |
//! | decisions | [`calendar`], [`bandwidth`], [`coverage`], [`nvrs`], [`backoff`], [`media_rule`], [`scheduler`], [`sharing`], [`plan`], [`forecast`], [`picture`], [`notice`], [`message`], [`readiness`], [`underway`], [`flv`], [`hls`], [`judge`], [`container`], [`retention`], [`live_clock`], [`live_timeline`], [`live_waiting`], [`joining`], [`mp4`] | pure: time and randomness come in as arguments |
//! | adapters | [`settings`], [`platform`], [`vault`], [`ledger`], [`descriptors`], [`progress_file`], [`display`], [`render`], [`webhook`], [`program`] | one resource each |
//! | assembly | [`clock`], [`transfers`], [`follow`], [`publish`], [`fetch`], [`adopt`], [`leaving`], [`catalog_writer`], [`reindex`], [`run`], [`live`], [`verify`], [`prune`], [`export`], [`notify`], [`on_recording`], [`sim`] | join decisions and adapters |
//! | surface | [`cli`], [`commands`] | arguments in, exit code out |

#![forbid(unsafe_code)]

pub mod absence;
pub mod adopt;
pub mod backoff;
pub mod bandwidth;
pub mod calendar;
pub mod catalog;
pub mod catalog_writer;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod container;
pub mod coverage;
pub mod descriptors;
pub mod device;
pub mod display;
pub mod event;
pub mod exit_code;
pub mod export;
pub mod failpoint;
pub mod fetch;
pub mod flv;
pub mod follow;
pub mod forecast;
pub mod hls;
pub mod instant;
pub mod joining;
pub mod judge;
pub mod lease;
pub mod leaving;
pub mod ledger;
pub mod ledger_place;
pub mod live;
pub mod live_clock;
pub mod live_runs;
pub mod live_timeline;
pub mod live_waiting;
pub mod mac;
pub mod manifest;
pub mod media_rule;
pub mod message;
pub mod mp4;
pub mod notice;
pub mod notify;
pub mod nvrs;
pub mod on_recording;
pub mod outcome;
pub mod picture;
pub mod plan;
pub mod platform;
pub mod program;
pub mod progress_file;
pub mod prune;
pub mod publish;
pub mod readiness;
pub mod recording;
pub mod reindex;
pub mod render;
pub mod report;
pub mod retention;
pub mod run;
pub mod scheduler;
pub mod settings;
pub mod sharing;
pub mod sim;
pub mod time_range;
pub mod transfers;
pub mod underway;
pub mod untrusted;
pub mod upkeep;
pub mod vault;
pub mod verify;
pub mod webhook;
pub mod window;
pub mod wording;
