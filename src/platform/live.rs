//! A live stream's URLs: which there are, which one to take, and whether it may be handed to another program.

use std::fmt;

use thiserror::Error;
use url::Url;

use super::wire::Play;
use crate::untrusted::Untrusted;

/// The vendor's page says that its URLs have 100 characters at most; what is longer than this is none. **\[doc\]**
const LONGEST_URL: usize = 2048;

/// What players are given. `rtmps` and the like are what the others are, over TLS.
const SCHEMES: [&str; 6] = ["http", "https", "rtsp", "rtsps", "rtmp", "rtmps"];

/// How a live stream travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// FLV over HTTP, the quickest; only for H.264. **\[doc\]**
    Flv,
    /// HLS.
    Hls,
    /// RTSP.
    Rtsp,
    /// RTMP; only for H.264. **\[doc\]**
    Rtmp,
}

impl Protocol {
    /// Its name on the command line and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Hls => "hls",
            Self::Rtsp => "rtsp",
            Self::Rtmp => "rtmp",
        }
    }
}

/// One of the URLs that the platform gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The platform's name for it, such as `tlsflv`.
    pub name: &'static str,
    /// How it travels.
    pub protocol: Protocol,
    url: String,
}

/// Why there is no URL to take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LiveError {
    /// The platform does not offer what is asked for.
    #[error("the platform offers no {} of this stream, whose pictures are {codec:?}; it offers {offered}", protocol.name())]
    NotOffered {
        /// What is asked for.
        protocol: Protocol,
        /// The platform's name for the codec.
        codec: Untrusted,
        /// What there is instead.
        offered: String,
    },
    /// What the platform gave as a URL cannot be used as one.
    #[error("the platform gave an address that no player can be trusted with: {0:?}; --protocol takes another")]
    NotPlayable(Untrusted),
}

/// The URLs that there are, best first. H.264: `tlsflv`, `flv`, `tlshls`, `hls`, then what needs a connection of its own kind.
/// H.265 has no FLV and no RTMP **\[doc\]**; if a platform gives them all the same, few players take them, so they come last.
pub fn offers(play: &Play) -> Vec<Offer> {
    let flv = [("tlsflv", Protocol::Flv, &play.tlsflv), ("flv", Protocol::Flv, &play.flv)];
    let hls = [("tlshls", Protocol::Hls, &play.tlshls), ("hls", Protocol::Hls, &play.hls)];
    let rtsp = [("rtsp", Protocol::Rtsp, &play.rtsp)];
    let rtmp = [("rtmp", Protocol::Rtmp, &play.rtmp)];
    let all = if is_h265(&play.vencodingname) {
        [&hls[..], &rtsp, &flv, &rtmp].concat()
    } else {
        [&flv[..], &hls, &rtsp, &rtmp].concat()
    };
    let given = all.into_iter().filter(|(.., url)| !url.is_empty());
    given.map(|(name, protocol, url)| Offer { name, protocol, url: url.clone() }).collect()
}

/// The best of the [`offers`], or the best of those that travel as asked.
pub fn choose(play: &Play, asked: Option<Protocol>) -> Result<Offer, LiveError> {
    let offers = offers(play);
    let chosen = match asked {
        None => offers.first(),
        Some(asked) => offers.iter().find(|offer| offer.protocol == asked),
    };
    chosen.cloned().ok_or_else(|| {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name).collect();
        LiveError::NotOffered {
            // OK to name one: without any URL the call has already failed, and nothing was asked for that is not there.
            protocol: asked.unwrap_or(Protocol::Flv),
            codec: Untrusted::new(&play.vencodingname),
            offered: if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
        }
    })
}

/// Of the names that players and encoders use; the vendor's page shows `H264` alone. **\[doc\]**
fn is_h265(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["265", "hevc"].iter().any(|part| name.contains(part))
}

impl Offer {
    /// The URL, when another program may be given it: one of a media scheme, with a host. What was read is written anew, so
    /// that it holds neither spaces nor control characters, and cannot pass for an option.
    pub fn playable(&self) -> Result<Url, LiveError> {
        let bad = || LiveError::NotPlayable(Untrusted::new(&self.url));
        if self.url.len() > LONGEST_URL {
            return Err(bad());
        }
        let url = Url::parse(&self.url).map_err(|_no_url| bad())?;
        let is_clean = url.as_str().bytes().all(|byte| byte.is_ascii_graphic());
        if SCHEMES.contains(&url.scheme()) && url.has_host() && is_clean { Ok(url) } else { Err(bad()) }
    }
}

