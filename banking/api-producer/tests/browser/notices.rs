//! What the bank tells, and how it gets to the page.

use crate::{Screen, Visit, page::PASSWORD, transfers::WATCH_CONNECTIONS};

/// Pays somebody many times, one unit more each time.
const PAY: &str = "
    const [to, times, done] = arguments;
    const { token } = JSON.parse(localStorage.getItem('session'));
    const headers = { 'X-Session': token, 'Content-Type': 'application/json' };
    (async () => {
        for (let amount = 1; amount <= times; amount += 1) {
            const body = JSON.stringify({ to_username: to, amount });
            await fetch('/api/transfer/transfer', { method: 'POST', headers, body });
        }
        done();
    })();
";

#[tokio::test(flavor = "multi_thread")]
async fn notifications_do_not_end_with_the_first_page() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Phone));
    ada.register("ada").await;
    bob.register("bob").await;
    let paid = ada
        .browser
        .execute_async(PAY, vec!["bob".into(), 53.into()]);
    paid.await.unwrap();
    bob.click("#bell").await;
    bob.mentions("#notices", "You received €0.53 from ada")
        .await;
    bob.shows("#bell-count", "50+").await;
    bob.mentions("#notices", "Older notifications").await;
    let before = bob.text("#notices").await.unwrap();
    assert!(!before.contains("You received €0.01 from ada"), "{before}");
    bob.click("#notices .row-end .secondary").await;
    bob.mentions("#notices", "You received €0.01 from ada")
        .await;
    bob.shows("#bell-count", "53").await;
    bob.fits().await;
    visit.end([ada, bob]).await;
}

/// Pays in as another page would, and tells the page so.
const DEPOSIT_ELSEWHERE: &str = "
    const [told, done] = arguments;
    const { token } = JSON.parse(localStorage.getItem('session'));
    const headers = { 'X-Session': token, 'Content-Type': 'application/json' };
    const body = JSON.stringify({ amount: 5000 });
    fetch('/api/account/deposit', { method: 'POST', headers, body }).then(() => {
        window.connections.at(-1).dispatchEvent(new MessageEvent('message', { data: told }));
        done();
    });
";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_bank_tells_the_page_shows_what_is_so_now() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page(Screen::Desktop).await;
    ada.run(WATCH_CONNECTIONS).await;
    ada.register("ada").await;
    for (told, balance) in [
        ("{\"type\":\"balance\"}", "€1,050.00"),
        ("no words at all", "€1,100.00"),
    ] {
        let paid = ada
            .browser
            .execute_async(DEPOSIT_ELSEWHERE, vec![told.into()]);
        paid.await.unwrap();
        ada.shows("#balance", balance).await;
        ada.mentions("#statement", balance).await;
    }
    visit.end([ada]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_made_elsewhere_reaches_a_page_that_is_live() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, elsewhere) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Phone));
    ada.register("ada").await;
    elsewhere.log_in("ada", PASSWORD).await;
    elsewhere.shows("#live", "Live").await;
    for (kind, amount, balance) in [
        ("deposit", "50", "€1,050.00"),
        ("withdraw", "25.5", "€1,024.50"),
    ] {
        elsewhere.click(&format!("#tab-{kind}")).await;
        elsewhere.fill(&format!("#{kind}-amount"), amount).await;
        let submit = format!("#{kind}-form [type=submit]");
        elsewhere.click(&submit).await;
        for page in [&ada, &elsewhere] {
            page.shows("#balance", balance).await;
            page.mentions("#statement", balance).await;
        }
    }
    // It is listed, in the user's own way of writing, and no news to them.
    ada.click("#bell").await;
    ada.mentions(
        "#notices",
        "Deposit of €50.00 completed. New balance: €1,050.00",
    )
    .await;
    let told = "Withdrawal of €25.50 completed. New balance: €1,024.50";
    ada.mentions("#notices", told).await;
    ada.holds("return document.getElementById('bell-count').hidden")
        .await;
    visit.end([ada, elsewhere]).await;
}

/// Whatever can be pressed or filled in and shares a point with the toast.
const COVERED: &str = "
    const toast = document.querySelector('.toast').getBoundingClientRect();
    const pressed = document.querySelectorAll('button, input, select, a, summary, [role=tab]');
    return [toast.width > 0, [...pressed].filter((one) => {
        const box = one.getBoundingClientRect();
        return box.width > 0 && box.left < toast.right && toast.left < box.right
            && box.top < toast.bottom && toast.top < box.bottom
            && one.checkVisibility({ visibilityProperty: true });
    }).map((one) => one.id || one.className || one.textContent)];
";

#[tokio::test(flavor = "multi_thread")]
async fn a_toast_covers_nothing_that_can_be_pressed() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    // Toasts are gone after a while: this one stays for as long as the test looks.
    bob.run("window.setTimeout = () => 0").await;
    ada.send("bob", "1.00").await;
    bob.shows(".toast", "You received €1.00 from ada").await;
    for (width, height) in [(1280, 800), (390, 844), (320, 568)] {
        bob.resize(width, height).await;
        bob.fits().await;
        for top in [0, 100_000] {
            bob.run(&format!("window.scrollTo(0, {top})")).await;
            let found = bob.run(COVERED).await;
            assert_eq!(found[0], true, "there is a toast at {width}");
            let covered = found[1].as_array().unwrap();
            // At the top, where nothing has been scrolled beneath the bar.
            assert!(top > 0 || covered.is_empty(), "{covered:?} at {width}");
            // It is no larger than the bar, which is there without it.
            let within = bob
                .run(
                    "const box = (one) => document.querySelector(one).getBoundingClientRect();
                     return box('.bar').top <= box('.toast').top \
                        && box('.toast').bottom <= box('.bar').bottom",
                )
                .await;
            assert_eq!(within, true, "the toast is within the bar at {width}");
        }
    }
    visit.end([ada, bob]).await;
}
