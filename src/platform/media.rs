//! Opens the URLs that the platform hands out, and gives their bytes.
//!
//! What is **\[unknown\]** of the media server and survived here: whether it sends a length, takes `Range`, or waits with
//! its first byte for the NVR. The URL itself is data: http and https only, to addresses that its [`Guard`] lets pass, and it
//! is never logged whole.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use reqwest::{Version, header};
use thiserror::Error;
use url::Url;

use super::client::chain;
use super::guard::{Astray, Guard};
use super::tls;
use crate::media_rule::Denied;
use crate::untrusted::Untrusted;

/// So many bytes a server may send over HTTP/2 before any of them is read: with a tenth of a second between request and answer,
/// that lets 20 Mbit/s through.
const SENT_AHEAD: u32 = 256 << 10;

/// How long to wait for a media server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the first byte, which may wait for the NVR.
    pub first_byte: Duration,
    /// For the next byte after any other.
    pub stall: Duration,
}

/// Why no more bytes come.
#[derive(Debug, Error)]
pub enum MediaError {
    /// The platform's URL cannot be used.
    #[error("the platform gave a URL that is no http or https address: {0:?}")]
    BadUrl(Untrusted),
    /// It leads to an address that is not asked for media, by itself or after a redirect.
    #[error(transparent)]
    Denied(Denied),
    /// The media server sends the client to where it does not go.
    #[error(transparent)]
    Astray(Astray),
    /// The media server answered with something else than a stream.
    #[error("the media server answered HTTP {status}, beginning {first:?}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// How the body begins.
        first: Untrusted,
    },
    /// The connection failed or broke.
    #[error("the connection to the media server failed: {0}")]
    Broken(Untrusted),
    /// No byte came for too long.
    #[error("the media server sent nothing for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    /// Bytes kept coming, and never made up the window.
    #[error("the stream had not ended after {} s", .0.as_secs())]
    Endless(Duration),
    /// More bytes came than any camera sends in the time, or than anybody sends that are no FLV.
    #[error("the stream had not ended after {bytes} bytes, of which {good} are FLV: no camera sends that")]
    TooMuch {
        /// How many came.
        bytes: u64,
        /// How many of them, from the beginning on, were FLV.
        good: u64,
    },
}

/// Opens media URLs.
#[derive(Clone, Debug)]
pub struct MediaClient {
    http: reqwest::Client,
    patience: Patience,
    guard: Guard,
}

/// A stream that has begun.
pub struct MediaStream {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    patience: Patience,
    begun: bool,
    /// Where it came from in the end, after redirects.
    pub url: Url,
    /// Where in the file the first byte stands: what was asked for, or 0 when the server does not take ranges.
    pub offset: u64,
    /// Whether the server treats the URL as a file (it sent a length), so that a short answer may be a file that still
    /// grows.
    pub is_file: bool,
    /// Whether all that has come meanwhile is given at once. Of a chunked answer a chunk is given at a time, of an encrypted
    /// one a record, and of one without a length 8 KiB, however much has come.
    pub gathers: bool,
}

impl MediaClient {
    /// A client with that patience, for addresses that `guard` lets pass. Fails when the machine's TLS roots cannot be read.
    pub fn new(patience: Patience, guard: Guard) -> Result<Self, reqwest::Error> {
        let http = tls::builder()
            .connect_timeout(patience.connect)
            .dns_resolver(guard.for_media())
            .redirect(guard.redirects())
            // A media URL lets whoever has it watch, so the next server is not told where the client came from.
            .referer(false)
            .user_agent(concat!("archive/", env!("CARGO_PKG_VERSION")))
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            // What a server may send ahead of whoever reads; by itself it would be megabytes.
            .http2_initial_stream_window_size(SENT_AHEAD)
            .http2_initial_connection_window_size(SENT_AHEAD)
            // One download, one connection: a media server that closes after each stream must not break the next, and however
            // many hosts there are, none of them leaves a connection behind.
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, patience, guard })
    }

    /// Opens `url` from byte `offset` on. Nothing when the server says that there is nothing from there on.
    pub async fn open(&self, url: &str, offset: u64) -> Result<Option<MediaStream>, MediaError> {
        let url = usable(url)?;
        // Whoever connects looks up names only; what is an address already is looked at here.
        self.guard.check_literal(&url).map_err(MediaError::Denied)?;
        let mut request = self.http.get(url);
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        let response = tokio::time::timeout(self.patience.first_byte, request.send())
            .await
            .map_err(|_| MediaError::Stalled(self.patience.first_byte))?
            .map_err(broken)?;
        let status = response.status().as_u16();
        let offset = match status {
            206 => offset,
            200 => 0,
            416 if offset > 0 => return Ok(None),
            _ => return Err(MediaError::Status { status, first: self.first_bytes(response).await }),
        };
        let is_file = response.content_length().is_some();
        let url = response.url().clone();
        let gathers = is_file && response.version() <= Version::HTTP_11 && url.scheme() == "http";
        let body = response.bytes_stream().boxed();
        Ok(Some(MediaStream { body, patience: self.patience, begun: false, url, offset, is_file, gathers }))
    }

    /// What an unexpected answer begins with, to be quoted; as much as one wait gives.
    async fn first_bytes(&self, response: reqwest::Response) -> Untrusted {
        let mut body = response.bytes_stream();
        match tokio::time::timeout(self.patience.stall, body.next()).await {
            Ok(Some(Ok(bytes))) => Untrusted::from_bytes(&bytes),
            // OK to quote nothing: the status has been told, and is the better half.
            Ok(Some(Err(_)) | None) | Err(_) => Untrusted::default(),
        }
    }
}

impl MediaStream {
    /// What a server would send, without a server.
    #[cfg(test)]
    pub(crate) fn of(body: BoxStream<'static, reqwest::Result<Bytes>>, patience: Patience) -> Self {
        let url = Url::parse("http://127.0.0.1/").expect("a URL");
        Self { body, patience, begun: false, url, offset: 0, is_file: false, gathers: false }
    }

    /// The next bytes; nothing at a clean end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, MediaError> {
        let wait = if self.begun { self.patience.stall } else { self.patience.first_byte };
        match tokio::time::timeout(wait, self.body.next()).await {
            Ok(Some(Ok(bytes))) => {
                self.begun = true;
                Ok(Some(bytes))
            }
            Ok(Some(Err(error))) => Err(broken(error)),
            Ok(None) => Ok(None),
            Err(_) => Err(MediaError::Stalled(wait)),
        }
    }
}

fn usable(url: &str) -> Result<Url, MediaError> {
    let bad = || MediaError::BadUrl(Untrusted::new(url));
    let url = Url::parse(url).map_err(|_| bad())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(bad()) }
}

/// What an error is: one of ours that came back from within reqwest, or one of the connection's.
fn broken(error: reqwest::Error) -> MediaError {
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(denied) = inner.downcast_ref::<Denied>() {
            return MediaError::Denied(denied.clone());
        }
        if let Some(astray) = inner.downcast_ref::<Astray>() {
            return MediaError::Astray(astray.clone());
        }
        cause = inner.source();
    }
    MediaError::Broken(Untrusted::new(&chain(&error.without_url())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_https_are_opened() {
        for url in ["http://10.1.2.3:8500/FLV_a_b_c.flv", "https://media.example/x"] {
            assert!(usable(url).is_ok(), "{url}");
        }
        for url in ["", "file:///etc/passwd", "ftp://a/b", "data:video/x-flv,", "/FLV_a.flv", "http://"] {
            assert!(matches!(usable(url), Err(MediaError::BadUrl(_))), "{url}");
        }
    }
}
