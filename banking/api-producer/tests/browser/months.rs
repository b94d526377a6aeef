//! The statement of a month: asked for, watched, cancelled, read.

use crate::{Screen, Visit};

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_a_month_is_made_and_found_again() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Phone).await;
    page.register("ada").await;
    page.click("#tab-withdraw").await;
    page.fill("#withdraw-amount", "12.34").await;
    page.click("#withdraw-form [type=submit]").await;
    page.mentions("#withdraw-outcome", "Withdrew").await;
    page.unfolds("month").await;
    page.click("#month-form [type=submit]").await;
    page.mentions("#month-of", "up to now").await;
    for fact in ["€0.00", "€1,000.00", "€12.34", "€987.66"] {
        page.mentions("#month-facts", fact).await;
    }
    page.fits().await;
    // It is there when the page is loaded again.
    page.browser.refresh().await.unwrap();
    page.shows("#balance", "€987.66").await;
    page.unfolds("month").await;
    page.mentions("#month-facts", "€987.66").await;
    // And one of a month before, in which there was nothing.
    page.run("document.getElementById('month-choice').selectedIndex = 3")
        .await;
    page.click("#month-form [type=submit]").await;
    page.holds(
        "return !document.getElementById('month-result').hidden
            && !document.getElementById('month-of').textContent.includes('now')",
    )
    .await;
    let facts = page.text("#month-facts").await.unwrap();
    assert!(!facts.contains("987.66"), "{facts}");
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_being_made_shows_how_far_it_is_and_can_be_cancelled() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    for (language, far, cancelled) in [
        (
            "en-US",
            "2,000 of 8,000 entries looked at",
            "The statement was cancelled.",
        ),
        ("vi-VN", "Đã xem 2.000 / 8.000 mục", "Sao kê đã bị hủy."),
    ] {
        let page = visit.page_in(Screen::Phone, language).await;
        let name = format!("ada-{}", &language[..2]);
        page.click("#tab-register").await;
        page.fill("#register-name", &name).await;
        page.fill("#register-password", crate::page::PASSWORD).await;
        page.click("#register [type=submit]").await;
        page.shows("#holder", &name).await;
        // One that takes its time: the bank says that it goes on until it is told to stop.
        page.run(
            "const real = window.fetch;
             let state = 'running';
             window.fetch = async (url, request) => {
                 if (!String(url).includes('/api/account/statements')) return real(url, request);
                 if (String(url).endsWith('/cancel')) state = 'cancelled';
                 const statement = {
                     id: '0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', month: '2026-03', state,
                     time_zone: 'UTC', done: 2000, total: 8000,
                     created_at: '2026-03-01T00:00:00Z', result: null,
                 };
                 return new Response(JSON.stringify(statement), { status: 200 });
             }",
        )
        .await;
        page.unfolds("month").await;
        page.click("#month-form [type=submit]").await;
        page.shows("#month-how-far", far).await;
        page.holds("return document.getElementById('month-bar').value === 0.25")
            .await;
        page.fits().await;
        page.click("#month-cancel").await;
        page.shows("#month-error", cancelled).await;
        page.holds("return document.getElementById('month-progress').hidden")
            .await;
        // Nothing that had the focus is gone with it.
        page.holds("return document.activeElement.id === 'month-choice'")
            .await;
        page.fits().await;
        page.browser.close().await.unwrap();
    }
    visit.end([]).await;
}
