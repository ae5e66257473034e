//! The calls to a store that publishing hangs on: an upload that is completed in the place of nothing, and the list of uploads that
//! were begun.
//!
//! The crate `object_store` completes an upload in the place of whatever stands there, and lists none. Both are made here as S3 has
//! them, with addresses that it signs: `If-None-Match: *` on the completing call **\[doc\]**, and `ListMultipartUploads`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::signer::{HeaderName, HeaderValue, Method, SignedUrlOptions, Signer as _};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, Result};

use super::error::{between, told};
use super::s3::{self, Bucket};

/// How long an address is good for.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long a store may take to put an upload's parts together.
const COMPLETING: Duration = Duration::from_secs(240);
/// A list is read in pages; more than so many mean that the store does not count.
const MOST_PAGES: usize = 10_000;

/// An upload that was begun and neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) key: Key,
    pub(super) id: String,
}

#[derive(Clone)]
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    uploads: Arc<dyn MultipartStore>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    S3 {
        s3: Box<AmazonS3>,
        http: reqwest::Client,
    },
    #[cfg(feature = "failpoints")]
    Memory(Arc<std::sync::Mutex<Vec<Begun>>>),
}

impl Store {
    pub(super) fn s3(bucket: &Bucket) -> io::Result<Self> {
        let s3 = s3::connect(bucket).map_err(told)?;
        // Without redirections: a signed address is good for one place.
        let http = reqwest::Client::builder().timeout(COMPLETING).redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(io::Error::other)?;
        let (objects, uploads) = (Arc::new(s3.clone()), Arc::new(s3.clone()));
        Ok(Self { objects, uploads, kind: Kind::S3 { s3: Box::new(s3), http } })
    }

    #[cfg(feature = "failpoints")]
    pub(super) fn in_memory() -> Self {
        let memory = Arc::new(object_store::memory::InMemory::new());
        let kind = Kind::Memory(Arc::default());
        Self { objects: Arc::clone(&memory) as Arc<dyn ObjectStore>, uploads: memory, kind }
    }

    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects)
    }

    pub(super) fn uploads(&self) -> Arc<dyn MultipartStore> {
        Arc::clone(&self.uploads)
    }

    /// Begins an upload; gives its number.
    pub(super) async fn begin(&self, key: &Key, attributes: object_store::Attributes) -> Result<String> {
        let id = self.uploads.create_multipart_opts(key, attributes.into()).await?;
        #[cfg(feature = "failpoints")]
        if let Kind::Memory(begun) = &self.kind {
            begun.lock().expect("no test panics with it").push(Begun { key: key.clone(), id: id.clone() });
        }
        Ok(id)
    }

    /// Aborts an upload. One that is not there any more is fine.
    pub(super) async fn abort(&self, upload: &Begun) -> Result<()> {
        #[cfg(feature = "failpoints")]
        if let Kind::Memory(begun) = &self.kind {
            begun.lock().expect("no test panics with it").retain(|other| other.id != upload.id);
        }
        match self.uploads.abort_multipart(&upload.key, &upload.id).await {
            // The memory's store has no kind of its own for it.
            Err(Error::NotFound { .. }) => Ok(()),
            #[cfg(feature = "failpoints")]
            Err(Error::Generic { store: "MemoryStore" | "InMemory", .. }) => Ok(()),
            other => other,
        }
    }

    /// Completes an upload where nothing stands under its key; else the error is `AlreadyExists`. When the upload is not there any
    /// more, it is `NotFound`: somebody aborted it, or an earlier call completed it and its answer was lost.
    pub(super) async fn complete(&self, upload: &Begun, parts: Vec<PartId>) -> Result<()> {
        match &self.kind {
            Kind::S3 { s3, http } => match complete(s3, http, upload, &parts).await {
                // Not every store knows that header with this call. Whether anything stands there was looked at before.
                Err(Error::NotImplemented { .. }) => self.complete_after_a_look(upload, parts).await,
                other => other,
            },
            #[cfg(feature = "failpoints")]
            Kind::Memory(_) => self.complete_after_a_look(upload, parts).await,
        }
    }

    async fn complete_after_a_look(&self, upload: &Begun, parts: Vec<PartId>) -> Result<()> {
        match self.objects.head(&upload.key).await {
            Ok(_) => return Err(taken(&upload.key)),
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let completed = self.uploads.complete_multipart(&upload.key, &upload.id, parts).await;
        #[cfg(feature = "failpoints")]
        if let Kind::Memory(begun) = &self.kind {
            let mut begun = begun.lock().expect("no test panics with it");
            if !begun.iter().any(|other| other.id == upload.id) {
                return Err(Error::NotFound { path: upload.key.to_string(), source: "no such upload".into() });
            }
            begun.retain(|other| other.id != upload.id);
        }
        completed.map(drop)
    }

    /// The uploads that were begun below a key, or at it, and are open.
    pub(super) async fn begun(&self, below: &Key) -> Result<Vec<Begun>> {
        match &self.kind {
            Kind::S3 { s3, http } => begun(s3, http, below).await,
            #[cfg(feature = "failpoints")]
            Kind::Memory(begun) => {
                let begun = begun.lock().expect("no test panics with it");
                Ok(begun.iter().filter(|one| one.key.as_ref().starts_with(below.as_ref())).cloned().collect())
            }
        }
    }
}

fn taken(key: &Key) -> Error {
    Error::AlreadyExists { path: key.to_string(), source: "something stands there already".into() }
}

