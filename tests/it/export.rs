//! `archive export`: a film and its manifest from an archive with gaps, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use archive::device::DeviceId;
use archive::export::{self, ExportError, Exported, Wanted};
use archive::recording::{ContentHash, MediaFacts, Recording, Source};
use archive::report::GapQuery;
use archive::sim::moment::{Moment, Period};
use archive::time_range::{TimeRange, UtcSecond};
use archive::vault::Vault;
use archive::window::{Cause, Missing};
use chrono_tz::Asia::Shanghai;
use serde_json::Value;

use crate::support::{Place, code, device, expect_code, fleet, range, stderr, stdout, yesterday};
use crate::verify::{run, run_json};

/// 2026-11-20 09:00 in Shanghai.
pub const NINE: i64 = 1_795_136_400;

/// An archive's folder with files that no run brought, and what an export is told of them.
pub struct ByHand {
    folder: tempfile::TempDir,
    pub wanted: Wanted,
}

impl ByHand {
    /// Nothing of `[NINE, NINE + seconds)` is archived yet.
    pub fn new(seconds: i64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("root")).expect("a folder");
        let range = range(UtcSecond::new(NINE), seconds);
        let wanted = Wanted {
            device: device(5),
            range,
            zone: Shanghai,
            recordings: Vec::new(),
            gaps: Vec::new(),
            missing: Vec::new(),
        };
        Self { folder, wanted }
    }

    /// Archives these bytes for so many seconds from that second after nine on.
    pub fn add(&mut self, after_nine: i64, seconds: i64, extension: &str, bytes: &[u8]) {
        let path = format!("{after_nine}.{extension}");
        fs::write(self.folder.path().join("root").join(&path), bytes).expect("a file");
        self.wanted.recordings.push(Recording {
            device: DeviceId::new(5).expect("five"),
            range: range(UtcSecond::new(NINE + after_nine), seconds),
            path,
            bytes: bytes.len() as u64,
            blake3: ContentHash(*blake3::hash(bytes).as_bytes()),
            media: MediaFacts::default(),
            source: Source::Nvr,
            clock_offset: None,
            archived_at: UtcSecond::new(NINE),
            note: String::new(),
        });
    }

    /// Says that so many seconds from that second after nine on were asked for and are missing.
    pub fn miss(&mut self, after_nine: i64, seconds: i64) {
        let range = range(UtcSecond::new(NINE + after_nine), seconds);
        self.wanted.missing.push(Missing { range, cause: Cause::Pruned, attempts: 1 });
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// As a film that is called so.
    pub fn film(&self, name: &str) -> Result<Exported, ExportError> {
        let vault = Vault::existing(&self.file("root")).expect("a folder");
        export::film(&vault, &self.wanted, &self.file(name), false, UtcSecond::new(NINE), &|| false)
    }
}

pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/flv/{name}.flv"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One camera, six windows, of which the second and the fourth have no footage.
async fn with_two_gaps() -> (Place, TimeRange) {
    let asked = range(yesterday(), 3600);
    let at = |seconds: i64| Some(Moment::At((asked.start() + seconds).into()));
    let mut config = fleet(&[(4, &[5])]);
    config.stores[0].nvrs[0].cameras[0].holes =
        vec![Period { from: at(600), to: at(1200) }, Period { from: at(1800), to: at(2400) }];
    let place = Place::new(config).await;
    let output = run(place.fetch("5", asked)).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    (place, asked)
}

fn arguments<'a>(from: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["export", "--device", "5", "--from", from, "--to", to][..], more].concat()
}

