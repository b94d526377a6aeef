//! A statement as a file.

use crate::{
    services::{ID, NUMBER, TIME},
    started::{answer, bank},
};
use contracts::{Refused, account::AccountError};
use reqwest::StatusCode;

const COLUMNS: &str =
    "number,created_at,kind,amount,balance,counterparty_username,counterparty,reference,id\r\n";

#[tokio::test]
async fn a_statement_is_a_file_of_decimals_and_texts_that_are_no_formulas() {
    let bank = bank().await;
    let told = answer(bank.allowed("GET", "/api/account/statement.csv")).await;
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
async fn it_is_read_in_pages_that_later_postings_do_not_move() {
    let bank = bank().await;
    let path = format!("/api/account/statement.csv?search=250&from={TIME}");
    let told = answer(bank.allowed("GET", &path)).await;
    assert_eq!(told.text.matches("\r\n").count(), 1 + 250);
    let asked: Vec<String> = bank
        .accounts
        .seen()
        .into_iter()
        .map(|seen| seen.arguments)
        .collect();
    let filter = format!("Some(\"250\") Some(\"{TIME}\") None");
    let expected = [
        format!("100 from 0 {filter}"),
        format!("100 from 100 {filter} up to 2"),
        format!("100 from 200 {filter} up to 2"),
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn what_is_too_long_for_one_file_is_refused_as_a_whole() {
    let bank = bank().await;
    let export = async |entries: &str| {
        let path = format!("/api/account/statement.csv?search={entries}");
        answer(bank.allowed("GET", &path)).await
    };
    let most = export("10000").await;
    assert_eq!(most.text.matches("\r\n").count(), 1 + 10_000);
    let told = export("10001").await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    let detail = told.detail();
    assert!(
        detail.starts_with("from: ") && detail.contains("10001"),
        "{detail}"
    );
}

#[tokio::test]
async fn who_may_not_read_it_gets_no_file() {
    let bank = bank().await;
    let told = answer(bank.request("GET", "/api/account/statement.csv")).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    let refused: AccountError = Refused::Unavailable.into();
    bank.accounts
        .follows(crate::services::Script::Refuse(refused));
    let told = answer(bank.allowed("GET", "/api/account/statement.csv")).await;
    assert_eq!(told.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(told.header("content-type"), Some("application/json"));
}
