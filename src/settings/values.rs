//! From one value as it was written to one value that can be used. Each says what to write instead.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use chrono::NaiveTime;
use chrono_tz::Tz;
use url::{Host, Url};

use super::devices::parse_device_list;
use super::raw::Value;
use crate::bandwidth::Ceiling;
use crate::calendar::{Asked, HourSpan, When, parse_duration};
use crate::device::DeviceId;
use crate::ledger_place::{LedgerPlace, LedgerUrl};
use crate::media_rule::{MediaHost, NotAMediaHost};

pub(super) type Read<T> = Result<T, String>;

pub(super) fn text(value: &Value) -> Read<String> {
    match value {
        Value::Text(text) if text.trim().is_empty() => Err("is empty; write a text or leave the line out".to_owned()),
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("is {}; write a text in quotes", other.kind())),
    }
}

/// For names and numbers alike.
pub(super) fn label(value: &Value) -> Read<String> {
    if let Value::Number(number) = value { Ok(number.clone()) } else { text(value) }
}

pub(super) fn path(value: &Value) -> Read<PathBuf> {
    match text(value)? {
        path if path.contains("://") => Err(format!("{path:?} is a URL; write the path of a local file or folder")),
        path => Ok(path.into()),
    }
}

/// A file, or the address of a database, which is not repeated: it may have a password.
pub(super) fn ledger(value: &Value) -> Read<LedgerPlace> {
    match text(value)? {
        url if LedgerUrl::is_one(&url) => LedgerPlace::parse(&url).map_err(|error| error.to_string()),
        url if url.contains("://") => {
            Err("it is a URL of something else than PostgreSQL; write postgres://user@host/database, \
                                           or the path of a local file"
                .to_owned())
        }
        path => Ok(PathBuf::from(path).into()),
    }
}

pub(super) fn duration(value: &Value) -> Read<Duration> {
    match value {
        Value::Number(number) => Err(format!("{number} has no unit; write for example \"{number}s\"")),
        _ => parse_duration(&text(value)?).map_err(|error| error.to_string()),
    }
}

pub(super) fn positive_duration(value: &Value) -> Read<Duration> {
    match duration(value)? {
        Duration::ZERO => Err("is nothing; write a length of time such as \"30s\"".to_owned()),
        length => Ok(length),
    }
}

/// For how long recordings are kept: what is less than a day is a slip of the pen that would cost the night.
pub(super) fn a_day_at_least(value: &Value) -> Read<Duration> {
    match duration(value)? {
        length if length >= Duration::from_secs(86_400) => Ok(length),
        _ => Err("is less than a day; write for example \"90 days\"".to_owned()),
    }
}

pub(super) fn below_a_minute(value: &Value) -> Read<Duration> {
    match duration(value)? {
        length if length < Duration::from_secs(60) => Ok(length),
        _ => Err("is a minute or more; write less, such as \"5s\"".to_owned()),
    }
}

pub(super) fn size(value: &Value) -> Read<u64> {
    match value {
        Value::Number(number) => Err(format!("{number} has no unit; write for example \"{number} GiB\"")),
        _ => {
            let text = text(value)?;
            let unreadable = |_| format!("{text:?} is not a size; write for example \"5 GiB\" or \"500 MB\"");
            text.parse::<ByteSize>().map(|size| size.as_u64()).map_err(unreadable)
        }
    }
}

/// Less than this is a slip of the pen: a single camera sends a hundred times as much.
const LEAST_BANDWIDTH: u64 = 1000;

/// A size per second, or bits per second as uplinks are sold. `Mb/s`, `Mbps` and `4M/s` are read either way by some, so
/// they are not read at all.
pub(super) fn bandwidth(value: &Value) -> Read<Ceiling> {
    const EXAMPLE: &str = "write for example \"4 MiB/s\" or, in bits, \"16 Mbit/s\"";
    let text = match value {
        Value::Number(number) => return Err(format!("{number} has no unit; {EXAMPLE}")),
        _ => text(value)?,
    };
    let unreadable = || format!("{text:?} is not a bandwidth; {EXAMPLE}");
    let amount = text.trim().strip_suffix("/s").ok_or_else(unreadable)?.trim_end();
    let size = |text: &str| text.parse::<ByteSize>().ok().map(|size| size.as_u64());
    let bytes = match amount.strip_suffix("bit") {
        Some(amount) => size(&format!("{amount}B")).map(|bits| bits / 8),
        None => size(amount).filter(|_| amount.ends_with('B')),
    };
    match bytes.ok_or_else(unreadable)? {
        bytes @ LEAST_BANDWIDTH.. => Ceiling::new(bytes).ok_or_else(unreadable),
        _ => Err(format!("{text:?} is too little for any recording; {EXAMPLE}, or leave the line out for no ceiling")),
    }
}

