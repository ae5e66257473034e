//! The properties that the fuzz targets hold, on their seeds: what a fuzzer once found among them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// A target's name, and what holds of any input of its.
type Property = (&'static str, fn(&[u8]));

const TARGETS: [Property; 11] = [
    ("amf", properties::amf::holds),
    ("answers", properties::answers::holds),
    ("catalog", properties::catalog::holds),
    ("containers", properties::containers::holds),
    ("cutter", properties::cutter::holds),
    ("devices", properties::devices::holds),
    ("flv", properties::flv::holds),
    ("names", properties::names::holds),
    ("playlists", properties::playlists::holds),
    ("settings", properties::settings::holds),
    ("times", properties::times::holds),
];

fn fuzz_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
}

/// The files of a folder below `fuzz/` by their names, with what is in them.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz_folder().join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("the folder can be listed").path());
    paths.map(|path| (path.display().to_string(), fs::read(&path).expect("a file in it"))).collect()
}

#[test]
fn every_property_holds_of_its_seeds_and_of_what_is_left_of_them() {
    for (target, holds) in TARGETS {
        let seeds = files(&format!("seeds/{target}"));
        assert!(seeds.len() >= 5, "{target} has few seeds");
        for (name, seed) in seeds {
            assert!(seed.len() <= 8_192, "{name} is large for a seed");
            for length in [seed.len(), seed.len() / 2, seed.len().saturating_sub(1)] {
                // Which seed it was is in the panic's own output.
                println!("{name}, {length} bytes");
                holds(&seed[..length]);
            }
        }
    }
}

#[test]
fn every_fuzz_target_is_tested_here() {
    let tested: BTreeSet<String> = TARGETS.iter().map(|(target, _)| format!("{target}.rs")).collect();
    let names = |folder| -> BTreeSet<String> {
        let names = files(folder).into_iter().map(|(path, _)| path);
        names.filter_map(|path| Some(path.rsplit('/').next()?.to_owned())).collect()
    };
    assert_eq!(names("targets"), tested);
    let dictionaries: BTreeSet<String> = TARGETS.iter().map(|(target, _)| format!("{target}.dict")).collect();
    assert_eq!(names("dictionaries"), dictionaries);
}
