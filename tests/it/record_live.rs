//! `archive live`: streams that end, stall, pause and change, recorded around, also beside a run from the NVR.
//!
//! Cameras' clocks run many times too fast, and so does the recording program's.

use archive::event::Event;
use archive::ledger::Ledger;
use archive::live::execute;
use archive::recording::{ContentHash, MediaFacts, Recording, Source, VideoCodec};
use archive::report::GapQuery;
use archive::sim::channels::Codec;
use archive::sim::hls::HlsForm;
use archive::sim::{Config, LiveFault, MediaEvent, Scripted, Speed};
use archive::time_range::RangeSet;
use archive::window::Cause;

use crate::live_support::{asked, assert_pieces, fast, gaps, job, record, tools};
use crate::support::{PATIENCE, Place, device, ended, fleet, range, send, stderr, until, yesterday};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_ends_drops_stalls_or_pauses_is_recorded_around() {
    let place = Place::new(fast(60.0, &[1])).await;
    let faults = [
        LiveFault::EndAfterSeconds(60),
        LiveFault::DropAfterSeconds(60),
        LiveFault::StallAfterSeconds(60),
        LiveFault::PauseAfterSeconds { after: 60, seconds: 40 },
    ];
    place.platform.script_live(device(1), [Scripted::Stat(-500)]);
    place.platform.script_live(device(1), faults.map(Scripted::Live));
    let (tools, mut events) = tools(&place);
    let end = tools.clock.now().to_utc_second() + 600;
    let summary = execute(job(&[1], Some(end)), tools).await.expect("it ends");
    let mut interruptions = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::LiveInterrupted { why, .. } = event {
            interruptions.push(why);
        }
    }
    // In this order, each once. The pause is a hole in a stream that goes on.
    let said = ["stat -500", "the platform ended the stream", "the connection", "sent nothing"];
    assert_eq!(interruptions.len(), said.len(), "{interruptions:?}");
    for (why, said) in interruptions.iter().zip(said) {
        assert!(why.contains(said), "{said:?} is not in {why:?}");
    }
    let (asked, pieces, gaps) = (asked(&place, 1).await, assert_pieces(&place, 1).await, gaps(&place).await);
    // Before each of the four, about a minute; then up to the end.
    assert_eq!(pieces.iter().filter(|piece| (50..70).contains(&piece.range.seconds())).count(), 4, "{pieces:?}");
    assert!(gaps.iter().all(|(cause, _)| *cause == Cause::LiveInterrupted), "{gaps:?}");
    assert!(gaps.iter().any(|(_, gap)| (30..60).contains(&gap.seconds())), "the pause: {gaps:?}");
    let missing: i64 = gaps.iter().map(|(_, gap)| gap.seconds()).sum();
    assert_eq!((summary.asked_seconds, summary.archived_seconds), (asked.seconds(), asked.seconds() - missing));
    assert_eq!(pieces.last().map(|piece| piece.range.end()), Some(end));
}

