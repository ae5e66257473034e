//! The stores, and the cameras of each. Asked for by hand, so a failure that may pass is tried again a few times, and then
//! told.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::client::{CallError, Client};
use super::wire::lists::{DeviceList, Store, StorePage};
use super::wire::method;
use crate::backoff::Delays;
use crate::device::DeviceId;
use crate::outcome::Class;
use crate::report::DeviceFacts;
use crate::time_range::UtcSecond;
use crate::untrusted::Untrusted;

/// The most that clients have been seen to ask for. **\[sdk\]**
const PAGE_SIZE: usize = 100;

/// More pages than any chain fills. A server that has more is going round in circles.
const MOST_PAGES: usize = 1_000;

/// How often one call is made before its failure is told.
const TRIES: u32 = 4;

/// All stores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreList {
    /// Each once, in the platform's order.
    pub stores: Vec<Store>,
    /// Rows that could not be read.
    pub unreadable: u64,
    /// How many there are, as the platform says; not every platform gives all of them.
    pub total: Option<u64>,
}

impl StoreList {
    /// Adds a page, and says whether another one is worth asking for: not after an empty page, nor one that brings
    /// nothing new, nor when all that the platform says there are have come.
    fn add(&mut self, page: StorePage, known: &mut BTreeSet<i64>) -> bool {
        // OK to pass over a total of 0: then the page is empty, or says something that cannot be.
        self.total = page.total.and_then(|total| u64::try_from(total).ok()).filter(|&total| total > 0).or(self.total);
        self.unreadable += page.rows.unreadable;
        let before = self.stores.len();
        self.stores.extend(page.rows.read.into_iter().filter(|store| known.insert(store.id)));
        let come = self.stores.len() as u64 + self.unreadable;
        self.stores.len() > before && self.total.is_none_or(|total| come < total)
    }
}

impl Client {
    /// Every store of the account. `delays` are between the tries of one call. **\[sdk\]**
    pub async fn stores(&self, delays: Delays) -> Result<StoreList, CallError> {
        let (mut list, mut known) = (StoreList::default(), BTreeSet::new());
        for page in 1..=MOST_PAGES {
            if !list.add(self.store_page(page, delays).await?, &mut known) {
                return Ok(list);
            }
        }
        Err(CallError::Endless { method: method::STORES, pages: MOST_PAGES })
    }

    /// The first stores of the account: whether it may ask. `delays` are between the tries. **\[sdk\]**
    pub async fn first_stores(&self, delays: Delays) -> Result<StorePage, CallError> {
        self.store_page(1, delays).await
    }

    async fn store_page(&self, page: usize, delays: Delays) -> Result<StorePage, CallError> {
        self.patiently(method::STORES, &[("pageNumber", json!(page)), ("pageSize", json!(PAGE_SIZE))], delays).await
    }

    /// The cameras of one store, by its number. `delays` are between the tries. **\[sdk\]**
    pub async fn devices_of_store(&self, store: i64, delays: Delays) -> Result<DeviceList, CallError> {
        self.patiently(method::DEVICE_LIST, &[("id", json!(store))], delays).await
    }

    /// Calls, and calls again when the failure may pass.
    async fn patiently<T: DeserializeOwned + Default>(
        &self,
        method: &'static str,
        business: &[(&str, Value)],
        delays: Delays,
    ) -> Result<T, CallError> {
        for failures in 1..TRIES {
            match self.call(method, business).await {
                Err(error) if error.class() == Class::Transient => {
                    tracing::info!("{error}; trying again");
                    // OK without randomness: nobody else waits for the same moment.
                    tokio::time::sleep(delays.after(failures, 0.5)).await;
                }
                other => return other,
            }
        }
        self.call(method, business).await
    }
}

