//! What the bytes of an answer come to, for the methods that this program calls. Nothing here asks, waits, or knows the time.

use chrono::{DateTime, Utc};

use super::client::CallError;
use super::live;
use super::wire::{Answer, Download, Play};
use crate::outcome::Code;
use crate::untrusted::Untrusted;

/// The answer in a body; one without anything, when the body is none of the gateway's.
pub fn read(body: &[u8]) -> Answer {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The answer, when its code is 0; else what is said of it. `status` and `body` are what it came with and was read from; `quote`
/// is how a part of it is shown.
pub fn accepted(
    answer: Answer,
    method: &'static str,
    status: u16,
    body: &[u8],
    quote: impl Fn(&[u8]) -> Untrusted,
) -> Result<Answer, CallError> {
    match answer.stat.code {
        Some(0) => Ok(answer),
        Some(number) => {
            let codename = quote(answer.stat.codename.as_bytes());
            Err(CallError::Refused { method, code: Code::Stat(number), codename })
        }
        None => Err(CallError::NotThePlatform { method, status, first: quote(body) }),
    }
}

/// `stat.systime` as a time; nothing beyond the years 2020 to 9999: a clock that has lost the time shows none, and one in
/// seconds an early one.
pub fn platform_time(answer: &Answer) -> Option<DateTime<Utc>> {
    const YEAR_2020: i64 = 1_577_836_800_000;
    const YEAR_10000: i64 = 253_402_300_800_000;
    let milliseconds = answer.stat.systime.filter(|time| (YEAR_2020..YEAR_10000).contains(time))?;
    DateTime::from_timestamp_millis(milliseconds)
}

/// The URL of a recording, which is not empty.
pub fn recording_url(method: &'static str, download: Download) -> Result<String, CallError> {
    match download.result {
        Some(0) if !download.url.is_empty() => Ok(download.url),
        Some(0) | None => Err(CallError::NoUrl { method }),
        Some(result) => Err(CallError::Refused { method, code: Code::Result(result), codename: Untrusted::default() }),
    }
}

/// The URLs of a live stream, of which there is at least one.
pub fn live_urls(method: &'static str, play: Play) -> Result<Play, CallError> {
    if live::offers(&play).is_empty() { Err(CallError::NoUrl { method }) } else { Ok(play) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::wire::Stat;

    #[test]
    fn a_time_that_no_clock_shows_is_none() {
        let told = |milliseconds| {
            let stat = Stat { systime: Some(milliseconds), ..Stat::default() };
            platform_time(&Answer { stat, ..Answer::default() })
        };
        assert_eq!(told(1_795_176_000_000), DateTime::from_timestamp(1_795_176_000, 0));
        for milliseconds in [-1, i64::MIN, i64::MAX, 253_402_300_800_000, 8_210_266_876_799_999] {
            assert_eq!(told(milliseconds), None, "{milliseconds}");
        }
    }
}
