//! The page in a browser, as somebody uses it.

use fantoccini::{Client, Locator, error::CmdError, key::Key, wd::WebDriverCompatibleCommand};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::{net::SocketAddr, str::FromStr, time::Duration};
use tokio::time::{Instant, sleep};

/// Everything that a test waits for happens within this, on a slow machine too.
const SOON: Duration = Duration::from_secs(60);
/// Between two looks at the page.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A command of the Chrome DevTools Protocol, by way of chromedriver.
#[derive(Debug)]
struct ChromiumCommand {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for ChromiumCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = json!({ "cmd": self.command, "params": self.parameters });
        (Method::POST, Some(body.to_string()))
    }
}

/// A page, and the browser that shows it.
pub(crate) struct Page {
    pub(crate) browser: Client,
    url: String,
}

impl Page {
    pub(crate) async fn open(browser: Client, bank: SocketAddr) -> Self {
        let url = format!("http://{bank}/");
        browser.goto(&url).await.unwrap();
        Self { browser, url }
    }

    pub(crate) async fn register(&self, name: &str) {
        self.click("#tab-register").await;
        self.fill("#register-name", name).await;
        self.fill("#register-password", PASSWORD).await;
        self.click("#register [type=submit]").await;
        self.shows("#holder", name).await;
        self.shows("#balance", "€1,000.00").await;
        self.shows("#live", "Live").await;
    }

    /// Opens a part of the page that is folded, by the keyboard.
    pub(crate) async fn unfolds(&self, part: &str) {
        self.run(&format!(
            "document.querySelector('#{part} summary').focus()"
        ))
        .await;
        self.press(Key::Enter).await;
        self.holds(&format!("return document.getElementById('{part}').open"))
            .await;
    }

    /// Loses every answer to what is ordered at a path that ends so, after the bank has done it.
    pub(crate) async fn loses_answers(&self, path: &str) {
        let lose = "
            const [path] = arguments;
            const fetch = window.fetch;
            window.fetch = async (url, request) => {
                const answer = await fetch(url, request);
                if (String(url).endsWith(path) && request.method === 'POST') throw new TypeError('lost');
                return answer;
            };
        ";
        let lose = self.browser.execute(lose, vec![json!(path)]);
        lose.await.unwrap();
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) {
        self.click("#tab-login").await;
        self.fill("#login-name", name).await;
        self.fill("#login-password", password).await;
        self.click("#login [type=submit]").await;
    }

    /// Fills in a transfer and looks at it, without sending it.
    pub(crate) async fn review(&self, to: &str, amount: &str) {
        self.click("#tab-send").await;
        self.fill("#send-to", to).await;
        self.fill("#send-amount", amount).await;
        self.click("#send-form [type=submit]").await;
        self.shows("#send-review-amount", &format!("€{amount}"))
            .await;
    }

    pub(crate) async fn send(&self, to: &str, amount: &str) {
        self.review(to, amount).await;
        self.click("#send-confirm").await;
        let sent = format!("Sent €{amount} to {to}.");
        self.shows("#send-outcome", &sent).await;
    }

    /// Clicks on it as soon as it can be seen.
    pub(crate) async fn click(&self, selector: &str) {
        self.until(selector, async || {
            match self.browser.find(Locator::Css(selector)).await {
                Ok(element) => {
                    // As people do: not where the bar is, which stays at the top.
                    let place = vec![serde_json::to_value(&element)?];
                    let middle = "arguments[0].scrollIntoView({ block: 'center' })";
                    self.browser.execute(middle, place).await?;
                    element.click().await.map(|()| true)
                }
                Err(error) => Err(error),
            }
        })
        .await;
    }

    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        self.until(selector, async || {
            let field = self.browser.find(Locator::Css(selector)).await?;
            field.clear().await?;
            field.send_keys(text).await.map(|()| true)
        })
        .await;
    }

    /// Presses a key, wherever the focus is.
    pub(crate) async fn press(&self, key: Key) {
        let focused = self.browser.active_element().await.unwrap();
        focused
            .send_keys(&char::from(key).to_string())
            .await
            .unwrap();
    }

    /// Waits until this text, and nothing else, is to be seen there.
    pub(crate) async fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} shows {text:?}");
        self.until(&what, async || Ok(self.text(selector).await? == text))
            .await;
    }

    /// Waits until this is part of what is to be seen there.
    pub(crate) async fn mentions(&self, selector: &str, text: &str) {
        let what = format!("{selector} mentions {text:?}");
        self.until(&what, async || {
            Ok(self.text(selector).await?.contains(text))
        })
        .await;
    }

    /// What is to be seen there now.
    pub(crate) async fn text(&self, selector: &str) -> Result<String, CmdError> {
        let element = self.browser.find(Locator::Css(selector)).await?;
        element.text().await
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.browser.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits until a script returns true.
    pub(crate) async fn holds(&self, script: &str) {
        self.until(script, async || {
            let value = self.browser.execute(script, Vec::new()).await?;
            Ok(value == Value::Bool(true))
        })
        .await;
    }

    /// Nothing is wider than the window, or than the card that it is in.
    pub(crate) async fn fits(&self) {
        let script = "
            const boxes = document.querySelectorAll(':root, .card, .balance-card, dialog[open]');
            const right = (box) => box.getBoundingClientRect().right;
            const beyond = (box) => [...box.querySelectorAll('*')]
                .filter((inner) => right(inner) > right(box) - parseFloat(getComputedStyle(box).paddingRight))
                .map((inner) => `${inner.tagName}#${inner.id}.${inner.className} ${right(inner)}`);
            return [...boxes].filter((box) => box.scrollWidth > box.clientWidth)
                .map((box) => `${box.tagName} ${box.className} ${box.scrollWidth}: ${beyond(box)}`)";
        assert_eq!(self.run(script).await, json!([]), "too narrow");
    }

    /// Has Chromium do what WebDriver has no words for.
    pub(crate) async fn chromium(&self, command: &'static str, parameters: Value) -> Value {
        let command = ChromiumCommand {
            command,
            parameters,
        };
        self.browser.issue_cmd(command).await.unwrap()
    }

    /// The size of the window, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.chromium("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Looks again and again. What can't be found or clicked on yet may be later.
    async fn until(&self, what: &str, look: impl AsyncFn() -> Result<bool, CmdError>) {
        let end = Instant::now() + SOON;
        loop {
            let seen = look().await;
            if matches!(seen, Ok(true)) {
                return;
            }
            if Instant::now() > end {
                let body = self.text("body").await.unwrap_or_default();
                panic!("{what}: {seen:?} after {SOON:?} at {}:\n{body}", self.url);
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
