//! The page in a browser, as somebody uses it.

use fantoccini::{Client, Locator, error::CmdError};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep};

/// Everything that a test waits for happens within this, on a slow machine too.
const SOON: Duration = Duration::from_secs(60);
/// Between two looks at the page.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) const PASSWORD: &str = "correct horse battery";

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
        self.shows("#balance", "1,000.00").await;
        self.shows("#live", "Live").await;
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
        self.shows("#send-review-amount", amount).await;
    }

    pub(crate) async fn send(&self, to: &str, amount: &str) {
        self.review(to, amount).await;
        self.click("#send-confirm").await;
        let sent = format!("Sent {amount} to {to}.");
        self.shows("#send-outcome", &sent).await;
    }

    /// Clicks on it as soon as it can be seen.
    pub(crate) async fn click(&self, selector: &str) {
        self.until(selector, async || {
            match self.browser.find(Locator::Css(selector)).await {
                Ok(element) => element.click().await.map(|()| true),
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

    /// Whether something is wider than the window, wherever it is.
    pub(crate) async fn fits(&self) {
        let script = "return [document.documentElement.scrollWidth, window.innerWidth]";
        let widths = self.run(script).await;
        assert_eq!(widths[0], widths[1], "of the page and of the window");
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