/// What is not found at one URL is taken from another.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_flv_hls_is_recorded() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(device(1), [Scripted::Live(LiveFault::NotFound)]);
    let (asked, _) = record(&place, &[1], 120).await;
    let pieces = assert_pieces(&place, 1).await;
    assert!(!pieces.is_empty() && pieces.iter().all(|piece| piece.path.ends_with("_live.ts")), "{pieces:?}");
    assert_eq!(pieces.last().map(|piece| piece.range.end()), Some(asked.end()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_pictures_begins_a_new_piece_and_loses_nothing() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(device(1), [Scripted::Live(LiveFault::ChangeAfterSeconds(60))]);
    let (asked, _) = record(&place, &[1], 120).await;
    let pieces = place.recordings(&[1]).await;
    let sizes: Vec<_> = pieces.iter().filter_map(|piece| piece.media.picture_size).collect();
    assert_eq!(sizes, [(160, 90), (96, 54)]);
    assert_eq!(pieces[0].range.end(), pieces[1].range.start());
    assert_eq!(pieces[1].range.end(), asked.end());
    assert_eq!(place.platform.live().iter().filter(|event| event.live == MediaEvent::Opened).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_until_somebody_says_stop_ends_there() {
    let place = Place::new(fast(60.0, &[1, 2])).await;
    let (tools, mut events) = tools(&place);
    let (stop, clock) = (tools.stop.clone(), tools.clock);
    let running = tokio::spawn(execute(job(&[1, 2], None), tools));
    let mut archived = 0;
    while archived < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("pieces come").expect("it runs");
        archived += usize::from(matches!(event, Event::LiveArchived { .. }));
        let recorded = gaps(&place).await.into_iter().filter(|(cause, _)| *cause == Cause::BeingRecorded).count();
        assert!(recorded <= 2);
    }
    stop.cancel();
    let summary = running.await.expect("it does not panic").expect("it ends");
    assert_eq!(summary.stopped, None);
    assert!(summary.missing.iter().all(|(cause, seconds)| *cause == Cause::LiveInterrupted && *seconds < 2 * 60));
    for number in [1, 2] {
        let pieces = assert_pieces(&place, number).await;
        let end = pieces.last().expect("it was recorded").range.end();
        assert!(end <= clock.now().to_utc_second());
        assert_eq!(asked(&place, number).await.end(), end, "nothing more is asked for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_refused_is_a_gap_that_says_so_and_is_not_asked_again() {
    let mut config = fast(60.0, &[1, 2]);
    config.stores[0].nvrs[0].cameras[1].refused = true;
    let place = Place::new(config).await;
    let (asked, summary) = record(&place, &[1, 2], 60).await;
    assert_eq!(place.archived(2).await, RangeSet::new());
    // From the answer on, which may take its time; until the end, since it is not asked for again.
    let refused = summary.missing.iter().find(|(cause, _)| *cause == Cause::Refused).expect("the answer is a cause");
    assert!((1..=asked.seconds()).contains(&refused.1), "{:?}", summary.missing);
    let last = gaps(&place).await.into_iter().filter(|(_, range)| range.end() == asked.end());
    assert!(last.into_iter().any(|(cause, _)| cause == Cause::Refused));
    let calls = place.platform.calls();
    assert_eq!(calls.iter().filter(|call| call.device == Some(device(2))).count(), 1);
}

/// A live recording that was published while the same time came from the NVR stays; the download is moved aside.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_recordings_of_one_time_the_first_stays() {
    let place = Place::new(Config { speed: Speed::Times(600.0), ..fleet(&[(4, &[1])]) }).await;
    let window = range(yesterday(), 600);
    let child = place.fetch("1", window).spawn().expect("the program starts");
    until("it streams", || !place.platform.media().is_empty()).await;
    let (path, bytes) = ("1/live.flv".to_owned(), b"a live recording".as_slice());
    place.stores.put(&path, bytes);
    let live = Recording {
        device: device(1),
        range: range(yesterday() + 60, 60),
        path,
        bytes: bytes.len() as u64,
        blake3: ContentHash(*blake3::hash(bytes).as_bytes()),
        media: MediaFacts::default(),
        source: Source::Live,
        clock_offset: None,
        archived_at: yesterday() + 700,
        note: String::new(),
    };
    let ledger = Ledger::open(place.stores.ledger()).expect("the ledger is there");
    ledger.add_recording(live.clone()).await.expect("nothing else is there yet");
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("moved aside"), "{}", stderr(&output));
    assert_eq!(place.recordings(&[1]).await, [live]);
    let missing: RangeSet = gaps(&place).await.into_iter().map(|(_, range)| range).collect();
    assert_eq!(missing, RangeSet::from(window).subtract(&range(yesterday() + 60, 60).into()));
    let again = ended(place.fetch("1", window).spawn().expect("the program starts")).await;
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
}

/// A run from the NVRs beside a live one leaves alone what is being recorded, and fetches what was interrupted.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_from_the_nvr_may_go_on_beside_it() {
    let place = Place::new(fast(60.0, &[1])).await;
    place.platform.script_live(device(1), [Scripted::Live(LiveFault::DropAfterSeconds(60))]);
    let (tools, mut events) = tools(&place);
    let (stop, begun) = (tools.stop.clone(), tools.clock.now().to_utc_second());
    let running = tokio::spawn(execute(job(&[1], None), tools));
    let mut began = 0;
    while began < 2 {
        let event = tokio::time::timeout(PATIENCE, events.recv()).await.expect("streams come").expect("it runs");
        began += usize::from(matches!(event, Event::LiveBegan { .. }));
    }
    until("the ledger knows of the new piece", || {
        let pieces = std::fs::read_dir(place.stores.working_folder().join(".live")).into_iter().flatten().count();
        pieces == 1
    })
    .await;
    let asked = range(begun, 600);
    let healed = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(healed.status.code(), Some(3), "{}", stderr(&healed));
    assert!(String::from_utf8_lossy(&healed.stdout).contains("being recorded"), "{:?}", healed.stdout);
    stop.cancel();
    running.await.expect("it does not panic").expect("it ends");
    place.assert_true(&[1]).await;
    let from_nvr: Vec<_> =
        place.recordings(&[1]).await.into_iter().filter(|piece| piece.source == Source::Nvr).collect();
    assert!(!from_nvr.is_empty(), "the interruption was fetched");
    let left: RangeSet = gaps(&place).await.into_iter().map(|(_, range)| range).collect();
    assert!(left.intersect(&asked.into()).is_empty(), "all of it is there: {left:?}");
}

/// A file's live jobs are recorded by `live` and left alone by `run`, and one live run at a time has the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_records_the_files_live_jobs_and_no_others() {
    let place = Place::new(fleet(&[(4, &[1, 2])])).await;
    let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
    let (from, to) = (yesterday(), yesterday() + 600);
    let jobs = format!(
        "[[job]]\nname = 'now'\nkind = 'live'\ndevices = [1]\nsecondary = true\n\
         [[job]]\nname = 'night'\ndevices = [2]\nfrom = '{from}'\nto = '{to}'\n"
    );
    std::fs::write(place.path().join("jobs.toml"), format!("{settings}{jobs}")).expect("a file can be written");
    let first = place.archive(&["live", "jobs.toml"]).spawn().expect("the program starts");
    until("it streams", || place.platform.live().iter().any(|event| event.live == MediaEvent::Opened)).await;
    let second = ended(place.archive(&["live", "--device", "2"]).spawn().expect("the program starts")).await;
    assert_eq!(second.status.code(), Some(6), "{}", stderr(&second));
    let run = ended(place.archive(&["run", "jobs.toml"]).spawn().expect("the program starts")).await;
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    assert!(place.platform.calls().iter().all(|call| call.range.is_none() || call.device == Some(device(2))));
    for (arguments, expected) in [
        (&["run", "jobs.toml", "--job", "now"][..], "archive live"),
        (&["live", "jobs.toml", "--job", "night"], "no live job is called"),
        (&["live", "--for", "1h"], "which cameras?"),
        (&["live", "--device", "1", "--for", "0s"], "--for"),
        (&["live", "--device", "1", "--until", "2020-01-01 10:00"], "--until"),
        (&["live", "--device", "1", "--until", "noon"], "18:00"),
        (&["live", "--device", "1", "--hours", "9"], "--hours"),
        (&["live", "--device", "1", "--for", "1h", "--until", "18:00"], "cannot be used with"),
    ] {
        let output = ended(place.archive(arguments).spawn().expect("the program starts")).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    until("a second of it is written", || {
        let files = std::fs::read_dir(place.stores.working_folder().join(".live")).into_iter().flatten().flatten();
        files.into_iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 6_000))
    })
    .await;
    send(&first, rustix::process::Signal::TERM);
    let output = ended(first).await;
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
    let pieces = place.recordings(&[1]).await;
    assert_eq!(pieces.iter().filter_map(|piece| piece.media.picture_size).collect::<Vec<_>>(), [(96, 54)]);
    assert!(place.platform.calls().iter().filter_map(|call| call.play).all(|play| play.secondary));
}

