//! Too few open files for the streams that are asked for: said, and clamped, where the limit cannot be raised.

use std::process::{Command, Output, Stdio};

use crate::support::{Place, code, ended, fleet, range, stderr, yesterday};

const CAMERAS: [i64; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

/// One window of each camera, by a program that may have so many files open.
async fn run_within(place: &Place, limit: &str) -> Output {
    let program = place.fetch("1-16", range(yesterday(), 600));
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(place.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    ended(limited.spawn().expect("there is a shell")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_open_files_are_said_and_as_many_streams_as_there_is_room_for_do_the_night() {
    let place = Place::new(fleet(&[(16, &CAMERAS)])).await;
    let output = run_within(&place, "-n 76").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = stderr(&output);
    assert_eq!(said.matches("may have 76 files open at once").count(), 1, "{said}");
    assert!(said.contains("enough for 3 of 16 streams") && said.contains("ulimit -n 128"), "{said}");
    assert!(
        place.platform.max_open_per_nvr().values().all(|&most| most <= 3),
        "{:?}",
        place.platform.max_open_per_nvr()
    );
    assert_eq!(place.recordings(&CAMERAS).await.len(), CAMERAS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_may_be_raised_is_raised() {
    let place = Place::new(fleet(&[(16, &CAMERAS)])).await;
    let output = run_within(&place, "-S -n 76").await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!stderr(&output).contains("files open"), "{}", stderr(&output));
}
