//! Chromium, and the chromedriver through which a test uses it.

use fantoccini::{Client, ClientBuilder, wd::Capabilities};
use replybus_testkit::servers::{Process, ReservedPort, ServerError, Workplace};
use serde_json::json;
use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

/// The places where `scripts/chromium` looks, too.
const CHROMIUM: [&str; 7] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/opt/google/chrome/chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
const CHROMEDRIVER: [&str; 4] = [
    "chromedriver",
    "/usr/lib/chromium/chromedriver",
    "/usr/lib/chromium-browser/chromedriver",
    "/opt/homebrew/bin/chromedriver",
];

const START_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at whether it listens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Width and height of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    Desktop,
    Phone,
}

/// The language that a browser asks for, unless it is said.
const ENGLISH: &str = "en-US";

/// A chromedriver of one's own. Dropped, it takes its browsers and their files with it.
pub(crate) struct Driver {
    // Dropped in this order: the processes, then the directory.
    process: Process,
    workplace: Workplace,
    port: ReservedPort,
    chromium: PathBuf,
}

impl Driver {
    pub(crate) async fn start() -> Result<Self, ServerError> {
        let chromium = program("Chromium", "CHROMIUM", &CHROMIUM)?;
        let chromedriver = program("chromedriver", "CHROMEDRIVER", &CHROMEDRIVER)?;
        let mut workplace = Workplace::new("browser")?;
        let port = ReservedPort::new()?;
        let directory = workplace.path("");
        let mut command = Command::new(chromedriver);
        command
            .arg(format!("--port={}", port.number()))
            // Whatever it writes goes away with the directory.
            .env("HOME", &directory)
            .env("TMPDIR", &directory);
        let mut driver = Self {
            process: workplace.spawn(&mut command)?,
            workplace,
            port,
            chromium,
        };
        driver.ready().await?;
        Ok(driver)
    }

    async fn ready(&mut self) -> Result<(), ServerError> {
        let end = Instant::now() + START_WITHIN;
        while self.process.is_running() && Instant::now() < end {
            if TcpStream::connect(self.port.address()).await.is_ok() {
                return Ok(());
            }
            sleep(LOOK_EVERY).await;
        }
        Err(ServerError::DidNotStart {
            server: "chromedriver",
            log: self.workplace.log_tail(),
        })
    }

    /// A browser with nothing in it.
    pub(crate) async fn browser(&self, screen: Screen) -> Client {
        self.browser_in(screen, ENGLISH).await
    }

    /// A browser of somebody who reads that language.
    pub(crate) async fn browser_in(&self, screen: Screen, language: &str) -> Client {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let profile = self.workplace.path(&format!("profile-{number}"));
        let mut options = json!({
            "binary": self.chromium,
            "args": [
                "--headless=new",
                // It is root in a container, and sees nothing but our page.
                "--no-sandbox",
                // Shared memory is small in a container.
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                "--window-size=1280,800",
                format!("--accept-lang={language}"),
                format!("--user-data-dir={}", profile.display()),
            ],
        });
        if screen == Screen::Phone {
            options["mobileEmulation"] = json!({
                "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 2.0, "touch": true },
            });
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("browserName".to_owned(), json!("chrome"));
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", self.port.address()))
            .await
            .unwrap_or_else(|error| panic!("no browser: {error}\n{}", self.workplace.log_tail()))
    }
}

/// The program that a variable names, or the first of these that is installed.
fn program(
    server: &'static str,
    variable: &str,
    candidates: &[&str],
) -> Result<PathBuf, ServerError> {
    let candidates: Vec<OsString> = match env::var_os(variable).filter(|named| !named.is_empty()) {
        Some(named) => vec![named],
        None => candidates.iter().map(OsString::from).collect(),
    };
    let path = env::var_os("PATH").unwrap_or_default();
    // Joined to a directory, an absolute path stays what it is.
    let found = candidates.iter().find_map(|candidate| {
        env::split_paths(&path)
            .map(|directory| directory.join(candidate))
            .find(|program| program.is_file())
    });
    found.ok_or_else(|| ServerError::NotInstalled {
        server,
        looked_for: candidates
            .iter()
            .map(|candidate| candidate.to_string_lossy().into_owned())
            .collect(),
    })
}
