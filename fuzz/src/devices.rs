//! The platform's device list, and lists of devices as people write them.

use std::collections::BTreeSet;

use archive::device::DeviceId;
use archive::platform::answers;
use archive::platform::listing;
use archive::platform::wire::lists::{DeviceList, Store, StorePage};
use archive::settings::parse_device_list;
use archive::time_range::UtcSecond;
use serde_json::Value;

use super::shown;

/// Longer lists are not written out again.
const FEW: usize = 2_000;

/// The input is an answer's body, the `data` of one, and a list as people write it.
pub fn holds(input: &[u8]) {
    let answer = answers::read(input);
    if let Ok(data) = serde_json::from_slice::<Value>(input) {
        is_read(serde_json::from_value(data.clone()).expect("any list is read"), &data);
        let page: StorePage = serde_json::from_value(data).expect("any page is read");
        assert!(page.rows.read.iter().all(|store| store.id >= 0), "{page:?}");
    }
    is_read(answer.data(), &answer.data);
    if let Ok(text) = std::str::from_utf8(input) {
        is_listed(text);
    }
}

fn is_read(list: DeviceList, data: &Value) {
    let asked = Store { id: 7, name: "asked".to_owned() };
    let unreadable = list.unreadable();
    let facts = listing::facts(&asked, list, UtcSecond::new(1_795_132_800));
    assert_eq!(facts.len() as u64 + unreadable, entries(data), "every entry is read or counted: {data}");
    for fact in &facts {
        assert!(fact.device.get() >= 0 && fact.store_number.is_some_and(|number| number >= 0), "{fact:?}");
        for text in [&fact.name, &fact.store, &fact.puid].into_iter().flatten() {
            shown::is_harmless(text);
            assert!(!text.is_empty());
        }
    }
}

/// How many entries there are: cameras, and whatever stands where a camera or a list of them should be.
fn entries(data: &Value) -> u64 {
    let stores = match data {
        Value::Object(fields) => fields.get("list").unwrap_or(&Value::Null),
        other => other,
    };
    let in_store = |store: &Value| match store {
        Value::Object(fields) => match fields.get("devices") {
            None | Some(Value::Null) => 0,
            Some(Value::Array(devices)) => devices.len() as u64,
            Some(_) => 1,
        },
        _ => 1,
    };
    match stores {
        Value::Null => 0,
        Value::Array(stores) => stores.iter().map(in_store).sum(),
        _ => 1,
    }
}

fn is_listed(text: &str) {
    match parse_device_list(text) {
        Ok(devices) => {
            assert!(!devices.is_empty() && devices.len() <= 1_000_000);
            let ends = devices.first().zip(devices.last());
            // The ends of what is listed are among the numbers that were written.
            let numbers: BTreeSet<DeviceId> = text.split([',', '-']).filter_map(|part| part.parse().ok()).collect();
            assert_eq!(ends, numbers.first().zip(numbers.last()), "{text:?}");
            if devices.len() <= FEW {
                let written: Vec<String> = devices.iter().map(ToString::to_string).collect();
                assert_eq!(parse_device_list(&written.join(" , ")), Ok(devices), "{text:?}");
            }
        }
        // The error quotes what the person typed, escaped.
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}
