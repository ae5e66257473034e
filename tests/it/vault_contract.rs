//! What holds of an archive's files wherever they are kept: in a folder, in an object store, and in one behind a real server.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use archive::recording::{Container, ContentHash, MediaFacts, Recording, Source};
use archive::time_range::UtcSecond;
use archive::vault::{Named, Objects, Patience, Place, ReadBack, Strangers, Uploaded, Vault, name};

use crate::object_store_server::{CREDENTIALS, Server};
use crate::support::{device, range};

/// 2026-11-20 09:00 in Shanghai.
const NINE: UtcSecond = UtcSecond::new(1_795_136_400);

fn recording(start: UtcSecond, bytes: &[u8]) -> Recording {
    let named = Named { device: device(5), range: range(start, 600), source: Source::Nvr, container: Container::Flv };
    Recording {
        device: named.device,
        range: named.range,
        path: name::recording(&named, chrono_tz::Asia::Shanghai),
        bytes: bytes.len() as u64,
        blake3: ContentHash(*blake3::hash(bytes).as_bytes()),
        media: MediaFacts {
            media_milliseconds: 600_000,
            first_timestamp: 0,
            video_codec: None,
            audio_codec: None,
            picture_size: Some((1280, 720)),
        },
        source: Source::Nvr,
        clock_offset: None,
        archived_at: NINE + 3_600,
        note: "a \"note\" with 文字 in it".to_owned(),
    }
}

/// Bytes that no two parts share.
fn bytes(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Publishes as `archive::publish` does; gives where something unknown went that stood there.
fn publish(vault: &Vault, recording: &Recording, bytes: &[u8]) -> Option<std::path::PathBuf> {
    let mut staging = vault.stage(recording.device, recording.range).expect("a staging file");
    bytes.chunks(100_000).for_each(|piece| staging.append(piece).expect("it is appended"));
    if !vault.uploads() {
        let published = staging.publish(&recording.path).expect("it is published");
        assert_eq!((published.bytes, published.blake3), (recording.bytes, recording.blake3));
        return published.set_aside;
    }
    let before = vault.size_of(&recording.path).expect("it is asked");
    let mut outgoing = vault.send_off(staging, recording.clone()).expect("an upload");
    assert_eq!(vault.size_of(&recording.path).expect("it is asked"), before, "it shows before it is whole");
    let set_aside = loop {
        outgoing = match outgoing.finish().expect("it is published") {
            Uploaded::Here { set_aside } => break set_aside,
            Uploaded::Another(other) => panic!("nobody else publishes {other:?}"),
            Uploaded::Anew(anew) => *anew,
        };
    };
    vault.forget_ready(&recording.path).expect("it is not needed");
    set_aside
}

fn content(vault: &Vault, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    vault.open_file(path).expect("it is there").read_to_end(&mut bytes).expect("it is read");
    bytes
}

/// The files below this machine's folder, but for locks, marks and the catalog.
fn left_here(vault: &Vault) -> Vec<String> {
    fn walk(folder: &Path, names: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => walk(&path, names),
                false => names.push(path.display().to_string()),
            }
        }
    }
    let mut names = Vec::new();
    walk(vault.working_folder(), &mut names);
    names.retain(|name| !name.ends_with("lock") && !name.ends_with(".archive-root"));
    names
}

/// All that is promised, in an archive that is empty.
fn holds(place: &Place) {
    assert!(!place.is_archive().expect("it is asked") && place.mark().expect("it is asked").is_none());
    let vault = place.open().expect("an archive");
    a_mark_stays(place, &vault);
    what_is_published_is_found_and_read(&vault);
    nothing_that_stands_there_is_replaced(&vault);
    what_is_moved_aside_is_kept(&vault);
    what_is_deleted_is_gone(&vault);
    a_catalog_is_read_as_it_was_written(place, &vault);
    if vault.uploads() {
        assert_eq!(left_here(&vault), [""; 0], "what is published is not in the spool");
        an_upload_that_was_aborted_never_shows(&vault);
        of_what_came_live_it_is_begun_anew(&vault);
        what_was_not_uploaded_is_uploaded_later(&vault);
        another_recording_of_that_name_stays(&vault);
        assert_eq!(vault.abort_every_upload().expect("they are listed"), 0, "an upload is left open");
    }
}

