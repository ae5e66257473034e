//! The built-in set-up that `rehearse` runs against.

use chrono::{DateTime, Days, NaiveTime};
use chrono_tz::Tz;

use crate::instant::Instant;
use crate::sim::config::{CameraConfig, Config, NvrConfig, StoreConfig, Taken};
use crate::sim::moment::{Length, Moment, Period};

/// The recorder that is busy at first: it has two channels, and one of them is taken for the first seconds.
const BUSY_SECONDS: i64 = 3;

impl Config {
    /// Two stores with three cameras each, numbered 1 to 3 and 4 to 6. The first store's recorder is busy at first.
    /// Camera 5 has no footage of yesterday from 12:20 to 12:40 in the set-up's zone. There is footage of the last three
    /// days up to `now`.
    pub fn rehearsal(now: Instant) -> Self {
        let config = Self::default();
        let hole = yesterday(now, config.zone, (12, 20), (12, 40));
        let busy = Period { from: None, to: Some(Moment::FromStart(Length::seconds(BUSY_SECONDS))) };
        let stores = vec![
            StoreConfig {
                id: 1,
                name: "Riverside".into(),
                nvrs: vec![NvrConfig {
                    id: "riverside-nvr".into(),
                    channels: 2,
                    taken: vec![Taken { channels: 1, during: busy }],
                    keeps: Length::seconds(3 * 86_400),
                    cameras: vec![camera(1, "entrance"), camera(2, "till"), camera(3, "stock room")],
                    ..NvrConfig::default()
                }],
                loose_cameras: Vec::new(),
            },
            StoreConfig {
                id: 2,
                name: "Market Square".into(),
                nvrs: vec![NvrConfig {
                    id: "market-nvr".into(),
                    keeps: Length::seconds(3 * 86_400),
                    cameras: vec![
                        camera(4, "entrance"),
                        CameraConfig { holes: vec![hole], ..camera(5, "till") },
                        camera(6, "stock room"),
                    ],
                    ..NvrConfig::default()
                }],
                loose_cameras: Vec::new(),
            },
        ];
        Self { stores, ..config }
    }
}

fn camera(id: i64, name: &str) -> CameraConfig {
    CameraConfig { id, name: name.into(), ..CameraConfig::default() }
}

/// From one hour and minute to another, on the local day before the one in which `now` falls.
fn yesterday(now: Instant, zone: Tz, from: (u32, u32), to: (u32, u32)) -> Period {
    // OK to fall back to 1970: a clock outside chrono's calendar has no yesterday to speak of.
    let today = DateTime::from_timestamp_millis(now.as_millis()).unwrap_or_default().with_timezone(&zone).date_naive();
    let day = today.checked_sub_days(Days::new(1)).unwrap_or(today);
    let at = |(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0).map(|time| Moment::Local(day.and_time(time)));
    Period { from: at(from), to: at(to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rehearsal_is_a_right_set_up_with_one_hole_yesterday() {
        // 2026-11-20T16:30:00Z is half past midnight of the 21st in Shanghai.
        let config = Config::rehearsal(Instant::from_millis(1_795_192_200_000));
        config.check().expect("the parts fit together");
        assert_eq!(config.stores.iter().flat_map(StoreConfig::cameras).count(), 6);
        let holes: Vec<Period> = config.stores.iter().flat_map(|s| s.cameras()).flat_map(|c| c.holes.clone()).collect();
        let resolved = holes[0].resolve(Instant::from_millis(0), config.zone);
        assert_eq!(holes.len(), 1);
        assert_eq!(resolved.from.to_utc_second().to_string(), "2026-11-20T04:20:00Z");
        assert_eq!(resolved.to.to_utc_second().to_string(), "2026-11-20T04:40:00Z");
    }
}
