//! Tests of the page.

use std::collections::BTreeMap;

use super::*;
use crate::device::{DeviceId, NvrMap};
use crate::picture::{State, Stretch, Told};
use crate::recording::Container;
use crate::report::{DeviceFacts, DeviceRow};
use crate::time_range::TimeRange;
use crate::untrusted::Untrusted;
use crate::window::Cause;

const NASTY: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{data}}";

fn page() -> String {
    let device = DeviceId::new(5).expect("not negative");
    let range =
        TimeRange::new(UtcSecond::new(1_795_136_400), UtcSecond::new(1_795_140_000)).expect("a range holds a second");
    let facts = DeviceFacts {
        name: Some(Untrusted::new(NASTY)),
        store: Some(Untrusted::new(NASTY)),
        ..DeviceFacts::unknown(device)
    };
    let row = DeviceRow { facts, macs: None, zone: "Asia/Shanghai".to_owned(), asked: true };
    let (first, second) = range.split_at(range.start() + 600);
    let gap = State::Missing { cause: Cause::Failed, attempts: 3, last_code: Some(NASTY.to_owned()) };
    let stretches = vec![
        Stretch { range: first, state: State::Windows { quarters: 32, container: Container::Flv } },
        Stretch { range: second.expect("a rest"), state: gap },
    ];
    let told = BTreeMap::from([(device, Told { asked_seconds: 3600, stretches })]);
    let zone = |_device| chrono_tz::Asia::Shanghai;
    let picture = Picture::new(range.end(), range, told, &[row], &NvrMap::default(), zone, Vec::new());
    report(&picture).expect("a page")
}

/// What others wrote can neither end an element nor begin one, nor stand for a part of the page.
#[test]
fn no_name_becomes_a_part_of_the_page() {
    let page = page();
    assert_eq!(page.matches("<script").count(), 2, "the data and the script");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<img"), "{page}");
    assert!(page.contains("&lt;/script&gt;") && page.contains("\\u003c/script>"), "{page}");
    assert!(page.contains("&quot;&#39;&amp;{{data}}"), "{page}");
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing_but_its_own() {
    let page = page();
    let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").expect("it has a policy");
    let (policy, _) = policy.split_once('"').expect("which ends");
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    let (_, nonce) = policy.split_once("'nonce-").expect("a nonce");
    let (nonce, _) = nonce.split_once('\'').expect("which ends");
    assert_eq!(page.matches(&format!(" nonce=\"{nonce}\">")).count(), 2);
    for outside in ["http://", "https://", "src=\"", "url(", "@import", " style=\"", " onclick", "{{"] {
        let script_free = page.split("<script type").next().expect("a first part");
        assert!(!script_free.contains(outside), "{outside}");
    }
}

#[test]
fn the_data_say_each_state_once_and_each_stretch_in_a_few_bytes() {
    let page = page();
    let (_, data) = page.split_once("id=\"data\">").expect("the data");
    let (data, _) = data.split_once("</script>").expect("which end");
    let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((data["from"].as_i64(), data["to"].as_i64()), (Some(1_795_136_400), Some(1_795_140_000)));
    assert_eq!(data["states"][0], serde_json::json!(["windows", 32, "flv"]));
    assert_eq!(data["states"][1], serde_json::json!(["missing", "failed", 3, NASTY]));
    // State 1 for once ten minutes, state 2 for five times.
    assert_eq!(data["groups"][0][3][0][6], "AQICCg==");
    assert_eq!(data["offsets"]["Asia/Shanghai"], serde_json::json!([[1_795_136_400, 28_800]]));
}

#[test]
fn the_title_says_which_days() {
    let device = BTreeMap::from([(DeviceId::new(5).expect("not negative"), Told::default())]);
    let title = |from: i64, to: i64| {
        let range = TimeRange::new(UtcSecond::new(from), UtcSecond::new(to)).expect("a range holds a second");
        let zone = |_device| chrono_tz::Asia::Shanghai;
        days(&Picture::new(range.end(), range, device.clone(), &[], &NvrMap::default(), zone, Vec::new()))
    };
    // 2026-11-20 in Shanghai begins here.
    let midnight = 1_795_104_000;
    assert_eq!(title(midnight, midnight + 86_400), "20 November 2026");
    assert_eq!(title(midnight - 1, midnight + 86_400), "19 November to 20 November 2026");
    assert_eq!(title(midnight, midnight + 86_400 * 60), "20 November 2026 to 18 January 2027");
}
