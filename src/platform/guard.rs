//! Holds media URLs to [`crate::media_rule`], at the address that is connected to: names are looked up here, and only the
//! addresses that pass are handed to whoever connects, so that a name cannot lead to one address when it is looked at and to
//! another one later.
//!
//! A proxy from the environment (`HTTP_PROXY` and so on) is the person's own word: it is connected to wherever it is, and
//! looks up names itself, so that behind one only addresses that are written out can be checked here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use url::{Host, Url};

use crate::media_rule::{self, Denied, MediaHost, Reach};
use crate::untrusted::Untrusted;

/// Media servers send a client on once or twice, to whichever of them has the recording.
const MOST_REDIRECTS: usize = 5;

/// The variables from which a proxy is taken, each also in lower case.
const PROXY_VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// Says which addresses are asked for media. Its clones share what is known of the gateway.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The gateway's name, when it has one.
    name: Option<Arc<str>>,
    /// Where the gateway is, once that is known.
    gateway: Arc<Mutex<Option<Reach>>>,
    /// What the settings name.
    named: Arc<[MediaHost]>,
    /// Hosts of proxies.
    proxies: Arc<[String]>,
}

impl Guard {
    /// For media of that gateway, and of what `named` adds to where it is. Where a gateway with a name is, is known once
    /// it has been called by a client that was given the same guard.
    pub fn new(gateway: &Url, named: &[MediaHost]) -> Self {
        let name = gateway.domain().map(Into::into);
        let reach = literal(gateway).map(Reach::of);
        let proxies = PROXY_VARIABLES.iter().flat_map(|&name| [name.to_owned(), name.to_lowercase()]);
        let proxies = proxies.filter_map(|name| proxy_host(&std::env::var(name).ok()?)).collect();
        Self { name, gateway: Arc::new(Mutex::new(reach)), named: named.into(), proxies }
    }

    /// Whether a URL may be opened, as far as it can be seen without looking up its host's name.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), Denied> {
        literal(url).map_or(Ok(()), |address| self.check(url.host_str().unwrap_or_default(), address))
    }

    /// Whether a URL may be handed to another program, which looks up names itself: each address that its host has now is
    /// one that may be asked. A name that cannot be looked up passes: the other program will say so.
    pub async fn check_for_others(&self, url: &Url) -> Result<(), Denied> {
        self.check_literal(url)?;
        if let Some(name) = url.domain()
            && let Ok(found) = look_up(name).await
        {
            found.iter().try_for_each(|found| self.check(name, found.ip()))?;
        }
        Ok(())
    }

    fn check(&self, host: &str, address: IpAddr) -> Result<(), Denied> {
        // OK to go on after a panic elsewhere: what it guards is one value.
        let gateway = *self.gateway.lock().unwrap_or_else(PoisonError::into_inner);
        media_rule::check(host, address, gateway, &self.named)
    }

    /// Takes where the gateway is from what its name leads to: the outermost, were they not all alike.
    fn found_gateway(&self, found: &[SocketAddr]) {
        let reach = found.iter().map(|found| Reach::of(found.ip())).min();
        *self.gateway.lock().unwrap_or_else(PoisonError::into_inner) = reach;
    }

    /// What looks up names for calls of the gateway.
    pub(super) fn for_gateway(&self) -> GatewayResolver {
        GatewayResolver(self.clone())
    }

    /// What looks up names for media.
    pub(super) fn for_media(&self) -> MediaResolver {
        MediaResolver(self.clone())
    }

    /// How media servers may send a client on.
    pub(super) fn redirects(&self) -> reqwest::redirect::Policy {
        let guard = self.clone();
        reqwest::redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MOST_REDIRECTS {
                return attempt.error(Astray::TooOften);
            }
            if !matches!(attempt.url().scheme(), "http" | "https") {
                let scheme = Untrusted::new(attempt.url().scheme());
                return attempt.error(Astray::Scheme(scheme));
            }
            match guard.check_literal(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(denied) => attempt.error(denied),
            }
        })
    }
}

/// Where a media server sends a client that does not go there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Astray {
    /// On and on.
    #[error("the media server sent the client on more than {MOST_REDIRECTS} times")]
    TooOften,
    /// Elsewhere than to http or https.
    #[error("the media server sent the client on to {0:?}, which is neither http nor https")]
    Scheme(Untrusted),
}

/// Looks up names, and notes where the gateway is.
pub(super) struct GatewayResolver(Guard);

