//! The vendor's cloud (万店掌 / OpRetail) as a client sees it.
//!
//! Facts carry the grade of their source: **[doc]** the vendor's pages, **[sdk]** the vendor's public SDKs or clients
//! seen in production, **[unknown]** nobody wrote it down.

pub mod wire;
