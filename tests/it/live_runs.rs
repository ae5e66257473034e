//! Live runs of many machines into one archive, with the real program: a ledger on a PostgreSQL server, recordings in an object store,
//! and for each machine a spool of its own. What one records, others leave alone for as long as it lives.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use archive::adopt;
use archive::device::DeviceId;
use archive::event::Recovery;
use archive::ledger::Ledger;
use archive::ledger_place::LedgerPlace;
use archive::publish::{self, Kept, Ready};
use archive::recording::{Container, ContentHash, MediaFacts, Recording, Source};
use archive::vault::{Named, Outgoing, Patience, Uploaded, Vault, name};
use rustix::process::Signal;

use crate::object_store_server::{BUCKET, CREDENTIALS, Server};
use crate::postgres::program::server;
use crate::support::{Place, code, device, ended, fleet, range, send, stderr, until, yesterday};

const CAMERAS: [i64; 3] = [1, 2, 3];
/// So much of a stream that something of it can be published.
const ENOUGH: u64 = 9_000;
/// So much that it takes some seconds to come.
const LEASES: u64 = 20_000;

/// Machines that share an archive.
struct Machines {
    place: Place,
    store: Server,
    ledger: String,
}

impl Machines {
    /// Whose live runs are believed for so long when they are not heard of.
    async fn new(lease: &str) -> Self {
        let place = Place::new(fleet(&[(4, &CAMERAS)])).await;
        place.set_in_archive(&format!("lease = \"{lease}\""));
        let ledger = server().database();
        // So that its tables are there to be asked.
        drop(Ledger::open(LedgerPlace::parse(&ledger).expect("an address")).expect("a new ledger"));
        Self { place, store: Server::start(), ledger }
    }

    fn on(&self, machine: &str, mut command: Command) -> Command {
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", self.store.url())
            .env("XDG_CACHE_HOME", self.place.path().join(machine))
            .env("ARCHIVE_ROOT", format!("s3://{BUCKET}/chain"))
            .env("ARCHIVE_LEDGER", &self.ledger);
        command
    }

    /// Begins to record cameras live.
    fn live(&self, machine: &str, cameras: &str) -> Child {
        self.live_failing(machine, cameras, "")
    }

    fn live_failing(&self, machine: &str, cameras: &str, failpoints: &str) -> Child {
        let mut command = self.on(machine, self.place.archive(&["live", "--device", cameras]));
        command.env("ARCHIVE_FAILPOINTS", failpoints).spawn().expect("the program starts")
    }

    /// Fetches ten minutes of the third camera, of yesterday: a run as it begins every night.
    async fn night(&self, machine: &str) -> Output {
        let mut night = self.on(machine, self.place.fetch("3", range(yesterday(), 600)));
        let output = ended(night.spawn().expect("the program starts")).await;
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        output
    }

    fn spool(&self, machine: &str) -> PathBuf {
        self.place.path().join(machine).join("archive").join(BUCKET).join("chain")
    }

    /// How large each file is that streams come into on a machine.
    fn streaming(&self, machine: &str) -> Vec<u64> {
        let files = std::fs::read_dir(self.spool(machine).join(".live")).into_iter().flatten().flatten();
        files.filter_map(|file| Some(file.metadata().ok()?.len())).collect()
    }

    fn ask(&self, question: &str) -> String {
        let database = self.ledger.split(['/', '?']).nth(3).expect("a database");
        server().psql(database, question).trim().to_owned()
    }

    /// The cameras that are being recorded, as far as the ledger knows.
    fn recorded(&self) -> String {
        self.ask(
            "SELECT coalesce(string_agg(DISTINCT device::TEXT, ',' ORDER BY device::TEXT), '') FROM missing
             WHERE cause = 'being recorded'",
        )
    }