fn a_mark_stays(place: &Place, vault: &Vault) {
    assert_eq!(vault.mark("one").expect("it is written"), "one");
    assert_eq!(vault.mark("other").expect("it is there"), "one");
    assert_eq!(place.mark().expect("it is read").as_deref(), Some("one"));
    assert!(place.is_archive().expect("it is asked"));
    if vault.uploads() {
        // As a store does that cannot but replace: another host has begun the archive at the same moment.
        stand(vault, ".archive-root", b"other\n");
        vault.settle_mark("one").expect("it is written");
        assert_eq!(place.mark().expect("it is read").as_deref(), Some("one"));
    }
    vault.settle_mark("one").expect("it is so already");
    assert_eq!(place.mark().expect("it is read").as_deref(), Some("one"));
}

fn what_is_published_is_found_and_read(vault: &Vault) {
    for (number, length) in (0..).zip([1, 70_000, (20 << 20) + 7]) {
        let bytes = bytes(number as u8, length);
        let recording = recording(NINE + 600 * number, &bytes);
        assert_eq!(publish(vault, &recording, &bytes), None);
        assert!(content(vault, &recording.path) == bytes, "{length} bytes");
        assert_eq!(vault.size_of(&recording.path).expect("it is asked"), Some(length as u64));
        let whole = ReadBack::Whole { bytes: recording.bytes, blake3: recording.blake3 };
        assert_eq!(vault.read_back(&recording.path, &|| false).expect("it is read"), whole);
        assert_eq!(vault.read_back(&recording.path, &|| true).expect("it is asked"), ReadBack::Stopped);
        let described = vault.described(&recording.path).expect("it is asked");
        assert_eq!(described, vault.uploads().then(|| recording.clone()), "its metadata says all of it");
        assert!(vault.recording_at(&recording.path).expect("it is asked").is_some());
    }
    let mut strangers = Strangers::default();
    assert_eq!(vault.devices(&mut strangers).expect("they are listed"), [device(5)]);
    let folders = vault.day_folders(device(5), &mut strangers).expect("they are listed");
    assert_eq!((folders.as_slice(), strangers.count), (["5/2026-11-20".to_owned()].as_slice(), 0));
    let found = vault.recordings_in(&folders[0], &mut strangers).expect("they are listed");
    assert_eq!(found.len(), 3);
    let day = "2026-11-20".parse().expect("a day");
    assert_eq!(vault.days_of(device(5)).expect("they are listed"), [day]);
    assert_eq!(vault.recordings_of_day(device(5), day).expect("they are listed"), found);
    let sizes = vault.sizes_in(&folders[0]).expect("they are listed");
    assert!(sizes.len() == 3 && sizes.values().any(|&size| size == 70_000), "{sizes:?}");
    let nowhere = "5/2026-11-20/5_20261120T130000+0800_600s.flv";
    assert!(vault.recording_at(nowhere).expect("it is asked").is_none() && vault.open_file(nowhere).is_err());
    assert!(vault.sizes_in("5/2026-11-21").expect("it is asked").is_empty());
}

fn nothing_that_stands_there_is_replaced(vault: &Vault) {
    let (first, second) = (bytes(10, 1000), bytes(11, 2000));
    let recording = recording(NINE + 6_000, &second);
    stand(vault, &recording.path, &first);
    let aside = publish(vault, &recording, &second).expect("it is moved aside");
    assert!(content(vault, &recording.path) == second);
    assert!(content(vault, &aside_name(&aside)) == first, "{}", aside.display());
}

/// The name below the root of what was moved aside.
fn aside_name(path: &Path) -> String {
    format!(".aside/{}", path.file_name().expect("a name").to_string_lossy())
}

/// Puts something there that nobody published.
fn stand(vault: &Vault, path: &str, bytes: &[u8]) {
    let folder = vault.working_folder();
    if vault.uploads() {
        let file = folder.join("strange");
        fs::write(&file, bytes).expect("a file");
        vault.put_strange(path, &file).expect("an object");
        fs::remove_file(&file).expect("it is there");
    } else {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, bytes).expect("a file");
    }
}

