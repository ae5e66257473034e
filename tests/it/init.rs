//! `archive init`: a first file of jobs that a run reads as it is meant, whatever the cameras are called.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use archive::settings::Settings;
use archive::sim::Config;
use archive::sim::config::{CameraConfig, NvrConfig, StoreConfig};
use serde_json::Value;

use crate::support::{Place, SECRET, code, ended, stderr, stdout};

async fn run(mut command: Command) -> Output {
    ended(command.spawn().expect("the program starts")).await
}

/// What would end a text, a line or a comment, or pass for a section.
const HOSTILE: [&str; 6] = [
    "\"]\n[platform]\nurl = \"http://evil.example/\"",
    "a\\",
    "'''",
    "# \"\"\" \r\n[[job]]",
    "\u{1b}[2J\u{202e}\u{2028}\u{85}\u{7f}",
    "门店 \\u0041 \"",
];

/// So many stores, each with a recorder of four cameras; all of them are called something.
fn chain(stores: i64, name: impl Fn(i64) -> String) -> Config {
    let camera = |id| CameraConfig { id, name: name(id), ..CameraConfig::default() };
    let store = |id: i64| StoreConfig {
        id,
        name: name(id),
        nvrs: vec![NvrConfig {
            id: format!("nvr {id} {}", name(id)),
            cameras: (0..4).map(|index| camera(id * 10 + index)).collect(),
            ..NvrConfig::default()
        }],
        ..StoreConfig::default()
    };
    Config { stores: (1..=stores).map(store).collect(), ..Config::default() }
}

fn read(place: &Place, name: &str) -> (String, Settings) {
    let text = std::fs::read_to_string(place.path().join(name)).expect("it was written");
    let settings = Settings::of_text(name, &text).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
    (text, settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_cameras_are_in_it_by_their_recorders_whatever_they_are_called() {
    let name = |id: i64| HOSTILE[usize::try_from(id).expect("not negative") % HOSTILE.len()].to_owned();
    let place = Place::new(chain(250, name)).await;
    let output = run(place.archive(&["init"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("wrote jobs.toml: 1000 cameras on 250 NVRs\n"), "{}", stdout(&output));
    let (text, settings) = read(&place, "jobs.toml");
    assert_eq!((settings.nvrs.len(), settings.jobs.len()), (250, 1));
    let expected: BTreeSet<i64> = (1..=250).flat_map(|store| (0..4).map(move |index| store * 10 + index)).collect();
    let devices = |devices: &BTreeSet<archive::device::DeviceId>| devices.iter().map(|device| device.get()).collect();
    let of_job: BTreeSet<i64> = devices(&settings.jobs[0].devices);
    assert_eq!(of_job, expected);
    for (nvr, store) in settings.nvrs.iter().zip(1i64..) {
        let of_nvr: BTreeSet<i64> = devices(&nvr.devices);
        assert_eq!(of_nvr, (0..4).map(|index| store * 10 + index).collect::<BTreeSet<_>>());
        assert_eq!(nvr.store.as_deref(), Some(store.to_string().as_str()));
    }
    assert_eq!(settings.platform.url.as_str(), place.platform.url());
    assert!(!text.contains(SECRET) && !text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(!place.root().exists(), "nothing but the file is made");

    // It stays as it is.
    let again = run(place.archive(&["init"])).await;
    assert_eq!(code(&again), 2);
    assert!(stderr(&again).contains("-o"), "{}", stderr(&again));
    assert_eq!(read(&place, "jobs.toml").0, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ledger_knows_makes_the_same_file_without_a_call() {
    let place = Place::new(chain(2, |id| format!("till {id}"))).await;
    let unknown = run(place.archive(&["init", "--from-ledger"])).await;
    assert_eq!(code(&unknown), 1, "there is no ledger: {}", stderr(&unknown));
    assert_eq!(code(&run(place.archive(&["devices", "--refresh"])).await), 0);
    assert_eq!(code(&run(place.archive(&["init", "-o", "asked.toml"])).await), 0);
    let before = place.platform.calls().len();
    let mut offline = place.archive(&["init", "--from-ledger", "-o", "known.toml", "--json"]);
    offline.env_remove("ARCHIVE_SECRET");
    let output = run(offline).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let written: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&written["cameras"], &written["nvrs"], &written["alone"]), (&8.into(), &2.into(), &0.into()));
    assert_eq!(place.platform.calls().len(), before);
    let (asked, known) = (read(&place, "asked.toml"), read(&place, "known.toml"));
    assert_eq!((asked.1.nvrs, asked.1.jobs), (known.1.nvrs, known.1.jobs));
    assert!(asked.0.contains("# 11  till 11\n") && asked.0.contains("store = \"1\"  # till 1\n"), "{}", asked.0);

    // A run reads it.
    let plan = run(place.archive(&["plan", "asked.toml", "--json"])).await;
    assert_eq!(code(&plan), 0, "{}", stderr(&plan));
}
