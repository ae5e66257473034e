//! The two lists: stores page by page, and a store's cameras. **\[sdk\]**
//!
//! Entries are read one by one, so that one that nobody can read costs itself alone. It is left out and counted.

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, de};
use serde_json::Value;

use super::{lenient_number, lenient_text};

/// The entries of a list that can be read, in its order, and how many cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries<T> {
    /// Those that can.
    pub read: Vec<T>,
    /// How many were left out; 1 when what came is no list at all.
    pub unreadable: u64,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { read: Vec::new(), unreadable: 0 }
    }
}

impl<T: DeserializeOwned> Entries<T> {
    /// Null is a list without entries: **\[unknown\]** whether the platform writes that for a store without cameras.
    fn of(value: Value) -> Self {
        let values = match value {
            Value::Null => return Self::default(),
            Value::Array(values) => values,
            _ => return Self { read: Vec::new(), unreadable: 1 },
        };
        let mut entries = Self::default();
        for value in values {
            // Only objects: an array would be read as fields without names.
            match value.is_object().then(|| T::deserialize(value)) {
                Some(Ok(entry)) => entries.read.push(entry),
                Some(Err(_)) | None => entries.unreadable += 1,
            }
        }
        entries
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::of)
    }
}

/// `data` of `getDepartments`: one page of the stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorePage {
    /// How many stores there are, over all pages.
    pub total: Option<i64>,
    /// Those of this page.
    pub rows: Entries<Store>,
}

impl<'de> Deserialize<'de> for StorePage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Object(mut fields) => Self {
                total: fields.remove("total").and_then(|total| lenient_number(total).ok().flatten()),
                rows: Entries::of(fields.remove("rows").unwrap_or_default()),
            },
            other => Self { total: None, rows: Entries::of(other) },
        })
    }
}

/// One store of a page. Without a number it is of no use, and counts as unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Store {
    /// Its number.
    #[serde(deserialize_with = "number")]
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "lenient_text")]
    pub name: String,
}

/// `data` of `getVideoDeviceList`: the asked store with its cameras.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceList {
    /// The store; more than one is read all the same.
    pub list: Entries<StoreDevices>,
}

impl<'de> Deserialize<'de> for DeviceList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::Object(mut fields) => Self { list: Entries::of(fields.remove("list").unwrap_or_default()) },
            other => Self { list: Entries::of(other) },
        })
    }
}

impl DeviceList {
    /// How many of its entries cannot be read, stores and cameras together.
    pub fn unreadable(&self) -> u64 {
        self.list.unreadable + self.list.read.iter().map(|store| store.devices.unreadable).sum::<u64>()
    }
}

/// One store of a device list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StoreDevices {
    /// The store's number.
    #[serde(deserialize_with = "lenient_number")]
    pub id: Option<i64>,
    /// Its name.
    #[serde(deserialize_with = "lenient_text")]
    pub name: String,
    /// Its cameras.
    pub devices: Entries<VideoDevice>,
}

/// One camera of a device list. Without a number it is of no use, and counts as unreadable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct VideoDevice {
    /// The device's number, as `startRecReqDown` wants it.
    #[serde(deserialize_with = "number")]
    pub id: i64,
    /// Its name.
    #[serde(default, deserialize_with = "lenient_text")]
    pub name: String,
    /// 1 when it is online.
    #[serde(default, deserialize_with = "lenient_number")]
    pub online: Option<i64>,
    /// The recorder: devices with the same one hang off the same NVR. Empty when it is not said.
    #[serde(default, deserialize_with = "lenient_text")]
    pub puid: String,
    /// The camera's channel on it.
    #[serde(default, deserialize_with = "lenient_number")]
    pub channel_id: Option<i64>,
}