impl Offer {
    /// Whether this program can record it.
    pub fn is_recordable(&self) -> bool {
        matches!(self.protocol, Protocol::Flv | Protocol::Hls)
    }
}

/// For people: the URL as a player would get it, or what came instead, cleaned.
impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.playable() {
            Ok(url) => f.write_str(url.as_str()),
            Err(_not_playable) => Untrusted::new(&self.url).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every URL, each with its name as its host.
    fn everything(codec: &str) -> Play {
        Play {
            flv: "http://flv/live.flv".into(),
            rtmp: "rtmp://rtmp/live".into(),
            hls: "http://hls/index.m3u8".into(),
            rtsp: "rtsp://rtsp/live".into(),
            tlsflv: "https://tlsflv/live.flv".into(),
            tlshls: "https://tlshls/index.m3u8".into(),
            vencodingname: codec.into(),
        }
    }

    fn names(play: &Play) -> Vec<&'static str> {
        offers(play).iter().map(|offer| offer.name).collect()
    }

    #[test]
    fn the_best_url_depends_on_the_codec() {
        for h264 in ["H264", "h264", ""] {
            assert_eq!(names(&everything(h264)), ["tlsflv", "flv", "tlshls", "hls", "rtsp", "rtmp"]);
        }
        for h265 in ["H265", "hevc"] {
            assert_eq!(names(&everything(h265)), ["tlshls", "hls", "rtsp", "tlsflv", "flv", "rtmp"]);
        }
        let as_documented = Play { tlsflv: String::new(), tlshls: String::new(), ..everything("H264") };
        assert_eq!(names(&as_documented)[..2], ["flv", "hls"]);
    }

    #[test]
    fn a_protocol_is_taken_in_its_best_form_or_is_an_error_that_says_what_there_is() {
        let play = everything("H264");
        for (asked, name) in [
            (None, "tlsflv"),
            (Some(Protocol::Flv), "tlsflv"),
            (Some(Protocol::Hls), "tlshls"),
            (Some(Protocol::Rtsp), "rtsp"),
            (Some(Protocol::Rtmp), "rtmp"),
        ] {
            assert_eq!(choose(&play, asked).map(|offer| offer.name), Ok(name));
        }
        let h265 = Play { hls: "http://hls/".into(), rtsp: "rtsp://rtsp/".into(), ..Play::default() };
        let h265 = Play { vencodingname: "H265".into(), ..h265 };
        let error = choose(&h265, Some(Protocol::Flv)).expect_err("there is none").to_string();
        for expected in ["no flv", "H265", "hls, rtsp"] {
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn only_media_urls_with_a_host_are_given_to_players() {
        let offer = |url: &str| Offer { name: "flv", protocol: Protocol::Flv, url: url.into() };
        for url in [
            "http://118.31.174.18:5581/rtsp/26a85850/live.flv",
            "https://dataswitch-test-001.ovopark.com:5582/rtsp/x/live.flv?a=b",
            "rtsp://118.31.174.18:5555/rtsp/x",
            "rtmp://118.31.174.18:2935/rtsp/x",
        ] {
            assert_eq!(offer(url).playable().map(String::from).as_deref(), Ok(url));
            assert_eq!(offer(url).to_string(), url);
        }
        let long = format!("http://host/{}", "a".repeat(LONGEST_URL));
        for url in [
            "--script=/tmp/x.lua",
            "-",
            "",
            "live.flv",
            "file:///etc/passwd",
            "concat:http://a/|file:///etc/passwd",
            "rtsp:opaque",
            "rtsp:///no/host",
            "http://",
            "data:video/x-flv,",
            &*long,
        ] {
            assert!(matches!(offer(url).playable(), Err(LiveError::NotPlayable(_))), "{url}");
        }
    }

    #[test]
    fn a_url_is_handed_over_and_shown_without_control_characters() {
        let offer = |url: &str| Offer { name: "flv", protocol: Protocol::Flv, url: url.into() };
        for url in
            ["http://host/a b\u{1b}[31m", " \thttp://host/x\n", "rtsp://host/\u{202e}x y\u{7}", "rtsp://ho\u{202e}st/x"]
        {
            let shown = offer(url).to_string();
            assert!(shown.is_ascii() && !shown.bytes().any(|byte| byte.is_ascii_control() || byte == b' '), "{shown}");
        }
        assert!(!offer("-\u{1b}[2J").to_string().contains('\u{1b}'));
    }
}
