//! Cases of the vault, on a real disk.

use super::*;
use crate::recording::ContentHash;
use crate::time_range::UtcSecond;

const FINAL: &str = "5/2026-11-20/5_20261120T090000+0800_600s.flv";

fn device() -> DeviceId {
    DeviceId::new(5).expect("not negative")
}

fn window() -> TimeRange {
    TimeRange::new(UtcSecond::new(1_795_136_400), UtcSecond::new(1_795_137_000)).expect("a range holds a second")
}

fn named() -> Named {
    Named { device: device(), range: window(), source: Source::Nvr, container: crate::recording::Container::Flv }
}

fn vault() -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let vault = Vault::open(&folder.path().join("archive")).expect("an archive can be made in an empty folder");
    (folder, vault)
}

fn hash(bytes: &[u8]) -> ContentHash {
    ContentHash(*blake3::hash(bytes).as_bytes())
}

fn day() -> chrono::NaiveDate {
    chrono::NaiveDate::from_ymd_opt(2026, 11, 20).expect("a day of the calendar")
}

#[test]
fn a_published_file_holds_what_was_appended() {
    let (_folder, vault) = vault();
    let mut staging = vault.stage(device(), window()).unwrap();
    let piece: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
    let mut all = Vec::new();
    for length in [1, 1448, 99_999, 100_000, 0, 100_000, 7] {
        staging.append(&piece[..length]).unwrap();
        all.extend_from_slice(&piece[..length]);
    }
    assert!(
        vault.recordings_of_day(device(), day()).unwrap().is_empty(),
        "nothing has its final name before it is whole"
    );
    let published = staging.publish(FINAL).unwrap();
    assert_eq!(fs::read(vault.path_of(FINAL)).unwrap(), all);
    assert_eq!((published.bytes, published.blake3, published.set_aside), (all.len() as u64, hash(&all), None));
    let found = vault.recordings_of_day(device(), day()).unwrap();
    assert_eq!(found, [Found { named: named(), path: FINAL.to_owned() }]);
    assert_eq!(vault.sweep().unwrap().files, 0, "staging is empty after publishing");
}

#[test]
fn a_cut_file_is_hashed_as_it_is() {
    let (_folder, vault) = vault();
    let mut staging = vault.stage(device(), window()).unwrap();
    let bytes = vec![7u8; 600_000];
    staging.append(&bytes).unwrap();
    staging.append(b"tail").unwrap();
    staging.truncate(599_000).unwrap();
    let published = staging.publish(FINAL).unwrap();
    assert_eq!((published.bytes, published.blake3), (599_000, hash(&bytes[..599_000])));
    assert_eq!(fs::read(vault.path_of(FINAL)).unwrap(), bytes[..599_000]);
}

#[test]
fn a_dropped_file_leaves_nothing() {
    let (_folder, vault) = vault();
    let mut staging = vault.stage(device(), window()).unwrap();
    staging.append(&vec![1; 1 << 20]).unwrap();
    drop(staging);
    assert_eq!(vault.sweep().unwrap().files, 0);
}

#[test]
fn what_a_killed_run_left_in_staging_is_swept() {
    let (_folder, vault) = vault();
    fs::write(vault.root().join(STAGING).join("5_1_600s.part"), b"half").unwrap();
    assert_eq!(vault.sweep().unwrap(), Swept { files: 1, bytes: 4 });
    assert_eq!(vault.sweep().unwrap(), Swept::default());
    // The same window, streamed again before anybody came to delete what was left of it.
    let again = vault.stage(device(), window()).unwrap();
    fs::write(vault.root().join(STAGING).join("5_1_600s.part"), b"half").unwrap();
    assert_eq!(vault.sweep().unwrap().files, 2, "a second time before the first is deleted");
    drop(again);
    fs::write(vault.root().join(STAGING).join("5_1_600s.part"), b"new").unwrap();
    vault.delete_swept().unwrap();
    vault.delete_swept().unwrap();
    assert!(!vault.root().join(SWEPT).exists());
    assert!(vault.root().join(STAGING).join("5_1_600s.part").exists(), "what came since stays");
}

#[test]
fn a_file_under_the_final_name_is_never_replaced() {
    let (_folder, vault) = vault();
    for (round, body) in [b"first".as_slice(), b"second", b"third"].into_iter().enumerate() {
        let mut staging = vault.stage(device(), window()).unwrap();
        staging.append(body).unwrap();
        let published = staging.publish(FINAL).unwrap();
        assert_eq!(published.set_aside.is_some(), round > 0);
    }
    assert_eq!(fs::read(vault.path_of(FINAL)).unwrap(), b"third");
    let mut aside: Vec<Vec<u8>> =
        fs::read_dir(vault.root().join(ASIDE)).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    aside.sort();
    assert_eq!(aside, [b"first".to_vec(), b"second".to_vec()]);
}

#[test]
fn strange_files_beside_recordings_are_passed_over() {
    let (_folder, vault) = vault();
    let folder = vault.path_of("5/2026-11-20");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("notes.txt"), b"").unwrap();
    fs::write(folder.join("6_20261120T090000+0800_600s.flv"), b"").unwrap();
    assert!(vault.recordings_of_day(device(), day()).unwrap().is_empty());
    let other = DeviceId::new(77).expect("not negative");
    assert!(vault.recordings_of_day(other, day()).unwrap().is_empty(), "a folder that is not there holds nothing");
}

#[test]
fn errors_say_what_was_tried_and_with_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, b"").unwrap();
    let error = Vault::open(&file).expect_err("a file cannot be an archive's root").to_string();
    assert!(error.contains("make the folder") && error.contains("a file"), "{error}");
    let full = failed("write to", &file)(io::ErrorKind::StorageFull.into());
    assert!(matches!(full, VaultError::Full { .. }));
}

#[test]
fn free_space_is_told_of_an_archive_that_is_not_there_yet() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("not").join("there");
    assert!(Vault::free_bytes_at(&root).unwrap() > 0);
    assert!(Vault::free_bytes_at(Path::new("no-such-folder-here")).unwrap() > 0);
    assert!(!folder.path().join("not").exists());
}

/// Two pieces of a live stream may begin in the same millisecond.
#[test]
fn a_live_staging_file_is_never_opened_twice_nor_replaced_and_outlives_its_process() {
    let (_folder, vault) = vault();
    let start = crate::instant::Instant::from_millis(1_795_136_400_123);
    let container = crate::recording::Container::MpegTs;
    let one = LivePiece { device: device(), start, clock_offset: Some(-40), number: 0, container };
    let other = LivePiece { number: 1, ..one };
    let mut first = vault.stage_live(&one).unwrap();
    first.append(b"the first").unwrap();
    assert!(vault.stage_live(&one).is_err());
    let mut second = vault.stage_live(&other).unwrap();
    assert!(second.rename_live(&one).is_err());
    let moved = LivePiece { start: start + std::time::Duration::from_secs(1), ..other };
    second.rename_live(&moved).unwrap();
    first.flush().unwrap();
    drop((first, second));
    assert_eq!(vault.sweep().unwrap().files, 0, "a run from the NVRs leaves them alone");
    assert_eq!(vault.live_pieces().unwrap(), [one, moved]);
    let mut left = vault.reopen_live(&one).unwrap();
    assert_eq!(left.bytes(), 9);
    left.truncate(3).unwrap();
    let published = left.publish(FINAL).unwrap();
    assert_eq!((published.bytes, published.blake3), (3, hash(b"the")));
    vault.reopen_live(&moved).unwrap().discard().unwrap();
    assert_eq!(vault.live_pieces().unwrap(), []);
}
