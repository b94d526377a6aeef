//! Sending money.

use crate::{Screen, Visit};

/// They are gone after some seconds, perhaps before the test looks.
const REMEMBER_TOASTS: &str = "
    window.toasts = [];
    new MutationObserver((changes) => {
        for (const change of changes) {
            for (const node of change.addedNodes) window.toasts.push(node.textContent);
        }
    }).observe(document.getElementById('toasts'), { childList: true });
";

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_see_a_transfer_without_a_reload() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Phone));
    ada.register("ada").await;
    bob.register("bob").await;
    for page in [&ada, &bob] {
        // Gone if the page is loaded anew.
        page.run("window.stayed = true").await;
    }

    ada.send("bob", "12.34").await;
    ada.shows("#balance", "€987.66").await;
    ada.mentions("#statement", "To bob").await;
    ada.mentions("#statement", "−€12.34").await;
    bob.shows("#balance", "€1,012.34").await;
    bob.mentions("#statement", "From ada").await;
    bob.mentions("#statement", "+€12.34").await;
    bob.shows("#bell-count", "1").await;
    bob.fits().await;
    // The sender knows.
    ada.click("#bell").await;
    ada.mentions("#notices", "You sent €12.34 to bob").await;
    ada.holds("return document.getElementById('bell-count').hidden")
        .await;
    bob.click("#bell").await;
    let told = "You received €12.34 from ada";
    bob.mentions("#notices", told).await;
    bob.fits().await;

    bob.click("#notices .notice .quiet").await;
    bob.holds("return document.getElementById('bell-count').hidden")
        .await;
    bob.mentions("#notices", told).await;

    // By the number of the account, as it is written.
    let number = ada.text("#account-number").await.unwrap();
    assert_eq!(number.len(), "1234 5678 9012".len());
    bob.click("#send-form input[value=account]").await;
    bob.review(&number, "1,000.00").await;
    bob.shows("#send-review-to", "ada").await;
    bob.shows("#send-review-number", &number).await;
    bob.fits().await;
    ada.run(REMEMBER_TOASTS).await;
    bob.click("#send-confirm").await;
    bob.shows("#send-outcome", "Sent €1,000.00 to ada.").await;
    ada.holds("return window.toasts.includes('You received €1,000.00 from bob')")
        .await;
    bob.shows("#balance", "€12.34").await;
    ada.shows("#balance", "€1,987.66").await;
    ada.click("#tab-transfers").await;
    ada.mentions("#transfers", "From bob").await;
    for page in [&ada, &bob] {
        page.holds("return window.stayed === true").await;
    }
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_refuses_is_said_and_moves_nothing() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.register("ada").await;
    ada.click("#tab-withdraw").await;
    ada.fill("#withdraw-amount", "1,000.01").await;
    ada.click("#withdraw-form [type=submit]").await;
    ada.shows("#withdraw-outcome", "Insufficient balance.")
        .await;
    ada.shows("#balance", "€1,000.00").await;

    // And what it does not refuse is done.
    ada.fill("#withdraw-amount", "1,000").await;
    ada.click("#withdraw-form [type=submit]").await;
    ada.shows("#balance", "€0.00").await;
    ada.click("#tab-deposit").await;
    ada.fill("#deposit-amount", "0.5").await;
    ada.click("#deposit-form [type=submit]").await;
    ada.shows("#deposit-outcome", "Deposited €0.50.").await;
    ada.shows("#balance", "€0.50").await;
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_whose_answer_was_lost_is_tried_again_and_made_once() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.loses_answers("/transfer/transfer").await;
    ada.review("bob", "100.00").await;
    ada.click("#send-confirm").await;
    let unknown = "Your transfer of €100.00 to bob is not confirmed";
    ada.mentions("#send-outcome", unknown).await;
    bob.shows("#balance", "€1,100.00").await;

    // Again, and lost again; then the page is loaded anew, and knows it still.
    ada.click("#send-outcome .primary").await;
    ada.mentions("#send-outcome", unknown).await;
    ada.browser.refresh().await.unwrap();
    ada.mentions("#send-outcome", unknown).await;
    ada.click("#send-outcome .primary").await;
    ada.shows("#send-outcome", "Sent €100.00 to bob.").await;
    ada.shows("#balance", "€900.00").await;

    // The next one is another, though it is the same.
    ada.send("bob", "100.00").await;
    ada.shows("#balance", "€800.00").await;
    bob.shows("#balance", "€1,200.00").await;
    visit.end([ada, bob]).await;
}

/// Takes notice of every connection, and makes none while `window.cut` is set.
pub(crate) const WATCH_CONNECTIONS: &str = "
    const connect = window.WebSocket;
    window.connections = [];
    window.WebSocket = class extends connect {
        constructor(url) {
            super(window.cut ? new URL('/nowhere', url) : url);
            window.connections.push(this);
        }
    };
";

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_connection_was_lost_is_seen_when_it_is_back() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.run(WATCH_CONNECTIONS).await;
    bob.register("bob").await;
    bob.run("window.cut = true; window.connections.at(-1).close()")
        .await;
    bob.shows("#live", "Reconnecting").await;
    // It tries.
    bob.holds("return window.connections.length > 2").await;
    ada.send("bob", "1.00").await;
    bob.shows("#balance", "€1,000.00").await;

    bob.run("window.cut = false").await;
    bob.shows("#live", "Live").await;
    bob.shows("#balance", "€1,001.00").await;
    bob.shows("#bell-count", "1").await;
    visit.end([ada, bob]).await;
}

/// Pays in eleven times, one unit more each time.
const PAY_IN: &str = "
    const done = arguments[0];
    const { token } = JSON.parse(localStorage.getItem('session'));
    const headers = { 'X-Session': token, 'Content-Type': 'application/json' };
    (async () => {
        for (let amount = 1; amount <= 11; amount += 1) {
            const body = JSON.stringify({ amount });
            await fetch('/api/account/deposit', { method: 'POST', headers, body });
        }
        done();
    })();
";

#[tokio::test(flavor = "multi_thread")]
async fn a_long_statement_is_read_page_by_page() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Phone).await;
    ada.register("ada").await;
    let paid = ada.browser.execute_async(PAY_IN, Vec::new());
    paid.await.unwrap();
    ada.browser.refresh().await.unwrap();
    ada.mentions("#statement", "+€0.11").await;
    ada.shows("#statement .pager p", "1 of 2").await;
    ada.fits().await;
    ada.click("#statement .pager button:last-child").await;
    ada.shows("#statement .pager p", "2 of 2").await;
    ada.mentions("#statement", "Account opened").await;
    // There is no older one: it stays.
    ada.click("#statement .pager button:last-child").await;
    ada.click("#statement .pager button:first-child").await;
    ada.shows("#statement .pager p", "1 of 2").await;
    ada.mentions("#statement", "+€0.11").await;
    visit.end([ada]).await;
}
