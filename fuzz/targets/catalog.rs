//! Hands what libFuzzer makes up to the properties in `src/catalog.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| archive_fuzz::catalog::holds(input));
