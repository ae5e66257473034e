//! Nights whose recordings go to an object store, with the real program: whole ones, ones that are killed on the way, and what the
//! other commands make of them.

use std::path::PathBuf;
use std::process::{Command, Output};

use archive::ledger::Ledger;
use archive::recording::Recording;
use archive::time_range::TimeRange;
use archive::vault::{Named, name};

use crate::object_store_server::{BUCKET, CREDENTIALS, Server};
use crate::support::{Place, code, device, ended, fleet, range, stderr, stdout, yesterday};

const CAMERAS: &str = "1-3";
const DEVICES: [i64; 3] = [1, 2, 3];
const WINDOWS: i64 = 4;

struct Night {
    place: Place,
    server: Server,
    asked: TimeRange,
}

impl Night {
    async fn new() -> Self {
        let place = Place::new(fleet(&[(2, &DEVICES)])).await;
        // So that the helpers that read it know where it is.
        std::fs::write(place.path().join("elsewhere.db"), "").expect("a file");
        Self { place, server: Server::start(), asked: range(yesterday(), WINDOWS * 600) }
    }

    fn archive(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.archive(arguments);
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", self.server.url())
            .env("XDG_CACHE_HOME", self.place.path().join("cache"))
            .env("ARCHIVE_ROOT", format!("s3://{BUCKET}/night"))
            .env("ARCHIVE_LEDGER", self.place.path().join("elsewhere.db"));
        command
    }

    async fn run(&self, arguments: &[&str], failpoints: &str) -> Output {
        let mut command = self.archive(arguments);
        ended(command.env("ARCHIVE_FAILPOINTS", failpoints).spawn().expect("the program starts")).await
    }

    async fn expect(&self, arguments: &[&str], expected: i32) -> Output {
        let output = self.run(arguments, "").await;
        assert_eq!(code(&output), expected, "{arguments:?}: {}\n{}", stdout(&output), stderr(&output));
        output
    }

    async fn fetch(&self, failpoints: &str) -> Output {
        let (from, to) = (self.asked.start().to_string(), self.asked.end().to_string());
        self.run(&["--device", CAMERAS, "--from", &from, "--to", &to], failpoints).await
    }

    async fn recordings(&self) -> Vec<Recording> {
        if self.place.ledger_path().metadata().is_ok_and(|file| file.len() == 0) {
            return Vec::new();
        }
        let ledger = Ledger::open_read_only(self.place.ledger_path()).expect("the ledger is there");
        let mut all = Vec::new();
        for number in DEVICES {
            all.extend(ledger.recordings_overlapping(device(number), self.asked).await.expect("the ledger answers"));
        }
        all
    }

    /// What lies judged in the spool.
    fn judged(&self) -> Vec<Named> {
        let files = std::fs::read_dir(self.spool().join(".ready")).into_iter().flatten();
        let names = files.map(|file| file.expect("an entry").file_name().to_string_lossy().into_owned());
        names.map(|file| name::parse(&file).expect("a recording's name")).collect()
    }

    fn spool(&self) -> PathBuf {
        self.place.path().join("cache/archive").join(BUCKET).join("night")
    }

    /// Each recording is an object, nothing else is but what the archive keeps of itself, and nothing is on its way.
    async fn assert_true(&self) {
        let rows = self.recordings().await;
        let mut objects: Vec<String> = self.server.keys();
        objects.retain(|key| !key.starts_with("night/.catalog/") && key != "night/.archive-root");
        let mut expected: Vec<String> = rows.iter().map(|row| format!("night/{}", row.path)).collect();
        expected.sort_unstable();
        assert_eq!(objects, expected);
        assert_eq!(self.server.uploads(), [""; 0], "an upload is open");
        for folder in [".staging", ".ready"] {
            let left = std::fs::read_dir(self.spool().join(folder)).into_iter().flatten().count();
            assert_eq!(left, 0, "{folder}");
        }
    }
}

