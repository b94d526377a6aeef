//! What the browser asks for when the page is loaded.

use crate::{Screen, Visit};
use serde_json::json;

/// Files of the page that the browser asked for beside the document, and those that it had.
const FILES: &str = "
    const files = performance.getEntriesByType('resource')
        .filter(({ name }) => !name.includes('/api/') && !name.includes('/ws'));
    const named = ({ name }) => new URL(name).pathname.replace(/-[0-9a-f]{16}\\./, '.');
    const all = (some) => [...new Set(some.map(named))].sort();
    return [all(files), all(files.filter((file) => file.transferSize > 0))];
";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_a_few_files_which_the_browser_keeps() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Desktop).await;
    page.holds("return !document.getElementById('door').hidden")
        .await;
    let first = page.run(FILES).await;
    let files = json!(["/favicon.svg", "/page.css", "/page.js"]);
    assert_eq!(first, json!([files, files]));
    for _ in 0..2 {
        page.browser.refresh().await.unwrap();
        page.holds("return !document.getElementById('door').hidden")
            .await;
        let again = page.run(FILES).await;
        assert_eq!(again[0], files);
        assert_eq!(again[1], json!([]), "known, and asked for again");
    }
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_script_does_not_come_says_so() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Phone).await;
    page.holds("return document.getElementById('starting') === null")
        .await;
    page.chromium("Network.enable", json!({})).await;
    page.chromium("Network.setCacheDisabled", json!({ "cacheDisabled": true }))
        .await;
    page.chromium("Network.setBlockedURLs", json!({ "urls": ["*page-*.js"] }))
        .await;
    page.browser.refresh().await.unwrap();
    page.mentions("#starting", "load it again").await;
    visit.end([page]).await;
}
