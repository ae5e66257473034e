//! `archive devices --refresh`: asks the platform for its stores and their cameras, and keeps the answer in the ledger.
//!
//! A refresh may go on beside a run, and never keeps one from starting: it does not take the hold that runs take. That is
//! safe because of what it writes a run writes no more than an NVR's store, and reads the rest before its work begins; and
//! because its transactions are short, so that a run's next row waits for milliseconds.

use std::io::{self, Write as _};
use std::time::Duration;

use chrono::Utc;

use crate::backoff::Delays;
use crate::cli::Common;
use crate::outcome::Class;
use crate::platform::client::{CallError, Client};
use crate::platform::listing;
use crate::platform::wire::lists::Store;
use crate::report::DeviceFacts;
use crate::settings::{Credentials, Settings};
use crate::time_range::UtcSecond;
use crate::wording;

use super::{context, work};

/// Somebody waits at a terminal: delays between tries are not longer than these, whatever a night's are.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How many devices one transaction takes.
const BATCH: usize = 500;

/// What has come so far.
#[derive(Default)]
struct Gathered {
    devices: Vec<DeviceFacts>,
    unreadable: u64,
    /// Stores that were asked and answered.
    stores: u64,
    /// Stores that the platform refused to list.
    refused: u64,
}

/// Asks, and keeps what comes, of `only` that store or of all. How many stores the platform refused to list; each has been
/// warned of.
pub(super) async fn refresh(
    common: &Common,
    settings: &Settings,
    credentials: Credentials,
    only: Option<i64>,
) -> anyhow::Result<u64> {
    let (gathered, asked) = ask(common, settings, credentials, only).await?;
    let Gathered { devices, stores: answered, refused, .. } = gathered;
    let nothing = devices.is_empty();
    if !nothing {
        let ledger = work::open_ledger(&settings.archive)?;
        for batch in devices.chunks(BATCH) {
            ledger.know_devices(batch.to_vec()).await?;
        }
    }
    let kept = format!("; the cameras of {} before it are kept", wording::count(answered, "store"));
    let kept = if nothing { String::new() } else { kept };
    asked.map_err(|(store, error)| anyhow::Error::new(error).context(format!("{}{kept}", named(&store))))?;
    refuse_nothing(nothing && refused == 0, only)?;
    Ok(refused)
}

/// Asks, and keeps nothing: the cameras, and how many stores the platform refused to list; each has been warned of.
pub(super) async fn list(
    common: &Common,
    settings: &Settings,
    credentials: Credentials,
) -> anyhow::Result<(Vec<DeviceFacts>, u64)> {
    let (gathered, asked) = ask(common, settings, credentials, None).await?;
    asked.map_err(|(store, error)| anyhow::Error::new(error).context(named(&store)))?;
    refuse_nothing(gathered.devices.is_empty(), None)?;
    Ok((gathered.devices, gathered.refused))
}

fn refuse_nothing(is_nothing: bool, only: Option<i64>) -> anyhow::Result<()> {
    if is_nothing {
        let whose = only.map_or_else(|| "this account".to_owned(), |store| format!("store {store}"));
        anyhow::bail!(
            "the platform lists no camera of {whose}: look at the stores of its user on the vendor's main site"
        );
    }
    Ok(())
}

/// What came, and at which store it ended before its end.
async fn ask(
    common: &Common,
    settings: &Settings,
    credentials: Credentials,
    only: Option<i64>,
) -> anyhow::Result<(Gathered, Result<(), (Store, CallError)>)> {
    let client = context::client(settings, credentials, &context::guard(settings))?;
    let retry = &settings.retry;
    let delays = Delays { first: retry.first_delay.min(FIRST_DELAY), longest: retry.max_delay.min(LONGEST_DELAY) };
    let mut gathered = Gathered::default();
    let stores = match only {
        Some(id) => vec![Store { id, name: String::new() }],
        None => gathered.all_stores(&client, delays).await?,
    };
    if !common.quiet {
        let stores = wording::count(stores.len() as u64, "store");
        // OK to ignore a closed stderr: it says no more than that somebody has to wait.
        let _ = writeln!(io::stderr(), "asking the platform for the cameras of {stores}");
    }
    let asked = gathered.devices_of(&client, &stores, delays).await;
    if gathered.unreadable > 0 {
        let entries = if gathered.unreadable == 1 { "entry" } else { "entries" };
        tracing::warn!("{} {entries} of the platform's list could not be read", gathered.unreadable);
    }
    Ok((gathered, asked))
}

impl Gathered {
    async fn all_stores(&mut self, client: &Client, delays: Delays) -> Result<Vec<Store>, CallError> {
        let list = client.stores(delays).await?;
        let come = list.stores.len() as u64 + list.unreadable;
        if let Some(total) = list.total.filter(|&total| total > come) {
            tracing::warn!("the platform says that there are {}, and listed {come}", wording::count(total, "store"));
        }
        self.unreadable += list.unreadable;
        Ok(list.stores)
    }

    /// Asks store by store. One that the platform refuses by a code costs itself alone; any other failure would be the next
    /// one's too, and ends it.
    async fn devices_of(
        &mut self,
        client: &Client,
        stores: &[Store],
        delays: Delays,
    ) -> Result<(), (Store, CallError)> {
        for store in stores {
            match client.devices_of_store(store.id, delays).await {
                Ok(list) => {
                    self.stores += 1;
                    self.unreadable += list.unreadable();
                    self.devices.extend(listing::facts(store, list, UtcSecond::floor(Utc::now())));
                }
                Err(error @ CallError::Refused { .. }) if error.class() != Class::AccountRefused => {
                    self.refused += 1;
                    tracing::warn!("{} is left out: {error}", named(store));
                }
                Err(error) => return Err((store.clone(), error)),
            }
        }
        Ok(())
    }
}

/// A store for people.
fn named(store: &Store) -> String {
    let name = listing::text(&store.name).map(|name| format!(" ({name})")).unwrap_or_default();
    format!("store {}{name}", store.id)
}
