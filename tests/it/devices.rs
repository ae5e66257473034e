//! The device list, and which NVR serves a device: the settings first, then the platform's list, then media URLs.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use archive::device::NvrId;
use archive::ledger::Ledger;
use archive::platform::wire::method;
use archive::sim::config::{CameraConfig, Hidden, LoginConfig, NvrConfig, StoreConfig};
use archive::sim::{Config, Scripted, Speed};
use serde_json::{Value, json};

use crate::support::{Place, SECRET, code, ended, fleet, range, stderr, stdout, until, yesterday};

async fn run(mut command: Command) -> Output {
    ended(command.spawn().expect("the program starts")).await
}

/// Runs a command that must end well; what it prints as JSON.
async fn answer(command: Command) -> Value {
    let output = run(command).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(&output)))
}

/// (device, NVR, known from) of each line of `archive devices --json`.
async fn nvrs(place: &Place) -> Vec<(i64, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let lines = answer(place.archive(&["devices", "--json"])).await;
    let lines = lines.as_array().expect("a list").iter();
    lines
        .map(|line| (line["device"].as_i64().expect("a number"), text(&line["nvr"]), text(&line["known_from"])))
        .collect()
}

fn known(device: i64, nvr: &str, from: &str) -> (i64, String, String) {
    (device, nvr.to_owned(), from.to_owned())
}

/// So many stores from 1 on, each with a recorder of these many cameras: store 3's are 30, 31, ….
fn chain(stores: i64, cameras: i64) -> Config {
    let camera = |id| CameraConfig { id, ..CameraConfig::default() };
    let store = |id: i64| StoreConfig {
        id,
        name: format!("branch {id}"),
        nvrs: vec![NvrConfig {
            id: format!("puid-{id}"),
            cameras: (0..cameras).map(|index| camera(id * 10 + index)).collect(),
            ..NvrConfig::default()
        }],
        ..StoreConfig::default()
    };
    Config { stores: (1..=stores).map(store).collect(), ..Config::default() }
}

fn calls(place: &Place, method: &str) -> usize {
    place.platform.calls().iter().filter(|call| call.method == method && call.stat == Some(0)).count()
}

fn set(place: &Place, statement: &str) {
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    ledger.execute_batch(statement).expect("the statement is right");
}

