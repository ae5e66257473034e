//! How fast the FLV parser is, beside BLAKE3, which sees the same bytes: `cargo bench --bench flv`.
//!
//! The input is a camera's usual minute and a half: 25 pictures of 20 kB and 43 AAC frames of 200 bytes a second. It is
//! parsed as it comes from a socket (1,448 bytes, an Ethernet packet's payload) and from a large read (64 KiB).

use std::hint::black_box;
use std::time::{Duration, Instant};

use archive::flv::Parser;

const SECONDS: u32 = 90;
/// Each figure is the best of this many passes: what the machine does besides only ever makes them slower.
const PASSES: usize = 15;

fn tag(input: &mut Vec<u8>, kind: u8, timestamp: u32, prefix: &[u8], size: usize) {
    let length = u32::try_from(size).expect("the bodies here are small");
    let [upper, time @ ..] = timestamp.to_be_bytes();
    input.push(kind);
    input.extend(&length.to_be_bytes()[1..]);
    input.extend(time);
    input.extend([upper, 0, 0, 0]);
    let body = input.len();
    input.extend(prefix);
    input.resize(body + size, 0x5a);
    input.extend((length + 11).to_be_bytes());
}

fn input() -> Vec<u8> {
    let mut input = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    tag(&mut input, 9, 0, b"\x17\0\0\0\0", 43);
    tag(&mut input, 8, 0, &[0xaf, 0, 0x12, 0x10], 4);
    for second in 0..SECONDS {
        for frame in 0..43 {
            let picture = frame * 25 / 43;
            if (frame * 25) % 43 < 25 {
                let flags = if picture == 0 { 0x17 } else { 0x27 };
                tag(&mut input, 9, second * 1000 + picture * 40, &[flags, 1, 0, 0, 0], 20_000);
            }
            tag(&mut input, 8, second * 1000 + frame * 1000 / 43, &[0xaf, 1], 200);
        }
    }
    input
}

fn best(mut pass: impl FnMut()) -> Duration {
    let time = |()| {
        let start = Instant::now();
        pass();
        start.elapsed()
    };
    std::iter::repeat_n((), PASSES).map(time).min().expect("there are passes")
}

fn figure(name: &str, bytes: usize, time: Duration) {
    println!("figure {name} {:.2} GB/s", bytes as f64 / time.as_secs_f64() / 1e9);
}

fn main() {
    let input = input();
    let mut frames = 0;
    let mut parse = |piece: usize| {
        best(|| {
            let mut parser = Parser::new();
            black_box(&input).chunks(piece).for_each(|piece| parser.push(black_box(piece)));
            frames = parser.report().video.frames;
        })
    };
    let small = parse(1448);
    let large = parse(64 * 1024);
    assert_eq!(frames, u64::from(SECONDS) * 25, "the input is read as it was meant");
    let hash = best(|| {
        let mut hasher = blake3::Hasher::new();
        black_box(&input).chunks(64 * 1024).for_each(|piece| {
            hasher.update(piece);
        });
        black_box(hasher.finalize());
    });
    println!("{} bytes, best of {PASSES} passes, one thread", input.len());
    figure("flv/parse-1448B", input.len(), small);
    figure("flv/parse-64KiB", input.len(), large);
    figure("flv/blake3-64KiB", input.len(), hash);
}
