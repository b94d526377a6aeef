//! The web page in a real browser, on the whole bank: what people see, on both sides of a transfer.
//!
//! Without Chromium and chromedriver the tests are skipped, unless `BUS_REQUIRE_LIVE=1`.
//! `scripts/chromium` finds or installs them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod bank;
mod driver;
mod page;

mod looks;
mod money;
mod months;
mod notices;
mod requests;
mod review;
mod sessions;
mod standing;
mod statement;
mod status;
mod transfers;

use bank::Bank;
use driver::{Driver, Screen};
use page::Page;
use replybus_testkit::live::require_or_skip;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A browser is a dozen processes.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A bank, and browsers to look at it.
struct Visit {
    driver: Driver,
    bank: Bank,
    _turn: SemaphorePermit<'static>,
}

impl Visit {
    /// `None` without a browser.
    async fn begin() -> Option<Self> {
        let turn = AT_ONCE.acquire().await.unwrap();
        Some(Self {
            driver: require_or_skip(Driver::start().await)?,
            bank: Bank::start().await,
            _turn: turn,
        })
    }

    /// The page in a browser that was never here before.
    async fn page(&self, screen: Screen) -> Page {
        let browser = self.driver.browser(screen).await;
        Page::open(browser, self.bank.address).await
    }

    /// The same, of somebody who reads another language than English.
    async fn page_in(&self, screen: Screen, language: &str) -> Page {
        let browser = self.driver.browser_in(screen, language).await;
        Page::open(browser, self.bank.address).await
    }

    async fn end(self, pages: impl IntoIterator<Item = Page>) {
        for page in pages {
            page.browser.close().await.unwrap();
        }
        self.bank.stop().await;
    }
}