fn whole() -> usize {
    DEVICES.len() * WINDOWS as usize
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: weed"]
async fn a_night_goes_to_an_object_store_and_every_command_finds_it_there() {
    let night = Night::new().await;
    let output = night.fetch("").await;
    assert_eq!(code(&output), 0, "{}\n{}", stdout(&output), stderr(&output));
    assert_eq!(night.recordings().await.len(), whole());
    night.assert_true().await;
    night.expect(&["verify"], 0).await;
    night.expect(&["verify", "--hash"], 0).await;
    let status = stdout(&night.expect(&["status"], 0).await);
    assert!(status.contains("s3://chain/night"), "{status}");

    let (from, to) = (night.asked.start().to_string(), night.asked.end().to_string());
    night.expect(&["export", "--device", "1", "--from", &from, "--to", &to, "--output", "film.mp4"], 0).await;
    assert!(night.place.path().join("film.mp4").metadata().expect("a film").len() > 0);

    // A ledger that is lost is made anew, without a byte of a recording being read; then without a catalog, too.
    let before = night.recordings().await;
    for with_catalog in [true, false] {
        if !with_catalog {
            let keys = night.server.keys();
            keys.iter().filter(|key| key.contains("/.catalog/")).for_each(|key| night.server.lose(key));
        }
        std::fs::remove_file(night.place.ledger_path()).expect("it is there");
        night.expect(&["reindex"], 0).await;
        assert_eq!(night.recordings().await, before, "with a catalog: {with_catalog}");
    }

    // What somebody deleted there is a gap, and is fetched again.
    let lost = before[0].path.clone();
    night.server.lose(&format!("night/{lost}"));
    let told = stdout(&night.expect(&["verify"], 3).await);
    assert!(told.contains(&lost), "{told}");
    assert_eq!(night.recordings().await.len(), whole() - 1);
    let output = night.fetch("").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(night.recordings().await.len(), whole());
    night.assert_true().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: weed"]
async fn a_run_killed_on_the_way_to_an_object_store_is_gone_on_with_and_leaves_nothing() {
    let night = Night::new().await;
    for step in ["publishing-noted", "file-sync", "file-synced", "rename", "renamed", "row-write", "row-written"] {
        let output = night.fetch(&format!("{step}:2=kill")).await;
        assert_eq!(output.status.code(), None, "{step} is reached: {}", stderr(&output));
        let (judged, seen) = (night.judged(), night.place.platform.calls().len());
        let is_judged = !["publishing-noted", "file-sync"].contains(&step);
        assert!(!judged.is_empty() || !is_judged, "{step}");
        assert!(!night.server.uploads().is_empty() || step != "rename", "it was sent, and nothing shows");
        let output = night.fetch("").await;
        assert_eq!(code(&output), 0, "{step}: {}\n{}", stdout(&output), stderr(&output));
        // What was judged is not asked for again.
        for call in &night.place.platform.calls()[seen..] {
            let (Some(device), Some(range)) = (call.device, call.range) else { continue };
            let twice = judged.iter().find(|named| named.device == device && named.range.overlaps(&range));
            assert!(twice.is_none(), "{step}: {twice:?} was asked for again");
        }
        assert_eq!(night.recordings().await.len(), whole(), "{step}");
        night.assert_true().await;
        let rows = night.recordings().await;
        night.expect(&["verify", "--hash"], 0).await;
        // The next step finds some of the night missing again.
        for row in rows.iter().step_by(3) {
            night.server.lose(&format!("night/{}", row.path));
        }
        night.expect(&["verify"], 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: weed"]
async fn a_store_that_is_away_is_told_of_and_nothing_is_announced() {
    let night = Night::new().await;
    assert_eq!(code(&night.fetch("").await), 0);
    let Night { place, server, asked } = night;
    let nowhere = server.url();
    drop(server);
    let night = Night { place, server: Server::start(), asked };
    let mut command = night.archive(&["verify"]);
    let output = ended(command.env("AWS_ENDPOINT_URL", nowhere).spawn().expect("the program starts")).await;
    assert_ne!(code(&output), 0, "{}", stdout(&output));
    assert!(stderr(&output).contains("s3://chain/night"), "{}", stderr(&output));
    let all = format!("{}{}", stdout(&output), stderr(&output));
    assert!(CREDENTIALS[..2].iter().all(|(_, secret)| !all.contains(secret)), "{all}");
    assert_eq!(night.recordings().await.len(), whole(), "nothing is lost because it cannot be looked at");
    // Another bucket in its place is not the archive.
    let other = night.run(&["verify"], "").await;
    assert_eq!(code(&other), 1, "{}", stderr(&other));
    assert!(stderr(&other).contains("is not the archive that the ledger knows"), "{}", stderr(&other));
}
