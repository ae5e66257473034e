//! Posts to URLs that the person wrote: notices, and pings of dead-man's switches. One try, bounded in time; no redirect is
//! followed, since what is posted is for the one who was named.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use thiserror::Error;

use crate::message::SecretUrl;
use crate::untrusted::Untrusted;

/// How long one try may take, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of an answer is read: the vendors' have some hundred bytes.
const LONGEST_ANSWER: usize = 16 << 10;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// A POST of JSON.
    Json(String),
    /// A POST of a text.
    Text(String),
    /// A GET.
    Nothing,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How the body begins.
    pub body: Vec<u8>,
}

/// Why there is no answer. Nothing of it shows the URL.
#[derive(Clone, Debug, Error)]
pub enum NoAnswer {
    /// The connection failed or broke.
    #[error("{0}")]
    Broken(Untrusted),
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooLate,
}

/// Posts.
#[derive(Clone, Debug)]
pub struct Webhook {
    http: reqwest::Client,
}

impl Webhook {
    /// One that trusts what `builder` does. Fails when the machine's TLS roots cannot be read.
    pub fn new(builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        let agent = concat!("archive/", env!("CARGO_PKG_VERSION"));
        let http = builder.redirect(Policy::none()).referer(false).user_agent(agent).build()?;
        Ok(Self { http })
    }

    /// Sends it once.
    pub async fn send(&self, url: &SecretUrl, sent: &Sent) -> Result<Answer, NoAnswer> {
        tokio::time::timeout(PATIENCE, self.try_send(url, sent)).await.unwrap_or(Err(NoAnswer::TooLate))
    }

    async fn try_send(&self, url: &SecretUrl, sent: &Sent) -> Result<Answer, NoAnswer> {
        let request = match sent {
            Sent::Nothing => self.http.get(url.exposed()),
            Sent::Json(json) => self.post(url, "application/json; charset=utf-8", json),
            Sent::Text(text) => self.post(url, "text/plain; charset=utf-8", text),
        };
        let broken = |error: reqwest::Error| NoAnswer::Broken(Untrusted::new(&url.hidden_in(&chain(error))));
        let response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let (mut body, mut pieces) = (Vec::new(), response.bytes_stream());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(broken)?;
            let room = LONGEST_ANSWER - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if body.len() == LONGEST_ANSWER {
                break;
            }
        }
        Ok(Answer { status, body })
    }

    fn post(&self, url: &SecretUrl, kind: &'static str, body: &str) -> reqwest::RequestBuilder {
        self.http.post(url.exposed()).header(CONTENT_TYPE, HeaderValue::from_static(kind)).body(body.to_owned())
    }
}

/// An error with all that caused it, without the URL that it is about.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