fn blake3_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    blake3::hash(&bytes).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_has_a_manifest_whose_gaps_are_the_ledgers() {
    let (place, asked) = with_two_gaps().await;
    let (from, to) = (asked.start().to_string(), asked.end().to_string());
    let output = run(place.archive(&arguments(&from, &to, &["-o", "incident.mp4"]))).await;
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let (film, manifest_path) = (place.path().join("incident.mp4"), place.path().join("incident.mp4.json"));
    let said = stdout(&output);
    for hash in [blake3_of(&film), blake3_of(&manifest_path)] {
        assert!(said.contains(&hash), "{said}");
    }
    let manifest: Value = serde_json::from_slice(&fs::read(&manifest_path).expect("it is there")).expect("it is JSON");
    let ledgers = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
    assert_eq!(ledgers.len(), 2);
    assert_eq!(manifest["gaps"], serde_json::to_value(&ledgers).expect("gaps are JSON"));
    assert_eq!(manifest["film"]["blake3"], blake3_of(&film));
    assert_eq!(manifest["film"]["milliseconds"], 3_600_000);
    let still = |at: i64| serde_json::json!({ "at_milliseconds": at, "milliseconds": 600_200 });
    assert_eq!(manifest["film"]["stills"], serde_json::json!([still(599_800), still(1_799_800)]));
    let sources = manifest["sources"].as_array().expect("a list");
    let rows = place.recordings(&[5]).await;
    assert_eq!(sources.len(), rows.len());
    for (source, row) in sources.iter().zip(&rows) {
        assert_eq!(
            (source["path"].as_str(), source["blake3"].as_str()),
            (Some(&*row.path), Some(&*row.blake3.to_string()))
        );
        let at = (row.range.start() - asked.start()) * 1000;
        assert_eq!(
            (source["shown"]["at_milliseconds"].as_i64(), source["shown"]["pictures"].as_i64()),
            (Some(at), Some(3000))
        );
        assert_eq!(source["problem"], Value::Null);
    }
    // Nothing else is left in the folder.
    let parts = fs::read_dir(place.path()).expect("a folder").filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".part")
    });
    assert_eq!(parts.count(), 0);

    // What is there stays there.
    let refused = expect_code(place.archive(&arguments(&from, &to, &["-o", "incident.mp4"])), 2);
    assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    let whole = (asked.start() + 2400).to_string();
    let again = place.archive(&arguments(&whole, &to, &["-o", "incident.mp4", "--force", "--json"]));
    let printed = run_json(again, 0).await;
    assert_eq!(
        printed,
        serde_json::from_slice::<Value>(&fs::read(&manifest_path).expect("it is there")).expect("JSON")
    );
    assert_eq!(printed["gaps"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn originals_are_copied_whole_and_what_is_not_what_it_was_is_not() {
    let (place, asked) = with_two_gaps().await;
    let (from, to) = ((asked.start() + 10).to_string(), asked.end().to_string());
    let command = place.archive(&arguments(&from, &to, &["--flv", "-o", "case/7", "--json"]));
    let manifest = run_json(command, 3).await;
    let rows = place.recordings(&[5]).await;
    for (source, row) in manifest["sources"].as_array().expect("a list").iter().zip(&rows) {
        let copy = place.path().join("case/7").join(source["copy"].as_str().expect("a name"));
        assert_eq!(blake3_of(&copy), row.blake3.to_string());
    }
    assert_eq!(manifest["film"], Value::Null);

    // A bit of one file flips.
    let broken = place.root().join(&rows[1].path);
    let mut bytes = fs::read(&broken).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&broken, bytes).expect("it can be written");
    for more in [&["--flv", "-o", "case/8", "--json"][..], &["-o", "case.mp4", "--json"]] {
        let manifest = run_json(place.archive(&arguments(&from, &to, more)), 1).await;
        let sources = manifest["sources"].as_array().expect("a list");
        let problems: Vec<bool> = sources.iter().map(|source| source["problem"].is_string()).collect();
        assert_eq!(problems, [false, true, false, false]);
        assert!(sources[1]["problem"].as_str().is_some_and(|problem| problem.contains("BLAKE3")));
        assert_eq!((&sources[1]["copy"], &sources[1]["shown"]), (&Value::Null, &Value::Null));
    }
    // Nothing is there of a time in which there is only a gap.
    let (from, to) = ((asked.start() + 600).to_string(), (asked.start() + 1200).to_string());
    let nothing = expect_code(place.archive(&arguments(&from, &to, &["-o", "none.mp4"])), 3);
    assert!(stderr(&nothing).contains("nothing of that time is archived"), "{}", stderr(&nothing));
    assert!(!place.path().join("none.mp4").exists());
}

#[test]
fn a_film_begins_at_a_keyframe_and_follows_the_clock() {
    let mut place = ByHand::new(1800);
    place.wanted.range = range(UtcSecond::new(NINE + 25), 1775);
    place.add(0, 600, "flv", &fixture("start-at-86400s"));
    place.add(600, 600, "flv", &fixture("restarts-from-zero-after-300s"));
    place.add(1200, 600, "flv", &fixture("config-after-10-frames"));
    let exported = place.film("film.mp4").expect("it can be joined");
    let film = exported.manifest.film.expect("a film");
    // A keyframe every ten seconds.
    assert_eq!((film.begins_utc.as_str(), film.milliseconds), ("2026-11-20T01:00:20.000Z", 1_780_000));
    let shown: Vec<_> = exported.manifest.sources.iter().map(|source| source.shown.clone().expect("shown")).collect();
    assert_eq!((shown[0].at_milliseconds, shown[0].pictures), (0, 580));
    assert_eq!((shown[1].at_milliseconds, shown[1].pictures, shown[1].late_milliseconds), (580_000, 600, 0));
    assert_eq!((shown[2].at_milliseconds, shown[2].pictures, shown[2].undecodable), (1_190_000, 590, 10));
    assert_eq!(film.stills, [archive::manifest::Still { at_milliseconds: 1_179_000, milliseconds: 11_000 }]);
}

#[test]
fn what_no_film_can_hold_is_refused_with_its_moment_and_a_way_out() {
    let mut place = ByHand::new(1200);
    place.add(0, 600, "flv", &fixture("whole"));
    place.add(600, 600, "flv", &fixture("hevc-hvc1"));
    let error = place.film("film.mp4").expect_err("two codecs are no track").to_string();
    for part in ["600.flv", "2026-11-20 09:10:00+08:00", "H265", "--flv"] {
        assert!(error.contains(part), "{error}");
    }
    let mut place = ByHand::new(600);
    place.add(0, 600, "ts", b"G");
    let error = place.film("film.mp4").expect_err("it is no FLV").to_string();
    assert!(error.contains("MPEG-TS") && error.contains("--flv"), "{error}");
    assert!(!place.file("film.mp4").exists());
}
