//! What is found on the statement, and what can be taken from it.

use crate::{Page, Screen, Visit};
use fantoccini::key::Key;
use serde_json::{Value, json};

async fn pay(from: &Page, to: &str, amount: &str, reference: &str) {
    from.click("#tab-send").await;
    from.fill("#send-to", to).await;
    from.fill("#send-amount", amount).await;
    from.fill("#send-reference", reference).await;
    from.click("#send-form [type=submit]").await;
    from.shows("#send-review-reference", reference).await;
    from.click("#send-confirm").await;
    from.mentions("#send-outcome", &format!("Sent €{amount} to {to}."))
        .await;
    from.mentions("#statement", reference).await;
}

/// Enters a date as the browser's own field for dates does, which writes it as its user would.
async fn enter_date(page: &Page, field: &str, date: &str) {
    page.run(&format!(
        "const field = document.getElementById('{field}');
         field.value = '{date}';
         field.dispatchEvent(new Event('change', {{ bubbles: true }}));"
    ))
    .await;
}

async fn lines(page: &Page, expected: u64) {
    page.holds(&format!(
        "return document.querySelectorAll('#statement .line').length === {expected}"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_goes_with_the_money_and_entries_are_found_by_it() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Phone));
    ada.register("ada").await;
    bob.register("bob").await;
    pay(&ada, "bob", "12.34", "Tiền nhà tháng 3").await;
    pay(&ada, "bob", "5.00", "<b>Coffee & cake</b>").await;
    bob.mentions("#statement", "Tiền nhà tháng 3").await;
    bob.mentions("#statement", "<b>Coffee & cake</b>").await;
    bob.fits().await;
    lines(&ada, 3).await;
    ada.fill("#search", "NHÀ").await;
    lines(&ada, 1).await;
    ada.mentions("#statement", "−€12.34").await;
    ada.fill("#search", "nothing like it").await;
    ada.mentions("#statement", "Nothing like this is on your statement.")
        .await;
    ada.click("#search-clear").await;
    lines(&ada, 3).await;

    // By the day: today is in, and what is before or after it is not.
    let day = async |days: i64| -> String {
        let script = format!(
            "const day = new Date();
             day.setDate(day.getDate() + {days});
             return [day.getFullYear(), day.getMonth() + 1, day.getDate()]
                .map((part) => String(part).padStart(2, '0')).join('-')"
        );
        ada.run(&script).await.as_str().unwrap().to_owned()
    };
    let (yesterday, tomorrow) = (day(-1).await, day(1).await);
    enter_date(&ada, "search-from", &yesterday).await;
    enter_date(&ada, "search-to", &tomorrow).await;
    lines(&ada, 3).await;
    enter_date(&ada, "search-to", &yesterday).await;
    lines(&ada, 0).await;
    enter_date(&ada, "search-to", "").await;
    enter_date(&ada, "search-from", &tomorrow).await;
    lines(&ada, 0).await;
    visit.end([ada, bob]).await;
}

/// Keeps what the page gives the browser to save.
const KEEP_FILES: &str = "
    const make = URL.createObjectURL;
    window.saved = [];
    URL.createObjectURL = (blob) => {
        blob.text().then((text) => window.saved.push(text));
        return make(blob);
    };
