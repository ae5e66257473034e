//! `[archive] container = "mp4"`: what is archived is MP4, and all that is done with recordings is done with those.

use std::fs;
use std::path::Path;

use archive::adopt::Check;
use archive::flv::{self, Frame, Parser, TrackKind};
use archive::ledger::Ledger;
use archive::mp4;
use archive::publish::{Done, Ready, publish};
use archive::recording::{Container, Recording, Source};
use archive::sim::moment::{Moment, Period};
use archive::sim::{MediaFault, Scripted};
use archive::time_range::{TimeRange, UtcSecond};
use archive::vault::{LivePiece, Named, Staging, Vault};
use chrono_tz::Asia::Shanghai;

use crate::export::{ByHand, NINE, fixture};
use crate::live_support::{fast, job, tools};
use crate::support::{Place, code, device, fleet, range, stderr, stdout, yesterday};
use crate::verify::{run, run_json};

/// Says in which container a place's runs are to archive.
fn archive_as(place: &Place, container: &str) {
    let settings = place.path().join("settings.toml");
    let text = fs::read_to_string(&settings).expect("it was written");
    let without: String =
        text.lines().filter(|line| !line.starts_with("container")).map(|line| format!("{line}\n")).collect();
    let with = without.replace("[archive]\n", &format!("[archive]\ncontainer = \"{container}\"\n"));
    fs::write(settings, with).expect("it can be written");
}

/// The bytes of a file's frames: the pictures', and the sound's.
fn frames(path: &Path) -> [Vec<Vec<u8>>; 2] {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut seen = [Vec::new(), Vec::new()];
    let see = |frame: Frame<'_>| {
        if let Frame::Sample { track, payload, .. } = frame {
            seen[usize::from(track == TrackKind::Audio)].push(payload.to_vec());
        }
    };
    if path.extension().is_some_and(|extension| extension == "mp4") {
        let mut frames = mp4::frames::Frames::new();
        frames.push(&bytes, see);
        assert_eq!(frames.problem(), None, "{}", path.display());
    } else {
        flv::Frames::new().push(&bytes, see);
    }
    seen
}

fn extension(recording: &Recording) -> &str {
    recording.path.rsplit('.').next().expect("a name")
}

fn lose_ledger_and_catalog(place: &Place) {
    fs::remove_dir_all(place.root().join(".catalog")).expect("a run writes it");
    for entry in fs::read_dir(place.root()).expect("the root is there") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ledger.db")) {
            fs::remove_file(path).expect("it can be deleted");
        }
    }
}

/// What cannot be the same after the file was looked at anew.
fn but_for_its_moment(recordings: Vec<Recording>) -> Vec<Recording> {
    recordings.into_iter().map(|recording| Recording { archived_at: UtcSecond::new(0), ..recording }).collect()
}

/// A night with a hole, a stream that breaks off, and edges off the grid.
#[tokio::test(flavor = "multi_thread")]
async fn a_night_is_archived_as_mp4_verified_exported_and_indexed_anew() {
    let asked = range(yesterday() + 100, 3 * 600);
    let mut config = fleet(&[(2, &[1]), (2, &[5])]);
    let at = |seconds: i64| Some(Moment::At((yesterday() + seconds).into()));
    config.stores[0].nvrs[0].cameras[0].holes = vec![Period { from: at(600), to: at(1200) }];
    let flvs = Place::new(config.clone()).await;
    let place = Place::new(config).await;
    archive_as(&place, "mp4");
    for one in [&flvs, &place] {
        one.platform.script(device(5), [Scripted::Stream(MediaFault::BreakAfterSeconds(200))]);
        let output = run(one.fetch("1,5", asked)).await;
        assert_eq!(code(&output), 3, "{}", stderr(&output));
    }

    let (sent, made) = (flvs.recordings(&[1, 5]).await, place.recordings(&[1, 5]).await);
    assert!(made.iter().all(|recording| extension(recording) == "mp4"), "{made:?}");
    place.assert_true(&[1, 5]).await;
    let facts = |all: &[Recording]| -> Vec<_> {
        all.iter().map(|one| (one.device, one.range, one.media, one.note.clone())).collect()
    };
    assert_eq!(facts(&made), facts(&sent), "judged by what came");
    assert!(made.iter().any(|one| one.note.contains("broke off")), "{made:?}");
    for (mp4, flv) in made.iter().zip(&sent) {
        assert_eq!(frames(&place.root().join(&mp4.path)), frames(&flvs.root().join(&flv.path)), "{}", mp4.path);
    }
    assert_eq!(fs::read_dir(place.root().join(".staging")).expect("a folder").count(), 0);

    let verified = run_json(place.archive(&["verify", "--hash", "--json"]), 0).await;
    assert_eq!(verified["recordings"], made.len());
    lose_ledger_and_catalog(&place);
    let indexed = run_json(place.archive(&["reindex", "--json"]), 0).await;
    assert_eq!(
        (indexed["read"].as_u64(), indexed["set_aside"].as_array().map(Vec::len)),
        (Some(made.len() as u64), Some(0))
    );
    assert_eq!(but_for_its_moment(place.recordings(&[1, 5]).await), but_for_its_moment(made));
    // What is there is not fetched again, in whatever container.
    archive_as(&place, "flv");
    let output = run(place.fetch("5", asked)).await;
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
}

