//! What a store's refusals mean, in words for people and without what is secret in them.

use std::io;

use object_store::Error;

/// Of a refusal's text so much is shown.
const LONGEST: usize = 300;

/// An error of the system's kind, with what the store said and what a person can do.
pub(super) fn told(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } | Error::Precondition { .. } => io::ErrorKind::AlreadyExists,
        _ => io::ErrorKind::Other,
    };
    let said = said(&error.to_string());
    let advice = match &error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ". Look at the credentials (AWS_ACCESS_KEY_ID and its like, or this machine's role) and at what the bucket allows them"
        }
        Error::Generic { .. } if is_transient(&error) => {
            ". Is the network up, and is the endpoint the right one? What is not published yet is kept in the spool"
        }
        Error::NotFound { .. } if said.contains("NoSuchBucket") => ". Make the bucket first, or name the right one",
        _ => "",
    };
    io::Error::new(kind, format!("{said}{advice}"))
}

/// What is worth reading of an answer: of a page of XML its code and its words. Such a page may quote a key's name and what was
/// signed with it.
fn said(text: &str) -> String {
    let Some(page) = text.find(['<']) else { return cut(text) };
    let before = text[..page].trim_end_matches([' ', ':', '-']);
    let parts: Vec<&str> = ["Code", "Message"].iter().filter_map(|tag| between(&text[page..], tag)).collect();
    match parts.is_empty() {
        true => cut(before),
        false => cut(&format!("{before}: {}", parts.join(": "))),
    }
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// What stands in the first element of that name.
pub(super) fn between<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    let begin = xml.find(&format!("<{tag}>"))? + tag.len() + 2;
    let end = begin + xml[begin..].find(&format!("</{tag}>"))?;
    Some(&xml[begin..end])
}

/// Whether the same may succeed later without anybody doing anything: the way to the store is broken, or it has trouble of its own.
pub(super) fn is_transient(error: &Error) -> bool {
    match error {
        // The store's answer is in the text alone. What it says of a request (400 to 499) it will say again, but for that it has
        // too much to do, or has waited too long for the request.
        Error::Generic { .. } => {
            let text = error.to_string();
            let Some((_, status)) = text.split_once("non-2xx status code: ") else { return !text.contains("<Error>") };
            !status.starts_with('4') || status.starts_with("408") || status.starts_with("429")
        }
        Error::JoinError { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn a_page_of_xml_is_told_by_its_code_and_its_words_and_no_key() {
        let page = "Error performing PUT: Server returned non-2xx status code: 400 Bad Request: <?xml version=\"1.0\"?><Error>\
                    <Code>EntityTooSmall</Code><Message>Too small</Message><AWSAccessKeyId>AKIA123</AWSAccessKeyId></Error>";
        let text = told(generic(page)).to_string();
        assert!(text.contains("EntityTooSmall: Too small") && !text.contains("AKIA123"), "{text}");
        assert!(told(generic(&"x".repeat(10_000))).to_string().len() < 2 * LONGEST);
    }

    #[test]
    fn trouble_passes_and_a_refusal_stays() {
        let status = |status: &str| generic(&format!("Server returned non-2xx status code: {status}: "));
        assert!(is_transient(&status("503 Service Unavailable")) && is_transient(&status("429 Too Many Requests")));
        assert!(!is_transient(&status("400 Bad Request")));
        assert!(is_transient(&generic("connection refused")));
        let refused = Error::PermissionDenied { path: "x".into(), source: "403".into() };
        assert!(!is_transient(&refused) && told(refused).to_string().contains("credentials"));
    }
}
