//! What was done to the archives, and what was found.

use std::collections::BTreeMap;

use archive::failpoint::Failpoint;

/// How many findings are printed.
const SHOWN: usize = 20;

/// What was done, and what was found.
#[derive(Debug, Default)]
pub struct Tally {
    pub archives: u64,
    pub at_moments: u64,
    pub of_live_runs: u64,
    /// Kills by the step at which they were.
    pub at: BTreeMap<Failpoint, u64>,
    /// Kills at a moment, by the last step that the run had reached.
    pub after: BTreeMap<String, u64>,
    pub runs: u64,
    pub files_checked: u64,
    pub rows_checked: u64,
    pub fetched_twice: u64,
    pub bytes_lost: u64,
    pub seconds_lost: i64,
    pub not_whole: u64,
    pub rows_without_file: u64,
    /// What was found, in words.
    pub findings: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.archives += other.archives;
        self.at_moments += other.at_moments;
        self.of_live_runs += other.of_live_runs;
        other.at.into_iter().for_each(|(step, kills)| *self.at.entry(step).or_default() += kills);
        other.after.into_iter().for_each(|(step, kills)| *self.after.entry(step).or_default() += kills);
        self.runs += other.runs;
        self.files_checked += other.files_checked;
        self.rows_checked += other.rows_checked;
        self.fetched_twice += other.fetched_twice;
        self.bytes_lost += other.bytes_lost;
        self.seconds_lost += other.seconds_lost;
        self.not_whole += other.not_whole;
        self.rows_without_file += other.rows_without_file;
        self.findings.extend(other.findings);
    }

    pub fn print(&self) {
        let counted = |kills: Vec<(&str, u64)>| {
            kills.iter().map(|(name, kills)| format!("{name} {kills}")).collect::<Vec<_>>().join(", ")
        };
        println!("killed at: {}", counted(self.at.iter().map(|(step, kills)| (step.name(), *kills)).collect()));
        let mut after: Vec<(&str, u64)> = self.after.iter().map(|(step, kills)| (step.as_str(), *kills)).collect();
        after.sort_by_key(|(_, kills)| std::cmp::Reverse(*kills));
        println!("killed at a moment, last step before it: {}", counted(after));
        for finding in self.findings.iter().take(SHOWN) {
            println!("FOUND: {finding}");
        }
        let at_steps: u64 = self.at.values().sum();
        println!(
            "torture: {} kills ({} at seeded moments, {} of them of live runs, {at_steps} at {} failpoints) of {} runs in \
             {} archives, {} files checked, {} rows checked, {} windows fetched twice, {} bytes lost after commit ({} s), \
             {} files that are not whole, {} rows without their file, {} findings in all",
            self.at_moments + at_steps,
            self.at_moments,
            self.of_live_runs,
            self.at.len(),
            self.runs,
            self.archives,
            self.files_checked,
            self.rows_checked,
            self.fetched_twice,
            self.bytes_lost,
            self.seconds_lost,
            self.not_whole,
            self.rows_without_file,
            self.findings.len(),
        );
    }

    pub fn assert_clean(&self) {
        let shown: Vec<&String> = self.findings.iter().take(SHOWN).collect();
        assert!(self.findings.is_empty(), "{} findings: {shown:#?}", self.findings.len());
    }
}
