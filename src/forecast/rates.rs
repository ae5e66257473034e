//! What footage has cost so far: its bytes, and the time that it took to fetch.

use std::collections::BTreeMap;

use crate::device::{DeviceId, NvrId, NvrMap};
use crate::report::DeviceHistory;

/// What a second of footage costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Bytes.
    pub bytes_per_second: f64,
    /// Seconds from the call to the last byte.
    pub fetch_seconds_per_second: f64,
}

/// What history says of costs: of each device its own, of others the mean of their NVR's devices, else of all. Means are
/// weighted by footage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    by_device: BTreeMap<DeviceId, Rate>,
    by_nvr: BTreeMap<NvrId, Rate>,
    overall: Option<Rate>,
}

impl History {
    /// From what the ledger says of each device. A row that is no cost (not finite, below nothing) is passed over.
    pub fn of(rows: &[DeviceHistory], nvrs: &NvrMap) -> Self {
        let mut by_device = BTreeMap::new();
        let (mut of_nvrs, mut of_all) = (BTreeMap::<NvrId, Sum>::new(), Sum::default());
        for row in rows {
            let rate =
                Rate { bytes_per_second: row.bytes_per_second, fetch_seconds_per_second: row.seconds_per_second };
            if row.footage_seconds <= 0 || !rate.is_a_cost() {
                continue;
            }
            by_device.insert(row.device, rate);
            of_all.add(rate, row.footage_seconds);
            if let Some(nvr) = nvrs.known(row.device).or(row.nvr.as_ref()) {
                of_nvrs.entry(nvr.clone()).or_default().add(rate, row.footage_seconds);
            }
        }
        let by_nvr = of_nvrs.into_iter().filter_map(|(nvr, sum)| Some((nvr, sum.mean()?))).collect();
        Self { by_device, by_nvr, overall: of_all.mean() }
    }

    /// What a second of a device's footage costs; nothing before the first finished download of any device.
    pub fn rate(&self, device: DeviceId, nvr: &NvrId) -> Option<Rate> {
        self.by_device.get(&device).or_else(|| self.by_nvr.get(nvr)).copied().or(self.overall)
    }
}

impl Rate {
    fn is_a_cost(self) -> bool {
        [self.bytes_per_second, self.fetch_seconds_per_second].iter().all(|cost| cost.is_finite() && *cost >= 0.0)
    }
}

#[derive(Clone, Copy, Default)]
struct Sum {
    bytes: f64,
    fetch_seconds: f64,
    footage_seconds: f64,
}

impl Sum {
    fn add(&mut self, rate: Rate, footage_seconds: i64) {
        let footage = footage_seconds as f64;
        self.bytes += rate.bytes_per_second * footage;
        self.fetch_seconds += rate.fetch_seconds_per_second * footage;
        self.footage_seconds += footage;
    }

    fn mean(self) -> Option<Rate> {
        let rate = Rate {
            bytes_per_second: self.bytes / self.footage_seconds,
            fetch_seconds_per_second: self.fetch_seconds / self.footage_seconds,
        };
        Some(rate).filter(|rate| rate.is_a_cost())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: i64) -> DeviceId {
        DeviceId::new(number).expect("not negative")
    }

    fn row(number: i64, nvr: Option<&str>, footage_seconds: i64, bytes: f64, seconds: f64) -> DeviceHistory {
        DeviceHistory {
            device: device(number),
            nvr: nvr.map(NvrId::new),
            attempts: 1,
            footage_seconds,
            bytes_per_second: bytes,
            seconds_per_second: seconds,
        }
    }

    fn rate(bytes_per_second: f64, fetch_seconds_per_second: f64) -> Option<Rate> {
        Some(Rate { bytes_per_second, fetch_seconds_per_second })
    }

    #[test]
    fn a_device_without_history_costs_what_its_nvrs_devices_do_else_what_all_do() {
        let mut nvrs = NvrMap::default();
        nvrs.assign(device(2), NvrId::new("one"));
        let rows = [
            row(1, Some("one"), 600, 100.0, 0.5),
            // What is known now wins over what the ledger has.
            row(2, Some("two"), 1800, 200.0, 0.1),
            row(3, Some("two"), 2400, 50.0, 1.0),
        ];
        let history = History::of(&rows, &nvrs);
        let (one, two, none) = (NvrId::new("one"), NvrId::new("two"), NvrId::new("none"));
        assert_eq!(history.rate(device(1), &one), rate(100.0, 0.5));
        assert_eq!(history.rate(device(8), &one), rate(175.0, 0.2));
        assert_eq!(history.rate(device(8), &two), rate(50.0, 1.0));
        assert_eq!(history.rate(device(8), &none), rate(112.5, 0.6));
    }

    #[test]
    fn what_is_no_cost_is_passed_over() {
        let rows = [row(1, None, 600, f64::NAN, 0.5), row(2, None, 0, 1.0, 1.0), row(3, None, 600, 1.0, -1.0)];
        assert_eq!(History::of(&rows, &NvrMap::default()), History::default());
        assert_eq!(History::default().rate(device(1), &NvrId::new("one")), None);
    }
}
