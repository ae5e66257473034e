//! The platform's answers, as the client reads them for each of its methods.

use archive::outcome::Code;
use archive::platform::wire::lists::{DeviceList, StorePage};
use archive::platform::wire::{self, Answer, Download, Login, Play, Stat, method};
use archive::platform::{answers, client::CallError, live};
use archive::untrusted::Untrusted;

use super::shown;

/// The input is the body of an answer.
pub fn holds(input: &[u8]) {
    for status in [200, 502] {
        let answer = answers::read(input);
        let code = answer.stat.code;
        if let Some(time) = answers::platform_time(&answer) {
            assert_eq!(Some(time.timestamp_millis()), answer.stat.systime);
            assert!((2020..=9999).contains(&chrono::Datelike::year(&time)), "{time}");
        }
        match answers::accepted(answer, method::START_DOWNLOAD, status, input, Untrusted::from_bytes) {
            Ok(answer) => {
                assert_eq!(code, Some(0));
                is_read(&answer);
            }
            Err(error) => {
                assert_ne!(code, Some(0));
                assert_eq!(error.code(), Some(code.map_or(Code::Http(status), Code::Stat)));
                is_told(&error);
            }
        }
    }
}

/// What each method makes of an answer.
fn is_read(answer: &Answer) {
    let again = serde_json::to_string(&answer.stat).expect("a status is written");
    assert_eq!(serde_json::from_str::<Stat>(&again).ok().as_ref(), Some(&answer.stat), "{again}");

    let download: Download = answer.data();
    is_the_same_again(&download);
    match answers::recording_url(method::START_DOWNLOAD, download.clone()) {
        Ok(url) => assert!(download.result == Some(0) && !url.is_empty() && url == download.url),
        Err(error) => is_told(&error),
    }

    let play: Play = answer.data();
    is_the_same_again(&play);
    let offers = live::offers(&play);
    match answers::live_urls(method::START_PLAY, play.clone()) {
        Ok(_) => assert!(!offers.is_empty()),
        Err(error) => is_told(&error),
    }
    for offer in &offers {
        shown::is_harmless(offer);
        match offer.playable() {
            Ok(url) => {
                assert!(url.has_host() && url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
                assert!(["http", "https", "rtsp", "rtsps", "rtmp", "rtmps"].contains(&url.scheme()), "{url}");
            }
            Err(error) => shown::is_harmless(&error),
        }
    }
    for asked in [live::Protocol::Flv, live::Protocol::Hls, live::Protocol::Rtsp, live::Protocol::Rtmp] {
        match live::choose(&play, Some(asked)) {
            Ok(offer) => assert_eq!(offer.protocol, asked),
            Err(error) => shown::is_harmless(&error),
        }
    }

    let login: Login = answer.data();
    is_the_same_again(&login);
    let hidden = format!("Login {{ token: \"[hidden]\", expires: {:?} }}", login.expires);
    assert_eq!(format!("{login:?}"), hidden, "a token is never shown");

    let _: (StorePage, DeviceList) = (answer.data(), answer.data());
}

/// The client and the simulated platform mean the same by it.
fn is_the_same_again<T>(data: &T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let written = serde_json::to_string(data).expect("data is written");
    assert_eq!(serde_json::from_str::<T>(&written).ok().as_ref(), Some(data), "{written}");
}

fn is_told(error: &CallError) {
    shown::is_harmless(error);
    // Nothing that the client copes with by itself gets out of it.
    let _ = error.class();
    if let Some(code) = error.code() {
        shown::is_harmless(&wire::explain(code));
    }
}
