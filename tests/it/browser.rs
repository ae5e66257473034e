//! Chromium without a screen, driven over WebDriver: it opens a page, moves a real pointer, presses real keys, and is asked what
//! it shows. Needs Debian's `chromium` and `chromium-driver`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// How long a browser is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys that have no character, as WebDriver calls them.
pub const ESCAPE: &str = "\u{e00c}";
pub const ENTER: &str = "\u{e007}";
pub const RIGHT: &str = "\u{e014}";
pub const HOME: &str = "\u{e011}";

/// A browser with one window and a profile of its own; ends when it is dropped.
pub struct Browser {
    http: reqwest::Client,
    session: String,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one whose window is so many pixels large.
    pub async fn start(width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is there");
        let mut said = BufReader::new(driver.stdout.take().expect("its output is piped"));
        let port = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).expect("chromedriver speaks") > 0, "chromedriver ended");
            if let Some((_, rest)) = line.split_once("started successfully on port ") {
                break rest.trim().trim_end_matches('.').to_owned();
            }
        };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--force-color-profile=srgb".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client without settings");
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { http, session: base.clone(), driver, _profile: profile };
        let begun = browser.post("", wanted).await;
        browser.session = format!("{base}/{}", begun["sessionId"].as_str().expect("a session has a name"));
        browser
    }

    async fn post(&self, what: &str, body: Value) -> Value {
        let url = format!("{}{what}", self.session);
        let request = self.http.post(&url).header("content-type", "application/json").body(body.to_string());
        Self::value(what, request.send().await).await
    }

    async fn value(what: &str, answer: reqwest::Result<reqwest::Response>) -> Value {
        let text = answer.expect("the driver answers").text().await.expect("an answer is text");
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
        assert!(answer["value"]["error"].is_null(), "{what}: {text}");
        answer["value"].take()
    }

    /// Opens a page, and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    /// What a function's body gives in the page.
    pub async fn ask(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression is true in the page.
    pub async fn until(&self, expression: &str) {
        let waiting = async {
            while self.ask(&format!("return Boolean({expression})")).await != Value::Bool(true) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "in vain: waited for {expression}");
    }

    /// Moves the pointer to a place in the window.
    pub async fn point(&self, x: f64, y: f64) {
        self.pointer(json!([moved(x, y)])).await;
    }

    /// Presses and releases its first button there.
    pub async fn click(&self, x: f64, y: f64) {
        let (down, up) = (json!({"type": "pointerDown", "button": 0}), json!({"type": "pointerUp", "button": 0}));
        self.pointer(json!([moved(x, y), down, up])).await;
    }

    async fn pointer(&self, actions: Value) {
        let pointer =
            json!({"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions});
        self.post("/actions", json!({ "actions": [pointer] })).await;
    }

    /// Presses keys, one after the other.
    pub async fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})])
            .collect();
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]})).await;
    }

    /// Everything that the console has said since it was last asked.
    pub async fn console(&self) -> Vec<String> {
        let said = self.post("/se/log", json!({"type": "browser"})).await;
        let messages = said.as_array().into_iter().flatten();
        messages.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Keeps what the window shows as a PNG.
    pub async fn screenshot(&self, path: &Path) {
        let url = format!("{}/screenshot", self.session);
        let shown = Self::value("/screenshot", self.http.get(&url).send().await).await;
        std::fs::write(path, from_base64(shown.as_str().expect("a picture"))).expect("a file can be written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // OK to ignore: it may have ended already. The driver ends its browser when it is told to end.
        if let Some(pid) = i32::try_from(self.driver.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.driver.wait();
    }
}

fn moved(x: f64, y: f64) -> Value {
    json!({"type": "pointerMove", "duration": 0, "origin": "viewport", "x": x.round(), "y": y.round()})
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = text.bytes().filter_map(|byte| DIGITS.iter().position(|&digit| digit == byte)).collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        // OK to cut off: the three bytes of 24 bits.
        bytes.extend([(bits >> 16) as u8, (bits >> 8) as u8, bits as u8].into_iter().take(four.len() - 1));
    }
    bytes
}