/// A flag and the environment give numbers as texts.
fn number(value: &Value) -> Read<&str> {
    match value {
        Value::Number(number) | Value::Text(number) => Ok(number),
        other => Err(format!("is {}; write a number", other.kind())),
    }
}

/// A whole number from 1 to `most`.
pub(super) fn count(most: u32) -> impl Fn(&Value) -> Read<u32> {
    move |value| {
        let written = number(value)?;
        let number = written.trim().parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| format!("{written:?} is not a whole number from 1 to {most}"))
    }
}

pub(super) fn rate(value: &Value) -> Read<f64> {
    let written = number(value)?;
    let number = written.trim().parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    number.ok_or_else(|| format!("{written:?} is not a number above 0"))
}

/// A share, above 0 and at most 1.
pub(super) fn share(value: &Value) -> Read<f64> {
    let written = number(value)?;
    let number = written.trim().parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    number.ok_or_else(|| format!("{written:?} is not a share above 0 and at most 1; write for example 0.5"))
}

pub(super) fn zone(value: &Value) -> Read<Tz> {
    let name = text(value)?;
    let unknown = |_| format!("{name:?} is not a time zone; write for example \"Asia/Shanghai\" or \"UTC\"");
    name.trim().parse().map_err(unknown)
}

/// One of some words, each with what it stands for.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(&Value) -> Read<T> {
    move |value| {
        let written = text(value)?;
        let chosen = choices.iter().find(|(name, _)| *name == written);
        chosen.map(|&(_, choice)| choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
            format!("{written:?} is not known; write {}", names.join(" or "))
        })
    }
}

pub(super) fn url(value: &Value) -> Read<Url> {
    const EXAMPLE: &str = "write for example \"https://openapi.opretail.com/m.api\"";
    // What is wrong is not quoted: a URL may hold a password.
    let url = Url::parse(&text(value)?).map_err(|_unreadable| format!("is not a URL; {EXAMPLE}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("is not an http or https URL; {EXAMPLE}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("holds a user or a password, which would be in logs; leave it out: {EXAMPLE}"));
    }
    Ok(url)
}

/// A name, an address, or a network.
pub(super) fn media_host(value: &Value) -> Read<MediaHost> {
    text(value)?.parse().map_err(|error: NotAMediaHost| error.to_string())
}

/// Whether what is sent there can be read on the way.
pub(super) fn travels_in_clear_text(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !stays_here
}

pub(super) fn devices(value: &Value) -> Read<BTreeSet<DeviceId>> {
    match value {
        Value::List(items) if items.is_empty() => Err("is empty; name a device or leave the line out".to_owned()),
        // The texts are joined so that the bound on their number holds for all of them together.
        Value::List(items) => {
            let parts: Read<Vec<_>> = items.iter().map(|item| label(&item.value)).collect();
            parse_device_list(&parts?.join(",")).map_err(|error| error.to_string())
        }
        one => parse_device_list(&label(one)?).map_err(|error| error.to_string()),
    }
}

pub(super) fn hours(value: &Value) -> Read<HourSpan> {
    text(value)?.parse().map_err(|error: crate::calendar::CalendarError| error.to_string())
}

pub(super) fn truth(value: &Value) -> Read<bool> {
    match value {
        Value::Truth(truth) => Ok(*truth),
        other => Err(format!("wants true or false, without quotes, and this is {}", other.kind())),
    }
}

pub(super) fn clock(value: &Value) -> Read<NaiveTime> {
    let written = text(value)?;
    let read = |format| NaiveTime::parse_from_str(written.trim(), format);
    read("%H:%M")
        .or_else(|_| read("%H:%M:%S"))
        .map_err(|_| format!("{written:?} is not a time of day; write \"07:00\""))
}

pub(super) fn day(value: &Value) -> Read<Asked> {
    Asked::day(&text(value)?).map_err(|error| error.to_string())
}

pub(super) fn last(value: &Value) -> Read<Asked> {
    Asked::last(&text(value)?).map_err(|error| error.to_string())
}

pub(super) fn when(value: &Value) -> Read<When> {
    text(value)?.parse().map_err(|error: crate::calendar::CalendarError| error.to_string())
}

/// A program and its arguments.
pub(super) fn command(value: &Value) -> Read<Vec<String>> {
    const EXAMPLE: &str = "write the program and its arguments as a list, such as [\"pass\", \"show\", \"archive\"]";
    let words: Option<Vec<_>> = match value {
        Value::List(items) => items.iter().map(|item| text(&item.value).ok()).collect(),
        _ => None,
    };
    words.filter(|words| !words.is_empty()).ok_or_else(|| format!("is not a command; {EXAMPLE}"))
}
