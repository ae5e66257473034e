//! An object's bytes, for whoever reads files.

use std::io::{self, Read};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::block_on;
use futures::stream::BoxStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, channel};

use super::error::told;

/// So many pieces are on their way at once.
const AHEAD: usize = 16;

/// Bytes as they come. Dropping it ends the download.
pub struct Reading {
    coming: Receiver<io::Result<Bytes>>,
    /// What came and was not read yet.
    rest: Bytes,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").finish_non_exhaustive()
    }
}

impl Reading {
    pub(super) fn of(mut stream: BoxStream<'static, object_store::Result<Bytes>>, threads: &Runtime) -> Self {
        let (send, coming) = channel(AHEAD);
        threads.spawn(async move {
            while let Some(piece) = stream.next().await {
                if send.send(piece.map_err(told)).await.is_err() {
                    return;
                }
            }
        });
        Self { coming, rest: Bytes::new() }
    }
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match block_on(self.coming.recv()) {
                Some(piece) => self.rest = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.rest.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