fn what_is_moved_aside_is_kept(vault: &Vault) {
    let path = recording(NINE + 7_200, &[]).path;
    let mut places = Vec::new();
    for bytes in [b"one".as_slice(), b"two"] {
        stand(vault, &path, bytes);
        places.push((vault.set_aside(&path).expect("it is moved"), bytes));
        assert_eq!(vault.size_of(&path).expect("it is asked"), None);
    }
    for (place, bytes) in places {
        assert_eq!(content(vault, &aside_name(&place)), bytes);
    }
    assert_eq!(vault.set_aside_if_there(&path).expect("nothing is fine"), None);
}

fn what_is_deleted_is_gone(vault: &Vault) {
    let path = recording(NINE, &[]).path;
    vault.delete(&[path.clone(), "5/2026-11-20/gone".to_owned()]).expect("it is deleted");
    assert_eq!(vault.size_of(&path).expect("it is asked"), None);
    assert!(
        vault.has_folder_of(device(5)).expect("it is asked") && !vault.has_folder_of(device(55)).expect("it is asked")
    );
    vault.delete(&[path]).expect("once more is fine");
}

fn a_catalog_is_read_as_it_was_written(place: &Place, vault: &Vault) {
    assert!(!place.has_catalog().expect("it is asked") && vault.catalog_state().expect("it is asked").is_none());
    let _lock = vault.lock_catalog().expect("nobody writes");
    for number in [1, 2] {
        let mut file = vault.new_catalog_segment(number).expect("a file");
        file.append(&[format!("line of {number}")]).expect("it is written");
        assert!(file.publish().expect("it is published"), "nothing has its name");
    }
    // Another host had taken the same number, and comes later.
    let mut late = vault.new_catalog_segment(2).expect("a file");
    late.append(&["line of somebody else"]).expect("it is written");
    assert!(!late.publish().expect("it is told"), "it took the place of the first one's");
    for word in ["old", "new"] {
        let mut file = vault.new_catalog_state().expect("a file");
        file.append(&[word]).expect("it is written");
        assert!(file.publish().expect("it is published"), "a state takes the place of any");
    }
    drop(vault.new_catalog_segment(3).expect("a file"));
    assert_eq!(vault.catalog_segments().expect("they are listed"), [1, 2]);
    let mut lines = vault.catalog_segment(2).expect("it is there");
    assert_eq!(lines.next_line().expect("a line"), Some(b"\"line of 2\"\n".as_slice()));
    assert_eq!(lines.next_line().expect("the end"), None);
    let mut state = vault.catalog_state().expect("it is asked").expect("it is there");
    assert_eq!(state.next_line().expect("a line"), Some(b"\"new\"\n".as_slice()));
    assert!(place.has_catalog().expect("it is asked"));
}

fn staged(vault: &Vault, recording: &Recording, bytes: &[u8]) -> archive::vault::Outgoing {
    let mut staging = vault.stage(recording.device, recording.range).expect("a staging file");
    staging.append(bytes).expect("it is appended");
    vault.send_off(staging, recording.clone()).expect("an upload")
}

fn an_upload_that_was_aborted_never_shows(vault: &Vault) {
    let bytes = bytes(20, 9 << 20);
    let recording = recording(NINE + 12_000, &bytes);
    for by_number in [true, false] {
        // Another process was about to send it.
        let outgoing = staged(vault, &recording, &bytes);
        let number = by_number.then(|| outgoing.upload().to_owned());
        vault.abort_uploads(&recording.path, number).expect("it is aborted");
        outgoing.finish().expect_err("it must not be completed");
        assert_eq!(vault.size_of(&recording.path).expect("it is asked"), None);
    }
    // What comes after it is not in its way.
    assert_eq!(publish(vault, &recording, &bytes), None);
}

