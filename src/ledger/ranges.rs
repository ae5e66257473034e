//! The tables of merged ranges: `asked` and `archived`, each the fewest ranges that hold its seconds.

use std::collections::BTreeMap;

use super::error::Fault;
use super::queries::device;
use super::session::{Engine, Row, Session, values};
use crate::device::DeviceId;
use crate::time_range::{RangeSet, TimeRange, UtcSecond};

/// Every second that a row can have.
pub(super) const ALWAYS: TimeRange = TimeRange::WIDEST;

/// Which of the two tables.
#[derive(Clone, Copy)]
pub(super) enum Merged {
    Asked,
    Archived,
}

impl Merged {
    fn table(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Archived => "archived",
        }
    }

    fn overlapping(self) -> &'static str {
        match self {
            Self::Asked => {
                "SELECT start, \"end\" FROM asked WHERE device = ?1 AND start < ?3 AND \"end\" > ?2 AND start >= coalesce(
                     (SELECT max(start) FROM asked WHERE device = ?1 AND start < ?2), ?2) ORDER BY start"
            }
            Self::Archived => {
                "SELECT start, \"end\" FROM archived WHERE device = ?1 AND start < ?3 AND \"end\" > ?2 AND start >= coalesce(
                     (SELECT max(start) FROM archived WHERE device = ?1 AND start < ?2), ?2) ORDER BY start"
            }
        }
    }

    fn delete(self) -> &'static str {
        match self {
            Self::Asked => "DELETE FROM asked WHERE device = ?1 AND start = ?2",
            Self::Archived => "DELETE FROM archived WHERE device = ?1 AND start = ?2",
        }
    }

    fn put(self) -> &'static str {
        match self {
            Self::Asked => {
                "INSERT INTO asked (device, start, \"end\") VALUES (?1, ?2, ?3)
                 ON CONFLICT (device, start) DO UPDATE SET \"end\" = excluded.\"end\""
            }
            Self::Archived => {
                "INSERT INTO archived (device, start, \"end\") VALUES (?1, ?2, ?3)
                 ON CONFLICT (device, start) DO UPDATE SET \"end\" = excluded.\"end\""
            }
        }
    }

    /// The ranges that share a second with `within`, whole.
    fn whole(self, session: Session<'_>, device: DeviceId, within: TimeRange) -> Result<Vec<TimeRange>, Fault> {
        let values = values![device.get(), within.start().get(), within.end().get()];
        session.all(self.overlapping(), values, |row| range(row, 0))
    }

    /// The seconds of the table within a range.
    pub(super) fn within(self, session: Session<'_>, device: DeviceId, within: TimeRange) -> Result<RangeSet, Fault> {
        let whole = self.whole(session, device, within)?;
        Ok(whole.iter().filter_map(|range| range.intersect(&within)).collect())
    }

    /// The same of each of many devices: asked one by one, the asking takes three times as long as the looking.
    pub(super) fn within_of(
        self,
        session: Session<'_>,
        devices: &[DeviceId],
        within: TimeRange,
    ) -> Result<BTreeMap<DeviceId, RangeSet>, Fault> {
        let (each_of, table) = (each_of(session.engine()), self.table());
        let mut found: BTreeMap<DeviceId, RangeSet> =
            devices.iter().map(|&device| (device, RangeSet::default())).collect();
        session.each(
            &format!(
                "SELECT t.start, t.\"end\", t.device FROM {each_of} {table} AS t
                 WHERE t.device = d.value AND t.start < ?3 AND t.\"end\" > ?2 AND t.start >= coalesce(
                     (SELECT max(start) FROM {table} WHERE device = d.value AND start < ?2), ?2)"
            ),
            values![&list(devices), within.start().get(), within.end().get()],
            |row| {
                if let Some(range) = range(row, 0)?.intersect(&within) {
                    found.entry(device(row, 2)?).or_default().insert(range);
                }
                Ok(())
            },
        )?;
        Ok(found)
    }

    /// Adds every second of `range`; ranges that then touch become one.
    pub(super) fn add(self, session: Session<'_>, device: DeviceId, range: TimeRange) -> Result<(), Fault> {
        session.about(device)?;
        // One second more on either side finds also those that only touch.
        let reach = TimeRange::new(range.start() - 1, range.end() + 1).unwrap_or(range);
        let touched = self.whole(session, device, reach)?;
        let mut joined = RangeSet::from(range);
        for &held in &touched {
            joined.insert(held);
        }
        for &joined in &joined {
            for held in touched.iter().filter(|held| held.start() != joined.start()) {
                session.execute(self.delete(), values![device.get(), held.start().get()])?;
            }
            session.execute(self.put(), values![device.get(), joined.start().get(), joined.end().get()])?;
        }
        Ok(())
    }
}

impl Merged {
    /// Takes every second of `gone` out.
    pub(super) fn remove(self, session: Session<'_>, device: DeviceId, gone: TimeRange) -> Result<(), Fault> {
        session.about(device)?;
        for held in self.whole(session, device, gone)? {
            session.execute(self.delete(), values![device.get(), held.start().get()])?;
            for &left in RangeSet::from(held).subtract(&gone.into()).ranges() {
                session.execute(self.put(), values![device.get(), left.start().get(), left.end().get()])?;
            }
        }
        Ok(())
    }
}

/// Devices as the parameter of [`each_of`].
pub(super) fn list(devices: &[DeviceId]) -> String {
    let numbers: Vec<String> = devices.iter().map(|device| device.get().to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// The devices of a [`list`], which is the first parameter, as rows of `d.value`, joined with what follows. In SQLite `CROSS`
/// keeps the order: what follows is sought device by device.
pub(super) fn each_of(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "json_each(?1) AS d CROSS JOIN",
        Engine::Postgres => {
            "(SELECT CAST(j.value AS BIGINT) AS value FROM jsonb_array_elements_text(CAST(?1 AS JSONB)) AS j (value)) AS d
             CROSS JOIN"
        }
    }
}

/// A range in two columns, the first of which is `column`.
pub(super) fn range(row: &Row<'_>, column: usize) -> Result<TimeRange, Fault> {
    let (start, end) = (row.get(column)?, row.get(column + 1)?);
    TimeRange::new(UtcSecond::new(start), UtcSecond::new(end))
        .ok_or_else(|| Fault::BadValue(format!("a range that ends before it starts: {start} to {end}")))
}
