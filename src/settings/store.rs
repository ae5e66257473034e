//! The root of an archive: a folder, or an object store and what belongs to one.

use std::path::PathBuf;

use super::raw::{Reader, Section, Value};
use super::values;

const SCHEME: &str = "s3://";
/// What a computer has for such things when nobody's home is known.
const SYSTEM_SPOOL: &str = "/var/cache/archive";

/// An archive's place in an object store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The bucket's name.
    pub bucket: String,
    /// Below which keys; without a slash at either end, and empty for the whole bucket.
    pub prefix: String,
    /// The server, when neither the environment names one nor it is Amazon's: `https://host`.
    pub endpoint: Option<String>,
    /// The folder of what is not there yet. Default: `archive` in the user's cache, or `/var/cache/archive`.
    pub spool: PathBuf,
    /// How many bytes it may hold. Default: as many as `min_free` leaves it.
    pub spool_max: Option<u64>,
}

/// A root as it is written.
enum Root {
    Folder(PathBuf),
    Store { written: String, bucket: String, prefix: String },
}

/// Reads the root, and what belongs to one in an object store: then the path is its address, which no file has.
pub(super) fn read(
    reader: &mut Reader,
    section: &mut Section,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (PathBuf, Option<StoreSettings>) {
    let given = section.take("root");
    let place = given.as_ref().map(|given| given.place.clone());
    let root = given.and_then(|given| reader.check(&given, "root", root));
    let spool = reader.read(section, "spool", values::path);
    let spool_max = reader.read(section, "spool_max", values::size);
    let endpoint = reader.read(section, "s3_endpoint", |value| values::url(value).map(|url| url.to_string()));
    match root {
        Some(Root::Store { written, bucket, prefix }) => {
            if !section.has("ledger") {
                let text =
                    "root is in an object store, so say where the ledger is: ledger = \"/var/lib/archive/ledger.db\"";
                reader.mistake(&place.unwrap_or(super::remark::Place::Nowhere), text);
            }
            let spool = spool.unwrap_or_else(|| default_spool(environment));
            let endpoint = endpoint.map(|endpoint| endpoint.trim_end_matches('/').to_owned());
            (PathBuf::from(written), Some(StoreSettings { bucket, prefix, endpoint, spool, spool_max }))
        }
        Some(Root::Folder(folder)) => (folder, None),
        None => (PathBuf::from("recordings"), None),
    }
}

fn default_spool(environment: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let cache = environment("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(environment("HOME")?).join(".cache")));
    cache.map_or_else(|| PathBuf::from(SYSTEM_SPOOL), |cache| cache.join("archive"))
}

fn root(value: &Value) -> values::Read<Root> {
    const EXAMPLE: &str = "write \"s3://bucket\" or \"s3://bucket/prefix\", of letters, digits and -_.";
    let written = values::text(value)?;
    let Some(below) = written.strip_prefix(SCHEME) else {
        return match written.split_once("://") {
            // What they lack is in docs/design.md.
            Some(("az" | "azure" | "adl" | "abfs" | "abfss", _)) => Err(format!(
                "{written:?}: Azure's Blob Storage cannot take an upload back, so that a host that slept could bring a recording \
                 that another one has brought since; {EXAMPLE}, or the path of a folder"
            )),
            Some(("gs" | "gcs", _)) => Err(format!(
                "{written:?}: Google's Cloud Storage cannot be told to complete an upload in the place of nothing, and nobody has \
                 tried this program with it; {EXAMPLE}, or the path of a folder"
            )),
            Some(("s3a" | "file", _)) => {
                Err(format!("{written:?} is no place that recordings can go to; {EXAMPLE}, or the path of a folder"))
            }
            _ => values::path(value).map(Root::Folder),
        };
    };
    let (bucket, prefix) = below.split_once('/').unwrap_or((below, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    // They are parts of keys, and of the spool's folders.
    let is_part = |part: &str| {
        !part.is_empty()
            && !matches!(part, "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    if !is_part(bucket) || !prefix.is_empty() && !prefix.split('/').all(is_part) {
        return Err(format!("{written:?} names no bucket; {EXAMPLE}"));
    }
    let written = if prefix.is_empty() { format!("{SCHEME}{bucket}") } else { format!("{SCHEME}{bucket}/{prefix}") };
    Ok(Root::Store { written, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Settings;
    use super::*;

    fn archive(text: &str) -> Result<super::super::ArchiveSettings, String> {
        let settings = Settings::of_text("jobs.toml", &format!("[archive]\n{text}\n"));
        settings.map(|settings| settings.archive).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_root_may_be_a_bucket_and_a_prefix() {
        let read =
            archive("root = \"s3://chain/night/\"\nledger = \"l.db\"\nspool = \"/srv/spool\"\nspool_max = \"2 GiB\"")
                .expect("it is one");
        assert_eq!(read.root, Path::new("s3://chain/night"));
        let store = read.store.expect("a store");
        assert_eq!((store.bucket.as_str(), store.prefix.as_str()), ("chain", "night"));
        assert_eq!((store.endpoint, store.spool, store.spool_max), (None, "/srv/spool".into(), Some(2 << 30)));
        let read = archive("root = \"s3://chain\"\nledger = \"l.db\"\ns3_endpoint = \"http://127.0.0.1:9000\"")
            .expect("it is one");
        let store = read.store.expect("a store");
        assert_eq!((store.prefix.as_str(), store.endpoint.as_deref()), ("", Some("http://127.0.0.1:9000")));
        assert_eq!(store.spool, Path::new(SYSTEM_SPOOL), "nothing is known of a home");
        assert_eq!(archive("").expect("the default").store, None);
    }

    #[test]
    fn a_ledger_does_not_lie_in_a_bucket() {
        let refused = archive("root = \"s3://chain/night\"").expect_err("nobody knows where");
        assert!(refused.contains("jobs.toml:2") && refused.contains("where the ledger is"), "{refused}");
    }

    #[test]
    fn what_names_no_bucket_is_refused() {
        for root in [
            "s3://",
            "s3:///x",
            "s3://a b",
            "s3://a/../b",
            "s3://a//b",
            "s3://user:pass@host",
            "gs://a",
            "az://a",
            "https://x",
        ] {
            let refused = archive(&format!("root = \"{root}\"\nledger = \"l.db\"")).expect_err(root);
            assert!(refused.contains("root:"), "{refused}");
        }
    }

    #[test]
    fn the_spool_is_in_the_users_cache() {
        let of = |pairs: &'static [(&'static str, &'static str)]| {
            default_spool(&move |name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
        };
        assert_eq!(of(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/archive"));
        assert_eq!(of(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]), Path::new("/h/.cache/archive"));
        assert_eq!(of(&[]), Path::new(SYSTEM_SPOOL));
    }
}
