//! One stream's way from the media server to its staging file, on the threads for streams.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::bandwidth::Ceilings;
use crate::flv;
use crate::judge::Ending;
use crate::platform::media::{MediaClient, MediaError, MediaStream};
use crate::vault::{Staging, Vault, VaultError};
use crate::window::Window;

use super::limit::Limit;
use super::lull::Lull;
use super::sink::Sink;
use super::throttle::Throttle;
use super::{Manner, Progress};

/// How many times in a row a file that seems to grow may have grown by nothing, before it counts as complete.
const IDLE_GROWTH_CHECKS: u32 = 2;

/// Moves streams. Its clones share the ceilings.
#[derive(Clone, Debug)]
pub(super) struct Mover {
    media: MediaClient,
    vault: Vault,
    manner: Manner,
    throttle: Arc<Throttle>,
}

/// A stream that has ended, one way or another, with what of it is in the staging file.
pub(super) struct Streamed {
    pub(super) staging: Staging,
    pub(super) parser: flv::Parser,
    pub(super) ending: Ending,
    /// Why it ended, when not cleanly.
    pub(super) error: Option<MediaError>,
    /// Whether it was ended here, and nobody is to blame.
    pub(super) cut: bool,
}

impl Mover {
    /// Moves what `media` opens into `vault`. All streams together keep to `ceilings`.
    pub(super) fn new(media: MediaClient, vault: Vault, manner: Manner, ceilings: Ceilings) -> Self {
        Self { media, vault, manner, throttle: Arc::new(Throttle::new(ceilings)) }
    }

    /// Streams into a staging file until the stream ends, breaks, stalls, goes on for too long, or `stop` is cancelled.
    pub(super) async fn stream(
        self,
        url: String,
        window: Window,
        stop: CancellationToken,
        progress: Arc<Progress>,
    ) -> Result<Streamed, VaultError> {
        let mut staging = self.vault.stage(window.device, window.range)?;
        let mut sink = Sink::new(&mut staging, window.range, &*progress);
        let pumped = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            pumped = self.pump(&url, &mut sink, Limit::new(window.range)) => match pumped {
                // What has come is as good as that of any stream that was cut.
                Err(VaultError::SpoolFull { .. }) => None,
                pumped => Some(pumped?),
            },
        };
        let cut = pumped.is_none();
        let (ending, error) = match pumped {
            None => (Ending::Broken, None),
            Some(Some(error)) => (Ending::Broken, Some(error)),
            Some(None) => (Ending::Clean, None),
        };
        let parser = sink.parser;
        Ok(Streamed { staging, parser, ending, error, cut })
    }

    /// Moves bytes until a clean end (nothing) or a failure. Some media servers may hand out a file that is still being
    /// written, complete by HTTP's rules and yet too short (**\[unknown\]**); so a file that ends too early is asked for the
    /// rest of it until it stops growing.
    async fn pump(&self, url: &str, sink: &mut Sink<'_>, mut limit: Limit) -> Result<Option<MediaError>, VaultError> {
        let mut idle = 0;
        loop {
            let before = sink.bytes();
            let opened = match limit.wait(self.media.open(url, before)).await {
                Ok(opened) => opened,
                Err(endless) => return Ok(Some(endless)),
            };
            match opened {
                Ok(Some(stream)) => {
                    let is_file = stream.is_file;
                    if let Some(error) = drain(stream, sink, &self.throttle, &mut limit).await? {
                        return Ok(Some(error));
                    }
                    if !is_file {
                        return Ok(None);
                    }
                }
                Ok(None) => {}
                // What came before stands: a server that forgets its URL after the first answer ends the growth.
                Err(_) if before > 0 => return Ok(None),
                Err(error) => return Ok(Some(error)),
            }
            idle = if sink.bytes() > before { 0 } else { idle + 1 };
            let enough = sink.overlong || sink.is_not_flv() || sink.has_enough(self.manner.tolerance_seconds);
            if enough || idle >= IDLE_GROWTH_CHECKS {
                return Ok(None);
            }
            if let Err(endless) = limit.wait(tokio::time::sleep(self.manner.growth_pause)).await {
                return Ok(Some(endless));
            }
        }
    }
}

/// Moves the bytes of one answer into the sink, as fast as bandwidth allows. A server that takes no ranges sends the file
/// from its beginning again: what is there already is passed over, but it came, and so it counts.
pub(super) async fn drain(
    mut stream: MediaStream,
    sink: &mut Sink<'_>,
    throttle: &Throttle,
    limit: &mut Limit,
) -> Result<Option<MediaError>, VaultError> {
    let mut known = sink.bytes().saturating_sub(stream.offset);
    let mut lull = Lull::new(throttle.begun(), tokio::time::Instant::now());
    loop {
        let mut bytes = match limit.wait(stream.next()).await.and_then(|next| next) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        let came = bytes.len();
        while !bytes.is_empty() {
            let passing = throttle.turn(bytes.len()).await;
            if throttle.is_set() {
                // Whoever has the next turn was just woken on this thread, and must not wait for a write that blocks.
                tokio::task::yield_now().await;
            }
            let part = bytes.split_to(passing);
            let skipped = known.min(part.len() as u64);
            known -= skipped;
            sink.take(&part[skipped as usize..])?;
            if let Some(error) = sink.too_much() {
                return Ok(Some(error));
            }
            if sink.overlong || sink.is_not_flv() {
                return Ok(None);
            }
        }
        if stream.gathers
            && let Some(look) = lull.after(came, tokio::time::Instant::now())
        {
            tokio::time::sleep_until(look).await;
        }
    }
}
