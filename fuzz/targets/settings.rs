//! Hands what libFuzzer makes up to the properties in `src/settings.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| archive_fuzz::settings::holds(input));
