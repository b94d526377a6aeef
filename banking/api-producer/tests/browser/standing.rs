//! Standing orders: ordered, made, cancelled.

use crate::{Screen, Visit};
use fantoccini::key::Key;

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_order_is_ordered_made_and_cancelled() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.run("document.querySelector('#standing summary').focus()")
        .await;
    ada.press(Key::Enter).await;
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
