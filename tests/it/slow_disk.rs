//! A disk that takes nothing holds up the streams that write to it, and nothing else.
//!
//! The disk is a pipe under a staging file's name, which nobody reads: a write to it blocks for good once it is full.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use archive::bandwidth::Ceilings;
use archive::device::DeviceId;
use archive::fetch::{Fetched, Fetcher, Manner, Step};
use archive::outcome::Outcome;
use archive::platform::media::{MediaClient, Patience};
use archive::sim::Config;
use archive::sim::config::Speed;
use archive::time_range::TimeRange;
use archive::transfers::Transfers;
use archive::vault::{Vault, VaultError};
use archive::window::Window;
use chrono_tz::Asia::Shanghai;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{PATIENCE, Place, device, fleet, range, until, yesterday};

/// What each picture is followed by: a recording is far larger than a pipe and all that is gathered before a write.
const FILLER: u32 = 4_000;

fn minutes() -> TimeRange {
    range(yesterday(), 600)
}

fn fetcher(place: &Place, vault: Vault, threads: usize) -> Arc<Fetcher> {
    // Nobody is to give up on a stream that cannot be written.
    let patience = Patience { connect: PATIENCE, first_byte: PATIENCE, stall: PATIENCE };
    let media = MediaClient::new(patience, place.guard()).expect("a client");
    let manner = Manner { tolerance_seconds: 5, growth_pause: Duration::from_secs(1) };
    let transfers = Transfers::with_threads(threads).expect("threads");
    Arc::new(Fetcher::new(place.client(), media, vault, manner, Ceilings::None, transfers))
}

/// Puts a pipe where the stream of that device is going to be written.
fn block(place: &Place, vault: &Vault, device: DeviceId) -> PathBuf {
    let files = || -> BTreeSet<PathBuf> {
        let names = fs::read_dir(place.root().join(".staging")).expect("a folder");
        names.map(|entry| entry.expect("an entry").path()).collect()
    };
    let before = files();
    let staging = vault.stage(device, minutes()).expect("a staging file");
    let path = files().difference(&before).next().expect("it was just made").clone();
    drop(staging);
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
    path
}

/// What a fetch comes to, and how far it has come so far.
type Fetching = (JoinHandle<Result<Fetched, VaultError>>, mpsc::UnboundedReceiver<Step>);

fn begin(fetcher: &Arc<Fetcher>, device: DeviceId) -> Fetching {
    let (tell, steps) = mpsc::unbounded_channel();
    let fetcher = Arc::clone(fetcher);
    let fetching = tokio::spawn(async move {
        let progress = Arc::new(move |step| {
            // OK to ignore that nobody listens any more.
            let _ = tell.send(step);
        });
        let window = Window { device, range: minutes() };
        fetcher.fetch(window, Shanghai, &CancellationToken::new(), progress).await
    });
    (fetching, steps)
}

async fn expect_url(steps: &mut mpsc::UnboundedReceiver<Step>) {
    let first = tokio::time::timeout(PATIENCE, steps.recv()).await.expect("the platform is asked all the same");
    assert_eq!(first, Some(Step::UrlGiven));
}

/// Waits until a thread blocks on the pipe: it has no page left.
async fn until_full(pipe: &PathBuf) {
    const PAGE: u64 = 4096;
    let file = File::options().read(true).write(true).open(pipe).expect("a pipe can be opened");
    let size = rustix::pipe::fcntl_getpipe_size(&file).expect("pipes have a size") as u64;
    let held = || rustix::io::ioctl_fionread(&file).expect("pipes tell what they hold");
    until("a pipe is full", || size - held() < PAGE).await;
}

/// On one thread, so that whatever blocks it is seen.
#[tokio::test]
async fn a_blocked_write_holds_back_its_own_stream_and_no_other_and_no_call() {
    let speed = Speed::Times(200.0);
    let place = Place::new(Config { filler: FILLER, speed, ..fleet(&[(4, &[1, 2, 3, 4])]) }).await;
    fs::create_dir_all(place.root()).expect("a folder can be made");
    let vault = Vault::open(&place.root()).expect("a new archive");
    let fetcher = fetcher(&place, vault.clone(), 2);

    // Another one streams already: nothing from outside wakes its thread.
    let (second, mut steps) = begin(&fetcher, device(2));
    expect_url(&mut steps).await;
    let pipe = block(&place, &vault, device(1));
    let (first, mut steps) = begin(&fetcher, device(1));
    expect_url(&mut steps).await;
    until_full(&pipe).await;
    let second = tokio::time::timeout(PATIENCE, second).await.expect("the other thread is free");
    assert_eq!(second.expect("no panic").expect("its disk is fine").attempt.outcome, Outcome::Archived);

    // Both threads block, and still the platform is asked.
    let another = block(&place, &vault, device(3));
    let (third, mut steps) = begin(&fetcher, device(3));
    expect_url(&mut steps).await;
    until_full(&another).await;
    let (fourth, mut steps) = begin(&fetcher, device(4));
    expect_url(&mut steps).await;
    assert!(!first.is_finished() && !third.is_finished() && !fourth.is_finished());

    // Once the disks take what comes, all go on.
    for pipe in [pipe, another] {
        std::thread::spawn(move || std::io::copy(&mut File::open(pipe)?, &mut std::io::sink()));
    }
    for held_up in [first, third, fourth] {
        let ended = tokio::time::timeout(PATIENCE, held_up).await.expect("it ends");
        assert_eq!(ended.expect("no panic").expect("its disk is fine").attempt.outcome, Outcome::Archived);
    }
}
