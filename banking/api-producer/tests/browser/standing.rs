//! Standing orders: ordered, made, cancelled.

use crate::{Screen, Visit};
use jiff::{Timestamp, tz::TimeZone};

/// The standing orders of who is logged in, as the bank has them.
const ORDERS: &str = "
    const { token } = JSON.parse(localStorage.getItem('session'));
    return fetch('/api/transfer/standing-orders', { headers: { 'X-Session': token } })
        .then((answer) => answer.json())
        .then(({ items }) => items);
";

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_order_is_ordered_made_and_cancelled() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.unfolds("standing").await;
    ada.mentions("#standing-list", "No standing orders yet.")
        .await;
    ada.fits().await;
    // Without anything it says what is missing, and where.
    ada.click("#standing-form [type=submit]").await;
    ada.shows("#standing-error", "A username is needed.").await;
    ada.holds("return document.activeElement.id === 'standing-to'")
        .await;
    ada.fill("#standing-to", "bob").await;
    ada.fill("#standing-amount", "12.34").await;
    ada.fill("#standing-reference", "Rent").await;
    // From this minute on.
    ada.run(
        "const now = new Date();
         now.setMinutes(now.getMinutes() - now.getTimezoneOffset());
         document.getElementById('standing-first').value = now.toISOString().slice(0, 16)",
    )
    .await;
    ada.click("#standing-form [type=submit]").await;
    ada.shows("#standing-done", "Ordered: €12.34 to bob.").await;
    bob.shows("#balance", "€1,012.34").await;
    ada.shows("#balance", "€987.66").await;
    ada.mentions("#standing-list", "Every month").await;
    ada.mentions("#standing-list", "Made").await;
    ada.fits().await;
    ada.click("#standing-list button").await;
    ada.mentions("#standing-list", "Cancelled").await;
    ada.shows("#standing-done", "Cancelled: €12.34 to bob.")
        .await;
    ada.fits().await;
    // Nothing is left to cancel.
    ada.holds("return !document.querySelector('#standing-list button')")
        .await;
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_day_of_a_standing_order_ends_before_the_next_one_begins() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.unfolds("standing").await;
    ada.fill("#standing-to", "bob").await;
    ada.fill("#standing-amount", "12.34").await;
    // Every day from tomorrow's first moment on, and tomorrow is the last one.
    ada.run(
        "const first = document.getElementById('standing-first');
         const tomorrow = first.value.slice(0, 10);
         first.value = `${tomorrow}T00:00`;
         document.getElementById('standing-unit').value = 'day';
         document.getElementById('standing-until').value = tomorrow",
    )
    .await;
    ada.click("#standing-form [type=submit]").await;
    ada.shows("#standing-done", "Ordered: €12.34 to bob.").await;
    let orders = ada.run(ORDERS).await;
    let moment = |name: &str| -> Timestamp { orders[0][name].as_str().unwrap().parse().unwrap() };
    let (first, until) = (moment("first_at"), moment("until"));
    let zone = TimeZone::get(orders[0]["time_zone"].as_str().unwrap()).unwrap();
    let next = first.to_zoned(zone).tomorrow().unwrap().timestamp();
    assert!(first < until && until < next, "{first} {until} {next}");
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_order_whose_answer_was_lost_is_ordered_once_after_a_reload() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.loses_answers("/standing-orders").await;
    ada.unfolds("standing").await;
    ada.fill("#standing-to", "bob").await;
    ada.fill("#standing-amount", "12.34").await;
    // It may be another day when the page is loaded again.
    let first = "return document.getElementById('standing-first').value";
    let first = ada.run(first).await;
    ada.click("#standing-form [type=submit]").await;
    ada.holds("return !document.getElementById('standing-error').hidden")
        .await;
    // It is there, as is seen at once.
    ada.mentions("#standing-list", "€12.34 to bob").await;

    ada.browser.refresh().await.unwrap();
    ada.shows("#balance", "€1,000.00").await;
    ada.unfolds("standing").await;
    ada.fill("#standing-to", "bob").await;
    ada.fill("#standing-amount", "12.34").await;
    let same = "document.getElementById('standing-first').value = arguments[0]";
    let same = ada.browser.execute(same, vec![first]);
    same.await.unwrap();
    ada.click("#standing-form [type=submit]").await;
    ada.shows("#standing-done", "Ordered: €12.34 to bob.").await;
    assert_eq!(ada.run(ORDERS).await.as_array().unwrap().len(), 1);

    // The next one is another, though it is the same.
    ada.fill("#standing-to", "bob").await;
    ada.fill("#standing-amount", "12.34").await;
    ada.click("#standing-form [type=submit]").await;
    ada.holds("return document.querySelectorAll('#standing-list button').length === 2")
        .await;
    assert_eq!(ada.run(ORDERS).await.as_array().unwrap().len(), 2);
    visit.end([ada, bob]).await;
}
