//! The status page: what the administrator sees of the bank, and does about it.

use crate::{Page, Screen, Visit, bank::ADMIN_SECRET, looks::nameless};
use contracts::{AccountNumber, Amount, Movement, Party, TransactionCompleted, UserId};
use fantoccini::key::Key;
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// The page, before the secret.
async fn door(visit: &Visit, screen: Screen, language: &str) -> Page {
    let page = visit.page_in(screen, language).await;
    let url = format!("http://{}/status", visit.bank.address);
    page.browser.goto(&url).await.unwrap();
    page
}

async fn opened(visit: &Visit) -> Page {
    let page = door(visit, Screen::Desktop, "en-GB").await;
    page.fill("#secret", ADMIN_SECRET).await;
    page.click("#open [type=submit]").await;
    page.shows("#live-text", "Live").await;
    page
}

/// An event that nobody of the bank has signed: it becomes a letter.
async fn forged_event(visit: &Visit) {
    let event = TransactionCompleted {
        id: Uuid::now_v7(),
        movement: Movement::Deposit {
            to: Party {
                user_id: UserId::new(),
                username: "eve".parse().unwrap(),
                account_number: AccountNumber::draw(),
            },
            new_balance: 1_000_000,
        },
        amount: Amount::new(5).unwrap(),
        completed_at: Timestamp::now(),
        proof: Some("hunter2".to_owned()),
    };
    visit.bank.platform.bus.emit(&event).await.unwrap();
}

/// Waits until so many events were given up.
async fn given_up(visit: &Visit, letters: u64) {
    let counted = async {
        loop {
            let state = visit.bank.platform.bus.inspect("notifications.dead").await;
            if state.unwrap().is_some_and(|state| state.waiting == letters) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted)
        .await
        .unwrap();
}

/// Chooses a queue whose letters are counted like this, and looks at them.
async fn look_at(page: &Page, queue: &str, counted: &str) {
    let choose = format!(
        "const select = document.getElementById('letters-queue');
         const option = [...select.options].find((one) => one.textContent === '{queue} ({counted})');
         if (!option) return false;
         select.value = option.value;
         select.dispatchEvent(new Event('change'));
         return true;"
    );
    page.holds(&choose).await;
    page.click("#letters-look").await;
}

/// A job of which the bank tells this page, until it is cancelled there: those of the bank are over
/// before anybody looks.
const ONE_JOB: &str = "
    const ask = window.fetch;
    const job = { id: '019ac3f2-7c11-7d5e-9a4b-52f0c4a7e9d1', method: 'make', run: 2, done: 3,
        total: 12, instance: 'i', since: '2026-03-01T10:00:00Z' };
    let jobs = [{ queue: 'account.months', jobs: [job], more: 1 }];
    window.fetch = async (path, request) => {
        if (path === '/jobs') return Response.json(jobs);
        if (path !== '/jobs/cancel') return ask(path, request);
        if (JSON.parse(request.body).id !== job.id) return new Response('', { status: 404 });
        jobs = [];
        return Response.json({ cancelled: 'told' });
    };";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_says_how_far_it_is_and_is_cancelled_only_if_that_is_meant() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = opened(&visit).await;
    page.click("#jobs-look").await;
    page.shows("#jobs-text", "0 of 0, the oldest first.").await;
    page.run(ONE_JOB).await;
    page.click("#jobs-look").await;
    page.shows("#jobs-text", "1 of 2, the oldest first.").await;
    page.mentions("#jobs", "account.months make").await;
    page.mentions("#jobs", "3 of 12").await;
    page.holds("return document.querySelector('#jobs progress').position === 0.25")
        .await;
    assert_eq!(nameless(&page).await, Vec::<String>::new());
    page.click("#jobs .danger").await;
    page.mentions("#confirm-text", "account.months make").await;
    page.press(Key::Escape).await;
    page.shows("#jobs-text", "1 of 2, the oldest first.").await;
    page.click("#jobs .danger").await;
    page.click("#confirm-yes").await;
    announced(&page, "Who runs it was told.").await;
    page.shows("#jobs-text", "0 of 0, the oldest first.").await;
    visit.end([page]).await;
}

