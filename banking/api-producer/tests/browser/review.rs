//! The look at a transfer before it is sent.

use crate::{Screen, Visit};
use fantoccini::key::Key;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bank_would_refuse_is_said_before_it_is_asked() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    let own = ada.text("#account-number").await.unwrap();
    for (by, to, amount, refusal, field) in [
        (
            "username",
            "nobody-here",
            "1",
            "There is no user with this name.",
            "send-to",
        ),
        (
            "username",
            "ADA",
            "1",
            "This is your own account.",
            "send-to",
        ),
        (
            "username",
            "bob",
            "1000.01",
            "There is only €1,000.00 on your account.",
            "send-amount",
        ),
        (
            "account",
            "000000000001",
            "1",
            "There is no account with this number.",
            "send-to",
        ),
        (
            "account",
            own.as_str(),
            "1",
            "This is your own account.",
            "send-to",
        ),
        (
            "account",
            "12",
            "1",
            "Account number: 6 to 20 digits are needed.",
            "send-to",
        ),
        (
            "username",
            "bob",
            "1.005",
            "Enter an amount like 1,000.00.",
            "send-amount",
        ),
        (
            "username",
            "bob",
            "0",
            "The smallest amount is €0.01.",
            "send-amount",
        ),
    ] {
        ada.click(&format!("#send-form input[value={by}]")).await;
        ada.fill("#send-to", to).await;
        ada.fill("#send-amount", amount).await;
        ada.click("#send-form [type=submit]").await;
        ada.shows("#send-form-error", refusal).await;
        ada.holds(&format!(
            "return document.activeElement.id === '{field}' \
             && document.activeElement.getAttribute('aria-invalid') === 'true'"
        ))
        .await;
        ada.fits().await;
    }
    // What is possible says whom it goes to, by the name and number that the bank knows.
    ada.fill("#send-to", "BOB").await;
    ada.fill("#send-amount", "999,5").await;
    ada.click("#send-form [type=submit]").await;
    ada.shows("#send-review-amount", "€999.50").await;
    ada.shows("#send-review-to", "bob").await;
    let number = bob.text("#account-number").await.unwrap();
    ada.shows("#send-review-number", &number).await;
    ada.shows("#send-review-left", "Leaves €0.50 on your account.")
        .await;
    ada.fits().await;
    ada.click("#send-confirm").await;
    ada.shows("#send-outcome", "Sent €999.50 to bob.").await;
    ada.shows("#balance", "€0.50").await;
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stepping_out_of_the_review_leads_back_to_what_was_typed() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    bob.register("bob").await;
    ada.register("ada").await;
    ada.run("window.stayed = true").await;
    let is_as_typed = "return !document.getElementById('send-form').hidden \
        && document.getElementById('send-review').hidden \
        && document.getElementById('send-to').value === 'bob' \
        && document.getElementById('send-amount').value === '12.50' \
        && document.activeElement.id === 'send-to'";
    let review = async || {
        ada.click("#send-form [type=submit]").await;
        ada.shows("#send-review-amount", "€12.50").await;
    };

    ada.review("bob", "12.50").await;
    ada.press(Key::Escape).await;
    ada.holds(is_as_typed).await;
    review().await;
    ada.browser.back().await.unwrap();
    ada.holds(is_as_typed).await;
    review().await;
    ada.click("#send-change").await;
    ada.holds(is_as_typed).await;
    review().await;
    ada.browser.back().await.unwrap();
    ada.holds(is_as_typed).await;
    // A press too many does nothing.
    ada.press(Key::Escape).await;
    ada.holds(is_as_typed).await;
    assert_eq!(ada.run("return window.stayed").await, true);

    // Nor does a page that is loaded anew, or left and come back to, lose it.
    ada.browser.refresh().await.unwrap();
    ada.shows("#balance", "€1,000.00").await;
    ada.browser.goto("about:blank").await.unwrap();
    ada.browser.back().await.unwrap();
    ada.shows("#balance", "€1,000.00").await;
    ada.shows("#live", "Live").await;
    review().await;
    ada.click("#send-confirm").await;
    ada.shows("#send-outcome", "Sent €12.50 to bob.").await;
    let is_empty = "return document.getElementById('send-to').value === '' \
        && document.getElementById('send-amount').value === ''";
    ada.holds(is_empty).await;
    ada.browser.refresh().await.unwrap();
    ada.shows("#balance", "€987.50").await;
    ada.holds(is_empty).await;

    // And what one typed another does not find.
    ada.fill("#send-to", "bob").await;
    ada.click("#log-out").await;
    ada.register("carol").await;
    ada.holds(is_empty).await;
    visit.end([ada, bob]).await;
}
