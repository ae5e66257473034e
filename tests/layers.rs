//! Holds the map of `src/lib.rs`: imports point up its list, never down, and never sideways between adapters.
//!
//! The map is read from the crate's own documentation, so that what a newcomer reads is what is held. A module's place
//! in it is also an order: what may use only what stands above it can have no cycle.

#[path = "layers/map.rs"]
mod map;
#[path = "layers/paths.rs"]
mod paths;
#[path = "layers/tokens.rs"]
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};

use map::Map;

/// Lines a file may have, its own tests included; a `tests.rs` is a file of its own.
const LONGEST_FILE: usize = 600;
/// Lines `main.rs` may have: arguments in, exit code out.
const LONGEST_MAIN: usize = 40;

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of Rust below the folder, by its name below it, with its text.
fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("the sources can be listed") {
            let path = entry.expect("the sources can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).expect("it was found there").display().to_string();
                files.push((name, fs::read_to_string(&path).expect("sources are text")));
            }
        }
    }
    files.sort();
    assert!(files.len() > 30, "only {} files were found below {}", files.len(), folder.display());
    files
}

fn library() -> String {
    fs::read_to_string(source_folder().join("lib.rs")).expect("the library's root can be read")
}

fn assert_none(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "{} broken rules:\n{}", mistakes.len(), mistakes.join("\n"));
}

#[test]
fn imports_point_up_the_map() {
    let map = Map::of_library(&library()).expect("lib.rs has the map");
    let files = rust_files(&source_folder());
    let mistakes: Vec<String> = files.iter().flat_map(|(name, text)| mistakes_in(&map, name, text)).collect();
    assert_none(&mistakes);
}

#[test]
fn the_map_and_the_modules_are_the_same() {
    let map = Map::of_library(&library()).expect("lib.rs has the map");
    let declared = map::declared_modules(&library());
    let mut mistakes = Vec::new();
    for module in &declared {
        if !map.knows(module) {
            mistakes.push(format!("src/lib.rs: module {module} has no layer; put it into the map"));
        }
    }
    for module in map.modules() {
        if !declared.iter().any(|name| name == module) {
            mistakes.push(format!("src/lib.rs: the map names {module}, and there is no such module"));
        }
    }
    for (name, _) in rust_files(&source_folder()) {
        let module = module_of(&name);
        if !["lib", "main"].contains(&module) && !map.knows(module) {
            mistakes.push(format!("src/{name}: belongs to no module of the map"));
        }
    }
    assert_none(&mistakes);
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let mistakes: Vec<String> =
        rust_files(&source_folder()).iter().flat_map(|(name, text)| untidy(name, text)).collect();
    assert_none(&mistakes);
}

/// The attribute is for readers; the package's own setting holds it for tests and benches too.
#[test]
fn no_code_is_unsafe() {
    for root in ["lib.rs", "main.rs"] {
        let text = fs::read_to_string(source_folder().join(root)).expect("a root can be read");
        assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "src/{root}");
    }
    let package = fs::read_to_string(source_folder().join("../Cargo.toml")).expect("the package can be read");
    assert!(package.contains("\nunsafe_code = \"forbid\"\n"), "Cargo.toml");
}

/// The module that a file belongs to: the first part of its name.
fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// What a file uses although its place forbids it, each with file, line and rule.
fn mistakes_in(map: &Map, file: &str, text: &str) -> Vec<String> {
    let module = module_of(file);
    // The library's root only lists its modules.
    if module == "lib" {
        return Vec::new();
    }
    // `src/a.rs` is one step below the root, `src/a/b.rs` two.
    let depth = if module == "main" { 0 } else { file.split('/').count() };
    let refuse = |used: &paths::Used| {
        let rule = map.refusal(module, &used.path)?;
        Some(format!("src/{file}:{}: {module} uses {}: {rule}", used.line, used.path.join("::")))
    };
    paths::used(text, depth).iter().filter_map(refuse).collect()
}

fn untidy(file: &str, text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !text.starts_with("//!") {
        mistakes.push(format!("src/{file}:1: open the file with //! and what it is for"));
    }
    if file.ends_with("/mod.rs") {
        mistakes.push(format!("src/{file}: a module's file has the module's name, never mod.rs"));
    }
    let longest = if file == "main.rs" { LONGEST_MAIN } else { LONGEST_FILE };
    let lines = text.lines().count();
    if lines > longest {
        mistakes.push(format!("src/{file}: {lines} lines; split it, {longest} is the most"));
    }
    mistakes
}

/// The checker itself: what breaks a rule is found, in every way of writing it, and nothing else is.
mod the_checker {
    use super::*;

    const LIBRARY: &str = "\
//! | layer | modules | what they may do |
//! |---|---|---|
//! | words | [`time_range`], [`window`] | plain values |
//! | decisions | [`plan`], [`judge`] | pure |
//! | adapters | [`platform`], [`vault`] | one resource each |
//! | assembly | [`run`], [`sim`] | join |
//! | surface | [`cli`], [`commands`] | arguments |
pub mod cli;
mod commands;
pub mod judge;
";

    fn mistakes(file: &str, text: &str) -> Vec<String> {
        mistakes_in(&Map::of_library(LIBRARY).expect("it has the map"), file, text)
    }