/// Waits until this is read out to those who listen.
async fn announced(page: &Page, text: &str) {
    let said = format!("return document.getElementById('announced').textContent === '{text}'");
    page.holds(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_secret_sees_the_bank_as_it_changes() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = door(&visit, Screen::Desktop, "en-GB").await;
    page.fill("#secret", "not the secret at all").await;
    page.press(Key::Enter).await;
    page.shows("#open-error", "That is not the secret, or none was set.")
        .await;
    page.holds("return document.getElementById('room').hidden")
        .await;
    page.fill("#secret", ADMIN_SECRET).await;
    page.press(Key::Enter).await;
    page.shows("#live-text", "Live").await;
    for queue in [
        "auth.requests",
        "account.months",
        "transfer.standing",
        "notifications",
    ] {
        page.mentions("#services", queue).await;
    }
    page.mentions("#services", "Up").await;
    page.mentions("#instances", env!("CARGO_PKG_VERSION")).await;
    page.mentions("#gateway", "api-producer").await;
    page.mentions("#breakers-text", " are closed.").await;
    // What happens is seen without anybody asking.
    let customer = visit.page(Screen::Desktop).await;
    customer.register("ada").await;
    page.mentions("#traffic-text", "Now ").await;
    page.holds(
        "return document.querySelector('#traffic polyline').getAttribute('points').includes(' ')",
    )
    .await;
    // The secret is nowhere but in the page, and gone with it.
    let kept = "return [Object.keys(localStorage), Object.keys(sessionStorage), document.cookie,
        document.getElementById('secret').value, location.href.includes('sesame')]";
    let kept = page.run(kept).await;
    assert_eq!(kept, json!([[], [], "", "", false]));
    page.click("#leave").await;
    page.holds("return !document.getElementById('door').hidden")
        .await;
    page.holds("return document.activeElement.id === 'secret'")
        .await;
    visit.end([page, customer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_read_without_secrets_and_only_thrown_away_if_that_is_meant() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = opened(&visit).await;
    forged_event(&visit).await;
    given_up(&visit, 1).await;
    look_at(&page, "notifications", "1").await;
    page.shows("#letters-text", "1 of 1, the oldest first.")
        .await;
    page.click("#letters summary").await;
    page.mentions("#letters pre", "\"new_balance\": 1000000")
        .await;
    page.mentions("#letters pre", "\"proof\": \"(hidden)\"")
        .await;
    page.holds("return !document.body.textContent.includes('hunter2')")
        .await;
    page.click("#letters .danger").await;
    page.mentions("#confirm-text", "It is lost then.").await;
    // The key that leaves.
    page.press(Key::Escape).await;
    page.holds("return !document.getElementById('confirm').open")
        .await;
    page.shows("#letters-text", "1 of 1, the oldest first.")
        .await;
    // Put back, it comes again: nobody has signed it meanwhile.
    page.click("#redrive-all").await;
    page.click("#confirm-yes").await;
    announced(&page, "1 were put back.").await;
    given_up(&visit, 1).await;
    look_at(&page, "notifications", "1").await;
    page.shows("#letters-text", "1 of 1, the oldest first.")
        .await;
    page.click("#letters summary").await;
    page.click("#letters .danger").await;
    page.click("#confirm-yes").await;
    announced(&page, "1 were thrown away.").await;
    page.shows("#letters-text", "0 of 0, the oldest first.")
        .await;
    page.click("#delayed-look").await;
    page.shows("#delayed-text", "0 of 0, the nearest first.")
        .await;
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_opens_is_shown_and_reset() {
    let Some(mut visit) = Visit::begin().await else {
        return;
    };
    let page = opened(&visit).await;
    visit.bank.lose_notifications().await;
    page.mentions("#services", "Down").await;
    let list = format!("http://{}/api/notifications", visit.bank.address);
    let client = reqwest::Client::new();
    let ask = || client.get(&list).header("X-Session", "a.b.c").send();
    let failed = futures_util::future::join_all((0..8).map(|_| ask())).await;
    assert!(failed.into_iter().all(|told| told.unwrap().status() == 503));
    page.mentions("#breakers", "notification.requests list")
        .await;
    page.click("#breakers button").await;
    announced(&page, "1 were reset.").await;
    page.holds("return document.activeElement.id === 'breakers-title'")
        .await;
    page.mentions("#breakers-text", " are closed.").await;
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_fits_and_has_names_at_every_width_in_both_languages() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    for (language, live) in [("en-GB", "Live"), ("vi-VN", "Trực tiếp")] {
        let page = door(&visit, Screen::Desktop, language).await;
        let all_fit = async || {
            for width in [1280, 390, 320] {
                page.resize(width, 800).await;
                page.fits().await;
            }
            let nameless = nameless(&page).await;
            assert!(nameless.is_empty(), "{language}: {nameless:#?}");
        };
        page.fill("#secret", ADMIN_SECRET).await;
        page.press(Key::Enter).await;
        page.shows("#live-text", live).await;
        page.mentions("#services", "account.requests").await;
        forged_event(&visit).await;
        page.holds("return document.getElementById('letters-queue').options.length > 5")
            .await;
        all_fit().await;
        // A panel that is left alone does not move the focus.
        page.click("#delayed-look").await;
        page.holds("return document.activeElement.id === 'delayed-look'")
            .await;
        let silent = "return [...document.querySelectorAll('[data-say]')]
            .filter((place) => !place.textContent).length";
        assert_eq!(page.run(silent).await, 0);
        page.browser.close().await.unwrap();
    }
    visit.end([]).await;
}