fn generic(text: String) -> Error {
    Error::Generic { store: "S3", source: text.into() }
}

/// Whatever keeps a request from being answered; without its address, which is signed.
fn unanswered(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
    generic(format!("{error}{cause}"))
}

async fn complete(s3: &AmazonS3, http: &reqwest::Client, upload: &Begun, parts: &[PartId]) -> Result<()> {
    const ONLY_NEW: (HeaderName, HeaderValue) =
        (HeaderName::from_static("if-none-match"), HeaderValue::from_static("*"));
    let signed = SignedUrlOptions::new()
        .with_query([("uploadId", upload.id.as_str())])
        .with_signed_header(ONLY_NEW.0, ONLY_NEW.1);
    let url = s3.signed_url_opts(Method::POST, &upload.key, GOOD_FOR, &signed).await?;
    let mut body = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (number, part) in (1..).zip(parts) {
        let tag = part.content_id.replace('&', "&amp;").replace('<', "&lt;");
        body.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"));
    }
    body.push_str("</CompleteMultipartUpload>");
    let answer = http.post(url).header("if-none-match", "*").body(body).send().await.map_err(unanswered)?;
    let (status, text) = (answer.status(), answer.text().await.map_err(unanswered)?);
    let code = between(&text, "Code").unwrap_or_default().to_owned();
    let path = upload.key.to_string();
    match (status.as_u16(), code.as_str()) {
        // An answer may begin well and tell of a failure later on. **[doc]**
        (200, _) if !text.contains("<Error>") => Ok(()),
        (412, _) => Err(taken(&upload.key)),
        (404, _) | (_, "NoSuchUpload") => Err(Error::NotFound { path, source: text.into() }),
        (401 | 403, _) => Err(Error::PermissionDenied { path, source: text.into() }),
        (501, _) | (_, "NotImplemented") => Err(Error::NotImplemented {
            operation: "completing in the place of nothing".into(),
            implementer: "it".into(),
        }),
        // Somebody writes there at this moment: the next look says what came of it. **[doc]**
        (409, _) | (200, _) => Err(generic(format!("the upload could not be completed: {text}"))),
        _ => Err(generic(format!("Server returned non-2xx status code: {status}: {text}"))),
    }
}

async fn begun(s3: &AmazonS3, http: &reqwest::Client, below: &Key) -> Result<Vec<Begun>> {
    let (mut all, mut place) = (Vec::new(), Vec::new());
    for _ in 0..MOST_PAGES {
        let mut query = vec![("uploads".to_owned(), String::new()), ("prefix".to_owned(), below.to_string())];
        query.extend(place.clone());
        let signed = SignedUrlOptions::new().with_query(query);
        let url = s3.signed_url_opts(Method::GET, &Key::default(), GOOD_FOR, &signed).await?;
        let answer = http.get(url).send().await.map_err(unanswered)?;
        let (status, text) = (answer.status(), answer.text().await.map_err(unanswered)?);
        if !status.is_success() {
            return Err(generic(format!("Server returned non-2xx status code: {status}: {text}")));
        }
        let (uploads, next) = page(&text);
        all.extend(uploads);
        let Some(next) = next else { return Ok(all) };
        if next.is_empty() || next == place {
            break;
        }
        place = next;
    }
    Err(generic("the list of uploads has no end".to_owned()))
}

/// The uploads on a page of the list, and what has to be asked for the next one; nothing when this is the last.
fn page(text: &str) -> (Vec<Begun>, Option<Vec<(String, String)>>) {
    let uploads = text.split("<Upload>").skip(1).filter_map(|upload| {
        let key = Key::parse(unescaped(between(upload, "Key")?)).ok()?;
        Some(Begun { key, id: unescaped(between(upload, "UploadId")?) })
    });
    let uploads = uploads.collect();
    if between(text, "IsTruncated") != Some("true") {
        return (uploads, None);
    }
    // SeaweedFS names the upload alone, and goes on behind it.
    let said = [("NextKeyMarker", "key-marker"), ("NextUploadIdMarker", "upload-id-marker")];
    let next = said.into_iter().filter_map(|(said, asked)| Some((asked.to_owned(), unescaped(between(text, said)?))));
    (uploads, Some(next.collect()))
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    plain.replace("&#34;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_uploads_goes_on_from_whatever_the_store_says_of_its_place() {
        let upload = "<Upload><Key>a/b&amp;c.flv</Key><UploadId>one</UploadId></Upload>";
        let of = |rest: &str| page(&format!("<ListMultipartUploadsResult>{upload}{rest}</ListMultipartUploadsResult>"));
        let begun = vec![Begun { key: Key::parse("a/b&c.flv").expect("a key"), id: "one".to_owned() }];
        let asked = |names: &[(&str, &str)]| {
            Some(names.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(of("<IsTruncated>false</IsTruncated>"), (begun.clone(), None));
        assert_eq!(of(""), (begun.clone(), None));
        let more = "<IsTruncated>true</IsTruncated>";
        let (key, id) = ("<NextKeyMarker>a&lt;b</NextKeyMarker>", "<NextUploadIdMarker>one</NextUploadIdMarker>");
        let both = asked(&[("key-marker", "a<b"), ("upload-id-marker", "one")]);
        assert_eq!(of(&format!("{more}{key}{id}")), (begun.clone(), both));
        assert_eq!(of(&format!("{more}{id}")), (begun.clone(), asked(&[("upload-id-marker", "one")])));
        assert_eq!(of(more), (begun, asked(&[])));
    }
}