/// Nobody can ask for it again.
fn of_what_came_live_it_is_begun_anew(vault: &Vault) {
    let bytes = bytes(22, 5000);
    let mut recording = Recording { source: Source::Live, ..recording(NINE + 15_600, &bytes) };
    recording.path = recording.path.replace(".flv", "_live.flv");
    let mut outgoing = staged(vault, &recording, &bytes);
    // Not for ever, since a store may be one that keeps nothing.
    for _ in 0..3 {
        vault.abort_uploads(&recording.path, Some(outgoing.upload().to_owned())).expect("it is aborted");
        let Ok(Uploaded::Anew(anew)) = outgoing.finish() else { panic!("it is begun anew") };
        outgoing = *anew;
    }
    vault.abort_uploads(&recording.path, Some(outgoing.upload().to_owned())).expect("it is aborted");
    outgoing.finish().expect_err("it must not be completed");
    assert_eq!(vault.size_of(&recording.path).expect("it is asked"), None);
    let (found, _) = vault.ready(&recording.path).expect("it is asked").expect("its file stays");
    assert_eq!(vault.all_ready(Source::Live).expect("they are listed"), [found.path.as_str()]);
    let outgoing = vault.send_ready(recording.clone(), Patience::default()).expect("an upload");
    assert!(matches!(outgoing.finish(), Ok(Uploaded::Here { set_aside: None })));
    vault.forget_ready(&recording.path).expect("it is not needed");
    assert_eq!(vault.all_ready(Source::Live).expect("they are listed"), [""; 0]);
}

fn what_was_not_uploaded_is_uploaded_later(vault: &Vault) {
    let bytes = bytes(21, 5000);
    let recording = recording(NINE + 13_200, &bytes);
    // As a crash leaves it.
    drop(staged(vault, &recording, &bytes));
    vault.abort_uploads(&recording.path, None).expect("it is aborted");
    let (found, file) = vault.ready(&recording.path).expect("it is asked").expect("it is there");
    assert_eq!((found.path.as_str(), fs::read(file).expect("it is read")), (recording.path.as_str(), bytes.clone()));
    vault.clear_ready(Source::Live, &[]).expect("none of these");
    vault.clear_ready(Source::Nvr, std::slice::from_ref(&recording.path)).expect("it is noted still");
    let outgoing = vault.send_ready(recording.clone(), Patience::default()).expect("an upload");
    assert!(matches!(outgoing.finish(), Ok(Uploaded::Here { set_aside: None })));
    assert!(content(vault, &recording.path) == bytes);
    vault.clear_ready(Source::Nvr, &[]).expect("they are deleted");
    assert!(vault.ready(&recording.path).expect("it is asked").is_none());
}

fn another_recording_of_that_name_stays(vault: &Vault) {
    let (first, second) = (bytes(22, 5000), bytes(23, 6000));
    let (ours, theirs) = (recording(NINE + 14_400, &first), recording(NINE + 14_400, &second));
    publish(vault, &theirs, &second);
    let Uploaded::Another(stands) = staged(vault, &ours, &first).finish().expect("it is told") else {
        panic!("it is replaced")
    };
    assert_eq!(*stands, theirs);
    assert!(content(vault, &ours.path) == second);
    vault.forget_ready(&ours.path).expect("it is not needed");
}

#[test]
fn a_folder_keeps_what_is_promised() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    holds(&Place::Folder(folder.path().join("archive")));
}

#[test]
fn an_object_store_keeps_what_is_promised() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    holds(&Place::Objects { objects: Objects::in_memory(), spool: folder.path().join("spool") });
}

#[test]
#[ignore = "needs an S3 server: weed"]
fn an_s3_server_keeps_what_is_promised() {
    if std::env::var_os(CREDENTIALS[0].0).is_none() {
        // Credentials come from the environment, and nobody changes that of a process with threads: so in another.
        let this = std::env::current_exe().expect("this program has a path");
        let again = ["--ignored", "--exact", "vault_contract::an_s3_server_keeps_what_is_promised", "--nocapture"];
        let ended = std::process::Command::new(this).args(again).envs(CREDENTIALS).status().expect("it starts");
        assert!(ended.success());
        return;
    }
    let (server, folder) = (Server::start(), tempfile::tempdir().expect("a temporary folder"));
    for prefix in ["", "some/where"] {
        holds(&server.place(prefix, &folder.path().join("spool")));
    }
}
