//! How fast the FLV parser is, beside BLAKE3, which sees the same bytes: `cargo bench --bench flv`.
//!
//! The input is a camera's usual minute and a half: 25 pictures of 20 kB and 43 AAC frames of 200 bytes a second. One
//! thread; the figures, printed last, are medians.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use archive::flv::Parser;
use criterion::{Criterion, Throughput};

const SECONDS: u32 = 90;
const GROUP: &str = "flv";

/// What is parsed, by the pieces that it comes in: an Ethernet packet's payload, and a large read.
const PARSED: [(&str, usize); 2] = [("parse-1448B", 1448), ("parse-64KiB", 64 << 10)];
/// What is hashed: a large read, and what is gathered of small ones.
const HASHED: [(&str, usize); 2] = [("blake3-64KiB", 64 << 10), ("blake3-256KiB", 256 << 10)];

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

/// Where criterion keeps what it measured, to compare the next time with.
fn measured() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion")
}

/// The median of what criterion has just measured, in GB/s.
fn rate(name: &str, bytes: usize) -> Result<f64, Box<dyn Error>> {
    let estimates = measured().join(GROUP).join(name).join("new").join("estimates.json");
    let estimates: serde_json::Value = serde_json::from_slice(&fs::read(estimates)?)?;
    let nanoseconds = estimates["median"]["point_estimate"].as_f64().ok_or("criterion gave no median")?;
    Ok(bytes as f64 / nanoseconds)
}

fn parse(input: &[u8], piece: usize) -> u64 {
    let mut parser = Parser::new();
    input.chunks(piece).for_each(|piece| parser.push(piece));
    parser.report().video.frames
}

fn hash(input: &[u8], piece: usize) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for piece in input.chunks(piece) {
        hasher.update(piece);
    }
    hasher.finalize()
}

fn main() -> Result<(), Box<dyn Error>> {
    let input = input();
    assert_eq!(parse(&input, 1448), u64::from(SECONDS) * 25, "the input is read as it was meant");
    let mut criterion = Criterion::default().output_directory(&measured()).configure_from_args();
    let mut group = criterion.benchmark_group(GROUP);
    group.throughput(Throughput::Bytes(input.len() as u64));
    for (name, piece) in PARSED {
        group.bench_function(name, |bencher| bencher.iter(|| parse(black_box(&input), piece)));
    }
    for (name, piece) in HASHED {
        group.bench_function(name, |bencher| bencher.iter(|| hash(black_box(&input), piece)));
    }
    group.finish();
    for (name, _) in PARSED.iter().chain(&HASHED) {
        println!("figure {GROUP}/{name} {:.2} GB/s", rate(name, input.len())?);
    }
    Ok(())
}