fn scripted(data: Value) -> Scripted {
    Scripted::Http(200, json!({ "stat": { "code": 0 }, "data": data }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_asks_for_every_page_and_every_store_and_keeps_the_answer() {
    let login = LoginConfig { user: "night".into(), password: Hidden::new("pw"), token_life: "1h".parse().unwrap() };
    let mut config = Config { login: Some(login), ..chain(203, 2) };
    config.stores[0].nvrs[0].cameras[1].name = "till \u{1b}[2J门".into();
    let place = Place::with_settings(config, "[platform.login]\nuser = \"night\"\n").await;
    let mut refresh = place.archive(&["devices", "--refresh", "--json"]);
    refresh.env("ARCHIVE_PASSWORD", "pw");
    let lines = answer(refresh).await;
    assert_eq!(lines.as_array().map(Vec::len), Some(406));
    assert_eq!((calls(&place, method::STORES), calls(&place, method::DEVICE_LIST)), (3, 203));
    assert_eq!(calls(&place, method::MOBILE_LOGIN), 1);
    let expected = json!({
        "device": 11, "name": "till \\u{1b}[2J门", "store_number": 1, "store": "branch 1", "nvr": "puid-1",
        "known_from": "list", "channel": 2, "online": true, "zone": "Asia/Shanghai", "asked": false,
        "seen": lines[1]["seen"],
    });
    assert_eq!(lines[1], expected);
    assert!(lines[1]["seen"].as_i64().is_some_and(|seen| seen > yesterday().get()), "{}", lines[1]);
    let order: Vec<_> = lines.as_array().into_iter().flatten().filter_map(|line| line["device"].as_i64()).collect();
    assert!(order.is_sorted(), "store by store, channel by channel");

    // From now on it is known without a call.
    let before = place.platform.calls().len();
    assert_eq!(answer(place.archive(&["devices", "--json"])).await, lines);
    let text = stdout(&run(place.archive(&["devices", "--store", "1"])).await);
    assert!(text.contains("2 devices on 1 NVR\n") && text.contains("1 branch 1"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(place.platform.calls().len(), before);

    // Without the login the same platform refuses, and nothing is lost.
    let alone = place.path().join("alone.toml");
    std::fs::write(&alone, "[retry]\nfirst_delay = \"10ms\"\n").expect("a file can be written");
    let mut refused = place.archive(&["devices", "--refresh", "--store", "1"]);
    refused.env("ARCHIVE_CONFIG", alone);
    let refused = run(refused).await;
    assert_eq!(code(&refused), 4, "{}", stderr(&refused));
    assert!(
        stderr(&refused).contains("[platform.login]") && stderr(&refused).contains("store 1"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(answer(place.archive(&["devices", "--json"])).await, lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_store_is_asked_for_alone_and_shown_alone() {
    let place = Place::new(chain(3, 2)).await;
    let lines = answer(place.archive(&["devices", "--refresh", "--store", "2", "--json"])).await;
    let devices: Vec<_> = lines.as_array().into_iter().flatten().map(|line| &line["device"]).collect();
    assert_eq!(devices, [20, 21]);
    assert_eq!((calls(&place, method::STORES), calls(&place, method::DEVICE_LIST)), (0, 1));
    assert_eq!(place.read_ledger().devices().await.expect("the ledger answers").len(), 2);
    answer(place.archive(&["devices", "--refresh", "--json"])).await;
    assert_eq!(answer(place.archive(&["devices", "--store", "2", "--json"])).await.as_array().map(Vec::len), Some(2));
    // A store that is none.
    let output = run(place.archive(&["devices", "--refresh", "--store", "9"])).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no camera of store 9"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_it_is_said_how_to_get_one() {
    let place = Place::new(chain(1, 1)).await;
    let output = run(place.archive(&["devices"])).await;
    assert_eq!(code(&output), 1);
    let said = stderr(&output);
    assert!(said.contains("archive devices --refresh") && said.contains("there is no ledger at"), "{said}");
    assert!(!place.root().exists(), "a question makes nothing");
    std::fs::create_dir_all(place.root()).expect("a folder can be made");
    drop(Ledger::open(place.ledger_path()).expect("a new ledger"));
    let output = run(place.archive(&["devices"])).await;
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("archive devices --refresh"), "{}", stdout(&output));
    // Asking needs an account.
    let mut command = place.archive(&["devices", "--refresh"]);
    command.env_remove("ARCHIVE_SECRET");
    assert_eq!(code(&run(command).await), 2);
    let mut command = place.archive(&["devices", "--refresh"]);
    command.env("ARCHIVE_SECRET", "another");
    let output = run(command).await;
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("check the secret") && !stderr(&output).contains(SECRET), "{}", stderr(&output));
    assert_eq!(place.platform.calls().len(), 1, "a refused account is not asked with again");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_cannot_be_read_are_counted_and_cost_themselves_alone() {
    let place = Place::new(chain(2, 2)).await;
    let rows = json!([{ "id": 1, "name": "branch 1" }, { "name": "nameless" }, { "id": "2" }]);
    place.platform.script_method(method::STORES, [scripted(json!({ "total": "3", "rows": rows }))]);
    let devices = json!([{ "id": "10", "puid": 5, "online": "yes" }, null, { "id": {} }, { "id": 11, "name": [] }]);
    place.platform.script_method(method::DEVICE_LIST, [scripted(json!({ "list": [{ "devices": devices }] }))]);
    let output = run(place.archive(&["devices", "--refresh", "--json"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("3 entries of the platform's list could not be read"), "{}", stderr(&output));
    let expected = [
        known(11, "device 11", "unknown"),
        known(10, "5", "list"),
        known(20, "puid-2", "list"),
        known(21, "puid-2", "list"),
    ];
    let mut found = nvrs(&place).await;
    found.sort_by_key(|(device, ..)| expected.iter().position(|(known, ..)| known == device));
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_stores_that_never_ends_is_an_error() {
    let place = Place::new(chain(1, 1)).await;
    let page = |number: i64| scripted(json!({ "rows": [{ "id": number }] }));
    place.platform.script_method(method::STORES, (1..=1100).map(page));
    let output = run(place.archive(&["devices", "--refresh"])).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("something new on page 1000"), "{}", stderr(&output));
    assert!(!place.root().exists());
}

/// A proxy that is being restarted costs two calls, a platform that stays away a store; what came before it is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_and_then_names_its_store() {
    let place = Place::new(chain(3, 1)).await;
    let bad = || Scripted::Http(502, "<html>bad gateway</html>".into());
    place.platform.script_method(method::STORES, [bad(), bad()]);
    place.platform.script_method(method::DEVICE_LIST, [bad(), Scripted::AsIs, bad(), bad(), bad(), bad()]);
    let output = run(place.archive(&["devices", "--refresh"])).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("store 2 (branch 2)") && said.contains("HTTP 502"), "{said}");
    assert!(said.contains("the cameras of 1 store before it are kept"), "{said}");
    assert_eq!(nvrs(&place).await, [known(10, "puid-1", "list")]);

    // A store that the user may not list costs itself alone.
    place.platform.script_method(method::DEVICE_LIST, [Scripted::AsIs, Scripted::Stat(103_064)]);
    let output = run(place.archive(&["devices", "--refresh"])).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("store 2 (branch 2) is left out"), "{}", stderr(&output));
    assert!(stdout(&output).contains("puid-3"), "{}", stdout(&output));
    assert_eq!(nvrs(&place).await, [known(10, "puid-1", "list"), known(30, "puid-3", "list")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_is_listed_no_more_keeps_its_row_and_when_it_was_seen() {
    let place = Place::new(chain(1, 2)).await;
    answer(place.archive(&["devices", "--refresh", "--json"])).await;
    set(&place, "UPDATE device SET seen = 1000");
    let devices = json!([{ "id": 10, "puid": "moved", "online": 0 }]);
    place.platform.script_method(method::DEVICE_LIST, [scripted(json!({ "list": [{ "devices": devices }] }))]);
    let lines = answer(place.archive(&["devices", "--refresh", "--json"])).await;
    let line = |number: i64| {
        let line = lines.as_array().into_iter().flatten().find(|line| line["device"] == number).expect("it has a line");
        (line["nvr"].as_str(), line["online"].as_bool(), line["seen"].as_i64() == Some(1000))
    };
    assert_eq!(line(10), (Some("moved"), Some(false), false));
    assert_eq!(line(11), (Some("puid-1"), Some(true), true));
}

/// A refresh beside a run: nobody waits, nobody is refused, and the run keeps the NVRs that it began with.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_goes_on_beside_a_run() {
    let place = Place::new(Config { speed: Speed::Times(300.0), ..fleet(&[(1, &[1])]) }).await;
    let first = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
    until("the run streams", || !place.platform.media().is_empty()).await;
    answer(place.archive(&["devices", "--refresh", "--json"])).await;
    let output = ended(first).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    place.assert_true(&[1]).await;
    assert_eq!(nvrs(&place).await, [known(1, "nvr-0", "list")]);
    let limits = place.read_ledger().learned_limits().await.expect("the ledger answers");
    assert_eq!(limits.into_keys().collect::<Vec<_>>(), [NvrId::new("device 1")]);
}

/// Two cameras of a recorder with one channel, which only the list names.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_keeps_to_the_nvrs_of_the_list() {
    let place = Place::new(Config { speed: Speed::Times(3000.0), ..fleet(&[(1, &[1, 2]), (4, &[3])]) }).await;
    answer(place.archive(&["devices", "--refresh", "--json"])).await;
    let output = run(place.fetch("1-3", range(yesterday(), 1800))).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!stderr(&output).contains("nobody knows"), "{}", stderr(&output));
    let open = place.platform.max_open_per_nvr();
    assert_eq!(open[&NvrId::new("nvr-0")], 1);
    // One recorder was learned of, not two cameras.
    let limits = place.read_ledger().learned_limits().await.expect("the ledger answers");
    let limits: BTreeMap<_, _> = limits.into_iter().map(|(nvr, learned)| (nvr.to_string(), learned.limit)).collect();
    assert_eq!((limits.keys().map(String::as_str).collect::<Vec<_>>(), limits["nvr-0"]), (vec!["nvr-0", "nvr-1"], 1));
    place.assert_true(&[1, 2, 3]).await;
}

/// Whichever of the two addresses in a media URL is the recorder's.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_a_run_learns_from_media_urls_and_the_next_one_knows() {
    for camera_mac_first in [false, true] {
        let place = Place::new(Config { camera_mac_first, ..fleet(&[(4, &[1, 2]), (4, &[3])]) }).await;
        let first = run(place.fetch("1-3", range(yesterday(), 1200))).await;
        assert_eq!(code(&first), 0, "{}", stderr(&first));
        assert!(stderr(&first).contains("nobody knows which NVR serves 3 devices"), "{}", stderr(&first));
        assert!(stderr(&first).contains("device 2 hangs off nvr mac 02:"), "{}", stderr(&first));
        let status = answer(place.archive(&["status", "--json"])).await;
        let groups: Vec<_> = status["nvrs"].as_object().into_iter().flatten().collect();
        let counts: Vec<_> = groups.iter().map(|(_, nvr)| nvr["devices"].as_i64()).collect();
        assert_eq!(counts, [Some(1), Some(2)], "{status}");
        assert_eq!(groups[0].0, "device 3");
        let shared = groups[1].0.clone();
        assert!(shared.starts_with("mac 02:"), "{status}");
        let expected = [known(3, "device 3", "unknown"), known(1, &shared, "url"), known(2, &shared, "url")];
        assert_eq!(nvrs(&place).await, expected);

        // What has not changed is not written again.
        set(&place, "UPDATE media_mac SET learned_at = 1000");
        let second = run(place.fetch("1-3", range(yesterday() + 1200, 1200))).await;
        assert_eq!(code(&second), 0, "{}", stderr(&second));
        assert!(stderr(&second).contains("nobody knows which NVR serves 1 device,"), "{}", stderr(&second));
        let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
        let learned: (i64, i64) = ledger
            .query_row("SELECT count(*), sum(learned_at) FROM media_mac", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the table is there");
        assert_eq!(learned, (3, 3000));
        let limits = place.read_ledger().learned_limits().await.expect("the ledger answers");
        assert!(limits.contains_key(&NvrId::new(&shared)), "{limits:?}");
        place.assert_true(&[1, 2, 3]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_win_over_the_list_until_they_are_taken_back() {
    let place = Place::new(fleet(&[(4, &[1, 2]), (4, &[3])])).await;
    answer(place.archive(&["devices", "--refresh", "--json"])).await;
    let settings = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
    let own = "[[nvr]]\nname = \"mine\"\ndevices = \"2\"\nstore = 7\n[[nvr]]\nname = \"other\"\ndevices = \"1\"\n";
    std::fs::write(place.path().join("own.toml"), format!("{settings}{own}")).expect("a file can be written");
    let with_own = |arguments: &[&str]| {
        let mut command = place.archive(arguments);
        command.env("ARCHIVE_CONFIG", place.path().join("own.toml"));
        command
    };
    let (from, to) = (yesterday().to_string(), (yesterday() + 600).to_string());
    let selection = ["--device", "1-3", "--from", &from, "--to", &to];
    let planned = |plan: Value| -> Vec<String> {
        let devices = plan["devices"].as_array().expect("devices").iter();
        devices.map(|device| device["nvr"].as_str().expect("a name").to_owned()).collect()
    };
    let plan = [&["plan"], &selection[..], &["--json"]].concat();
    assert_eq!(planned(answer(with_own(&plan)).await), ["other", "mine", "nvr-1"]);
    assert_eq!(planned(answer(place.archive(&plan)).await), ["nvr-0", "nvr-0", "nvr-1"]);

    let output = run(with_own(&selection)).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let limits = place.read_ledger().learned_limits().await.expect("the ledger answers");
    assert_eq!(limits.keys().map(NvrId::as_str).collect::<Vec<_>>(), ["mine", "nvr-1", "other"]);
    let lines = answer(with_own(&["devices", "--store", "7", "--json"])).await;
    assert_eq!(
        (&lines[0]["device"], &lines[0]["nvr"], &lines[0]["known_from"]),
        (&json!(2), &json!("mine"), &json!("settings"))
    );
    // The same ledger without these settings.
    let expected = [known(1, "nvr-0", "list"), known(2, "nvr-0", "list"), known(3, "nvr-1", "list")];
    assert_eq!(nvrs(&place).await, expected);
    let status = answer(place.archive(&["status", "--json"])).await;
    let names: Vec<_> = status["nvrs"].as_object().into_iter().flatten().map(|(name, _)| name).collect();
    assert_eq!(names, ["nvr-0", "nvr-1"]);
}