/// The cameras of a list, which was `seen` then. A store without a number of its own is the one that was asked for.
pub fn facts(asked: &Store, list: DeviceList, seen: UtcSecond) -> Vec<DeviceFacts> {
    let mut facts = Vec::new();
    for store in list.list.read {
        let number = store.id.filter(|&number| number >= 0).unwrap_or(asked.id);
        let asked_name = || text(&asked.name).filter(|_| number == asked.id);
        let name = text(&store.name).or_else(asked_name);
        for camera in store.devices.read {
            // OK to pass over what is none: a number below 0 has been counted as unreadable.
            let Some(device) = DeviceId::new(camera.id) else { continue };
            facts.push(DeviceFacts {
                device,
                name: text(&camera.name),
                store_number: Some(number),
                store: name.clone(),
                puid: text(&camera.puid),
                channel: camera.channel_id,
                online: camera.online.map(|online| online != 0),
                seen: Some(seen),
            });
        }
    }
    facts
}

/// What the platform wrote; nothing when that is blank.
pub fn text(written: &str) -> Option<Untrusted> {
    let written = written.trim();
    (!written.is_empty()).then(|| Untrusted::new(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::wire::lists::Entries;

    fn page(total: Option<i64>, ids: &[i64], unreadable: u64) -> StorePage {
        let store = |&id: &i64| Store { id, name: String::new() };
        StorePage { total, rows: Entries { read: ids.iter().map(store).collect(), unreadable } }
    }

    /// Reads these pages as far as it is worth; the stores, and how many pages were read.
    fn read(pages: &[StorePage]) -> (StoreList, usize) {
        let (mut list, mut known) = (StoreList::default(), BTreeSet::new());
        for (index, page) in pages.iter().enumerate() {
            if !list.add(page.clone(), &mut known) {
                return (list, index + 1);
            }
        }
        (list, pages.len())
    }

    fn ids(list: &StoreList) -> Vec<i64> {
        list.stores.iter().map(|store| store.id).collect()
    }

    #[test]
    fn pages_are_read_until_the_total_has_come() {
        let (list, pages) =
            read(&[page(Some(5), &[1, 2], 0), page(Some(5), &[3], 1), page(Some(5), &[4], 0), page(None, &[9], 0)]);
        assert_eq!((ids(&list), list.unreadable, pages), (vec![1, 2, 3, 4], 1, 3));
    }

    #[test]
    fn without_a_total_an_empty_page_ends_it() {
        for total in [None, Some(0), Some(-1)] {
            let (list, pages) =
                read(&[page(total, &[1, 2], 0), page(total, &[3], 0), page(total, &[], 0), page(total, &[4], 0)]);
            assert_eq!((ids(&list), pages), (vec![1, 2, 3], 3), "{total:?}");
        }
    }

    #[test]
    fn a_page_that_brings_nothing_new_ends_it() {
        let (list, pages) = read(&[page(Some(250), &[1, 2], 0), page(Some(250), &[2, 1], 0), page(Some(250), &[3], 0)]);
        assert_eq!((ids(&list), pages, list.total), (vec![1, 2], 2, Some(250)));
    }

    #[test]
    fn what_a_list_leaves_open_is_the_asked_stores_or_open() {
        let list: DeviceList = serde_json::from_value(json!({ "list": [
            { "devices": [{ "id": 5, "name": " ", "puid": " P ", "channel_id": "2", "online": true }] },
            { "id": 8, "devices": [{ "id": 6 }] },
        ] }))
        .expect("any list is read");
        let asked = Store { id: 7, name: "Riverside".to_owned() };
        let seen = UtcSecond::new(1_795_132_800);
        let expected = [
            DeviceFacts {
                store_number: Some(7),
                store: Some("Riverside".into()),
                puid: Some("P".into()),
                channel: Some(2),
                online: Some(true),
                seen: Some(seen),
                ..DeviceFacts::unknown(DeviceId::new(5).expect("not negative"))
            },
            DeviceFacts {
                store_number: Some(8),
                seen: Some(seen),
                ..DeviceFacts::unknown(DeviceId::new(6).expect("not negative"))
            },
        ];
        assert_eq!(facts(&asked, list, seen), expected);
    }
}
