//! From which addresses media may come.
//!
//! A media URL is whatever the platform says, and after a redirect whatever a media server says. Were it simply followed,
//! whoever writes it could have this machine ask whatever it can reach: its own services, the recorders of other people,
//! a cloud's metadata. So an address is looked at before anything is sent to it: what is public may be asked; what is
//! further inside only when the gateway itself is as far inside, or when the settings name it (`media_hosts`); and some
//! addresses never.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use crate::untrusted::Untrusted;

/// Where an address is, from the outside to the inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// In the internet.
    Public,
    /// In somebody's own network: 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7 and the like.
    Private,
    /// This machine: 127/8, ::1.
    Loopback,
    /// Nowhere that a media server is: link-local, multicast, unspecified, broadcast, reserved.
    Never,
}

impl Reach {
    /// Where that address is. One that carries an IPv4 address for a translator or a tunnel is where that one is.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }

    /// What an error calls such an address.
    const fn name(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "an address of this machine",
            Self::Never => "a link-local, multicast or reserved address",
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        // What the internet's address registry sets apart for networks' own devices, and for measuring them.
        [192, 0, 0, _] | [198, 18..=19, ..] => Reach::Private,
        [0, ..] | [169, 254, ..] | [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never,
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // IPv4-mapped, IPv4-compatible, and for translators that stand in the internet (NAT64).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // For a network's own translators.
        [0x64, 0xff9b, 1, ..] => Reach::Private,
        // 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo: the client's address, its bits turned over.
        [0x2001, 0, .., high, low] => v4(!high, !low),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Reach::Private,
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

/// An entry of `media_hosts`: what a person says may be asked for media although it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaHost {
    /// A host by its name, in lower case: whatever address that leads to.
    Name(String),
    /// Addresses that begin with the same bits.
    Net {
        /// The first of them.
        first: IpAddr,
        /// How many bits they share.
        bits: u8,
    },
}

/// What is no entry of `media_hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no host; write a name such as \"media.example\", an address, or a network such as \"10.1.0.0/16\"")]
pub struct NotAMediaHost(String);

impl FromStr for MediaHost {
    type Err = NotAMediaHost;

    fn from_str(text: &str) -> Result<Self, NotAMediaHost> {
        let text = text.trim();
        let unreadable = || NotAMediaHost(text.to_owned());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if let Ok(first) = address.parse::<IpAddr>() {
            let most = if first.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most));
            return bits.map(|bits| Self::Net { first, bits }).ok_or_else(unreadable);
        }
        let is_name = |name: &str| {
            // What looks like half an address is a slip of the pen.
            let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            name.chars().all(letters) && name.chars().any(|c| c.is_ascii_alphabetic()) && !name.starts_with(['-', '.'])
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        if is_name(name) { Ok(Self::Name(name.to_ascii_lowercase())) } else { Err(unreadable()) }
    }
}

impl MediaHost {
    fn names(&self, host: &str, address: IpAddr) -> bool {
        match self {
            Self::Name(name) => host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(name),
            Self::Net { first, bits } => match (first, address.to_canonical()) {
                (IpAddr::V4(first), IpAddr::V4(address)) => {
                    let apart = u32::from(*first) ^ u32::from(address);
                    apart.checked_shr(32 - u32::from(*bits)).unwrap_or(0) == 0
                }
                (IpAddr::V6(first), IpAddr::V6(address)) => {
                    let apart = u128::from(*first) ^ u128::from(address);
                    apart.checked_shr(128 - u32::from(*bits)).unwrap_or(0) == 0
                }
                _ => false,
            },
        }
    }
}

/// An address that is not asked for media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    host: Untrusted,
    address: IpAddr,
    reach: Reach,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address, reach } = self;
        write!(f, "the media URL leads to {host:?} ({address}), {}, which ", reach.name())?;
        match reach {
            Reach::Never => f.write_str("is never asked for media"),
            _ => f.write_str(
                "the gateway is not; if recordings do come from there, name it in media_hosts of [platform]",
            ),
        }
    }
}

impl std::error::Error for Denied {}