    /// Remembers which seconds are claimed to be being recorded at this moment: of each claim the last one, which comes only when
    /// the next mark does.
    fn remember_claims(&self) {
        self.ask(
            "CREATE TABLE claimed AS SELECT device, \"end\" - 1 AS at FROM missing WHERE cause = 'being recorded'",
        );
    }

    /// What the ledger says by now of what was remembered, by camera; nothing of what was archived meanwhile.
    fn of_claims(&self) -> Vec<String> {
        let said = self.ask(
            "SELECT c.device || ' ' || m.cause FROM claimed AS c
             JOIN missing AS m ON m.device = c.device AND m.start <= c.at AND c.at < m.\"end\" ORDER BY 1",
        );
        said.lines().map(str::to_owned).collect()
    }

    /// The live run is one of those that the ledger knows to live, with so many cameras, and streams come in.
    async fn until_it_records(&self, machine: &str, run: &Child, cameras: usize) {
        let joined = format!(
            "SELECT count(*) FROM live_camera AS c JOIN live_run AS h ON h.live_run = c.live_run
             WHERE h.pid = {} AND h.left_at IS NULL",
            run.id()
        );
        until("it has its cameras", || self.ask(&joined) == cameras.to_string()).await;
        let claimed = format!(
            "SELECT count(DISTINCT m.device) FROM missing AS m JOIN live_camera AS c ON c.device = m.device
             JOIN live_run AS h ON h.live_run = c.live_run
             WHERE h.pid = {} AND m.cause = 'being recorded'",
            run.id()
        );
        until("its streams come in", || {
            let files = self.streaming(machine);
            files.len() == cameras && files.iter().all(|&bytes| bytes >= ENOUGH) && {
                self.ask(&claimed) == cameras.to_string()
            }
        })
        .await;
    }

    async fn until_its_lease_is_over(&self, run: &Child) {
        let state = format!("SELECT state FROM live_runs WHERE pid = {} ORDER BY live_run DESC LIMIT 1", run.id());
        until("its lease is over", || self.ask(&state) == "not heard of").await;
    }

    fn open(&self) -> Ledger {
        Ledger::open(LedgerPlace::parse(&self.ledger).expect("an address")).expect("it is there")
    }

    async fn recordings(&self) -> Vec<Recording> {
        let (ledger, ever) = (self.open(), range(archive::time_range::UtcSecond::new(0), 253_402_300_800));
        let mut all = Vec::new();
        for number in CAMERAS {
            all.extend(ledger.recordings_overlapping(device(number), ever).await.expect("the ledger answers"));
        }
        all
    }

    async fn live_of(&self, number: i64) -> Vec<Recording> {
        let mut all = self.recordings().await;
        all.retain(|recording| recording.source == Source::Live && recording.device == device(number));
        all
    }

    /// Each recording is an object, and no other object is there; none overlaps another one; nothing is left half done anywhere.
    async fn assert_whole(&self, machines: &[&str]) {
        let rows = self.recordings().await;
        for pair in rows.windows(2).filter(|pair| pair[0].device == pair[1].device) {
            assert!(pair[0].range.end() <= pair[1].range.start(), "{} and {} overlap", pair[0].path, pair[1].path);
        }
        let mut objects = self.store.keys();
        objects.retain(|key| !key.contains("/.catalog/") && !key.ends_with("/.archive-root"));
        let mut named: Vec<String> = rows.iter().map(|row| format!("chain/{}", row.path)).collect();
        named.sort_unstable();
        objects.sort_unstable();
        assert_eq!(objects, named);
        assert_eq!(self.store.uploads(), [""; 0], "an upload is open");
        assert_eq!(self.ask("SELECT count(*) FROM publishing"), "0");
        assert_eq!(self.recorded(), "");
        for machine in machines {
            for folder in [".live", ".ready", ".staging"] {
                let left = std::fs::read_dir(self.spool(machine).join(folder)).into_iter().flatten().count();
                assert_eq!(left, 0, "{machine}: {folder}");
            }
        }
    }
}

