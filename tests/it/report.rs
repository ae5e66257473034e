//! `archive report` and the strip of `archive gaps`: what they say is what the ledger says, on paper and in a browser.

use std::path::{Path, PathBuf};

use archive::sim::Config;
use archive::time_range::TimeRange;
use serde_json::Value;

use crate::browser::{Browser, ENTER, ESCAPE, HOME, RIGHT};
use crate::support::{Place, code, ended, fleet, range, stderr, stdout, yesterday};

/// What a camera is called by somebody who means harm.
const NASTY: &str = "<img src=x onerror=\"document.title='broken'\">";

async fn run(mut command: std::process::Command) -> std::process::Output {
    ended(command.spawn().expect("the program starts")).await
}

async fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = run(place.archive(&[arguments, &["--json"]].concat())).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The time that is asked for: from half a minute past a mark of the grid, so that a first and a last recording are shorter.
fn asked() -> TimeRange {
    range(yesterday() + 30, 3000)
}

/// Three cameras on one recorder, of which one is refused, and one on a recorder that is offline.
async fn archived() -> Place {
    let mut config: Config = fleet(&[(2, &[1, 2, 3]), (1, &[4])]);
    config.stores[0].nvrs[0].cameras[1].refused = true;
    config.stores[0].nvrs[0].cameras[0].name = NASTY.to_owned();
    config.stores[0].nvrs[1].offline = vec![Default::default()];
    config.stores[0].name = "人民路店".to_owned();
    let place = Place::with_settings(config, "busy_attempts = 5\n").await;
    assert_eq!(code(&run(place.archive(&["devices", "--refresh"])).await), 0);
    assert_eq!(code(&run(place.fetch("1-4", asked())).await), 3);
    place
}

