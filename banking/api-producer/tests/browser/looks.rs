//! How the page looks, and what it is called, to people who see it in other ways than most.

use crate::{Page, Screen, Visit, page::PASSWORD};
use serde_json::{Value, json};

/// Two customers, one of whom has something of everything to look at.
async fn furnished(visit: &Visit) -> [Page; 2] {
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    bob.send("ada", "12.34").await;
    ada.send("bob", "1.00").await;
    ada.shows("#bell-count", "1").await;
    ada.mentions("#statement", "To bob").await;
    [ada, bob]
}

/// What can be used and has no name, as a screen reader would find it.
pub(crate) async fn nameless(page: &Page) -> Vec<Value> {
    let tree = page
        .chromium("Accessibility.getFullAXTree", json!({}))
        .await;
    let used = [
        "button",
        "textbox",
        "searchbox",
        "combobox",
        "tab",
        "tabpanel",
        "tablist",
        "radio",
        "link",
        "dialog",
        "navigation",
        "region",
        "group",
        "Date",
    ];
    let nodes = tree["nodes"].as_array().unwrap();
    assert!(nodes.len() > 20, "{tree}");
    let is_nameless = |node: &&Value| {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let name = node["name"]["value"].as_str().unwrap_or_default();
        node["ignored"] == false && used.contains(&role) && name.trim().is_empty()
    };
    nodes.iter().filter(is_nameless).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_fits_and_has_a_name_at_every_width_in_both_languages() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    for language in ["en-GB", "vi-VN"] {
        let name = format!("ada-{}", &language[..2]);
        let page = visit.page_in(Screen::Desktop, language).await;
        let holds = format!(
            "return document.documentElement.lang === '{}'",
            &language[..2]
        );
        page.holds(&holds).await;
        let all_fit = async || {
            for width in [1280, 390, 320] {
                page.resize(width, 800).await;
                page.fits().await;
            }
            let nameless = nameless(&page).await;
            assert!(nameless.is_empty(), "{language}: {nameless:#?}");
        };
        all_fit().await;
        page.click("#tab-register").await;
        all_fit().await;
        page.fill("#register-name", &name).await;
        page.fill("#register-password", PASSWORD).await;
        page.click("#register [type=submit]").await;
        page.shows("#holder", &name).await;
        for tab in [
            "#tab-send",
            "#tab-deposit",
            "#tab-withdraw",
            "#tab-statement",
            "#tab-transfers",
            "#tab-notices",
        ] {
            page.click(tab).await;
            all_fit().await;
        }
        page.click("#access summary").await;
        page.click("#tab-statement").await;
        page.click("#statement .line-open").await;
        all_fit().await;
        page.click("#details-close").await;
        // Nothing is left without words.
        let silent = page
            .run(
                "return [...document.querySelectorAll('[data-say]')]
                    .filter((place) => !place.textContent).length",
            )
            .await;
        assert_eq!(silent, 0);
        page.browser.close().await.unwrap();
    }
    visit.end([]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_is_the_users_choice_and_stays_it() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    // Of a language that the page does not speak, it speaks the next.
    let page = visit.page_in(Screen::Desktop, "fr-FR,vi-VN").await;
    page.shows("#tab-login", "Đăng nhập").await;
    page.run(
        "const language = document.getElementById('language');
         language.value = 'en';
         language.dispatchEvent(new Event('change'));",
    )
    .await;
    page.shows("#tab-login", "Log in").await;
    page.browser.refresh().await.unwrap();
    page.shows("#tab-login", "Log in").await;
    page.register("ada").await;
    page.click("#tab-withdraw").await;
    page.fill("#withdraw-amount", "2000").await;
    page.click("#withdraw-form [type=submit]").await;
    page.shows("#withdraw-outcome", "Insufficient balance.")
        .await;
    page.run(
        "const language = document.getElementById('language');
         language.value = 'vi';
         language.dispatchEvent(new Event('change'));",
    )
    .await;
    page.mentions("#balance", "1.000,00").await;
    page.click("#tab-withdraw").await;
    page.fill("#withdraw-amount", "2000").await;
    page.click("#withdraw-form [type=submit]").await;
    // The bank's own words, too.
    page.shows("#withdraw-outcome", "Số dư không đủ.").await;
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_forced_colours_nothing_is_told_by_a_colour_alone() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let pages = furnished(&visit).await;
    let ada = &pages[0];
    let forced = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    ada.chromium("Emulation.setEmulatedMedia", forced).await;
    ada.holds("return matchMedia('(forced-colors: active)').matches")
        .await;
    ada.click("#bell").await;
    let looks = ada
        .run(
            "const look = (one) => getComputedStyle(document.querySelector(one));
             const differ = (one, other, what) => look(one)[what] !== look(other)[what];
             return {
                card: look('.balance-card').borderStyle,
                primary: look('#send-form .primary').backgroundColor !== look('body').backgroundColor,
                tab: differ('#tab-notices', '#tab-statement', 'backgroundColor'),
                choice: differ('.choice input:checked + span', '.choice input:not(:checked) + span',
                    'backgroundColor'),
                unread: differ('.notice-unread .dot', '.notice:not(.notice-unread) .dot',
                    'backgroundColor'),
             }",
        )
        .await;
    let expected = json!({
        "card": "solid", "primary": true, "tab": true, "choice": true, "unread": true,
    });
    assert_eq!(looks, expected);
    visit.end(pages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_paper_there_is_the_account_and_its_statement_and_nothing_to_press() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let pages = furnished(&visit).await;
    let ada = &pages[0];
    let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
    let paper = json!({ "media": "print", "features": dark });
    ada.chromium("Emulation.setEmulatedMedia", paper).await;
    ada.holds("return matchMedia('print').matches").await;
    let pressed = ada
        .run(
            "return [...document.querySelectorAll('button:not(.line-open), input, select, a')]
                .filter((one) => one.checkVisibility()).map((one) => one.id || one.className)",
        )
        .await;
    assert_eq!(pressed, json!([]));
    for (place, text) in [
        ("#holder", "ada"),
        ("#balance", "€1,011.34"),
        ("#statement", "From bob"),
        ("#statement", "Account opened"),
    ] {
        ada.mentions(place, text).await;
    }
    // Dark ink on white paper, whatever the screen has.
    let ink = "return [getComputedStyle(document.body).color,
        getComputedStyle(document.querySelector('.balance-card')).color]";
    let black = "rgb(0, 0, 0)";
    assert_eq!(ada.run(ink).await, json!([black, black]));
    visit.end(pages).await;
}
