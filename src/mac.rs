//! MAC addresses, as far as they tell which cameras share a recorder.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A MAC address. Shown with colons: `00:14:10:1b:60:08`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

/// Why a text is no MAC address.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a MAC address: it has twelve hexadecimal digits, with or without colons")]
pub struct NotAMac(String);

impl Mac {
    /// The address of these bytes.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Whether it is one that no machine has, all zeros or all ones: what a recorder may send that does not know its own.
    pub fn is_nobodys(self) -> bool {
        self.0 == [0; 6] || self.0 == [0xff; 6]
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let mut bytes = [0; 6];
        let decoded = hex::decode_to_slice(text.replace(':', ""), &mut bytes);
        decoded.map(|()| Self(bytes)).map_err(|_not_hexadecimal| NotAMac(text.to_owned()))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The two addresses in a media URL's name: one is the camera's, the other its recorder's. **\[unknown\]** which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UrlMacs {
    /// The one that comes first.
    pub first: Mac,
    /// The other.
    pub second: Mac,
}

impl UrlMacs {
    /// Reads `…/FLV_0014100a5349_0014101b6008_20200526230051.flv` **\[doc\]**, with or without more behind the time. Of a
    /// URL of another shape nothing is learned.
    pub fn of_url(url: &str) -> Option<Self> {
        let path = url.split(['?', '#']).next()?;
        let name = path.rsplit('/').next()?;
        let (name, kind) = name.rsplit_once('.')?;
        let mut parts = name.split('_');
        let (tag, first, second, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_time = time.len() == 14 && time.bytes().all(|byte| byte.is_ascii_digit());
        if !tag.eq_ignore_ascii_case("flv") || !kind.eq_ignore_ascii_case("flv") || !is_time {
            return None;
        }
        Some(Self { first: first.parse().ok()?, second: second.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vendors_example_names_two_addresses() {
        let documented = "http://114.215.78.225:8500/FLV_0014100a5349_0014101b6008_20200526230051.flv";
        for url in [
            documented.to_owned(),
            format!("{documented}?token=a_b_c/d.flv#x"),
            documented.replace("0051.flv", "0051_0000000a.flv"),
            documented.replace("0a5349", "0A5349").replace("FLV", "flv"),
        ] {
            let macs = UrlMacs::of_url(&url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!(
                (macs.first.to_string(), macs.second.to_string()),
                ("00:14:10:0a:53:49".to_owned(), "00:14:10:1b:60:08".to_owned(),)
            );
        }
    }

    #[test]
    fn of_another_shape_nothing_is_learned() {
        for url in [
            "",
            "/",
            "http://media/live.flv",
            "http://media/FLV_a_b_c.flv",
            "http://media/FLV_0014100a5349_20200526230051.flv",
            "http://media/FLV_0014100a5349_0014101b60_20200526230051.flv",
            "http://media/FLV_0014100a5349_0014101b600g_20200526230051.flv",
            "http://media/FLV_0014100a5349_0014101b6008_2020.flv",
            "http://media/FLV_0014100a5349_0014101b6008_20200526230051",
            "http://media/MP4_0014100a5349_0014101b6008_20200526230051.mp4",
            "http://media/FLV_0014100a5349_0014101b6008_20200526230051.flv/other",
        ] {
            assert_eq!(UrlMacs::of_url(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_that_no_machine_has_is_told_apart() {
        assert!(Mac::new([0; 6]).is_nobodys() && Mac::new([0xff; 6]).is_nobodys());
        assert!(!Mac::new([0, 0x14, 0x10, 0x1b, 0x60, 0x08]).is_nobodys());
        assert_eq!("no".parse::<Mac>(), Err(NotAMac("no".to_owned())));
    }

    proptest! {
        #[test]
        fn no_url_panics_and_what_is_written_is_read(text in ".{0,60}", first: [u8; 6], second: [u8; 6]) {
            let _ = UrlMacs::of_url(&text);
            let macs = UrlMacs { first: Mac::new(first), second: Mac::new(second) };
            let plain = |mac: Mac| mac.to_string().replace(':', "");
            let url = format!("http://h/FLV_{}_{}_20200526230051.flv", plain(macs.first), plain(macs.second));
            prop_assert_eq!(UrlMacs::of_url(&url), Some(macs));
            prop_assert_eq!(macs.first.to_string().parse(), Ok(macs.first));
        }
    }
}
