//! What of a playlist's text is read at all, line by line.
//!
//! `m3u8-rs` (6.0.1) takes what follows the second comma of an `#EXTINF` for a URI, looks for a missing `=` or quote in the
//! lines below, refuses `METHOD=NONE`, and stops without a word at what is no text. So it is given only lines that it reads
//! rightly, of tags that mean something here.

use super::PlaylistError;
use crate::untrusted::Untrusted;

/// More bytes than any live stream's playlist has: an hour and more in pieces of four seconds, with signed addresses.
pub const LONGEST_PLAYLIST: usize = 256 << 10;
/// More bytes than any line has that is worth reading, signed URLs included.
const LONGEST_LINE: usize = 4096;
/// More lines than hours in pieces of four seconds have: what so many bytes of shortest lines would take in memory is too much.
const MOST_LINES: usize = 8_192;

/// The tags that have one value.
const WITH_VALUE: [&str; 3] = ["#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-BYTERANGE"];
/// The tags that are all they say.
const ALONE: [&str; 3] = ["#EXT-X-DISCONTINUITY", "#EXT-X-ENDLIST", "#EXT-X-I-FRAMES-ONLY"];

/// The playlist without what is not read: comments, titles, tags that mean nothing here.
pub(super) fn readable(body: &[u8]) -> Result<String, PlaylistError> {
    if body.len() > LONGEST_PLAYLIST {
        return Err(PlaylistError::TooLong);
    }
    // Some servers begin texts with a byte order mark, which the standard forbids.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if !body.starts_with(b"#EXTM3U") {
        return Err(PlaylistError::NotPlaylist(Untrusted::from_bytes(body)));
    }
    let mut text = "#EXTM3U\n".to_owned();
    for (number, line) in body.split(|&byte| byte == b'\n').enumerate().skip(1) {
        let unreadable = || PlaylistError::Unreadable(Untrusted::from_bytes(line));
        if number >= MOST_LINES {
            return Err(PlaylistError::TooLong);
        }
        let line = str::from_utf8(line).map_err(|_no_text| unreadable())?.trim();
        if line.len() > LONGEST_LINE || line.contains('\r') {
            return Err(unreadable());
        }
        if !line.starts_with('#') {
            text.push_str(line);
        } else if let Some(tag) = tag(line)? {
            text.push_str(&tag);
        }
        // Empty lines mean nothing.
        text.push('\n');
    }
    Ok(text)
}

/// A line of a tag as it is passed on, if it is.
fn tag(line: &str) -> Result<Option<String>, PlaylistError> {
    let unreadable = || PlaylistError::Unreadable(Untrusted::new(line));
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let (name, value) = (name.trim(), value.trim());
    match name {
        "#EXTINF" => {
            let (duration, _title) = value.split_once(',').unwrap_or((value, ""));
            let duration = duration.trim();
            // Without one that is a plain number, the segment has none.
            let is_plain = duration.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            Ok(is_plain.then(|| format!("{name}:{duration},")))
        }
        "#EXT-X-KEY" => {
            let attributes = attributes(value).ok_or_else(unreadable)?;
            match attributes.into_iter().find(|(name, _)| *name == "METHOD").ok_or_else(unreadable)? {
                (_, "NONE") => Ok(None),
                (_, method) => Err(PlaylistError::Encrypted { method: Untrusted::new(method) }),
            }
        }
        "#EXT-X-MAP" | "#EXT-X-STREAM-INF" if attributes(value).is_none() => Err(unreadable()),
        "#EXT-X-MAP" | "#EXT-X-STREAM-INF" => Ok(Some(format!("{name}:{value}"))),
        _ if WITH_VALUE.contains(&name) => Ok(Some(format!("{name}:{value}"))),
        _ if ALONE.contains(&name) => Ok(Some(name.to_owned())),
        _ => Ok(None),
    }
}

/// The names and values of `NAME=value,NAME="value"`; nothing when one lacks either, or a quote its other one.
fn attributes(mut rest: &str) -> Option<Vec<(&str, &str)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        if name.is_empty() || name.contains([',', '"']) {
            return None;
        }
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at(value.find(',').unwrap_or(value.len())),
        };
        found.push((name, value));
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => "",
            None => return None,
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_means_something_is_passed_on() {
        let body = b"#EXTM3U x\r\n#EXT-X-VERSION:3\r\n# a comment\n\n#EXTINF: 4.0 ,one, two, three\r\n a.ts \n\
                     #EXT-X-KEY:METHOD=NONE, \n#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY-SEQUENCE:x\n#EXTINF:4\nb.ts";
        let read = readable(body).expect("a playlist");
        let lines: Vec<_> = read.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(lines, ["#EXTM3U", "#EXTINF:4.0,", "a.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:4,", "b.ts"]);
    }

    #[test]
    fn attributes_that_would_be_read_across_lines_are_refused() {
        for good in ["", "A=b", "A=b,", "A=\"b,c\", D=e", "URI=\"x=y\"", "A=\"\""] {
            assert!(attributes(good).is_some(), "{good}");
        }
        for bad in ["A", "A=b,C", "A=\"b", "A=b\"c\",D", "A=\"b\"c", "=b", "A=b,=c", ",A=b"] {
            assert!(attributes(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let long = |line: &str, count: usize| format!("#EXTM3U\n{}", line.repeat(count)).into_bytes();
        assert!(readable(&long("#\n", 8_000)).is_ok());
        assert_eq!(readable(&long("#\n", 9_000)), Err(PlaylistError::TooLong));
        assert_eq!(readable(&long("# a comment on a line, and a long one too\n", 8_000)), Err(PlaylistError::TooLong));
        assert!(matches!(readable(&long("a", 5000)), Err(PlaylistError::Unreadable(_))));
        assert!(matches!(readable(b"#EXTM3U\n\xff"), Err(PlaylistError::Unreadable(_))));
    }
}
