//! What `plan` and `status` say of the night to come: does it fit, does it end in time, what is lost before.

use std::process::Output;

use archive::time_range::UtcSecond;
use chrono::{TimeDelta, Utc};
use serde_json::Value;

use crate::support::{Place, code, ended, fleet, range, stderr, stdout, yesterday};

const HOUR: i64 = 3600;

/// An archive of one camera's hour yesterday, of which the ledger says that each second took two to fetch. Its NVR has
/// another camera, which is not to be reached.
async fn slow_archive() -> Place {
    let mut config = fleet(&[(2, &[1]), (2, &[2])]);
    config.stores[0].nvrs[1].offline = vec![Default::default()];
    let place = Place::with_settings(config, "busy_attempts = 5\n").await;
    let output = answer(&place, &["--device", "1", "--from", &at(0), "--to", &at(HOUR)]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    change(&place, "UPDATE attempt SET milliseconds = 2000 * (end - start), bytes = 1000 * (end - start)");
    place
}

/// So many seconds after that hour's start.
fn at(seconds: i64) -> String {
    (yesterday() + seconds).to_string()
}

fn change(place: &Place, sql: &str) {
    let ledger = rusqlite::Connection::open(place.ledger_path()).expect("the ledger can be opened");
    ledger.execute_batch(sql).expect("the ledger can be changed");
}

async fn answer(place: &Place, arguments: &[&str]) -> Output {
    ended(place.archive(arguments).spawn().expect("the program starts")).await
}

/// The answer as text and as JSON.
async fn both(place: &Place, arguments: &[&str]) -> (String, Value) {
    let text = answer(place, arguments).await;
    let json = answer(place, &[arguments, &["--json"]].concat()).await;
    assert_eq!((code(&text), code(&json)), (0, 0), "{}{}", stderr(&text), stderr(&json));
    (stdout(&text), serde_json::from_slice(&json.stdout).expect("JSON"))
}

/// Writes a settings file that names both cameras' NVR, and a job for four hours of one of them.
fn jobs(place: &Place, footage: &str, stop_at: &str) {
    let quick = std::fs::read_to_string(place.path().join("settings.toml")).expect("the settings are there");
    let (from, to) = (at(0), at(4 * HOUR));
    let text = format!(
        "{quick}[[nvr]]\nname = \"store 1\"\ndevices = \"1-2\"\n{footage}\n\
         [[job]]\nname = \"nightly\"\ndevices = 2\nfrom = \"{from}\"\nto = \"{to}\"\n{stop_at}\n"
    );
    std::fs::write(place.path().join("jobs.toml"), text).expect("a file can be written");
}

/// A line of a job: stop so long from now, to the minute.
fn stop_in(hours: i64) -> String {
    let then = Utc::now().with_timezone(&chrono_tz::Asia::Shanghai) + TimeDelta::hours(hours);
    format!("stop_at = \"{}\"", then.format("%H:%M"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_each_nvr_takes_and_all_of_them() {
    let place = slow_archive().await;
    jobs(&place, "channels = 1", "");
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    let nvr = &json["nvrs"][0];
    assert_eq!((&nvr["nvr"], &nvr["cameras"]), (&Value::from("store 1"), &Value::from(1)));
    assert_eq!((&nvr["limit"]["downloads"], &nvr["limit"]["source"]), (&Value::from(1), &Value::from("settings")));
    // Four hours of a camera without history, as slow as its neighbour.
    for part in [nvr, &json] {
        let numbers = [&part["windows"], &part["seconds"], &part["forecast"]["bytes"], &part["forecast"]["seconds"]];
        assert_eq!(numbers.map(|number| number.as_i64().unwrap()), [24, 4 * HOUR, 14_400_000, 8 * HOUR]);
        assert_eq!((&part["lost"], &part["left"], &part["keeps"]), (&Value::Null, &Value::Null, &Value::Null));
    }
    assert_eq!(json["forecast"]["ends"].as_i64(), json["now"].as_i64().map(|now| now + 8 * HOUR));
    assert_eq!(json["disk"]["holds"], Value::from(true));
    for expected in ["store 1", "4 h  13.7 MiB    8 h", "limit 1 (settings)", "about 13.7 MiB in 8 h", "above min_free"]
    {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    assert!(!text.contains("warning"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_the_disk_does_not_hold_says_when_it_is_full() {
    let place = slow_archive().await;
    change(&place, "UPDATE attempt SET bytes = 1000000000000000");
    jobs(&place, "", "");
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    assert_eq!(json["disk"]["holds"], Value::from(false));
    let (now, full_at) = (json["now"].as_i64().unwrap(), json["disk"]["full_at"].as_i64().unwrap());
    assert!((now..now + 8 * HOUR).contains(&full_at), "{json}");
    assert!(text.contains("warning: needs 21.3 PiB,") && text.contains("does not fit, stops after about"), "{text}");

    let settings = std::fs::read_to_string(place.path().join("jobs.toml")).expect("the jobs are there");
    let greedy = settings.replace("\"1 MiB\"", "\"4000 TiB\"");
    std::fs::write(place.path().join("greedy.toml"), greedy).expect("a file can be written");
    let (text, json) = both(&place, &["plan", "greedy.toml"]).await;
    assert_eq!((&json["disk"]["room_bytes"], &json["disk"]["full_at"]), (&Value::from(0), &json["now"]));
    assert!(text.contains("min_free is 3.9 PiB: a run stops at once"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_whether_it_ends_before_its_time_to_stop() {
    let place = slow_archive().await;
    jobs(&place, "", &stop_in(2));
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    // In two hours, less up to a minute, one hour of footage is fetched.
    let left = json["left"]["seconds"].as_i64().unwrap();
    assert!((3 * HOUR..3 * HOUR + 601).contains(&left), "{left}");
    assert_eq!((&json["left"]["since"], &json["nvrs"][0]["left"]), (&json["stop_at"], &json["left"]));
    assert!(text.contains("warning: it does not end before its stop_at ("), "{text}");
    assert!(text.contains("), which leaves 3 h of footage") && text.contains(" left at stop_at ("), "{text}");

    jobs(&place, "", &stop_in(10));
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    assert_eq!(json["left"], Value::Null);
    assert!(text.contains(", before its stop_at (") && !text.contains("warning"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_what_is_overwritten_before_it_can_be_reached() {
    let place = slow_archive().await;
    // An hour to go: it is used up when one hour is fetched, and then every other window is lost.
    jobs(&place, "footage = \"25h\"", "");
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    let lost = &json["lost"];
    let seconds = lost["seconds"].as_i64().unwrap();
    assert!((HOUR..2 * HOUR).contains(&seconds), "{json}");
    assert_eq!((&lost["already_seconds"], &json["nvrs"][0]["lost"]), (&Value::from(0), lost));
    let by = UtcSecond::new(lost["by"].as_i64().unwrap());
    assert!(by <= yesterday() + 29 * HOUR && by > yesterday() + 28 * HOUR, "{by}");
    assert_eq!(json["nvrs"][0]["keeps"]["source"], Value::from("settings"));
    assert!(text.contains(" will be lost by ") && text.contains("(keeps 1 d 1 h)"), "{text}");
    assert!(text.contains(" of footage will be overwritten before it can be reached, by "), "{text}");

    // What is overwritten already needs no history to be known.
    jobs(&place, "footage = \"22h\"", "");
    change(&place, "DELETE FROM attempt");
    let (text, json) = both(&place, &["plan", "jobs.toml"]).await;
    assert_eq!(json["forecast"], Value::Null);
    let already = json["lost"]["already_seconds"].as_i64().unwrap();
    assert!(already >= 2 * HOUR && json["lost"]["seconds"] == already, "{json}");
    assert!(text.contains("no forecast") && text.contains(" lost already (keeps 22 h)"), "{text}");
    assert!(text.contains(" of footage has been overwritten already"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_what_is_to_be_had_and_what_of_it_will_be_lost() {
    let place = slow_archive().await;
    jobs(&place, "footage = \"25h\"", "");
    assert_eq!(code(&answer(&place, &["run", "jobs.toml"]).await), 3);
    let (text, json) = both(&place, &["status", "--config", "jobs.toml"]).await;
    let (all, nvr) = (&json["backlog"], &json["nvrs"]["store 1"]);
    assert_eq!((&all["seconds"], &all["windows"]), (&Value::from(4 * HOUR), &Value::from(24)));
    assert_eq!((&nvr["backlog"], &nvr["devices"]), (all, &Value::from(2)));
    assert!((HOUR..2 * HOUR).contains(&all["lost"]["seconds"].as_i64().unwrap()), "{all}");
    assert_eq!(
        (&nvr["keeps"]["seconds"], &nvr["keeps"]["source"]),
        (&Value::from(25 * HOUR), &Value::from("settings"))
    );
    // The last run was refused by an NVR that is not online, and nothing else.
    let night = &nvr["nights"][0];
    assert_eq!((&night["run"], &night["calls"], &night["refused"]), (&Value::from(2), &nvr["calls"], &nvr["calls"]));
    assert!(text.contains("backlog 4 h, 1.") && text.contains(" h of it past its horizon by "), "{text}");
    assert!(text.contains("(learned)") && text.contains("100.0 %") && text.contains("1 d 1 h"), "{text}");

    // Without the file the backlog is the same; how long its NVRs keep footage, nobody says.
    let mut alone = place.archive(&["status", "--json"]);
    alone.env_remove("ARCHIVE_CONFIG");
    let alone = ended(alone.spawn().expect("the program starts")).await;
    let json: Value = serde_json::from_slice(&alone.stdout).expect("JSON");
    assert_eq!((&json["backlog"]["seconds"], &json["backlog"]["lost"]), (&Value::from(4 * HOUR), &Value::Null));
    assert!(json["nvrs"].as_object().expect("by NVR").values().all(|nvr| nvr["keeps"] == Value::Null), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_anything_missing_there_is_no_backlog() {
    let place = Place::new(fleet(&[(1, &[1])])).await;
    let mut command = place.fetch("1", range(yesterday(), 600));
    assert_eq!(code(&ended(command.spawn().expect("the program starts")).await), 0);
    let (text, json) = both(&place, &["status"]).await;
    assert!(text.contains("no backlog\n"), "{text}");
    assert_eq!((&json["backlog"]["seconds"], &json["backlog"]["lost"]), (&Value::from(0), &Value::Null));
}
