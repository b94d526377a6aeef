//! A statement as a file.

use crate::{
    services::{ID, NUMBER, Script, TIME, Then, Watch},
    started::{Started, answer, bank},
};
use contracts::{Refused, account::AccountError};
use reqwest::{Response, StatusCode};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};
use town::wait::{eventually, soon};

const CSV: &str = "/api/account/statement.csv";
const COLUMNS: &str =
    "number,created_at,kind,amount,balance,counterparty_username,counterparty,reference,id\r\n";

#[tokio::test]
async fn a_statement_is_a_file_of_decimals_and_texts_that_are_no_formulas() {
    let bank = bank().await;
    let told = answer(bank.allowed("GET", CSV)).await;
    assert_eq!(told.status, StatusCode::OK);
    let kind = told.header("content-type").unwrap();
    assert!(kind.starts_with("text/csv; charset=utf-8"), "{kind}");
    let saved = told.header("content-disposition");
    assert_eq!(saved, Some("attachment; filename=\"statement.csv\""));
    assert_eq!(told.header("cache-control"), Some("no-store"));
    let row = format!("2,{TIME},transfer,-0.05,999.95,bob,{NUMBER},\"'=Rent, March\",{ID}\r\n");
    assert_eq!(told.text, format!("{COLUMNS}{row}"));
}

#[tokio::test]
async fn it_is_of_any_length_and_what_passes_the_filter_is_up_to_the_service() {
    let bank = bank().await;
    let path = format!("{CSV}?search=25000&from={TIME}");
    let told = answer(bank.allowed("GET", &path)).await;
    assert_eq!(told.text.matches("\r\n").count(), 1 + 25_000);
    let seen = bank.accounts.seen();
    let asked: Vec<_> = seen.iter().map(|seen| seen.arguments.as_str()).collect();
    assert_eq!(
        asked,
        [format!("all Some(\"25000\") Some(\"{TIME}\") None")]
    );
    // One that nothing passes is a file, too.
    let none = answer(bank.allowed("GET", &format!("{CSV}?search=0"))).await;
    assert_eq!((none.status, none.text.as_str()), (StatusCode::OK, COLUMNS));
}

