//! Amounts, and what the browser lets a page do.

use crate::{
    Screen, Visit,
    page::{PASSWORD, Page},
};
use fantoccini::key::Key;
use serde_json::{Value, json};

/// The module that reads and writes amounts.
const MODULE: &str = include_str!("../../src/page/modules/money.js");

/// Reads and writes what a page in that locale would.
const READ_AND_WRITE: &str = "
    const [locale, written, units] = arguments;
    const money = new Money(locale, 'EUR');
    const read = (text) => { try { return money.parse(text); } catch (error) { return error.message; } };
    return [
        written.map(read),
        units.map((some) => money.format(some)),
        units.map((some) => money.formatChange(some)),
        units.map((some) => read(money.plain(some))),
        money.format(2n ** 62n),
    ];
";

const UNITS: [i64; 6] = [5, 99, 100, 123_456, 100_000, 100_000_000];

async fn table(page: &Page, locale: &str, table: &[(&str, Value)], formats: [&str; 6], most: &str) {
    let written: Vec<&str> = table.iter().map(|(text, _)| *text).collect();
    let script = format!("{}{READ_AND_WRITE}", MODULE.replace("export ", ""));
    let arguments = vec![json!(locale), json!(written), json!(UNITS)];
    let result = page.browser.execute(&script, arguments).await.unwrap();
    for ((text, expected), read) in table.iter().zip(result[0].as_array().unwrap()) {
        assert_eq!(read, expected, "{text:?} in {locale}");
    }
    let spaces = |text: &Value| text.as_str().unwrap().replace('\u{a0}', " ");
    for ((text, written), change) in formats
        .iter()
        .zip(result[1].as_array().unwrap())
        .zip(result[2].as_array().unwrap())
    {
        assert_eq!(spaces(written), *text, "{locale}");
        assert_eq!(spaces(change), format!("+{text}"), "{locale}");
    }
    // What it writes it reads.
    assert_eq!(result[3], json!(UNITS), "{locale}");
    // More than a number holds exactly.
    assert_eq!(spaces(&result[4]), most, "{locale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_read_and_written_to_the_unit_as_people_write_them() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Desktop).await;
    let unreadable = || json!("unreadable");
    let everywhere = [
        ("1,000.00", json!(100_000)),
        ("1.000,00", json!(100_000)),
        ("1000", json!(100_000)),
        (" 1000.5 ", json!(100_050)),
        ("12,5", json!(1_250)),
        ("12.5", json!(1_250)),
        ("1 000", json!(100_000)),
        ("1 000,50", json!(100_050)),
        ("1\u{202f}000\u{a0}000.5", json!(100_000_050)),
        ("1'000.50", json!(100_050)),
        ("1’000,5", json!(100_050)),
        ("1.000.000", json!(100_000_000)),
        ("1,000,000", json!(100_000_000)),
        ("€12.50", json!(1_250)),
        ("12,50 €", json!(1_250)),
        ("EUR 7", json!(700)),
        ("0.01", json!(1)),
        // As fractions, these two are not what they seem.
        ("1.13", json!(113)),
        ("4,503,599.29", json!(450_359_929)),
        ("00012", json!(1_200)),
        ("10,000,000,000", json!(1_000_000_000_000_i64)),
        ("10,000,000,000.01", json!("largest")),
        ("0", json!("smallest")),
        ("0,00", json!("smallest")),
        ("", unreadable()),
        ("1.0005", unreadable()),
        ("0,500", unreadable()),
        ("1.", unreadable()),
        (".5", unreadable()),
        ("1,00,000", unreadable()),
        ("1,000.000", unreadable()),
        ("1.000,000", unreadable()),
        ("1 000,000", unreadable()),
        ("1,000 000", unreadable()),
        ("1 00", unreadable()),
        ("12 5", unreadable()),
        ("1,2,3", unreadable()),
        ("-1", unreadable()),
        ("+1", unreadable()),
        ("1e3", unreadable()),
        ("１", unreadable()),
    ];
    // Three digits behind one mark: a thousand, or nothing.
    let with = |more: [(&'static str, Value); 3]| [everywhere.to_vec(), more.to_vec()].concat();
    let english = with([
        ("1,000", json!(100_000)),
        ("1.000", unreadable()),
        ("1.005", unreadable()),
    ]);
    let vietnamese = with([
        ("1.000", json!(100_000)),
        ("1,000", unreadable()),
        ("1,005", unreadable()),
    ]);
    let formats = [
        "€0.05",
        "€0.99",
        "€1.00",
        "€1,234.56",
        "€1,000.00",
        "€1,000,000.00",
    ];
    let most = "€46,116,860,184,273,879.04";
    table(&page, "en-US", &english, formats, most).await;
    let formats = [
        "0,05 €",
        "0,99 €",
        "1,00 €",
        "1.234,56 €",
        "1.000,00 €",
        "1.000.000,00 €",
    ];
    let most = "46.116.860.184.273.879,04 €";
    table(&page, "vi-VN", &vietnamese, formats, most).await;
    // In lakhs, as it is written there.
    let lakhs = [
        ("1,00,000", json!(10_000_000)),
        ("1,00,000.50", json!(10_000_050)),
        ("1,00,00", unreadable()),
    ];
    let formats = [
        "€0.05",
        "€0.99",
        "€1.00",
        "€1,234.56",
        "€1,000.00",
        "€10,00,000.00",
    ];
    let most = "€46,11,68,60,18,42,73,879.04";
    table(&page, "en-IN", &lakhs, formats, most).await;
    visit.end([page]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_is_written_as_it_was_understood() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let ada = visit.page_in(Screen::Phone, "vi-VN").await;
    ada.click("#tab-register").await;
    ada.fill("#register-name", "ada").await;
    ada.fill("#register-password", PASSWORD).await;
    ada.click("#register [type=submit]").await;
    ada.shows("#balance", "1.000,00 €").await;
    ada.click("#tab-deposit").await;
    ada.fill("#deposit-amount", "1.000").await;
    ada.press(Key::Tab).await;
    ada.holds("return document.getElementById('deposit-amount').value === '1.000,00'")
        .await;
    ada.click("#deposit-form [type=submit]").await;
    ada.shows("#deposit-outcome", "Đã nạp 1.000,00 €.").await;
    ada.shows("#balance", "2.000,00 €").await;
    ada.fits().await;
    visit.end([ada]).await;
}

/// Tries what somebody would who got text of theirs onto the page.
const BREAK_OUT: &str = "
    const tried = {};
    const attempt = (name, act) => { try { act(); } catch (error) { tried[name] = error.name; } };
    attempt('markup', () => { document.body.innerHTML += '<b>bold</b>'; });
    const script = document.createElement('script');
    attempt('script', () => { script.textContent = 'window.broken = true'; });
    document.body.append(script);
    tried.style = document.createElement('p');
    tried.style.setAttribute('style', 'position: fixed');
    document.body.append(tried.style);
    tried.style = getComputedStyle(tried.style).position;
    tried.broken = window.broken === true;
    return tried;
";

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_runs_nothing_but_the_pages_own_files() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Desktop).await;
    page.holds("return !document.getElementById('door').hidden")
        .await;
    let tried = page.run(BREAK_OUT).await;
    let expected = json!({
        "markup": "TypeError", "script": "TypeError", "style": "static", "broken": false,
    });
    assert_eq!(tried, expected);
    visit.end([page]).await;
}
