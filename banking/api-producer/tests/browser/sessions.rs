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
    ada.shows("#balance", "€1,000.00").await;

    ada.click("#log-out").await;
    ada.holds("return !document.getElementById('door').hidden")
        .await;
    ada.browser.refresh().await.unwrap();
    ada.holds("return !document.getElementById('door').hidden")
        .await;
    ada.holds("return localStorage.getItem('session') === null")
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
    ada.shows("#balance", "€1,000.00").await;
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
        "const { token } = JSON.parse(localStorage.getItem('session'));
         return fetch('/api/auth/logout', { method: 'POST', headers: { 'X-Session': token } })
            .then((answer) => answer.status)",
    )
    .await;
    ada.shows("#door-notice", "Your session has ended. Log in again.")
        .await;
    visit.end([ada]).await;
}

/// Loses the first answer to a registration after the bank has made it.
const LOSE_AN_ANSWER: &str = "
    const fetch = window.fetch;
    window.fetch = async (...request) => {
        const answer = await fetch(...request);
        if (!window.lost && String(request[0]).includes('/auth/register')) {
            window.lost = true;
            throw new TypeError('lost');
        }
        return answer;
    };
";

#[tokio::test(flavor = "multi_thread")]
async fn who_registers_and_never_hears_of_it_is_let_in_with_the_next_try() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Phone).await;
    ada.run(LOSE_AN_ANSWER).await;
    ada.click("#tab-register").await;
    ada.fill("#register-name", "ada").await;
    ada.fill("#register-password", PASSWORD).await;
    ada.click("#register [type=submit]").await;
    ada.shows(
        "#register-error",
        "The bank can’t be reached. Are you online?",
    )
    .await;
    // Even if the page is loaded anew in between.
    ada.browser.refresh().await.unwrap();
    ada.register("ada").await;

    // Somebody else's name is somebody else's, whoever asks how often.
    let eve = visit.page(Screen::Desktop).await;
    for _ in 0..2 {
        eve.click("#tab-register").await;
        eve.fill("#register-name", "ada").await;
        eve.fill("#register-password", PASSWORD).await;
        eve.click("#register [type=submit]").await;
        eve.shows("#register-error", "Username already taken.")
            .await;
    }
    visit.end([ada, eve]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_copied_says_so_for_a_moment_however_often_it_is_pressed() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.register("ada").await;
    ada.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        .await;
    ada.run("const copy = document.getElementById('copy-number'); copy.click(); copy.click();")
        .await;
    ada.shows("#copy-number", "Copied").await;
    ada.click("#copy-number").await;
    ada.shows("#copy-number", "Copy").await;
    let number = ada.text("#account-number").await.unwrap().replace(' ', "");
    assert_eq!(ada.run("return window.copied").await, number);
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_there_in_a_new_tab_and_ends_in_all_of_them() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.register("ada").await;
    let first = ada.browser.window().await.unwrap();
    let second = ada.browser.new_window(true).await.unwrap().handle;
    ada.browser.switch_to_window(second.clone()).await.unwrap();
    let address = format!("http://{}/", visit.bank.address);
    ada.browser.goto(&address).await.unwrap();
    ada.shows("#holder", "ada").await;
    ada.shows("#live", "Live").await;
    ada.click("#log-out").await;
    let is_door = "return !document.getElementById('door').hidden";
    ada.holds(is_door).await;
    ada.browser.switch_to_window(first).await.unwrap();
    ada.holds(is_door).await;

    // And who logs in in one is in in the other.
    ada.log_in("ada", PASSWORD).await;
    ada.shows("#holder", "ada").await;
    ada.browser.switch_to_window(second).await.unwrap();
    ada.shows("#holder", "ada").await;
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_shown_when_it_is_asked_for_and_hidden_again() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Phone).await;
    ada.click("#tab-register").await;
    ada.fill("#register-password", "short").await;
    let is = |kind: &str, pressed: bool| {
        format!(
            "return document.getElementById('register-password').type === '{kind}' \
             && document.querySelector('#register .reveal').ariaPressed === '{pressed}'"
        )
    };
    ada.holds(&is("password", false)).await;
    ada.click("#register .reveal").await;
    ada.holds(&is("text", true)).await;
    ada.click("#register .reveal").await;
    ada.holds(&is("password", false)).await;
    // However the form is left.
    ada.click("#register .reveal").await;
    ada.fill("#register-name", "ada").await;
    ada.click("#register [type=submit]").await;
    ada.mentions("#register-error", "Password: 8 to 128").await;
    ada.holds(&is("password", false)).await;
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_their_password_is_logged_out_everywhere_else() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, elsewhere) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    elsewhere.log_in("ada", PASSWORD).await;
    elsewhere.shows("#holder", "ada").await;
    ada.click("#access summary").await;
    ada.fill("#password-current", "not the password").await;
    ada.fill("#password-new", "another password").await;
    ada.click("#password-form [type=submit]").await;
    ada.shows("#password-error", "That is not your current password.")
        .await;
    ada.holds("return document.activeElement.id === 'password-current'")
        .await;
    ada.fill("#password-current", PASSWORD).await;
    ada.fill("#password-new", "short").await;
    ada.click("#password-form [type=submit]").await;
    ada.mentions("#password-error", "8 to 128 characters").await;
    ada.holds("return document.activeElement.id === 'password-new'")
        .await;
    ada.fill("#password-new", "another password").await;
    ada.click("#password-form [type=submit]").await;
    ada.shows(
        "#password-done",
        "Your password is changed. You are logged out everywhere else.",
    )
    .await;
    ada.fits().await;

    // Its socket was closed, so that it knows at once.
    elsewhere
        .shows("#door-notice", "Your session has ended. Log in again.")
        .await;
    elsewhere.log_in("ada", PASSWORD).await;
    elsewhere
        .shows("#login-error", "Invalid credentials.")
        .await;
    elsewhere.log_in("ada", "another password").await;
    elsewhere.shows("#holder", "ada").await;
    ada.browser.refresh().await.unwrap();
    ada.shows("#holder", "ada").await;
    visit.end([ada, elsewhere]).await;
}