/// Killed when the file has its name and the ledger does not know; and once more, when half of it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_mp4_without_a_row_is_adopted_when_it_is_whole_and_moved_aside_when_not() {
    let (first, second) = (range(yesterday(), 600), range(yesterday() + 600, 600));
    let (alone, place) = (Place::new(fleet(&[(1, &[5])])).await, Place::new(fleet(&[(1, &[5])])).await);
    for one in [&alone, &place] {
        archive_as(one, "mp4");
    }
    assert_eq!(code(&run(alone.fetch("5", first)).await), 0);
    let killed = async |asked| {
        let mut command = place.fetch("5", asked);
        command.env("ARCHIVE_FAILPOINTS", "renamed=kill");
        assert_eq!(run(command).await.status.code(), None);
    };
    killed(first).await;
    assert_eq!(place.recordings(&[5]).await, []);
    killed(second).await;
    let adopted = place.recordings(&[5]).await;
    assert_eq!(but_for_its_moment(adopted.clone()), but_for_its_moment(alone.recordings(&[5]).await));

    let published = place.files().into_keys().find(|name| name.contains("/5_") && *name != adopted[0].path);
    let path = place.root().join(published.expect("it has its name"));
    let bytes = fs::read(&path).expect("it can be read");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("it can be cut");
    let output = run(place.fetch("5", second)).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("moved aside"), "{}", stderr(&output));
    assert_eq!(place.recordings(&[5]).await.len(), 2);
}

/// An archive by hand: a ledger, and a folder.
pub struct Publisher {
    folder: tempfile::TempDir,
    ledger: Ledger,
    vault: Vault,
}

impl Publisher {
    pub fn new(container: Container) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vault = Vault::open(&folder.path().join("root")).expect("an archive");
        let ledger = Ledger::open(folder.path().join("ledger.db")).expect("a ledger");
        Self { ledger, vault: vault.publishing_as(container), folder }
    }

    fn stage_live(&self, flv: &[u8], range: TimeRange) -> Staging {
        let piece = LivePiece {
            device: device(5),
            start: range.start().into(),
            clock_offset: Some(7),
            number: 1,
            container: Container::Flv,
        };
        let mut staging = self.vault.stage_live(&piece).expect("a staging file");
        staging.append(flv).expect("it can be written");
        staging
    }

    pub async fn publish(&self, flv: &[u8], range: TimeRange, source: Source) -> Recording {
        let staging = match source {
            Source::Live => self.stage_live(flv, range),
            Source::Nvr => {
                let mut staging = self.vault.stage(device(5), range).expect("a staging file");
                staging.append(flv).expect("it can be written");
                staging
            }
        };
        let mut parser = Parser::new();
        parser.push(flv);
        let ready = Ready {
            good_bytes: parser.report().good_bytes,
            staging,
            named: Named { device: device(5), range, source, container: Container::Flv },
            zone: Shanghai,
            media: parser.report().media_facts(),
            clock_offset: (source == Source::Live).then_some(7),
            now: UtcSecond::new(NINE),
            note: "said before".to_owned(),
        };
        match publish(&self.ledger, &self.vault, ready, None).await.expect("it is published") {
            Done::Archived { recording, .. } => *recording,
            Done::Overtaken(recovery) => panic!("{recovery:?}"),
        }
    }

    pub fn path(&self, recording: &Recording) -> std::path::PathBuf {
        self.folder.path().join("root").join(&recording.path)
    }
}

pub fn after_nine(seconds: i64, length: i64) -> TimeRange {
    range(UtcSecond::new(NINE + seconds), length)
}

#[tokio::test]
async fn what_an_mp4_cannot_hold_stays_an_flv_and_says_why() {
    let publisher = Publisher::new(Container::Mp4);
    let flv = fixture("config-after-10-frames");
    let recording = publisher.publish(&flv, after_nine(0, 600), Source::Nvr).await;
    assert_eq!(extension(&recording), "flv");
    assert_eq!(
        recording.note,
        "said before; it stays an FLV, as an MP4 cannot hold all of it: pictures before the decoder configuration"
    );
    assert_eq!(fs::read(publisher.path(&recording)).expect("it is there"), flv);
}

/// Timestamps that wrap or begin anew, other codecs, sound, and a stream that was cut in a tag: all frames that are good.
#[tokio::test]
async fn frames_of_all_that_fits_are_those_that_came() {
    let publisher = Publisher::new(Container::Mp4);
    let names = [
        "whole",
        "whole-aac",
        "g711a",
        "hevc-hvc1",
        "hevc-id12",
        "start-at-86400s",
        "wraps-32-bit-after-300s",
        "restarts-from-zero-after-300s",
        "cut-in-body",
    ];
    for (number, name) in (0..).zip(names) {
        let flv = fixture(name);
        let recording = publisher.publish(&flv, after_nine(number * 600, 600), Source::Nvr).await;
        assert_eq!((extension(&recording), recording.note.as_str()), ("mp4", "said before"), "{name}");
        let sent = publisher.folder.path().join("sent.flv");
        let mut parser = Parser::new();
        parser.push(&flv);
        let good = usize::try_from(parser.report().good_bytes).expect("it is in memory");
        fs::write(&sent, &flv[..good]).expect("it can be written");
        assert_eq!(frames(&publisher.path(&recording)), frames(&sent), "{name}");
    }
}

