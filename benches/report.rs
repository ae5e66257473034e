//! How long `archive report` takes for a chain of 1,000 cameras and 31 days, how large its page is, and how soon a browser has drawn
//! it.
//!
//! `cargo bench --bench report` prints its figures last, and keeps screenshots of the month and of ten minutes. It needs Debian's
//! chromium and chromium-driver. Settings: REPORT_CAMERAS (1000), REPORT_DAYS (31), REPORT_ROUNDS (5), REPORT_LEDGER (a ledger to use
//! again; filled when it is not there), REPORT_TO (where page and screenshots go; `report` among Cargo's temporary files).
//!
//! *drawn* is from the moment the browser begins to open the page to the first picture on the canvas, of a browser that has just
//! started.

#[path = "../tests/it/browser.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod browser;
#[path = "report/chain.rs"]
mod chain;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use browser::Browser;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let number = |name: &str, default: i64| std::env::var(name).map_or(Ok(default), |text| text.parse());
    let (cameras, days) = (number("REPORT_CAMERAS", 1000)?, number("REPORT_DAYS", 31)?);
    let rounds = number("REPORT_ROUNDS", 5)?.max(1);
    let to = std::env::var_os("REPORT_TO")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report"), PathBuf::from);
    std::fs::create_dir_all(&to)?;
    let folder = tempfile::tempdir()?;
    let ledger = std::env::var_os("REPORT_LEDGER").map_or_else(|| folder.path().join("ledger.db"), PathBuf::from);
    let until = chrono::Utc::now().timestamp().div_euclid(600) * 600;
    if !ledger.exists() {
        println!("filling {}", ledger.display());
        chain::fill(&ledger, cameras, days, until)?;
    }
    let page = to.join("coverage.html");
    let mut writing = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_archive"));
        command.args(["report", "--last", &format!("{days}d"), "--output"]).arg(&page).arg("--ledger").arg(&ledger);
        let output = command.env_clear().stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("archive report ended with {}", output.status).into());
        }
        writing.push(begun.elapsed().as_secs_f64() * 1000.0);
        if writing.len() == 1 {
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let (mut drawn, mut frames) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        runtime.block_on(async {
            let browser = Browser::start(1600, 1200).await;
            browser.open(&format!("file://{}", page.display())).await;
            browser.until("performance.getEntriesByName('drawn').length").await;
            let ask = async |script: &str| browser.ask(script).await.as_f64().unwrap_or(f64::NAN);
            drawn.push(ask("return performance.getEntriesByName('drawn')[0].startTime").await);
            // What one step of zooming or scrolling costs, at its dearest: with the whole month in sight.
            let frame = "const begun = performance.now(); for (let i = 0; i < 20; i++) drawNow(); \
                         return (performance.now() - begun) / 20";
            frames.push(ask(frame).await);
            if round == 0 {
                browser.screenshot(&to.join("month.png")).await;
                // The first gap of the middle store, and the windows around it.
                let zoom = "cursor = { camera: rows[Math.floor(rows.length / 2)], at: 0 }; stepGap(1); \
                            show(onGrid(cursor.at) - 5400, onGrid(cursor.at) + 5400); moveTo(cursor.camera, cursor.at); drawNow()";
                browser.ask(zoom).await;
                browser.screenshot(&to.join("ten-minutes.png")).await;
            }
        });
    }
    println!("figure report/write {:.0} ms", median(writing));
    println!("figure report/size {:.2} MB", std::fs::metadata(&page)?.len() as f64 / 1e6);
    println!("figure report/drawn {:.0} ms", median(drawn));
    println!("figure report/frame {:.1} ms", median(frames));
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
