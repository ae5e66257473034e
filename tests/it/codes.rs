//! Every code that the platform is known to answer, one by one: what the client makes of it, with how many calls.
//!
//! The table is written from the vendor's pages and `platform.md`, not from the program's own table.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::outcome::{Class, Code};
use archive::platform::client::{Account, Client, PlayOptions};
use archive::platform::sign::Algorithm;
use archive::platform::wire;
use archive::sim::{Running, Scripted, start};
use secrecy::SecretString;

use crate::support::{KEY, Place, SECRET, code, device, fleet, range, stderr, stdout, yesterday};

/// (stat.code, what the scheduler is told, how many calls the client makes)
const STATS: [(i64, Class, usize); 30] = [
    (1, Class::AccountRefused, 1),
    (2, Class::AccountRefused, 1),
    (3, Class::AccountRefused, 1),
    (4, Class::AccountRefused, 1),
    (5, Class::AccountRefused, 1),
    (6, Class::AccountRefused, 1),
    (7, Class::AccountRefused, 1),
    (8, Class::AccountRefused, 1),
    (9, Class::AccountRefused, 1),
    (10, Class::AccountRefused, 1),
    (11, Class::AccountRefused, 1),
    (12, Class::AccountRefused, 1),
    (13, Class::AccountRefused, 1),
    (14, Class::AccountRefused, 1),
    (15, Class::AccountRefused, 1),
    // Learn the offset, retry once at once, then stop.
    (16, Class::AccountRefused, 2),
    (17, Class::AccountRefused, 1),
    // A new timestamp, once.
    (-100, Class::Transient, 2),
    (-500, Class::Transient, 1),
    (-999, Class::Transient, 1),
    (103_064, Class::DeviceRefused, 1),
    (103_092, Class::DeviceRefused, 1),
    (9_990_001, Class::AccountRefused, 1),
    (103_094, Class::AccountRefused, 1),
    (103_095, Class::AccountRefused, 1),
    // Undocumented: transient.
    (18, Class::Transient, 1),
    (-1, Class::Transient, 1),
    (500, Class::Transient, 1),
    (i64::MAX, Class::Transient, 1),
    (i64::MIN, Class::Transient, 1),
];

const RESULTS: [(i64, Class); 12] = [
    (1, Class::NvrOffline),
    (2, Class::CameraTrouble),
    (-1, Class::CameraTrouble),
    (-2, Class::DeviceRefused),
    (-3, Class::CameraBusy),
    (-4, Class::NvrFull),
    (-5, Class::NvrOverloaded),
    (-6, Class::CameraBusy),
    (3, Class::Transient),
    (-7, Class::Transient),
    (i64::MAX, Class::Transient),
    (i64::MIN, Class::Transient),
];

pub fn client(platform: &Running) -> Client {
    Client::new(account(platform)).expect("a client without a proxy")
}

pub fn account(platform: &Running) -> Account {
    Account {
        url: platform.url(),
        aid: "S107".to_owned(),
        akey: KEY.to_owned(),
        secret: SecretString::from(SECRET),
        algorithm: Algorithm::Sha1,
        time_zone: chrono_tz::Asia::Shanghai,
        timestamp_zone: chrono_tz::Asia::Shanghai,
        calls_per_second: 1000.0,
        versions: BTreeMap::new(),
        bodies: BTreeMap::new(),
        call_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(10),
        login: None,
    }
}

#[tokio::test]
async fn every_code_leads_to_its_class() {
    let here = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let platform = start(fleet(&[(4, &[1])]), here).await.expect("a platform on a free port");
    let client = client(&platform);
    let (mut at, device) = (yesterday(), device(1));
    let mut ask = async || {
        // Another window each time, so that no call is the same as the one before.
        at = at - 600;
        let (start, end) = archive::calendar::platform_labels(range(at, 600), chrono_tz::Asia::Shanghai);
        client.start_download(device, start, end).await
    };
    for (number, class, calls) in STATS {
        let before = platform.calls().len();
        platform.script(device, vec![Scripted::Stat(number); calls]);
        let error = ask().await.expect_err("a code other than 0 is no URL");
        assert_eq!((error.code(), error.class()), (Some(Code::Stat(number)), class), "stat {number}: {error}");
        assert_eq!(platform.calls().len() - before, calls, "calls after stat {number}");
    }
    for (number, class) in RESULTS {
        let before = platform.calls().len();
        platform.script(device, [Scripted::Result(number)]);
        let error = ask().await.expect_err("a result other than 0 is no URL");
        assert_eq!((error.code(), error.class()), (Some(Code::Result(number)), class), "result {number}: {error}");
        assert_eq!(platform.calls().len() - before, 1, "calls after result {number}");
    }
    ask().await.expect("0 is a URL");
}

