//! A whole ledger copied from one engine to the other, row by row, and compared afterwards.
//!
//! Tables are copied in an order in which what is referred to comes first, rows in the order of their keys, a page to a
//! transaction. So what is there of a table is always its beginning, and a copy that was cut off goes on where it stands.
//! Nothing may change the source meanwhile: whoever copies holds both ledgers.

use super::tables::{Fields, TABLES, Table};
use super::{Ledger, LedgerError};

/// How many rows one transaction takes: SQLite takes 32,766 values in a statement, and the widest table has 16 columns. Few
/// in tests, so that they see many pages.
pub(super) const PAGE: u32 = if cfg!(test) { 3 } else { 1_000 };

/// How far a copy is, or the comparison after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which table.
    pub table: &'static str,
    /// Rows so far, over all tables.
    pub rows: u64,
}

impl Ledger {
    /// Puts every row of `source` into this ledger, which has none but those that an earlier copy of it put here. Gives how
    /// many rows were copied this time; nothing when it `is_stopped` first.
    pub async fn copy_from(
        &self,
        source: &Self,
        is_stopped: &(dyn Fn() -> bool + Sync),
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Option<u64>, LedgerError> {
        let mut rows = 0;
        for table in TABLES {
            if table.has_rows_from_the_first {
                self.write(move |session| table.clear(session)).await?;
            }
            let mut after = self.read(move |session| table.last(session)).await?;
            loop {
                if is_stopped() {
                    return Ok(None);
                }
                let page = source.page(table, after).await?;
                let Some(last) = page.last() else { break };
                after = Some(table.key_of(last).to_vec());
                rows += page.len() as u64;
                self.write(move |session| table.insert(session, &page)).await?;
                tell(Progress { table: table.name, rows });
            }
        }
        Ok(Some(rows))
    }

    /// Looks whether this ledger has the rows of `other`, each of them, and no more. Gives how many; nothing when it
    /// `is_stopped` first. [`LedgerError::Differs`] names the first row that is another.
    pub async fn compare_with(
        &self,
        other: &Self,
        is_stopped: &(dyn Fn() -> bool + Sync),
        tell: &(dyn Fn(Progress) + Sync),
    ) -> Result<Option<u64>, LedgerError> {
        let mut rows = 0;
        for table in TABLES {
            let mut after: Option<Fields> = None;
            loop {
                if is_stopped() {
                    return Ok(None);
                }
                let (mine, theirs) = futures::try_join!(self.page(table, after.clone()), other.page(table, after))?;
                let same = mine.iter().zip(&theirs).take_while(|(mine, theirs)| mine == theirs).count();
                let differing = [mine.get(same), theirs.get(same)].into_iter().flatten();
                if let Some(row) = differing.min_by_key(|row| table.key_of(row)) {
                    return Err(LedgerError::Differs { ledger: self.name.clone(), row: table.name_of(row) });
                }
                let Some(last) = mine.last() else { break };
                after = Some(table.key_of(last).to_vec());
                rows += mine.len() as u64;
                tell(Progress { table: table.name, rows });
            }
        }
        Ok(Some(rows))
    }

    async fn page(&self, table: &'static Table, after: Option<Fields>) -> Result<Vec<Fields>, LedgerError> {
        self.read(move |session| table.page(session, after.as_deref(), PAGE)).await
    }
}
