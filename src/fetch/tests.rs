//! Streams and the ceiling on bandwidth, in virtual time.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};

use super::limit::Limit;
use super::sink::Sink;
use super::throttle::Throttle;
use super::transfer::drain;
use super::*;
use crate::bandwidth::Ceiling;
use crate::device::DeviceId;
use crate::platform::media::{MediaStream, Patience};

const STALL: Duration = Duration::from_secs(1);

type Body = BoxStream<'static, reqwest::Result<Bytes>>;

fn minute() -> TimeRange {
    TimeRange::new(UtcSecond::new(0), UtcSecond::new(60)).expect("a minute")
}

/// FLV, as far as anybody looks here: its header, and tags of metadata that nobody can read.
fn lump(index: usize) -> Bytes {
    let mut lump = if index == 0 { b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec() } else { Vec::new() };
    let size = 40_000u32;
    lump.push(18);
    lump.extend_from_slice(&size.to_be_bytes()[1..]);
    lump.extend_from_slice(&[0; 7]);
    lump.resize(lump.len() + size as usize, 0);
    lump.extend_from_slice(&(size + 11).to_be_bytes());
    lump.into()
}

fn server(lumps: usize) -> Body {
    stream::iter((0..lumps).map(|index| Ok(lump(index)))).boxed()
}

/// What one stream came to under `throttle`, and how many bytes of it there are.
async fn drained(body: Body, throttle: Arc<Throttle>, number: i64) -> (Option<MediaError>, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let vault = Vault::open(folder.path()).expect("a vault");
    let device = DeviceId::new(number).expect("not negative");
    let mut staging = vault.stage(device, minute()).expect("a staging file");
    let progress = |_: Step| {};
    let mut sink = Sink::new(&mut staging, minute(), &progress);
    let patience = Patience { connect: STALL, first_byte: STALL, stall: STALL };
    let stream = MediaStream::of(body, patience);
    let error = drain(stream, &mut sink, &throttle, &mut Limit::new(minute())).await.expect("the disk takes it");
    (error, sink.bytes())
}

/// Each turn takes longer than a stall may, and each stream longer than a stream may, and neither is anybody's fault.
#[tokio::test(start_paused = true)]
async fn waiting_for_bandwidth_is_no_stall_and_no_endless_stream() {
    let throttle = Arc::new(Throttle::new(Ceilings::Always(Ceiling::new(10_000).expect("not 0"))));
    let begun = tokio::time::Instant::now();
    let streams = (0..4).map(|number| tokio::spawn(drained(server(50), Arc::clone(&throttle), number)));
    for stream in streams.collect::<Vec<_>>() {
        let (error, bytes) = stream.await.expect("it does not panic");
        assert!(error.is_none(), "{error:?}");
        assert_eq!(bytes, (0..50).map(|index| lump(index).len() as u64).sum::<u64>());
    }
    // 8 MB at 10 kB/s; a stream of a minute may take six minutes.
    assert!(begun.elapsed() > Duration::from_secs(700), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_or_never_ends_is_given_up_with_a_ceiling_too() {
    let throttle = Arc::new(Throttle::new(Ceilings::Always(Ceiling::new(10_000).expect("not 0"))));
    let silent = server(8).chain(stream::pending()).boxed();
    let (error, _) = drained(silent, Arc::clone(&throttle), 1).await;
    assert!(matches!(error, Some(MediaError::Stalled(STALL))), "{error:?}");

    let dribbling = stream::iter(0usize..).then(|index| async move {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Ok(if index == 0 { lump(0) } else { Bytes::from_static(&[0]) })
    });
    let (error, _) = drained(dribbling.boxed(), throttle, 2).await;
    assert!(matches!(error, Some(MediaError::Endless(_))), "{error:?}");
}
