//! Old attempts are folded away when a run ends, of whichever kind.

use archive::live::execute;
use archive::sim::{Config, Speed};
use archive::time_range::TimeRange;
use rustix::process::Signal;

use crate::live_support::{fast, job, tools};
use crate::support::{Place, code, ended, fleet, range, send, stderr, until, yesterday};

/// So many windows, from the one with that number on.
fn windows(from: i64, number: i64) -> TimeRange {
    range(yesterday() + from * 600, number * 600)
}

/// A run that archives all of it.
async fn fetch(place: &Place, asked: TimeRange) {
    let output = ended(place.fetch("1", asked).spawn().expect("the program starts")).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// A live run, of a minute.
async fn record_live(place: &Place) {
    let (tools, _events) = tools(place);
    let end = tools.clock.now().to_utc_second() + 60;
    execute(job(&[1], Some(end)), tools).await.expect("it ends");
}

/// How many attempts are there one by one, by run; and how many have been folded away.
fn attempts(place: &Place) -> (Vec<(i64, i64)>, i64) {
    let single = place.stores.ask("SELECT run, count(*) FROM attempts GROUP BY run ORDER BY run");
    let number = |text: &str| text.parse().expect("a number");
    let single =
        single.lines().filter_map(|line| line.split_once('|')).map(|(run, count)| (number(run), number(count)));
    (single.collect(), number(&place.stores.ask("SELECT coalesce(sum(attempts), 0) FROM attempt_days")))
}

fn age(place: &Place, days: i64) {
    let sql = format!("UPDATE attempt SET started = started - {days} * 86400");
    place.stores.change(&sql);
}

fn config() -> Config {
    fleet(&[(1, &[1])])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_folds_away_at_its_end_what_is_older_than_90_days() {
    let place = Place::new(config()).await;
    fetch(&place, windows(0, 3)).await;
    age(&place, 89);
    fetch(&place, windows(3, 2)).await;
    assert_eq!(attempts(&place), (vec![(1, 3), (2, 2)], 0));
    age(&place, 2);
    fetch(&place, windows(5, 1)).await;
    assert_eq!(attempts(&place), (vec![(2, 2), (3, 1)], 3));
    assert_eq!(place.archived(1).await.seconds(), 3600, "recordings stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_say_how_old_attempts_get() {
    let place = Place::new(config()).await;
    let path = place.path().join("settings.toml");
    let settings = std::fs::read_to_string(&path).expect("the settings are there");
    let mut attempts_left = Vec::new();
    for (number, keep) in ["100 days", "1 day"].into_iter().enumerate() {
        let kept = settings.replace("[archive]\n", &format!("[archive]\nkeep_attempts = \"{keep}\"\n"));
        std::fs::write(&path, kept).expect("a file can be written");
        fetch(&place, windows(number as i64, 1)).await;
        attempts_left.push(attempts(&place));
        age(&place, 95);
    }
    assert_eq!(attempts_left, [(vec![(1, 1)], 0), (vec![(2, 1)], 1)]);
}

/// Who sends a signal waits for the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_leaves_it_to_the_next_one() {
    let place = Place::new(Config { speed: Speed::Times(60.0), ..config() }).await;
    fetch(&place, range(yesterday(), 60)).await;
    age(&place, 91);
    let streams = place.platform.media().len();
    let run = place.fetch("1", windows(1, 1)).spawn().expect("the program starts");
    until("it streams", || place.platform.media().len() > streams).await;
    send(&run, Signal::INT);
    assert_eq!(code(&ended(run).await), 5);
    assert_eq!(attempts(&place).1, 0);
    fetch(&place, range(yesterday() + 60, 60)).await;
    assert_eq!(attempts(&place).1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_run_folds_too() {
    let place = Place::new(fast(60.0, &[1])).await;
    record_live(&place).await;
    let now = yesterday().get();
    place.stores.change(&format!(
        "INSERT INTO outcome VALUES (9, 'interrupted', NULL);
         INSERT INTO attempt (run, device, start, seconds, started, milliseconds, bytes, outcome)
         VALUES (1, 1, 0, 60, {now} - 91 * 86400, 1, 0, 9), (1, 1, 60, 60, {now} - 80 * 86400, 1, 0, 9);"
    ));
    let before = attempts(&place);
    record_live(&place).await;
    assert_eq!((before.1, attempts(&place).1), (0, 1));
    assert_eq!(place.stores.ask("SELECT start FROM attempt WHERE start <= 60"), "60", "the younger one stays");
}