impl Resolve for GatewayResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = look_up(name.as_str()).await?;
            if guard.name.as_deref() == Some(name.as_str()) {
                guard.found_gateway(&found);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Looks up names, and gives those addresses that may be asked.
pub(super) struct MediaResolver(Guard);

impl Resolve for MediaResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let name = name.as_str();
            let mut found = look_up(name).await?;
            if guard.proxies.iter().any(|proxy| proxy == name) {
                return Ok(Box::new(found.into_iter()) as Addrs);
            }
            let mut denied = None;
            found.retain(|found| guard.check(name, found.ip()).map_err(|error| denied = Some(error)).is_ok());
            match denied {
                Some(denied) if found.is_empty() => Err(denied.into()),
                _ => Ok(Box::new(found.into_iter()) as Addrs),
            }
        })
    }
}

/// A name's addresses, without a port.
async fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

/// The address that a URL's host is, when it is one.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        // A player's URL is not read as a browser reads one: its address comes as a name.
        Host::Domain(name) => name.parse().ok(),
    }
}

/// The host of a proxy as the environment has it: a URL, or one without its scheme.
fn proxy_host(written: &str) -> Option<String> {
    let url = Url::parse(written).ok().filter(Url::has_host);
    url.or_else(|| Url::parse(&format!("http://{written}")).ok())?.host_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    /// However an address is written, it is seen.
    #[test]
    fn addresses_in_disguise_are_seen() {
        let guard = Guard::new(&url("https://openapi.opretail.com/m.api"), &[]);
        for disguised in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1:8080/x",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://①②⑦.0.0.1/",
            "http://user@127.0.0.1/",
            "http://0/",
        ] {
            assert!(guard.check_literal(&url(disguised)).is_err(), "{disguised}");
        }
        assert!(guard.check_literal(&url("http://118.31.174.18:5581/x")).is_ok());
    }

    #[tokio::test]
    async fn a_name_gives_only_the_addresses_that_may_be_asked() {
        let name = || "localhost".parse::<Name>().expect("a name");
        let inside = Guard::new(&url("http://127.0.0.1:1/"), &[]);
        assert!(inside.for_media().resolve(name()).await.expect("it may").count() > 0);
        let outside = Guard::new(&url("https://openapi.opretail.com/m.api"), &[]);
        let denied = outside.for_media().resolve(name()).await.map(|_| ()).expect_err("it may not");
        assert!(denied.is::<Denied>(), "{denied}");
        let named = Guard::new(&url("https://openapi.opretail.com/m.api"), &["localhost".parse().expect("a host")]);
        assert!(named.for_media().resolve(name()).await.is_ok());
    }

    /// The gateway's name is looked up once, by the client that calls it.
    #[tokio::test]
    async fn where_a_gateway_with_a_name_is_is_known_once_it_was_called() {
        let guard = Guard::new(&url("http://localhost:1/"), &[]);
        let media = url("http://127.0.0.1/x");
        assert!(guard.check_literal(&media).is_err());
        let found = guard.for_gateway().resolve("localhost".parse().expect("a name")).await.map(|_| ());
        assert!(found.is_ok() && guard.check_literal(&media).is_ok());
        guard.found_gateway(&["127.0.0.1:0".parse().expect("one"), "8.8.8.8:0".parse().expect("another")]);
        assert!(guard.check_literal(&media).is_err(), "not all of it is inside");
    }

    #[tokio::test]
    async fn a_url_for_a_player_is_looked_at_by_all_its_addresses() {
        let guard = Guard::new(&url("https://openapi.opretail.com/m.api"), &[]);
        for inside in ["rtsp://localhost/x", "rtsp://127.0.0.1/x", "rtmp://10.0.0.1/x", "http://169.254.169.254/x"] {
            assert!(guard.check_for_others(&url(inside)).await.is_err(), "{inside}");
        }
        assert!(guard.check_for_others(&url("rtsp://118.31.174.18/x")).await.is_ok());
        assert!(guard.check_for_others(&url("rtsp://nowhere.invalid/x")).await.is_ok(), "the player will say so");
    }

    #[test]
    fn a_proxys_host_is_read_in_every_form() {
        for written in ["http://proxy.corp:3128", "proxy.corp:3128", "proxy.corp", "http://me:word@proxy.corp:3128/"] {
            assert_eq!(proxy_host(written).as_deref(), Some("proxy.corp"), "{written}");
        }
    }
}
