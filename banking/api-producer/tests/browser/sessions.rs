//! Registering, logging in and out, and what a session outlives.

use crate::{Screen, Visit, page::PASSWORD};
use fantoccini::{Locator, key::Key};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_a_reload_and_ends_with_logging_out() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.register("ada").await;
    ada.browser.refresh().await.unwrap();
    ada.shows("#holder", "ada").await;
    ada.shows("#balance", "1,000.00").await;

    ada.click("#log-out").await;
    ada.holds("return !document.getElementById('door').hidden")
        .await;
    ada.browser.refresh().await.unwrap();
    ada.holds("return !document.getElementById('door').hidden")
        .await;
    ada.holds("return sessionStorage.getItem('session') === null")
        .await;
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Phone).await;
    ada.fits().await;
    // By keyboard: the arrow to the right shows what is to the right.
    let tab = ada.browser.find(Locator::Id("tab-login")).await.unwrap();
    tab.send_keys(&char::from(Key::Right).to_string())
        .await
        .unwrap();
    ada.holds("return document.activeElement.id === 'tab-register'")
        .await;
    ada.fits().await;
    ada.fill("#register-name", "ada").await;
    ada.fill("#register-password", "short").await;
    ada.click("#register [type=submit]").await;
    ada.mentions("#register-error", "Password: 8 to 128").await;
    ada.holds("return document.activeElement.id === 'register-password'")
        .await;
    ada.fill("#register-password", PASSWORD).await;
    ada.fill("#register-phone", "+49 151 1234-5678").await;
    ada.click("#register [type=submit]").await;
    ada.shows("#balance", "1,000.00").await;
    ada.shows("#phone", "49*********78").await;
    ada.click("#log-out").await;

    ada.log_in("ada", "not the password").await;
    ada.shows("#login-error", "Invalid credentials.").await;
    ada.fits().await;
    ada.click("#tab-register").await;
    ada.fill("#register-name", "ADA").await;
    ada.fill("#register-password", "another one").await;
    ada.click("#register [type=submit]").await;
    ada.shows("#register-error", "Username already taken.")
        .await;

    ada.click("#tab-login").await;
    ada.click("#login input[value=phone]").await;
    ada.log_in("+49 151 12345678", PASSWORD).await;
    ada.shows("#holder", "ada").await;
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_elsewhere_leads_back_to_the_door() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.register("ada").await;
    // As another window with the same session would.
    ada.run(
        "const { token } = JSON.parse(sessionStorage.getItem('session'));
         return fetch('/api/auth/logout', { method: 'POST', headers: { 'X-Session': token } })
            .then((answer) => answer.status)",
    )
    .await;
    ada.shows("#door-notice", "Your session has ended. Log in again.")
        .await;
    visit.end([ada]).await;
}