";

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_is_saved_as_a_file_for_other_programs() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    pay(&ada, "bob", "12.34", "=1+1, \"rent\"").await;
    ada.run(KEEP_FILES).await;
    ada.click("#export").await;
    ada.holds("return window.saved.length === 1").await;
    let saved = ada.run("return window.saved[0]").await;
    let saved: Vec<&str> = saved.as_str().unwrap().split_terminator("\r\n").collect();
    assert_eq!(saved.len(), 3, "{saved:#?}");
    let columns = "number,created_at,kind,amount,balance,counterparty_username,counterparty,\
                   reference,id";
    assert_eq!(saved[0].trim_start_matches('\u{feff}'), columns);
    assert!(saved[1].starts_with("2,"), "{}", saved[1]);
    assert!(
        saved[1].contains(",transfer,-12.34,987.66,bob,"),
        "{}",
        saved[1]
    );
    assert!(
        saved[1].contains(",\"'=1+1, \"\"rent\"\"\","),
        "{}",
        saved[1]
    );
    assert!(
        saved[2].contains(",opening,1000.00,1000.00,,,,"),
        "{}",
        saved[2]
    );

    // Only what is looked for.
    ada.fill("#search", "bob").await;
    lines(&ada, 1).await;
    ada.click("#export").await;
    ada.holds("return window.saved.length === 2").await;
    let rows = ada
        .run("return window.saved[1].trim().split('\\r\\n').length")
        .await;
    assert_eq!(rows, 2);
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_tells_all_that_is_known_of_it_and_back_and_escape_close_it() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Desktop), visit.page(Screen::Phone));
    ada.register("ada").await;
    bob.register("bob").await;
    pay(&ada, "bob", "12.34", "Rent").await;
    let facts = async |page: &Page| -> Value {
        page.holds("return document.getElementById('details').open")
            .await;
        page.run(
            "return Object.fromEntries([...document.querySelectorAll('#details-facts div')]
                .map((fact) => [...fact.children].map((part) => part.textContent)))",
        )
        .await
    };
    let closed = "return !document.getElementById('details').open";
    ada.click("#statement .line-open").await;
    let told = facts(&ada).await;
    for (name, fact) in [
        ("Amount", "−€12.34"),
        ("Reference", "Rent"),
        ("Kind", "Transfer"),
        ("With", "bob"),
        ("Balance afterwards", "€987.66"),
        ("Entry", "2"),
    ] {
        assert_eq!(told[name], fact, "{name}");
    }
    ada.press(Key::Escape).await;
    ada.holds(closed).await;
    // The focus is where it was.
    ada.holds("return document.activeElement.classList.contains('line-open')")
        .await;

    // Both sides know it by the same id, on the statement and among the transfers.
    bob.mentions("#statement", "From ada").await;
    bob.click("#statement .line-open").await;
    let same = facts(&bob).await;
    assert_eq!(
        (&same["Id"], &same["Amount"]),
        (&told["Id"], &json!("+€12.34"))
    );
    bob.fits().await;
    bob.browser.back().await.unwrap();
    bob.holds(closed).await;
    bob.click("#tab-transfers").await;
    bob.click("#transfers .line-open").await;
    let same = facts(&bob).await;
    assert_eq!(
        (&same["Id"], &same["Status"]),
        (&told["Id"], &json!("Made"))
    );
    bob.click("#details-close").await;
    bob.holds(closed).await;
    assert!(
        bob.browser
            .current_url()
            .await
            .unwrap()
            .as_str()
            .starts_with("http://127")
    );

    // In the middle of a transfer, Back leads out of the innermost first.
    ada.review("bob", "1.00").await;
    ada.click("#statement .line-open").await;
    facts(&ada).await;
    ada.browser.back().await.unwrap();
    ada.holds(closed).await;
    ada.shows("#send-review-amount", "€1.00").await;
    ada.browser.back().await.unwrap();
    ada.holds("return document.getElementById('send-review').hidden")
        .await;
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_tells_how_the_balance_went() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    // With one entry there is nothing to draw.
    ada.holds("return document.getElementById('chart').hidden")
        .await;
    bob.register("bob").await;
    pay(&ada, "bob", "250.00", "Rent").await;
    pay(&bob, "ada", "50.00", "Back").await;
    ada.shows("#chart-lowest", "Lowest €750.00").await;
    ada.shows("#chart-highest", "Highest €1,000.00").await;
    let words = "Balance after each of the last 3 entries: lowest €750.00, highest €1,000.00, now \
                 €800.00.";
    ada.holds(&format!(
        "return document.getElementById('chart-picture').getAttribute('aria-label') === '{words}'"
    ))
    .await;
    // High, low, and a fifth of the way up again.
    let heights = ada
        .run(
            "return document.getElementById('chart-line').getAttribute('points').split(' ')
                .map((point) => Number(point.split(',')[1])).filter((_, at) => at % 2 === 0)",
        )
        .await;
    let heights = heights.as_array().unwrap().iter();
    let heights: Vec<f64> = heights.map(|height| height.as_f64().unwrap()).collect();
    assert_eq!(heights, [3.0, 57.0, 46.2]);
    ada.fits().await;
    visit.end([ada, bob]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_one_paid_of_late_is_paid_again_by_a_press() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let (ada, bob) = tokio::join!(visit.page(Screen::Phone), visit.page(Screen::Desktop));
    ada.register("ada").await;
    bob.register("bob").await;
    ada.holds("return document.getElementById('recent-group').hidden")
        .await;
    pay(&ada, "bob", "1.00", "One").await;
    ada.shows("#recent", "bob").await;
    ada.click("#send-form input[value=account]").await;
    ada.click("#recent .chip").await;
    ada.holds("return document.activeElement.id === 'send-amount'")
        .await;
    ada.fill("#send-amount", "2").await;
    ada.click("#send-form [type=submit]").await;
    ada.shows("#send-review-to", "bob").await;
    // Who was paid has paid nobody.
    bob.mentions("#statement", "One").await;
    bob.holds("return document.getElementById('recent-group').hidden")
        .await;
    visit.end([ada, bob]).await;
}