/// The number of a store or a camera: from 0, and nothing that merely could pass for a number.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = if value.is_boolean() { None } else { lenient_number(value).ok().flatten() };
    number.filter(|number| *number >= 0).ok_or_else(|| de::Error::custom("not the number of anything"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::Answer;
    use super::*;

    fn answer(data: Value) -> Answer {
        serde_json::from_value(json!({ "stat": { "code": 0 }, "data": data })).expect("an answer")
    }

    fn numbers(list: &DeviceList) -> Vec<i64> {
        list.list.read.iter().flat_map(|store| &store.devices.read).map(|device| device.id).collect()
    }

    #[test]
    fn one_malformed_entry_costs_itself_alone() {
        let devices = json!([
            { "id": 5, "name": "till", "online": 1, "puid": "A", "channel_id": 2 },
            "a string", null, 7, [8], {}, { "id": "none" }, { "id": -1 }, { "id": true }, { "id": 1.5 }, { "id": [9] },
            { "id": " 6 ", "name": 12, "online": "0", "puid": 77, "channel_id": "x" },
        ]);
        let list: DeviceList = answer(json!({ "list": [{ "id": "1", "name": "one", "devices": devices }, 3] })).data();
        assert_eq!(numbers(&list), [5, 6]);
        assert_eq!(list.unreadable(), 11);
        let odd = &list.list.read[0].devices.read[1];
        assert_eq!((odd.name.as_str(), odd.online, odd.puid.as_str(), odd.channel_id), ("12", Some(0), "77", None));
    }

    #[test]
    fn what_is_no_list_is_counted_and_what_is_missing_is_empty() {
        for (data, unreadable) in [
            (json!(null), 0),
            (json!({}), 0),
            (json!({ "list": null }), 0),
            (json!({ "list": [] }), 0),
            (json!({ "list": [{ "devices": null }, {}] }), 0),
            (json!("down"), 1),
            (json!({ "list": "down" }), 1),
            (json!({ "list": [{ "devices": { "id": 5 } }] }), 1),
        ] {
            let list: DeviceList = answer(data.clone()).data();
            assert_eq!((numbers(&list), list.unreadable()), (vec![], unreadable), "{data}");
        }
        // Without the frame around it, it is a list all the same.
        assert_eq!(numbers(&answer(json!([{ "devices": [{ "id": 5 }] }])).data()), [5]);
    }

    #[test]
    fn a_page_of_stores_is_read_row_by_row() {
        let rows = json!([{ "id": 7, "name": "one", "organizeId": 1 }, { "name": "no number" }, { "id": "8" }]);
        let page: StorePage = answer(json!({ "total": "250", "rows": rows })).data();
        let stores: Vec<_> = page.rows.read.iter().map(|store| (store.id, store.name.as_str())).collect();
        assert_eq!((page.total, page.rows.unreadable, stores), (Some(250), 1, vec![(7, "one"), (8, "")]));
        assert_eq!(answer(json!(null)).data::<StorePage>(), StorePage::default());
        assert_eq!(answer(json!({ "total": {}, "rows": 5 })).data::<StorePage>().rows.unreadable, 1);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            "[0-9]{1,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![Just("id".to_owned()), Just("devices".to_owned()), "[a-z]{1,4}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever one entry or one field of it becomes, every other camera is read as it was; the mutated one is read or
        /// counted.
        #[test]
        fn a_mutation_touches_one_camera_alone(
            cameras in 1..12usize,
            mutated in any::<prop::sample::Index>(),
            field in prop::option::of(prop::sample::select(vec!["id", "name", "online", "puid", "channel_id"])),
            junk in any_json(),
        ) {
            let camera = |number: usize| json!({
                "id": number, "name": format!("camera {number}"), "online": 1, "puid": "A", "channel_id": number,
            });
            let mut devices: Vec<Value> = (0..cameras).map(camera).collect();
            let mutated = mutated.index(cameras);
            match field {
                Some(field) => devices[mutated][field] = junk,
                None => devices[mutated] = junk,
            }
            let list: DeviceList = answer(json!({ "list": [{ "id": 1, "name": "one", "devices": devices }] })).data();
            let read = &list.list.read[0].devices.read;
            prop_assert_eq!(read.len() as u64 + list.unreadable(), cameras as u64);
            for number in (0..cameras).filter(|&number| number != mutated) {
                let expected: VideoDevice = serde_json::from_value(camera(number)).expect("a camera");
                prop_assert!(read.contains(&expected), "camera {}", number);
            }
        }

        /// Nothing that can come panics, and nothing that is read has a number that is none.
        #[test]
        fn anything_is_survived(data in any_json()) {
            let list: DeviceList = answer(data.clone()).data();
            prop_assert!(numbers(&list).into_iter().all(|number| number >= 0));
            let page: StorePage = answer(data).data();
            prop_assert!(page.rows.read.iter().all(|store| store.id >= 0));
        }
    }
}
