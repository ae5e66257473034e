//! What is posted at the end of a run, in the form of whoever takes it, and what an answer to it says.
//!
//! The vendors' forms are those of their pages on webhooks: DingTalk's custom robot, WeCom's group robot, Feishu's custom bot,
//! Slack's incoming webhook. The first three answer HTTP 200 whatever comes of it, and say in the body what that is.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::notice::Notice;
use crate::untrusted::Untrusted;

/// The most bytes of a text: WeCom takes no more.
const LONGEST_FOR_WECOM: usize = 2048;

/// The others take several times as much; but what is longer than this is not read on a phone.
const LONGEST: usize = 4000;

/// A shorter part of a URL than this proves nothing to anybody.
const SHORTEST_SECRET: usize = 6;

/// In whose form a notice is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our own: all that is known, as a JSON object.
    Json,
    /// A text of DingTalk's custom robot.
    DingTalk,
    /// A text of WeCom's group robot.
    WeCom,
    /// A text of Feishu's (Lark's) custom bot.
    Feishu,
    /// A text of Slack's incoming webhook.
    Slack,
}

impl Kind {
    /// What is posted. `text` is the same for people.
    pub fn body(self, notice: &Notice, text: &str) -> Value {
        match self {
            Self::Json => own(notice, text),
            Self::DingTalk => json!({"msgtype": "text", "text": {"content": fit(text, LONGEST)}}),
            Self::WeCom => {
                json!({"msgtype": "text", "text": {"content": fit(&without_mentions(text), LONGEST_FOR_WECOM)}})
            }
            Self::Feishu => json!({"msg_type": "text", "content": {"text": fit(&without_mentions(text), LONGEST)}}),
            Self::Slack => json!({"text": escaped_for_slack(&fit(text, LONGEST))}),
        }
    }

    /// Whether an answer says that the notice was taken; else why not, as it may be quoted.
    pub fn taken(self, status: u16, body: &[u8]) -> Result<(), String> {
        if !(200..300).contains(&status) {
            let why = match status {
                300..=399 => "it redirects to another address, which is not followed",
                401 | 403 | 404 | 410 => "is the URL right, and not withdrawn?",
                _ => return Err(format!("HTTP {status}")),
            };
            return Err(format!("HTTP {status}: {why}"));
        }
        let keys: [(&str, &str); 2] = match self {
            Self::Json | Self::Slack => return Ok(()),
            Self::DingTalk | Self::WeCom => [("errcode", "errmsg"); 2],
            // An older answer has only the second.
            Self::Feishu => [("code", "msg"), ("StatusCode", "StatusMessage")],
        };
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let said = keys.into_iter().find_map(|(code, why)| Some((code, answer.get(code)?, answer.get(why))));
        match said {
            Some((_, code, _)) if code.as_i64() == Some(0) => Ok(()),
            Some((name, code, why)) => {
                let code = Untrusted::new(&code.to_string());
                let why = Untrusted::new(why.and_then(Value::as_str).unwrap_or_default());
                Err(format!("{name} {code}: {why:?}"))
            }
            None => Err(format!("HTTP {status} without {}: is the URL that of such a robot?", keys[0].0)),
        }
    }
}

/// The notice, its text, and its times as text too.
fn own(notice: &Notice, text: &str) -> Value {
    // OK to fall back on the text: a notice is made of texts and numbers, which can be written.
    let mut body = serde_json::to_value(notice).unwrap_or_else(|_unwritable| json!({}));
    body["began_utc"] = json!(notice.began.to_string());
    body["ended_utc"] = json!(notice.ended.to_string());
    body["text"] = json!(text);
    body["version"] = json!(env!("CARGO_PKG_VERSION"));
    body
}

/// The three characters that Slack takes for its own.
fn escaped_for_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Names of cameras are the platform's. In these texts `<at …>` or `<@…>` would call somebody.
fn without_mentions(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›")
}

/// As many lines as `longest` bytes hold, and how many more there are.
fn fit(text: &str, longest: usize) -> String {
    let text = text.trim_end();
    if text.len() <= longest {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = lines.len().saturating_sub(1);
    loop {
        let last = format!("… and {} more lines", lines.len() - kept);
        let long: usize = lines[..kept].iter().map(|line| line.len() + 1).sum();
        if long + last.len() <= longest {
            return lines[..kept].iter().chain([&last.as_str()]).copied().collect::<Vec<_>>().join("\n");
        }
        if kept <= 1 {
            return cut(text, longest);
        }
        kept -= 1;
    }
}

/// The first bytes of a text whose first line is too long by itself.
fn cut(text: &str, longest: usize) -> String {
    let end = (0..=longest.saturating_sub('…'.len_utf8())).rev().find(|&end| text.is_char_boundary(end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

/// A URL that lets whoever has it post: only its host is ever shown.
#[derive(Clone, Debug)]
pub struct SecretUrl {
    url: SecretString,
    /// The host, to name it by.
    pub host: String,
    /// Whether what is sent there can be read on the way.
    pub is_clear_text: bool,
}

impl SecretUrl {
    /// Reads an http or https URL. What is wrong with it is said without quoting it.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_unreadable| "is not a URL")?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if !matches!(url.scheme(), "http" | "https") || host.is_empty() {
            return Err("is not an http or https URL");
        }
        let is_here = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        let is_clear_text = url.scheme() == "http" && !is_here;
        Ok(Self { url: SecretString::from(url.to_string()), host, is_clear_text })
    }

    /// The URL itself, for sending and nothing else.
    pub fn exposed(&self) -> &str {
        self.url.expose_secret()
    }

    /// The same with an ending: `/start` goes behind the path, `?state=run` behind the query.
    #[must_use]
    pub fn with_ending(&self, ending: &str) -> Self {
        let Ok(mut url) = Url::parse(self.exposed()) else { return self.clone() };
        if let Some(more) = ending.strip_prefix('?') {
            let query = url.query().map_or_else(|| more.to_owned(), |query| format!("{query}&{more}"));
            url.set_query(Some(&query));
        } else if !ending.is_empty() {
            let path = format!("{}{ending}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Self { url: SecretString::from(url.to_string()), ..self.clone() }
    }

    /// A text that may quote the URL, without what of it is secret.
    pub fn hidden_in(&self, text: &str) -> String {
        let Ok(url) = Url::parse(self.exposed()) else { return text.to_owned() };
        let path = url.path().split('/').map(str::to_owned);
        let query = url.query_pairs().map(|(_, value)| value.into_owned());
        let user = [url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
        let mut hidden = text.to_owned();
        for part in path.chain(query).chain(user).filter(|part| part.len() >= SHORTEST_SECRET) {
            hidden = hidden.replace(&part, "…");
        }
        hidden
    }
}

#[cfg(test)]
mod tests;