#[tokio::test]
async fn the_flv_of_a_live_stream_goes_once_its_mp4_has_a_row() {
    let publisher = Publisher::new(Container::Mp4);
    let recording = publisher.publish(&fixture("whole"), after_nine(0, 600), Source::Live).await;
    assert!(recording.path.ends_with("_600s_live.mp4"), "{}", recording.path);
    assert_eq!(publisher.vault.live_pieces().expect("a folder"), []);
    let live = fs::read_dir(publisher.folder.path().join("root/.live")).expect("a folder");
    assert_eq!(live.count(), 0);
}

/// What a kill leaves while the MP4 is written, and what it leaves before the FLV is deleted: the time is archived once, and nothing
/// stays behind.
#[tokio::test]
async fn of_a_live_stream_that_was_cut_off_one_recording_stays() {
    let publisher = Publisher::new(Container::Mp4);
    let range = after_nine(0, 600);
    let live = publisher.folder.path().join("root/.live");
    let check =
        Check { source: Source::Live, now: UtcSecond::new(NINE), tolerance_seconds: 5, platform_zone: Shanghai };
    // The second time, its recording is there already.
    for _ in 0..2 {
        publisher.stage_live(&fixture("whole"), range).flush().expect("it can be written");
        let flv = fs::read_dir(&live).expect("a folder").next().expect("a file").expect("an entry").path();
        fs::write(format!("{}.mp4.part", flv.display()), "half of it").expect("it can be written");
        archive::adopt::live::recover(&publisher.ledger, &publisher.vault, None, check).await.expect("it is put right");
        let found = publisher.ledger.recordings_overlapping(device(5), range).await.expect("the ledger answers");
        assert_eq!(found.iter().map(extension).collect::<Vec<_>>(), ["mp4"]);
        assert_eq!(fs::read_dir(&live).expect("a folder").count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_stream_is_archived_as_mp4() {
    let place = Place::new(fast(600.0, &[1])).await;
    let (mut tools, _events) = tools(&place);
    tools.vault = tools.vault.publishing_as(Container::Mp4);
    let end = tools.clock.now().to_utc_second() + 1300;
    archive::live::execute(job(&[1], Some(end)), tools).await.expect("it ends");
    let recordings = place.recordings(&[1]).await;
    assert!(recordings.len() >= 2 && recordings.iter().all(|one| one.path.ends_with("_live.mp4")), "{recordings:?}");
    place.assert_true(&[1]).await;
    let left = fs::read_dir(place.root().join(".live")).expect("a folder").count();
    assert_eq!(left, 0);

    lose_ledger_and_catalog(&place);
    run_json(place.archive(&["reindex", "--json"]), 0).await;
    assert_eq!(
        but_for_its_moment(place.recordings(&[1]).await),
        but_for_its_moment(recordings),
        "with the clock's offset"
    );
}

/// The same film, whether its recordings are FLVs, MP4s, or both.
#[tokio::test]
async fn a_film_is_the_same_whatever_its_recordings_are_in() {
    let (flvs, mp4s) = (Publisher::new(Container::Flv), Publisher::new(Container::Mp4));
    let film = async |containers: [Container; 3]| {
        let mut place = ByHand::new(3000);
        for (at, container) in [0, 1200, 2400].into_iter().zip(containers) {
            let publisher = if container == Container::Mp4 { &mp4s } else { &flvs };
            let range = after_nine(at, 600);
            let known = publisher.ledger.recordings_overlapping(device(5), range).await.expect("the ledger answers");
            let recording = match known.into_iter().next() {
                Some(known) => known,
                None => publisher.publish(&fixture("whole-aac"), range, Source::Nvr).await,
            };
            let bytes = fs::read(publisher.path(&recording)).expect("it is there");
            place.add(at, 600, container.extension(), &bytes);
        }
        place.wanted.range = after_nine(35, 2955);
        let exported = place.film("film.mp4").expect("it can be joined");
        let shown: Vec<_> = exported.manifest.sources.iter().map(|source| source.shown.clone()).collect();
        let film = exported.manifest.film.clone().expect("a film");
        (shown, film.pictures, film.sounds, film.milliseconds, film.stills)
    };
    let expected = film([Container::Flv; 3]).await;
    assert!(expected.1 > 0 && expected.2 > 0);
    for containers in [[Container::Mp4; 3], [Container::Flv, Container::Mp4, Container::Flv]] {
        assert_eq!(film(containers).await, expected, "{containers:?}");
    }
}
