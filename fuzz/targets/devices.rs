//! Hands what libFuzzer makes up to the properties in `src/devices.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| archive_fuzz::devices::holds(input));
