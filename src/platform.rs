//! The vendor's cloud (万店掌 / OpRetail) as a client sees it.
//!
//! Facts carry the grade of their source: **\[doc\]** the vendor's pages, **\[sdk\]** the vendor's public SDKs or clients
//! seen in production, **\[unknown\]** nobody wrote it down.
//!
//! [`wire`] holds names, answers and the table of codes; [`sign`] the signature, [`body`] how parameters travel;
//! [`client`] calls the gateway, and [`answers`] reads what came; [`listing`] asks for stores and their cameras; [`media`] opens
//! the URLs that it hands out, where [`guard`] lets it; [`live`] chooses among those of a live stream.

pub mod answers;
pub mod body;
mod call_error;
pub mod client;
pub mod guard;
pub mod listing;
pub mod live;
pub mod media;
mod pace;
pub mod sign;
pub mod tls;
pub mod wire;
