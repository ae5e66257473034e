//! `jobs.toml`: any text is settings, or mistakes with their places.

use std::collections::BTreeSet;

use archive::settings::{Place, Remark, Settings};

/// The input is the file's text.
pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let read = Settings::of_text("jobs.toml", text);
    match &read {
        Ok(settings) => {
            assert!(settings.warnings.iter().all(|remark| exists(remark, text)), "{:?}", settings.warnings);
            agree(settings);
        }
        Err(errors) => {
            let mistakes = errors.mistakes();
            assert!(!mistakes.is_empty() && mistakes.is_sorted_by_key(|mistake| mistake.place.clone()), "{mistakes:?}");
            assert!(mistakes.iter().all(|remark| exists(remark, text) && !remark.text.is_empty()), "{mistakes:?}");
        }
    }
    // A line more before everything: the same, a line further down. A byte order mark is one only at the very beginning.
    if !text.starts_with('\u{feff}') {
        let moved = Settings::of_text("jobs.toml", &format!("# a line more\n{text}"));
        match (read, moved) {
            (Ok(settings), Ok(moved)) => {
                let [one, other] = [&settings, &moved].map(|settings| {
                    let settings = Settings { warnings: Vec::new(), ..settings.clone() };
                    format!("{settings:?}")
                });
                assert_eq!(one, other);
                assert_eq!(below(&settings.warnings), moved.warnings);
            }
            (Err(errors), Err(moved)) => assert_eq!(below(errors.mistakes()), moved.mistakes()),
            (one, other) => panic!("{one:?} became {other:?}"),
        }
    }
}

/// Whether its place is one in the text.
fn exists(remark: &Remark, text: &str) -> bool {
    match &remark.place {
        Place::File { file, line, column } => {
            let written = line.checked_sub(1).and_then(|before| text.split('\n').nth(before));
            &**file == "jobs.toml"
                && *column > 0
                && written.is_some_and(|written| *column <= written.chars().count() + 1)
        }
        Place::Nowhere => true,
        Place::Flag(_) | Place::Environment(_) => false,
    }
}

fn below(remarks: &[Remark]) -> Vec<Remark> {
    let moved = |remark: &Remark| match &remark.place {
        Place::File { file, line, column } => {
            let place = Place::File { file: file.clone(), line: line + 1, column: *column };
            Remark { place, text: remark.text.clone() }
        }
        _ => remark.clone(),
    };
    remarks.iter().map(moved).collect()
}

/// What the rest of the program relies on.
fn agree(settings: &Settings) {
    let (archive, platform, retry) = (&settings.archive, &settings.platform, &settings.retry);
    assert!(archive.streams > 0 && archive.per_nvr > 0 && archive.tolerance.as_secs() < 60, "{archive:?}");
    assert!(platform.calls_per_second.is_finite() && platform.calls_per_second > 0.0, "{platform:?}");
    assert!(["http", "https"].contains(&platform.url.scheme()) && platform.url.has_host(), "{platform:?}");
    assert!(platform.url.username().is_empty() && platform.url.password().is_none(), "{platform:?}");
    assert!(retry.first_delay <= retry.max_delay && retry.attempts > 0 && retry.busy_attempts > 0, "{retry:?}");
    assert!(retry.refused_share > 0.0 && retry.refused_share <= 1.0, "{retry:?}");

    let names = settings.jobs.iter().map(|job| &job.name).chain(settings.live_jobs.iter().map(|job| &job.name));
    let names: Vec<&String> = names.collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name is taken twice: {names:?}");
    assert!(settings.jobs.iter().all(|job| !job.devices.is_empty()), "{:?}", settings.jobs);
    let live = settings.live_jobs.iter().map(|job| job.devices.len()).sum::<usize>();
    let cameras: BTreeSet<_> = settings.live_jobs.iter().flat_map(|job| &job.devices).collect();
    assert_eq!(cameras.len(), live, "a camera is recorded live once");
    let map = settings.nvr_map();
    for nvr in &settings.nvrs {
        assert!(!nvr.devices.is_empty(), "{nvr:?}");
        assert!(nvr.devices.iter().all(|device| map.known(*device) == Some(&nvr.name)), "{nvr:?}");
    }
}