/// A report of the time that was asked for and ten minutes around it.
async fn page(place: &Place) -> PathBuf {
    let (from, to) = ((asked().start() - 600).to_string(), (asked().end() + 600).to_string());
    let output = run(place.archive(&["report", "--from", &from, "--to", &to, "-o", "coverage.html"])).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("coverage.html: 4 cameras, 1 h 10 min; "), "{}", stdout(&output));
    place.path().join("coverage.html")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_gaps_and_recordings_say() {
    let place = archived().await;
    let (picture, gaps) = (json(&place, &["report"]).await, json(&place, &["gaps"]).await);
    let cameras: Vec<&Value> = picture["groups"][0]["cameras"].as_array().expect("a group").iter().collect();
    assert_eq!(picture["groups"][0]["name"], "1 · 人民路店");
    let told: Vec<String> = cameras
        .iter()
        .flat_map(|camera| {
            let stretches = camera["stretches"].as_array().expect("a camera's time").iter();
            let missing = stretches.filter(|stretch| stretch["state"] == "missing");
            missing.map(|gap| {
                ["start", "end", "cause", "attempts", "last_code"].map(|name| gap[name].to_string()).join(" ")
            })
        })
        .collect();
    let listed = gaps.as_array().expect("gaps").iter();
    let listed: Vec<String> = listed
        .map(|gap| ["start", "end", "cause", "attempts", "last_code"].map(|name| gap[name].to_string()).join(" "))
        .collect();
    assert_eq!(told, listed);
    assert_eq!(told.len(), 2, "{told:?}");
    let totals = &picture["totals"];
    let sum =
        |gaps: &Value| gaps.as_array().expect("gaps").iter().filter_map(|gap| gap["seconds"].as_i64()).sum::<i64>();
    assert_eq!(totals["asked_seconds"].as_i64().map(|asked| asked - sum(&gaps)), totals["archived_seconds"].as_i64());
    let files: i64 = cameras
        .iter()
        .flat_map(|camera| camera["stretches"].as_array().expect("a camera's time"))
        .filter(|stretch| stretch["state"] != "missing")
        .map(|stretch| stretch["end"].as_i64().unwrap() - stretch["start"].as_i64().unwrap())
        .sum();
    assert_eq!(Some(files), totals["archived_seconds"].as_i64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_written_whole_or_to_stdout() {
    let place = archived().await;
    let written = std::fs::read_to_string(page(&place).await).expect("a page");
    assert!(written.starts_with("<!doctype html>") && written.ends_with("</html>\n"));
    // What stands there is replaced, and nothing is left beside it.
    std::fs::write(place.path().join("coverage.html"), "old").expect("a file can be written");
    assert!(std::fs::read_to_string(page(&place).await).expect("a page").ends_with("</html>\n"));
    let names = std::fs::read_dir(place.path()).expect("the folder can be read");
    let names: Vec<String> =
        names.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("unfinished")), "{names:?}");
    let printed = run(place.archive(&["report", "--last", "3d", "-o", "-"])).await;
    assert!(stdout(&printed).ends_with("</html>\n"));
    let nowhere = run(place.archive(&["report", "-o", "no-such-folder/coverage.html"])).await;
    assert_eq!(code(&nowhere), 1);
    assert!(stderr(&nowhere).contains("no-such-folder/coverage.html"), "{}", stderr(&nowhere));
    assert_eq!(code(&run(place.archive(&["report"])).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_shown_as_a_strip_when_asked_for() {
    let place = archived().await;
    let mut command = place.archive(&["gaps", "--strip"]);
    command.env("COLUMNS", "60");
    let text = stdout(&run(command).await);
    let line = |device: &str| {
        let found = text.lines().find(|line| line.trim_start().starts_with(device));
        found.unwrap_or_else(|| panic!("no line of {device} in:\n{text}")).to_owned()
    };
    assert!(
        line("1 ").ends_with("█ 100.00 %") && !line("1 ").contains('.') || line("1 ").matches('.').count() == 1,
        "{text}"
    );
    assert!(line("4 ").contains("........") && line("4 ").ends_with("0.00 %"), "{text}");
    assert!(text.contains("nvr offline 50 min") && text.contains("refused 50 min"), "{text}");
    // Without it, and on no terminal, gaps are what they were.
    assert!(!stdout(&run(place.archive(&["gaps"])).await).contains('█'));
}

/// Where screenshots are kept.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder.join(name)
}

/// Draws, and gives the colour at a camera's moment.
async fn colour_at(browser: &Browser, device: i64, at: i64) -> Value {
    let script = format!(
        "drawNow(); const camera = cameras.find((camera) => camera.device === {device}); \
         const x = xAt({at} - data.from) + 2, y = AXIS + lines[camera.line].top - scroller.scrollTop + ROW / 2; \
         const copy = document.createElement('canvas').getContext('2d', {{ willReadFrequently: true }}); \
         copy.drawImage(detail, -x * devicePixelRatio, -y * devicePixelRatio); \
         return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3).join()"
    );
    browser.ask(&script).await
}

/// Where in the window a camera's moment is.
async fn place_of(browser: &Browser, device: i64, at: i64) -> [f64; 2] {
    let script = format!(
        "detail.scrollIntoView({{ block: 'center' }}); const box = detail.getBoundingClientRect(); \
         const camera = cameras.find((camera) => camera.device === {device}); \
         return [box.left + xAt({at} - data.from), box.top + AXIS + lines[camera.line].top - scroller.scrollTop + ROW / 2]"
    );
    let place = browser.ask(&script).await;
    [0, 1].map(|index| place[index].as_f64().expect("a place"))
}

async fn text_of(browser: &Browser, id: &str) -> String {
    browser
        .ask(&format!("return document.getElementById('{id}').textContent"))
        .await
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium and chromedriver"]
async fn a_browser_draws_zooms_and_says_what_is_pointed_at() {
    let place = archived().await;
    let page = page(&place).await;
    let browser = Browser::start(1500, 1100).await;
    browser.open(&format!("file://{}", page.display())).await;
    browser.until("performance.getEntriesByName('drawn').length").await;
    browser.screenshot(&kept("light.png")).await;

    // What is archived, what is missing for two reasons, and what was never asked for, each have their colour.
    let middle = asked().start().get() + 1500;
    let look = async |key: &str| browser.ask(&format!("return colours['{key}'].match(/\\d+/g).join()")).await;
    assert_eq!(colour_at(&browser, 1, middle).await, look("archived").await);
    assert_eq!(colour_at(&browser, 4, middle).await, look("nvr-offline").await);
    assert_ne!(colour_at(&browser, 2, middle).await, look("archived").await);
    assert_eq!(colour_at(&browser, 4, asked().start().get() - 300).await, look("paper").await);

    // Each recording's name is told from its time.
    let ledger = place.read_ledger();
    for number in [1, 3] {
        let device = crate::support::device(number);
        let rows = ledger.recordings_overlapping(device, asked()).await.expect("the ledger answers");
        assert!(rows.len() > 4, "{rows:?}");
        for row in rows {
            let at = row.range.start().get() + row.range.seconds() / 2;
            let told = browser
                .ask(&format!(
                    "return describe(cameras.find(({{ device }}) => device === {number}), {at} - data.from).file"
                ))
                .await;
            assert_eq!(told, Value::from(row.path));
        }
    }

    // The pointer over a gap, and over a file.
    let [x, y] = place_of(&browser, 4, middle).await;
    browser.point(x, y).await;
    browser.until("!tip.hidden").await;
    let said = text_of(&browser, "tip").await;
    for expected in ["Camera 4", "nvr offline", "attempt", "(50 min)", "1 · 人民路店"] {
        assert!(said.contains(expected), "{expected:?} is not in {said:?}");
    }
    let [x, y] = place_of(&browser, 1, middle).await;
    browser.point(x, y).await;
    browser.until("tip.textContent.includes('.flv')").await;
    assert!(text_of(&browser, "tip").await.contains(NASTY), "a name is text, whatever it is");

    // The keyboard says the same: a click puts the cursor there, keys move it from window to window and zoom.
    browser.click(x, y).await;
    browser.until("!details.hidden").await;
    assert!(text_of(&browser, "details").await.contains(".flv"));
    browser.press(ESCAPE).await;
    browser.until("details.hidden && document.activeElement === detail").await;
    let before = text_of(&browser, "said").await;
    browser.press(RIGHT).await;
    browser.until(&format!("said.textContent !== {}", Value::from(before))).await;
    assert!(text_of(&browser, "said").await.contains(".flv"));
    browser.press("++").await;
    browser.until("Math.abs((view.to - view.from) - span / 4) < 1").await;
    browser.press(&format!("{HOME}n")).await;
    browser.until("said.textContent.includes('refused')").await;
    assert!(text_of(&browser, "said").await.contains("Camera 2"));
    browser.press(ENTER).await;
    browser.until("details.textContent.includes('archive --device 2 --from ')").await;
    browser.screenshot(&kept("zoomed.png")).await;

    // The last of the buttons shows ten minutes, the address keeps what is seen, and it can be opened again.
    browser.ask("document.querySelector('#spans button:last-child').click()").await;
    let is_kept = "location.hash.startsWith(`#from=${utc(view.from)}&to=${utc(view.to)}&device=2`)";
    browser.until(&format!("view.to - view.from === 600 && {is_kept}")).await;
    let address = browser.ask("return location.href").await;
    browser.open("about:blank").await;
    browser.open(address.as_str().expect("an address")).await;
    browser.until("view.to - view.from === 600 && cursor.camera.device === 2").await;

    // In the dark, and for whoever looks for one camera.
    browser
        .ask("document.getElementById('theme').click(); find.value = '人民 4'; find.dispatchEvent(new Event('input'))")
        .await;
    browser.until("rows.length === 1 && rows[0].device === 4").await;
    browser.ask("show(0, span); drawNow()").await;
    assert_eq!(colour_at(&browser, 4, middle).await, look("nvr-offline").await);
    browser.screenshot(&kept("dark.png")).await;

    // The tables say the same, the name did nothing, and nothing was forbidden or went wrong.
    let cells =
        browser.ask("return [...document.querySelectorAll('table')].map((table) => table.textContent).join()").await;
    assert!(cells.as_str().expect("text").contains(NASTY));
    assert_eq!(
        browser.ask("return document.title.startsWith('Coverage, ') && document.images.length").await,
        Value::from(0)
    );
    let said = browser.console().await;
    assert!(said.is_empty(), "{said:?}");
}