#[test]
fn the_tables_above_leave_no_known_code_out() {
    for known in wire::STAT_CODES.iter().filter(|known| known.number != 0) {
        assert!(STATS.iter().any(|row| row.0 == known.number), "stat {}", known.number);
    }
    for known in wire::DOWNLOAD_RESULTS.iter().filter(|known| known.number != 0) {
        assert!(RESULTS.iter().any(|row| row.0 == known.number), "result {}", known.number);
    }
}

/// (what is answered for ever, the exit code, the cause in the ledger, the most calls)
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_as_the_class_asks() {
    let cases: [(Scripted, i32, &str, usize); 9] = [
        (Scripted::Stat(7), 4, "not tried", 1),
        (Scripted::Stat(9_990_001), 4, "not tried", 1),
        (Scripted::Stat(16), 4, "not tried", 2),
        (Scripted::Stat(103_092), 3, "refused", 1),
        (Scripted::Result(-2), 3, "refused", 1),
        (Scripted::Result(1), 3, "nvr offline", 10),
        (Scripted::Result(-4), 3, "nvr busy", 10),
        (Scripted::Result(-3), 3, "nvr busy", 10),
        (Scripted::Http(502, "<html>bad gateway</html>".into()), 3, "failed", 12),
    ];
    for (answer, exit, cause, most) in cases {
        let place = Place::with_settings(fleet(&[(4, &[1])]), "busy_attempts = 10\n").await;
        place.platform.script(device(1), vec![answer.clone(); 100]);
        let child = place.fetch("1", range(yesterday(), 600)).spawn().expect("the program starts");
        let output = crate::support::ended(child).await;
        assert_eq!(code(&output), exit, "{answer:?}: {}{}", stdout(&output), stderr(&output));
        let gaps = place.read_ledger().gaps(archive::report::GapQuery::default()).await.expect("the ledger answers");
        let causes: Vec<_> = gaps.iter().map(|gap| (gap.cause.as_str(), gap.seconds)).collect();
        assert_eq!(causes, [(cause, 600)], "{answer:?}");
        // Delays are so short here that calls repeat within a second, which the platform answers with -100.
        let calls = place.platform.calls().iter().filter(|call| call.stat != Some(-100)).count();
        assert!(calls <= most, "{answer:?}: {calls} calls");
        assert!(!stderr(&output).contains(SECRET), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_stops_the_run_and_says_what_to_check() {
    let place = Place::new(fleet(&[(4, &[1, 2, 3])])).await;
    let mut command = place.fetch("1-3", range(yesterday(), 7200));
    command.env("ARCHIVE_SECRET", "another");
    let output = crate::support::ended(command.spawn().expect("the program starts")).await;
    assert_eq!(code(&output), 4);
    let said = stderr(&output) + &stdout(&output);
    assert!(said.contains("SIGN_WRONG") && said.contains("check the secret"), "{said}");
    assert!(place.platform.calls().len() <= 3, "only what was in flight already");
}

/// The offset of the platform's clock is learned from its answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_differs_is_survived() {
    let ahead = "3h".parse().expect("a length");
    let place = Place::new(archive::sim::Config { clock_ahead: ahead, ..fleet(&[(4, &[1])]) }).await;
    let child = place.fetch("1", range(yesterday(), 1200)).spawn().expect("the program starts");
    let output = crate::support::ended(child).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let refused = place.platform.calls().iter().filter(|call| call.stat == Some(16)).count();
    assert_eq!(refused, 1);
}

/// Answers of every kind show the offset, and calls are not signed with it.
#[tokio::test]
async fn every_answer_measures_how_far_the_platforms_clock_is_ahead() {
    for (ahead, milliseconds) in [("5m", 300_000), ("-4m", -240_000)] {
        let config = archive::sim::Config { clock_ahead: ahead.parse().expect("a length"), ..fleet(&[(4, &[1])]) };
        let here = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let platform = start(config, here).await.expect("a platform on a free port");
        platform.script_live(device(1), [Scripted::Http(502, String::new()), Scripted::Stat(103_064), Scripted::AsIs]);
        let client = client(&platform);
        let until = Some(platform.now().to_utc_second() + 3600);
        // No call is the same as another.
        let answers = [
            (Some(Code::Http(502)), PlayOptions::default()),
            (Some(Code::Stat(103_064)), PlayOptions { secondary: true, ..PlayOptions::default() }),
            (None, PlayOptions { standing_until: until, ..PlayOptions::default() }),
        ];
        for (refused, options) in answers {
            let called = client.start_play(device(1), options).await;
            assert_eq!(called.err().and_then(|error| error.code()), refused);
            let measured = client.measured_offset().await.map(|offset| offset.ahead.num_milliseconds());
            assert_eq!(measured.is_none(), refused == Some(Code::Http(502)), "{refused:?}");
            // However slow the call was, it ended within the time that a call may take.
            assert!(
                measured.is_none_or(|measured| (measured - milliseconds).abs() < 30_000),
                "{refused:?}: {measured:?}"
            );
        }
        assert_eq!(client.clock_offset().await, chrono::TimeDelta::zero());
        platform.shutdown().await;
    }
}