/// Whether `host`, as the URL has it, may be asked at `address`. `gateway`: where the gateway is, as far as it is known;
/// `named`: what the settings name.
pub fn check(host: &str, address: IpAddr, gateway: Option<Reach>, named: &[MediaHost]) -> Result<(), Denied> {
    let reach = Reach::of(address);
    let is_allowed = match reach {
        Reach::Public => true,
        Reach::Private | Reach::Loopback => {
            let is_as_far_inside = gateway.is_some_and(|gateway| gateway != Reach::Never && reach <= gateway);
            is_as_far_inside || named.iter().any(|entry| entry.names(host, address))
        }
        Reach::Never => false,
    };
    if is_allowed { Ok(()) } else { Err(Denied { host: Untrusted::new(host), address, reach }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap_or_else(|_| panic!("{text} is an address"))
    }

    fn hosts(texts: &[&str]) -> Vec<MediaHost> {
        texts.iter().map(|text| text.parse().expect("a host")).collect()
    }

    /// The first and the last address of each range, and their neighbours outside.
    const REACHES: &[(Reach, &[&str])] = &[
        (
            Reach::Public,
            &[
                "1.0.0.0",
                "8.8.8.8",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "118.31.174.18",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.167.255.255",
                "192.169.0.0",
                "192.0.1.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2606:4700::1",
                "2400:3200::1",
                "fbff:ffff::1",
                "::ffff:8.8.8.8",
                "::8.8.8.8",
                "64:ff9b::8.8.8.8",
                "2002:808:808::1",
                "2001:0:1:2:3:4:f7f7:f7f7",
                "2001:db8::1",
            ],
        ),
        (
            Reach::Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
                "100.64.0.0",
                "100.127.255.255",
                "192.0.0.8",
                "198.18.0.1",
                "198.19.255.255",
                "fc00::",
                "fdff::1",
                "fec0::1",
                "::ffff:10.1.2.3",
                "::ffff:192.168.1.1",
                "::10.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b:1::1",
                "2002:a00:1::1",
                "::ffff:0:10.0.0.1",
            ],
        ),
        (
            Reach::Loopback,
            &[
                "127.0.0.0",
                "127.0.0.1",
                "127.255.255.255",
                "::1",
                "::ffff:127.0.0.1",
                "::127.0.0.1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::",
            ],
        ),
        (
            Reach::Never,
            &[
                "0.0.0.0",
                "0.1.2.3",
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
                "::",
                "fe80::",
                "fe80::1",
                "febf:ffff::1",
                "ff00::",
                "ff02::1",
                "ffff::",
                "::ffff:169.254.169.254",
                "::ffff:0.0.0.0",
                "::169.254.169.254",
                "64:ff9b::169.254.169.254",
                "2002:a9fe:a9fe::1",
                "2001:0:1:2:3:4:5601:5601",
                "::ffff:255.255.255.255",
            ],
        ),
    ];

    #[test]
    fn every_kind_of_address_is_known_at_its_edges() {
        for &(reach, addresses) in REACHES {
            for address in addresses {
                assert_eq!(Reach::of(ip(address)), reach, "{address}");
            }
        }
    }

    /// Each kind of address against each place that a gateway may be at, known or not.
    #[test]
    fn an_address_is_asked_when_it_is_no_further_inside_than_the_gateway() {
        use Reach::{Loopback, Never, Private, Public};
        let gateways = [None, Some(Public), Some(Never), Some(Private), Some(Loopback)];
        for &(reach, addresses) in REACHES {
            let allowed = match reach {
                Reach::Public => [true; 5],
                Reach::Private => [false, false, false, true, true],
                Reach::Loopback => [false, false, false, false, true],
                Reach::Never => [false; 5],
            };
            for (gateway, allowed) in gateways.into_iter().zip(allowed) {
                for address in addresses {
                    let checked = check("media.example", ip(address), gateway, &[]);
                    assert_eq!(checked.is_ok(), allowed, "{address} with a gateway at {gateway:?}");
                }
            }
        }
    }

    #[test]
    fn what_the_settings_name_is_asked_and_nothing_else_is() {
        for (entry, host, address, allowed) in [
            ("nvr.shop.example", "nvr.shop.example", "10.1.2.3", true),
            ("NVR.Shop.example.", "nvr.SHOP.example", "10.1.2.3", true),
            ("nvr.shop.example", "nvr.shop.example.", "127.0.0.1", true),
            ("nvr.shop.example", "other.shop.example", "10.1.2.3", false),
            ("shop.example", "nvr.shop.example", "10.1.2.3", false),
            ("10.1.2.3", "any.example", "10.1.2.3", true),
            ("10.1.2.3", "any.example", "10.1.2.4", false),
            ("10.1.2.3", "any.example", "::ffff:10.1.2.3", true),
            ("10.1.0.0/16", "10.1.255.255", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", "10.2.0.0", false),
            ("0.0.0.0/0", "x", "192.168.0.1", true),
            ("0.0.0.0/0", "x", "fd00::1", false),
            ("fd00::/8", "x", "fdff::1", true),
            ("fd00::/8", "x", "fc00::1", false),
            ("::/0", "x", "::1", true),
            ("[::1]", "[::1]", "::1", true),
            ("127.0.0.1/32", "localhost", "127.0.0.2", false),
            // Never, whoever names it.
            ("169.254.0.0/16", "169.254.169.254", "169.254.169.254", false),
            ("metadata.example", "metadata.example", "169.254.169.254", false),
            ("::/0", "x", "fe80::1", false),
            ("0.0.0.0/0", "x", "0.0.0.0", false),
            ("224.0.0.0/4", "x", "224.0.0.1", false),
        ] {
            let checked = check(host, ip(address), Some(Reach::Public), &hosts(&[entry]));
            assert_eq!(checked.is_ok(), allowed, "{host} at {address}, where {entry} is named");
        }
        let two = hosts(&["a.example", "10.0.0.0/8"]);
        assert!(check("b.example", ip("10.9.9.9"), None, &two).is_ok());
        assert!(check("b.example", ip("127.0.0.1"), None, &two).is_err());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            " ",
            "/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0",
            "10.0.0.0/-1",
            "http://a.example",
            "a.example:80",
            "a.example/8",
            "*.example",
            "a b",
            "-a",
            ".a",
            "[::1",
            "10.0.0.256",
        ] {
            assert!(text.parse::<MediaHost>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_refusal_names_host_and_address_and_what_would_allow_it() {
        let said = |host: &str, address| check(host, ip(address), None, &[]).expect_err("denied").to_string();
        let private = said("nvr\u{1b}[2J.example", "10.1.2.3");
        for part in ["nvr\\u{1b}[2J.example", "10.1.2.3", "private", "media_hosts"] {
            assert!(private.contains(part), "{private}");
        }
        let never = said("metadata.example", "169.254.169.254");
        assert!(never.contains("never") && !never.contains("media_hosts"), "{never}");
    }
}
