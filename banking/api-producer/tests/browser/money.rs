//! Amounts, and what the browser lets a page do.

use crate::{Screen, Visit};
use serde_json::{Value, json};

/// Reads and writes in the browser what the page would.
const READ_AND_WRITE: &str = "
    const [written, units, done] = arguments;
    import('/modules/money.js').then(({ parse, format, formatChange }) => {
        const read = (text) => { try { return parse(text); } catch (error) { return error.message; } };
        done([written.map(read), units.map(format), units.map(formatChange), format(2n ** 62n)]);
    });
";

#[tokio::test(flavor = "multi_thread")]
async fn amounts_are_read_and_written_to_the_unit() {
    let Some(visit) = Visit::begin().await else {
        return;
    };
    let page = visit.page(Screen::Desktop).await;
    let unreadable = "Enter an amount like 1,000.00.";
    let table: [(&str, Value); 22] = [
        ("1,000.00", json!(100_000)),
        ("1000", json!(100_000)),
        (" 1000.5 ", json!(100_050)),
        ("0.01", json!(1)),
        // As fractions, these two are not what they seem.
        ("1.13", json!(113)),
        ("4,503,599.29", json!(450_359_929)),
        ("00012", json!(1_200)),
        ("10,000,000,000", json!(1_000_000_000_000_i64)),
        (
            "10,000,000,000.01",
            json!("The largest amount is 10,000,000,000.00."),
        ),
        ("0", json!("The smallest amount is 0.01.")),
        ("0.00", json!("The smallest amount is 0.01.")),
        ("", json!(unreadable)),
        ("1.005", json!(unreadable)),
        ("1.", json!(unreadable)),
        (".5", json!(unreadable)),
        ("1,5", json!(unreadable)),
        ("1,00,000", json!(unreadable)),
        ("1.000,00", json!(unreadable)),
        ("-1", json!(unreadable)),
        ("+1", json!(unreadable)),
        ("1e3", json!(unreadable)),
        ("１", json!(unreadable)),
    ];
    let written: Vec<&str> = table.iter().map(|(text, _)| *text).collect();
    let units = json!([0, 5, -5, 99, 100, -123_456, 100_000, 100_000_000]);
    let run = page
        .browser
        .execute_async(READ_AND_WRITE, vec![json!(written), units]);
    let result = run.await.unwrap();
    for ((text, expected), read) in table.iter().zip(result[0].as_array().unwrap()) {
        assert_eq!(read, expected, "{text:?}");
    }
    let formats = json!([
        "0.00",
        "0.05",
        "−0.05",
        "0.99",
        "1.00",
        "−1,234.56",
        "1,000.00",
        "1,000,000.00"
    ]);
    assert_eq!(result[1], formats);
    assert_eq!(result[2][0], "0.00");
    assert_eq!(result[2][1], "+0.05");
    assert_eq!(result[2][2], "−0.05");
    // More than a number holds exactly.
    assert_eq!(result[3], "46,116,860,184,273,879.04");
    visit.end([page]).await;
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