    #[track_caller]
    fn assert_refused(file: &str, text: &str, place: &str, rule: &str) {
        let found = mistakes(file, text);
        let expected = found.len() == 1 && found[0].starts_with(place) && found[0].contains(rule);
        assert!(expected, "expected one mistake at {place} that says {rule:?}, got {found:?}");
    }

    #[test]
    fn what_stands_above_may_be_used() {
        let text = "use crate::{time_range::{TimeRange, UtcSecond}, window};\nuse crate::vault::Vault;\nfn f() {}";
        assert_eq!(mistakes("run/clock.rs", text), Vec::<String>::new());
        assert_eq!(mistakes("judge.rs", "use crate::plan::Plan;"), Vec::<String>::new());
        assert_eq!(mistakes("plan.rs", "use crate::plan::inner::X;"), Vec::<String>::new());
        assert_eq!(mistakes("main.rs", "use archive::cli::Cli;"), Vec::<String>::new());
    }

    #[test]
    fn comments_texts_and_visibilities_are_no_imports() {
        let text =
            "//! See [`crate::run`].\n/* crate::cli */ pub(crate) fn f() -> &'static str { \"crate::vault::X\" }";
        assert_eq!(mistakes("plan.rs", text), Vec::<String>::new());
    }

    #[test]
    fn an_import_that_points_down_is_refused() {
        assert_refused("plan.rs", "//! Plan.\n\nuse crate::vault::Vault;", "src/plan.rs:3:", "point up");
        assert_refused("window.rs", "use crate::commands;", "src/window.rs:1:", "point up");
    }

    #[test]
    fn an_import_against_the_order_within_a_layer_is_refused() {
        assert_refused("plan.rs", "use crate::judge::Judgement;", "src/plan.rs:1:", "point up");
        assert_refused("cli.rs", "use crate::commands::dispatch;", "src/cli.rs:1:", "point up");
    }

    #[test]
    fn adapters_never_use_each_other() {
        assert_refused("vault/name.rs", "use crate::platform::wire;", "src/vault/name.rs:1:", "never use each other");
        assert_refused("platform.rs", "\nuse crate::vault::name;", "src/platform.rs:2:", "never use each other");
    }

    #[test]
    fn a_path_in_a_body_counts() {
        let text = "fn f() {\n    let x = if true { [crate::run::go()] } else { [] };\n}";
        assert_refused("plan.rs", text, "src/plan.rs:2:", "point up");
        assert_refused("plan.rs", "fn f() { println!(\"{}\", crate::vault::X); }", "src/plan.rs:1:", "point up");
    }

    #[test]
    fn a_grouped_import_counts() {
        let text = "use crate::{\n    window::Window,\n    vault::{name, Vault},\n};";
        // Once for each thing that is imported from where it may not be.
        let found = mistakes("plan.rs", text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|mistake| mistake.starts_with("src/plan.rs:3:")), "{found:?}");
        assert_refused("plan.rs", "use {crate::vault, std::fs};", "src/plan.rs:1:", "point up");
    }

    #[test]
    fn a_way_around_through_super_counts() {
        assert_refused("plan.rs", "use super::vault::Vault;", "src/plan.rs:1:", "point up");
        assert_refused("plan/part.rs", "use super::super::run;", "src/plan/part.rs:1:", "point up");
        assert_refused("plan.rs", "mod tests { use super::super::run; }", "src/plan.rs:1:", "point up");
        assert_eq!(mistakes("plan.rs", "mod tests { use super::run; }"), Vec::<String>::new());
        assert_eq!(mistakes("plan/part.rs", "use super::run;"), Vec::<String>::new());
    }

    #[test]
    fn everything_at_once_cannot_be_imported() {
        assert_refused("run.rs", "use crate::*;", "src/run.rs:1:", "no module of the map");
        assert_refused("run.rs", "use crate::{self as all};", "src/run.rs:1:", "no module of the map");
        assert_refused("run.rs", "use crate::unheard_of::X;", "src/run.rs:1:", "no module of the map");
    }

    #[test]
    fn the_simulated_platform_shares_words_and_wire_and_no_more() {
        assert_eq!(mistakes("sim/a.rs", "use crate::{platform::wire::STAT, window::Window};"), Vec::<String>::new());
        for used in ["platform::client::Client", "platform", "platform::{self, wire}", "vault::Vault", "judge", "run"] {
            assert_refused("sim.rs", &format!("use crate::{used};"), "src/sim.rs:1:", "platform::wire");
        }
    }

    #[test]
    fn a_map_that_does_not_add_up_is_no_map() {
        let without = |line: &str| LIBRARY.lines().filter(|l| !l.contains(line)).collect::<Vec<_>>().join("\n");
        assert!(Map::of_library(&without("adapters")).is_err());
        assert!(Map::of_library(&LIBRARY.replace("[`vault`]", "[`plan`]")).is_err());
        assert_eq!(map::declared_modules(LIBRARY), ["cli", "commands", "judge"]);
    }

    #[test]
    fn untidy_files_are_found() {
        assert!(untidy("plan.rs", "//! Plan.\n").is_empty());
        assert_eq!(untidy("plan.rs", "// Plan.\n").len(), 1);
        assert_eq!(untidy("plan/mod.rs", "//! Plan.\n").len(), 1);
        assert_eq!(untidy("plan.rs", &"//!\n".repeat(LONGEST_FILE + 1)).len(), 1);
        assert_eq!(untidy("main.rs", &"//!\n".repeat(LONGEST_MAIN + 1)).len(), 1);
    }
}
