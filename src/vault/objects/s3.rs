//! A bucket of an S3 server: where it is, and what proves who asks.
//!
//! Credentials come as every program for S3 finds them: from the environment (`AWS_ACCESS_KEY_ID` and its like), from a token or an
//! address that a cluster gives, from the profile in `~/.aws/credentials`, and else from the machine's own role.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Setting};
use object_store::{BackoffConfig, ClientOptions, Error, RetryConfig};
use url::{Host, Url};

/// How long the store is asked again for one request; whoever uploads waits longer, and asks anew.
const RETRYING: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long one request may take: a part of some megabytes on a slow way.
const REQUEST: Duration = Duration::from_secs(300);
/// The profile that counts where nobody names another.
const PROFILE: &str = "default";

/// Where recordings are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Below which keys; without a slash at either end, and empty for all of it.
    pub prefix: String,
    /// The server, when it is not Amazon's: `https://host`.
    pub endpoint: Option<String>,
    /// The folder of what streams in and is not there yet. Below it each bucket and prefix has its own.
    pub spool: PathBuf,
}

impl Bucket {
    /// For people: `s3://bucket/prefix`.
    pub fn address(&self) -> String {
        match self.prefix.as_str() {
            "" => format!("s3://{}", self.name),
            prefix => format!("s3://{}/{prefix}", self.name),
        }
    }

    /// The folder of its own below the spool.
    pub(in crate::vault) fn folder(&self) -> PathBuf {
        self.spool.join(&self.name).join(&self.prefix)
    }
}

pub(super) fn connect(bucket: &Bucket) -> object_store::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&bucket.name);
    if let Some(endpoint) = &bucket.endpoint {
        // It wins over both variables that name one.
        builder = builder.with_config(Setting::S3Endpoint, endpoint);
    }
    let value = |setting| builder.get_config_value(&setting).filter(|value| !value.is_empty());
    let endpoint = value(Setting::S3Endpoint).or_else(|| value(Setting::Endpoint));
    let has_own = [Setting::AccessKeyId, Setting::WebIdentityTokenFile, Setting::ContainerCredentialsRelativeUri];
    let is_given =
        has_own.into_iter().chain([Setting::ContainerCredentialsFullUri]).any(|setting| value(setting).is_some());
    let is_stated =
        value(Setting::Client(object_store::ClientConfigKey::AllowHttp)).is_some_and(|value| value == "true");
    let is_clear = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if is_clear && !is_stated && !endpoint.as_deref().is_some_and(is_here) {
        let why = format!(
            "{} is http, so that recordings can be read on the way: write https://, or set AWS_ALLOW_HTTP=true to have it so",
            endpoint.unwrap_or_default()
        );
        return Err(Error::Generic { store: "S3", source: why.into() });
    }
    if value(Setting::Region).is_none()
        && let Some(region) = value(Setting::DefaultRegion)
    {
        builder = builder.with_region(region);
    }
    if !is_given && let Some(profile) = profile() {
        builder = builder.with_access_key_id(profile.key).with_secret_access_key(profile.secret);
        if let Some(token) = profile.token {
            builder = builder.with_token(token);
        }
    }
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    let options = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECTING).with_allow_http(is_clear);
    builder
        .with_client_options(options)
        .with_retry(RetryConfig { backoff, max_retries: 6, retry_timeout: RETRYING })
        .build()
}

/// Whether an address is this machine's own.
fn is_here(endpoint: &str) -> bool {
    let Ok(url) = Url::parse(endpoint) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

struct Profile {
    key: String,
    secret: String,
    token: Option<String>,
}

/// The profile's credentials, when there is a file with them.
fn profile() -> Option<Profile> {
    let file = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let file = file.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws/credentials")))?;
    let name = std::env::var("AWS_PROFILE").unwrap_or_else(|_unset| PROFILE.to_owned());
    // OK to pass over a file that cannot be read: then the machine's role counts, and the store says when that is not enough.
    in_profile(&std::fs::read_to_string(file).ok()?, &name)
}

fn in_profile(text: &str, name: &str) -> Option<Profile> {
    let mut lines = text.lines().map(str::trim);
    lines
        .by_ref()
        .find(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')).map(str::trim) == Some(name))?;
    let (mut key, mut secret, mut token) = (None, None, None);
    for line in lines.take_while(|line| !line.starts_with('[')) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = Some(value.trim().to_owned());
        match name.trim() {
            "aws_access_key_id" => key = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    Some(Profile { key: key?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_by_its_name() {
        let text = "# mine\n[default]\naws_access_key_id = one\naws_secret_access_key=two\n\n[ other ]\n\
                    aws_access_key_id=three\naws_secret_access_key = fo=ur\naws_session_token=five\n[half]\naws_access_key_id=x\n";
        let of = |name| in_profile(text, name).map(|one| (one.key, one.secret, one.token));
        assert_eq!(of("default"), Some(("one".into(), "two".into(), None)));
        assert_eq!(of("other"), Some(("three".into(), "fo=ur".into(), Some("five".into()))));
        assert_eq!((of("half"), of("none")), (None, None));
    }

    #[test]
    fn clear_text_goes_to_this_machine_only() {
        for here in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:80/"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["http://10.0.0.1", "http://localhost.example.com", "http://", "nonsense"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
        let bucket = |endpoint: &str| Bucket {
            name: "archive".into(),
            prefix: String::new(),
            endpoint: Some(endpoint.into()),
            spool: PathBuf::new(),
        };
        let refused = connect(&bucket("http://10.0.0.1:9000")).expect_err("it is another machine");
        assert!(refused.to_string().contains("AWS_ALLOW_HTTP"), "{refused}");
        connect(&bucket("http://127.0.0.1:9000")).expect("nobody is asked yet");
    }
}