#[tokio::test]
async fn the_entries_of_a_month_are_the_same_file() {
    let bank = bank().await;
    let path = format!("/api/account/statements/{ID}/entries.csv");
    let told = answer(bank.allowed("GET", &path)).await;
    assert_eq!(told.status, StatusCode::OK);
    let row = format!("2,{TIME},transfer,-0.05,999.95,bob,{NUMBER},\"'=Rent, March\",{ID}\r\n");
    assert_eq!(told.text, format!("{COLUMNS}{row}"));
    assert_eq!(bank.accounts.seen()[0].arguments, ID);
    bank.accounts.follows(Script::Refuse(AccountError::NotMade));
    let told = answer(bank.allowed("GET", &path)).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn no_statement_has_an_id_that_is_none() {
    let bank = bank().await;
    for (method, rest) in [("GET", ""), ("POST", "/cancel"), ("GET", "/entries.csv")] {
        let path = format!("/api/account/statements/admin{rest}");
        let told = answer(bank.allowed(method, &path)).await;
        assert_eq!(told.status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(told.detail(), "id: an id (UUID) is needed");
    }
    assert!(bank.accounts.seen().is_empty());
    bank.accounts
        .follows(Script::Refuse(AccountError::TooManyStatements(3)));
    let begin = bank.allowed("POST", "/api/account/statements");
    let month = serde_json::json!({ "month": "2026-01" });
    let told = answer(begin.json(&month)).await;
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(told.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn who_may_not_read_it_gets_no_file() {
    let bank = bank().await;
    let told = answer(bank.request("GET", CSV)).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    let refused: AccountError = Refused::Unavailable.into();
    bank.accounts.follows(Script::Refuse(refused));
    let told = answer(bank.allowed("GET", CSV)).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.header("content-type"), Some("application/json"));
}

fn unavailable() -> AccountError {
    Refused::Unavailable.into()
}

/// Has the service give so many entries, and then this.
fn streams(bank: &Started, entries: u64, then: Then<AccountError>) -> Arc<Watch> {
    let watch = Arc::<Watch>::default();
    bank.accounts.follows(Script::Stream {
        entries,
        then,
        watch: Arc::clone(&watch),
    });
    watch
}

/// Reads until it has so many rows of a body that goes on.
async fn read_rows(response: &mut Response, rows: usize) {
    let mut read = 0;
    while read < rows {
        let chunk = soon("there is more", response.chunk()).await.unwrap();
        let chunk = chunk.unwrap();
        read += chunk.iter().filter(|byte| **byte == b'\n').count();
    }
}

/// Sends a request for the file on a connection of its own.
async fn ask_raw(stream: &mut TcpStream, version: &str) {
    let request = format!(
        "GET {CSV} HTTP/{version}\r\nHost: bank\r\nX-Session: a.b.c\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// All that is said on a connection, whether or not it ends well.
async fn told_raw(bank: &Started, version: &str) -> String {
    let mut stream = TcpStream::connect(bank.address).await.unwrap();
    ask_raw(&mut stream, version).await;
    let mut told = Vec::new();
    // One that is reset has said what it had to say.
    let _ = soon("it is over", stream.read_to_end(&mut told)).await;
    String::from_utf8(told).unwrap()
}

#[tokio::test]
async fn what_fails_before_the_first_entry_is_a_problem() {
    let bank = bank().await;
    streams(&bank, 0, Then::Fail(unavailable()));
    let told = answer(bank.allowed("GET", CSV)).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.detail(), Refused::Unavailable.to_string());
    assert_eq!(told.header("content-disposition"), None);
}

#[tokio::test]
async fn what_fails_later_cuts_the_file_off() {
    let bank = bank().await;
    streams(&bank, 1_000, Then::Fail(unavailable()));
    let response = bank.allowed("GET", CSV).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.text().await;
    assert!(body.is_err(), "it looks whole: {body:?}");
    // It is the last chunk that is missing.
    let told = told_raw(&bank, "1.1").await;
    assert!(told.contains("transfer-encoding: chunked") && !told.ends_with("0\r\n\r\n"));
    bank.accounts.follows(Script::Answer);
    let told = told_raw(&bank, "1.1").await;
    assert!(told.ends_with("0\r\n\r\n"), "{told}");
}

#[tokio::test]
async fn without_chunks_a_file_comes_whole_or_not_at_all() {
    let bank = bank().await;
    let told = told_raw(&bank, "1.0").await;
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
    let length = format!("content-length: {}", body.len());
    assert!(
        head.contains(&length) && body.starts_with(COLUMNS),
        "{told}"
    );
    for (entries, then) in [(1_000, Then::Fail(unavailable())), (u64::MAX, Then::Wait)] {
        let watch = streams(&bank, entries, then);
        let told = told_raw(&bank, "1.0").await;
        assert!(told.starts_with("HTTP/1.0 505 "), "{told}");
        soon("its stream ends", watch.ended.cancelled()).await;
    }
}

#[tokio::test]
async fn a_service_that_stops_cuts_the_file_off() {
    let bank = bank().await;
    streams(&bank, 300, Then::Wait);
    let mut response = bank.allowed("GET", CSV).send().await.unwrap();
    read_rows(&mut response, 300).await;
    let stopping = bank.services.stop();
    let read = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    let (read, ()) = soon("it ends", async { tokio::join!(read, stopping) }).await;
    assert!(read.is_err(), "it looks whole");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_services_stream() {
    let bank = bank().await;
    let watch = streams(&bank, 300, Then::Wait);
    let mut response = bank.allowed("GET", CSV).send().await.unwrap();
    read_rows(&mut response, 300).await;
    assert!(!watch.ended.is_cancelled());
    drop(response);
    soon("its stream ends", watch.ended.cancelled()).await;
}

#[tokio::test]
async fn a_reader_that_takes_its_time_holds_the_service_up() {
    let bank = bank().await;
    let watch = streams(&bank, u64::MAX, Then::Wait);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let mut stream = socket.connect(bank.address).await.unwrap();
    ask_raw(&mut stream, "1.1").await;
    let mut some = vec![0; 16 * 1024];
    // The first bytes are there, though there is no last one.
    stream.read_exact(&mut some).await.unwrap();
    let held_up = async || {
        let given = watch.given.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        (watch.given.load(Ordering::Relaxed) == given).then_some(given)
    };
    let given = eventually("the service waits for its reader", held_up).await;
    assert!(!watch.ended.is_cancelled());
    let goes_on = async {
        while watch.given.load(Ordering::Relaxed) == given {
            stream.read_exact(&mut some).await.unwrap();
        }
    };
    soon("it goes on", goes_on).await;
}

#[tokio::test]
async fn a_file_may_pause_though_others_wait_for_a_connection() {
    let few = |limits: &mut api_producer::Limits| {
        limits.connections.open_max = 1;
        limits.connections.header_read = Duration::from_millis(100);
    };
    let bank = Started::with(few, true, None).await;
    streams(&bank, 300, Then::Wait);
    let mut response = bank.allowed("GET", CSV).send().await.unwrap();
    read_rows(&mut response, 300).await;
    let _waits = TcpStream::connect(bank.address).await.unwrap();
    let paused = timeout(Duration::from_millis(500), response.chunk()).await;
    assert!(paused.is_err(), "it was cut off: {paused:?}");
}