/// Ends a live run as a person does.
async fn end(run: Child) -> Output {
    send(&run, Signal::TERM);
    let output = ended(run).await;
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    output
}

async fn kill(mut run: Child) {
    run.kill().expect("it runs");
    run.wait().expect("it was started here");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn a_night_that_begins_elsewhere_leaves_alone_what_a_live_run_records() {
    let machines = Machines::new("10m").await;
    let live = machines.live("one", "1,2");
    machines.until_it_records("one", &live, 2).await;
    machines.remember_claims();
    machines.night("two").await;
    assert_eq!(machines.recorded(), "1,2");
    let said = machines.of_claims();
    assert!(!said.is_empty() && said.iter().all(|said| said.ends_with(" being recorded")), "{said:?}");
    end(live).await;
    for number in [1, 2] {
        assert!(!machines.live_of(number).await.is_empty(), "camera {number}");
    }
    machines.assert_whole(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn a_second_live_run_with_a_camera_of_a_living_one_is_refused_and_names_it() {
    let machines = Machines::new("3s").await;
    let first = machines.live("one", "1,2");
    machines.until_it_records("one", &first, 2).await;
    let second = ended(machines.live("two", "2,3")).await;
    let said = stderr(&second);
    assert_eq!(code(&second), 6, "{said}");
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(said.contains(&format!("device 2 by process {} on {machine}", first.id())), "{said}");
    assert!(!said.contains("device 1 "), "it did not ask for that: {said}");
    assert_eq!(machines.streaming("two"), [0; 0], "it began something");
    assert_eq!(machines.ask("SELECT count(*) FROM asked WHERE device = 3"), "0");
    assert_eq!(machines.ask("SELECT exit FROM run ORDER BY run DESC LIMIT 1"), "6");
    assert_eq!(machines.recorded(), "1,2");
    end(first).await;
    // Now they are nobody's.
    let second = machines.live("two", "2,3");
    machines.until_it_records("two", &second, 2).await;
    end(second).await;
    machines.assert_whole(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn live_runs_with_cameras_of_their_own_go_on_side_by_side() {
    let machines = Machines::new("10m").await;
    let first = machines.live("one", "1");
    machines.until_it_records("one", &first, 1).await;
    let second = machines.live("two", "2,3");
    machines.until_it_records("two", &second, 2).await;
    assert_eq!(machines.recorded(), "1,2,3");
    // Who looks on sees both.
    let mut status = machines.on("three", machines.place.archive(&["status"]));
    let status = ended(status.spawn().expect("the program starts")).await;
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    for run in [&first, &second] {
        assert!(shown.contains(&format!("(process {} on ", run.id())), "{shown}");
    }
    end(second).await;
    assert_eq!(machines.recorded(), "1");
    let second = machines.live("two", "2");
    machines.until_it_records("two", &second, 1).await;
    end(first).await;
    assert_eq!(machines.recorded(), "2");
    end(second).await;
    for (number, pieces) in [(1, 1), (2, 2), (3, 1)] {
        assert!(machines.live_of(number).await.len() >= pieces, "camera {number}");
    }
    machines.assert_whole(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn what_a_killed_live_run_was_recording_was_interrupted_once_its_lease_is_over() {
    let machines = Machines::new("3s").await;
    let (dies, lives) = (machines.live("one", "1,2"), machines.live("two", "3"));
    machines.until_it_records("one", &dies, 2).await;
    machines.until_it_records("two", &lives, 1).await;
    let id = dies.id();
    let over = format!("SELECT state FROM live_runs WHERE pid = {id}");
    kill(dies).await;
    until("its lease is over", || machines.ask(&over) == "not heard of").await;
    assert_eq!(machines.recorded(), "1,2,3", "nobody has begun since");
    machines.remember_claims();
    // Where another live run goes on, as well as where none does.
    machines.night("two").await;
    assert_eq!(machines.recorded(), "3");
    let said = machines.of_claims();
    assert_eq!(said[..2], ["1 live interrupted", "2 live interrupted"]);
    assert!(said[2..].iter().all(|said| said == "3 being recorded"), "{said:?}");
    machines.night("three").await;
    assert_eq!(machines.recorded(), "3");
    // What it wrote is on its disk, and is published there.
    let before = [machines.live_of(1).await.len(), machines.live_of(2).await.len()];
    machines.night("one").await;
    let after = [machines.live_of(1).await.len(), machines.live_of(2).await.len()];
    assert_eq!(after, before.map(|pieces| pieces + 1));
    end(lives).await;
    machines.assert_whole(&["one", "two", "three"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn a_killed_live_runs_cameras_are_waited_for_elsewhere_and_had_at_once_where_it_ran() {
    let machines = Machines::new("5s").await;
    let dies = machines.live("one", "1,2");
    machines.until_it_records("one", &dies, 2).await;
    kill(dies).await;
    let heir = machines.live("two", "1,2");
    machines.until_it_records("two", &heir, 2).await;
    kill(heir).await;
    // With leases of which nobody sees the end.
    let settings = machines.place.path().join("settings.toml");
    let text = std::fs::read_to_string(&settings).expect("it is there").replace("\"5s\"", "\"10m\"");
    std::fs::write(&settings, text).expect("it can be written");
    let published = "SELECT count(DISTINCT start) FROM recording WHERE live = 1 AND device = 1";
    let mut last = None;
    for kills in 1..4 {
        if let Some(last) = last.take() {
            kill(last).await;
        }
        let next = machines.live("two", "1,2");
        until("what was left here is published", || {
            machines.ask(published).parse::<i32>().is_ok_and(|count| count >= kills)
        })
        .await;
        machines.until_it_records("two", &next, 2).await;
        last = Some(next);
    }
    let said = stderr(&end(last.expect("three were begun")).await);
    assert!(!said.contains("others have cameras"), "{said}");
    machines.night("one").await;
    for number in [1, 2] {
        assert!(machines.live_of(number).await.len() >= 5, "camera {number}");
    }
    machines.assert_whole(&["one", "two"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn a_live_run_that_slept_goes_on_with_what_others_have_not_taken_and_loses_nothing() {
    let machines = Machines::new("3s").await;
    let sleeper = machines.live("one", "1,2");
    machines.until_it_records("one", &sleeper, 2).await;
    send(&sleeper, Signal::STOP);
    machines.until_its_lease_is_over(&sleeper).await;
    let heir = machines.live("two", "2");
    machines.until_it_records("two", &heir, 1).await;
    assert_eq!(machines.recorded(), "2", "of what the other one had");
    send(&sleeper, Signal::CONT);
    let pid = sleeper.id();
    let joined = format!("SELECT count(*) FROM live_runs WHERE pid = {pid}");
    until("it joins again", || machines.ask(&joined) == "2").await;
    until("it ends what is another's, and says again what it records", || {
        machines.streaming("one").len() == 1 && machines.recorded() == "1,2"
    })
    .await;
    let before = machines.streaming("one")[0];
    until("it goes on", || machines.streaming("one").first().is_some_and(|&bytes| bytes > before)).await;
    let before_it_slept = machines.live_of(2).await;
    assert!(!before_it_slept.is_empty(), "what it recorded before it slept");
    let said = stderr(&end(sleeper).await);
    assert!(said.contains("it has joined again"), "{said}");
    assert!(said.contains(&format!("device 2 is recorded by process {} on ", heir.id())), "{said}");
    assert_eq!(machines.recorded(), "2", "the heir's is none of its business");
    end(heir).await;
    let of_two = machines.live_of(2).await;
    assert!(of_two.len() > before_it_slept.len() && of_two.starts_with(&before_it_slept), "{of_two:?}");
    assert!(!machines.live_of(1).await.is_empty());
    machines.assert_whole(&["one", "two"]).await;
}

/// Whoever takes a run for dead takes its notes back. What that one had judged and not sent is on its disk alone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn what_a_killed_live_run_had_judged_is_sent_though_another_machine_took_its_note_back() {
    let machines = Machines::new("3s").await;
    let dies = machines.live_failing("one", "1", "file-synced=kill");
    machines.until_it_records("one", &dies, 1).await;
    send(&dies, Signal::TERM);
    let id = dies.id();
    let output = ended(dies).await;
    assert_eq!(output.status.code(), None, "it dies on the way: {}", stderr(&output));
    assert_eq!(machines.ask("SELECT count(*) FROM publishing"), "1");
    let over = format!("SELECT state FROM live_runs WHERE pid = {id}");
    until("its lease is over", || machines.ask(&over) == "not heard of").await;
    machines.night("two").await;
    assert_eq!(machines.ask("SELECT count(*) FROM publishing"), "0");
    machines.night("one").await;
    assert!(!machines.live_of(1).await.is_empty());
    machines.assert_whole(&["one", "two"]).await;
}

/// Credentials come from the environment, and nobody changes that of a process with threads: so a test runs in another one, which
/// it has done by then.
fn may_ask_the_store(test: &str) -> bool {
    if std::env::var_os(CREDENTIALS[0].0).is_some() {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().expect("this program has a path"));
    again.args(["--ignored", "--exact", &format!("live_runs::{test}"), "--nocapture"]).envs(CREDENTIALS);
    assert!(again.status().expect("it starts").success());
    false
}

/// A file of a camera that is about to be an object, as a live run has it in its hands.
async fn in_hand(ledger: &Ledger, vault: &Vault, number: i64) -> Outgoing {
    let named = Named {
        device: device(number),
        range: range(yesterday(), 60),
        source: Source::Live,
        container: Container::Flv,
    };
    let bytes = b"it is not looked at";
    let recording = Recording {
        device: named.device,
        range: named.range,
        path: name::recording(&named, chrono_tz::Asia::Shanghai),
        bytes: bytes.len() as u64,
        blake3: ContentHash(*blake3::hash(bytes).as_bytes()),
        media: MediaFacts::default(),
        source: named.source,
        clock_offset: None,
        archived_at: yesterday() + 3_600,
        note: String::new(),
    };
    let mut staging = vault.stage(recording.device, recording.range).expect("a staging file");
    staging.append(bytes).expect("it is appended");
    let path = recording.path.clone();
    ledger.note_publishing(Source::Live, path.clone()).await.expect("it is noted");
    let vault = vault.clone();
    let sending = tokio::task::spawn_blocking(move || vault.send_off(staging, recording));
    let outgoing = sending.await.expect("it does not panic").expect("an upload");
    assert_eq!(ledger.note_upload(path, outgoing.upload().to_owned()).await, Ok(true));
    outgoing
}

async fn finish(outgoing: Outgoing) -> Uploaded {
    let finishing = tokio::task::spawn_blocking(move || outgoing.finish());
    finishing.await.expect("it does not panic").expect("it can be completed")
}

/// Notes and uploads of a run that lives are its own, whoever begins elsewhere; a dead one's are taken back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres and an S3 server: weed"]
async fn what_a_living_live_run_publishes_just_now_is_not_aborted_and_a_dead_ones_is() {
    if !may_ask_the_store("what_a_living_live_run_publishes_just_now_is_not_aborted_and_a_dead_ones_is") {
        return;
    }
    let machines = Machines::new("3s").await;
    // The archive is begun.
    machines.night("two").await;
    let ledger = machines.open();
    let join = |number: i64, lasts: Duration| {
        let cameras: Vec<DeviceId> = vec![device(number)];
        ledger.join_live(cameras, lasts)
    };
    join(1, Duration::from_secs(3_600)).await.expect("the ledger answers").expect("it is nobody's");
    join(2, Duration::ZERO).await.expect("the ledger answers").expect("it is nobody's");
    let place = machines.store.place("chain", &machines.spool("one"));
    let opening = tokio::task::spawn_blocking(move || place.open());
    let vault = opening.await.expect("it does not panic").expect("an archive");
    let (of_living, of_dead) = (in_hand(&ledger, &vault, 1).await, in_hand(&ledger, &vault, 2).await);
    machines.night("two").await;
    let noted = ledger.publishing(Source::Live).await.expect("the ledger answers");
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(noted[0].starts_with("1/"), "{noted:?}");
    assert_eq!(machines.store.uploads(), [format!("chain/{}", noted[0])]);
    assert!(matches!(finish(of_living).await, Uploaded::Here { set_aside: None }));
    // It was not dead after all: nobody else has what it recorded, so it begins anew.
    let Uploaded::Anew(anew) = finish(of_dead).await else { panic!("it was aborted") };
    assert!(matches!(finish(*anew).await, Uploaded::Here { set_aside: None }));
}

/// An archive in that store, with its ledger and its spool in a folder.
async fn alone(store: &Server, folder: &Path) -> (Ledger, Vault) {
    let place = store.place("alone", &folder.join("spool"));
    let opening = tokio::task::spawn_blocking(move || place.open());
    let vault = opening.await.expect("it does not panic").expect("an archive");
    (Ledger::open(folder.join("ledger.db")).expect("a ledger"), vault)
}

/// What came of a stream, judged and noted and not sent.
async fn kept(ledger: &Ledger, vault: &Vault, named: Named, bytes: &[u8]) -> Kept {
    let mut staging = vault.stage(named.device, named.range).expect("a staging file");
    staging.append(bytes).expect("it is appended");
    let ready = Ready {
        staging,
        good_bytes: bytes.len() as u64,
        named,
        zone: chrono_tz::Asia::Shanghai,
        media: MediaFacts::default(),
        clock_offset: None,
        now: yesterday() + 3_600,
        note: String::new(),
    };
    publish::keep(ledger, vault, ready).await.expect("it is kept")
}

/// A note that is gone means of a download that another host fetches it. What came live, nobody else has.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: weed"]
async fn a_live_recording_whose_note_was_taken_back_is_noted_again_and_archived_and_a_download_is_not() {
    if !may_ask_the_store(
        "a_live_recording_whose_note_was_taken_back_is_noted_again_and_archived_and_a_download_is_not",
    ) {
        return;
    }
    let (store, folder) = (Server::start(), tempfile::tempdir().expect("a folder"));
    let (ledger, vault) = alone(&store, folder.path()).await;
    for (number, source) in [(1, Source::Live), (2, Source::Nvr)] {
        let named = Named { device: device(number), range: range(yesterday(), 60), source, container: Container::Flv };
        let kept = kept(&ledger, &vault, named, b"it is not looked at").await;
        let path = kept.recording.path.clone();
        ledger.forget_publishing(path.clone()).await.expect("it is forgotten");
        let sent = publish::send(&ledger, &vault, kept, None, Patience::default()).await;
        let rows = ledger.recordings_overlapping(named.device, named.range).await.expect("the ledger answers");
        let names: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        match source {
            Source::Live => {
                assert!(matches!(sent, Ok(publish::Done::Archived { .. })), "{sent:?}");
                assert_eq!(names, [path.as_str()]);
            }
            Source::Nvr => {
                assert!(sent.is_err(), "{sent:?}");
                assert_eq!(names, [""; 0]);
            }
        }
        assert_eq!(ledger.publishing(source).await.expect("the ledger answers"), [""; 0]);
    }
    assert_eq!(store.keys().len(), 1);
    assert_eq!(store.uploads(), [""; 0], "an upload is open");
}

/// A run was killed between the two, and the recorder gave a part of that time meanwhile: the rest may be nowhere else.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an S3 server: weed"]
async fn a_live_recording_that_was_judged_and_not_sent_is_moved_aside_where_a_part_of_its_time_is_archived() {
    if !may_ask_the_store(
        "a_live_recording_that_was_judged_and_not_sent_is_moved_aside_where_a_part_of_its_time_is_archived",
    ) {
        return;
    }
    let (store, folder) = (Server::start(), tempfile::tempdir().expect("a folder"));
    let (ledger, vault) = alone(&store, folder.path()).await;
    let footage = crate::broken_server::recording(120);
    for (number, source) in [(1, Source::Live), (2, Source::Nvr)] {
        let named = Named { device: device(number), range: range(yesterday(), 120), source, container: Container::Flv };
        let kept = kept(&ledger, &vault, named, &footage).await;
        let part = Recording { range: range(yesterday(), 60), path: "faster".to_owned(), ..kept.recording.clone() };
        ledger.add_recording(part).await.expect("it is written down");
        let check = adopt::Check {
            source,
            now: yesterday() + 3_600,
            tolerance_seconds: 5,
            platform_zone: chrono_tz::Asia::Shanghai,
        };
        let recovered = adopt::recover(&ledger, &vault, check).await.expect("it is looked after");
        match source {
            Source::Live => assert!(matches!(recovered[..], [Recovery::SetAside { .. }]), "{recovered:?}"),
            Source::Nvr => assert!(recovered.is_empty(), "{recovered:?}"),
        }
        assert_eq!(ledger.publishing(source).await.expect("the ledger answers"), [""; 0]);
        assert_eq!(vault.all_ready(source).expect("the spool can be read"), [""; 0]);
    }
    let keys = store.keys();
    assert!(matches!(&keys[..], [aside] if aside.contains("/.aside/")), "{keys:?}");
}

/// The ledger's server is away for longer than a lease: streams go on, and nobody was out of anybody's hearing but the server.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs postgres"]
async fn while_the_ledgers_server_is_away_streams_go_on_and_afterwards_the_run_is_heard_of_as_before() {
    let server = crate::postgres::program::Server::start();
    let place = Place::new(fleet(&[(4, &CAMERAS)])).await;
    place.set_in_archive("lease = \"1s\"");
    let url = server.database();
    let database = url.split(['/', '?']).nth(3).expect("a database").to_owned();
    let ask = |question: &str| server.psql(&database, question).trim().to_owned();
    let mut command = place.archive(&["live", "--device", "1"]);
    let run = command.env("ARCHIVE_LEDGER", &url).spawn().expect("the program starts");
    let streamed = || -> u64 {
        let files = std::fs::read_dir(place.root().join(".live")).into_iter().flatten().flatten();
        files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
    };
    until("its stream comes in", || streamed() >= ENOUGH).await;
    let heard_of = "SELECT count(*) || ' ' || coalesce(max(beats), 0) FROM live_runs JOIN live_run USING (live_run)";
    until("it is heard of", || ask(heard_of).starts_with("1 ") && ask(heard_of) != "1 0").await;
    server.stop();
    // A stream brings this in its own time: as long as some leases.
    let before = streamed();
    until("its stream goes on for some leases", || streamed() >= before + LEASES).await;
    server.start_again();
    let beats = ask(heard_of);
    until("it is heard of again", || ask(heard_of) != beats).await;
    assert!(ask(heard_of).starts_with("1 "), "it is the same one: {}", ask(heard_of));
    let said = stderr(&end(run).await);
    assert!(!said.contains("joined again"), "{said}");
    assert!(ask("SELECT count(*) FROM recording WHERE device = 1") != "0");
    assert_eq!(ask("SELECT count(*) FROM missing WHERE cause = 'being recorded'"), "0");
}
