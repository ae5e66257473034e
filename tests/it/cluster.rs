//! The manifests for Kubernetes: judged by its own schemas, and what they say of the program.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use archive::settings::Settings;

use super::support;

/// The oldest Kubernetes that the manifests are for: docs/operating.md.
const OLDEST: &str = "1.29.0";
/// The newest that the judge knows.
const NEWEST: &str = "1.37.0";
const CALL: &str = "/usr/bin/archive run /etc/archive/jobs.toml";

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes")
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(manifests().join(name)).expect("a manifest is text")
}

/// The lines below the one that ends so, for as long as they are further in.
fn block(text: &str, heading: &str) -> String {
    let indented = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().skip_while(|line| !line.ends_with(heading)).skip(1).peekable();
    let depth = lines.peek().map(|line| indented(line)).expect("something is below it");
    let block: Vec<&str> = lines.take_while(|line| line.is_empty() || indented(line) >= depth).collect();
    block.iter().map(|line| format!("{}\n", line.get(depth..).unwrap_or_default())).collect()
}

/// The command of a pod, with something else in the program's place.
fn pod(program: &str) -> Command {
    let script = block(&manifest("night.yaml"), "- |");
    assert!(script.contains(CALL), "{script}");
    // As a container has it: a shell cannot trap what was ignored when it began, as in the background of another one.
    let mut shell = Command::new("env");
    shell.args(["--default-signal=INT", "/bin/sh", "-c", &script.replace(CALL, program)]);
    shell
}

#[test]
#[ignore = "needs kubernetes-validate"]
fn kubernetes_knows_every_field_of_the_manifests() {
    let judge = |version: &str, file: &Path| {
        let mut judge = Command::new("kubernetes-validate");
        let judged = judge.args(["--strict", "--kubernetes-version", version]).arg(file).output().expect("it is there");
        let said = support::stdout(&judged) + &support::stderr(&judged);
        (judged.status.success(), said)
    };
    for version in [OLDEST, NEWEST] {
        let mut documents = 0;
        for entry in std::fs::read_dir(manifests()).expect("they are there") {
            let file = entry.expect("the folder can be read").path();
            let (is_valid, said) = judge(version, &file);
            assert!(is_valid, "{said}");
            documents += said.matches(" passed for resource ").count();
        }
        assert_eq!(documents, 5, "CronJob, PodDisruptionBudget, NetworkPolicy, ConfigMap, Secret");
    }

    // And it would have said so.
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = folder.path().join("wrong.yaml");
    let text = manifest("night.yaml").replace("backoffLimitPerIndex: 3", "backoffLimitPerHost: 3");
    std::fs::write(&wrong, text).expect("it can be written");
    let (is_valid, said) = judge(NEWEST, &wrong);
    assert!(!is_valid && said.contains("backoffLimitPerHost"), "{said}");
}

#[test]
fn as_many_hosts_are_begun_as_are_wanted_and_one_at_a_time_is_drained() {
    let night = manifest("night.yaml");
    let number = |name: &str| -> u32 {
        let lines: Vec<&str> = night.lines().filter_map(|line| line.trim().strip_prefix(name)).collect();
        let [value] = lines[..] else { panic!("{name} {lines:?}") };
        value.trim().parse().expect("a number")
    };
    assert_eq!(number("completions:"), number("parallelism:"));
    assert_eq!(number("minAvailable:") + 1, number("parallelism:"));
}

#[test]
fn the_jobs_of_the_manifests_have_no_mistakes() {
    let jobs = block(&manifest("settings.yaml"), "jobs.toml: |");
    // Without these it would be one host's.
    for address in ["postgres://archive@postgres.example/archive?sslmode=verify-full", "s3://recordings/chain"] {
        assert!(jobs.contains(address), "{jobs}");
    }
    match Settings::of_text("jobs.toml", &jobs) {
        Ok(settings) => assert_eq!(settings.jobs.len(), 1),
        Err(mistakes) => panic!("{mistakes}"),
    }
}

#[test]
fn gaps_and_the_nights_end_are_no_failure_of_a_pod_and_the_rest_is() {
    for (code, expected) in [(0, 0), (1, 1), (2, 2), (3, 0), (4, 4), (5, 0), (6, 6), (7, 7)] {
        let ended = support::finish(pod(&format!("sh -c 'exit {code}'")));
        assert_eq!(support::code(&ended), expected, "{}", support::stderr(&ended));
    }
}

/// Its successor goes on, so it may not count as done.
#[test]
fn a_pod_that_is_ended_hands_the_signal_on_and_has_failed() {
    let program = "sh -c 'trap \"exit 5\" TERM; echo streams; while :; do sleep 0.1; done'";
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut pod = pod(program).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut line = String::new();
        let output = pod.stdout.as_mut().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it prints");
        support::send(&pod, signal);
        assert_eq!(pod.wait().expect("it ends").code(), Some(5));
    }
}