/// Over HLS, in both forms; a change of the codec is a new file, and segments that are left out are a gap.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_over_hls_is_recorded_as_it_is() {
    for (form, extension) in [(HlsForm::Ts, "ts"), (HlsForm::Fmp4, "mp4")] {
        let mut config = Config { hls: form, ..fast(30.0, &[1, 2]) };
        for camera in &mut config.stores[0].nvrs[0].cameras {
            camera.codec = Codec::H265;
        }
        let place = Place::new(config).await;
        place.platform.script_live(device(1), [Scripted::Live(LiveFault::ChangeAfterSeconds(60))]);
        let pause = LiveFault::PauseAfterSeconds { after: 60, seconds: 40 };
        place.platform.script_live(device(2), [Scripted::Live(pause)]);
        // Over a mark of the grid.
        let (_, summary) = record(&place, &[1, 2], 600).await;
        assert_eq!(
            summary.asked_seconds,
            summary.archived_seconds + summary.missing.iter().map(|(_, s)| s).sum::<i64>()
        );
        let pieces = assert_pieces(&place, 1).await;
        assert!(pieces.iter().all(|piece| piece.path.ends_with(extension)), "{pieces:?}");
        let codecs: Vec<_> = pieces.iter().filter_map(|piece| piece.media.video_codec).collect();
        assert_eq!(codecs.iter().filter(|codec| **codec == VideoCodec::H264).count(), 1, "{codecs:?}");
        assert_eq!(codecs.first(), Some(&VideoCodec::H265));
        assert_eq!(codecs.last(), Some(&VideoCodec::H265), "after the change, the stream is asked for again");
        let pieces = assert_pieces(&place, 2).await;
        assert!(pieces.len() >= 3, "{pieces:?}");
        let gaps = place.read_ledger().gaps(GapQuery::default()).await.expect("the ledger answers");
        // What came before the pause may have come half a second late, which is fifteen of the cameras' seconds.
        let pauses: Vec<_> = gaps.iter().filter(|gap| gap.device == device(2) && gap.seconds >= 25).collect();
        assert!(pauses.len() == 1 && pauses[0].seconds <= 60, "{gaps:?}");
        for gap in &gaps {
            assert_eq!(gap.cause, Cause::LiveInterrupted);
        }
    }
}
