//! `/api/account/statement.csv`: a statement for other programs, as CSV (RFC 4180).
//!
//! It is sent while it is read, however long it is. What fails before its first entry is a problem;
//! what fails later cuts the body off before its last chunk, so that nobody takes what they have for
//! all of it.

use super::openapi::{Bad, Frequent, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Filtering, Signed},
};
use axum::{
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderName, StatusCode, Version, header},
};
use contracts::{
    AccountNumber, Reference,
    account::{AccountError, EntryKind, StatementEntry},
};
use futures_util::{Stream, StreamExt as _, future::ready, stream};
use replybus::{
    CallError,
    stream::{Items, StreamCall, Streaming},
};
use std::{error::Error, fmt::Write as _, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Bytes that the service may be ahead of a client who is slow: a thousand entries or so. For each
/// file that is read, both keep as many.
const AHEAD_BYTES_MAX: u32 = 256 * 1024;

/// Rows that are written to a connection at a time, if they are there: some ten kilobytes.
const ROWS_AT_A_TIME: usize = 128;

/// Bytes of a file that is made whole before it is sent: ten thousand entries or more.
const WHOLE_BYTES_MAX: usize = 4 * 1024 * 1024;

const HEADERS: [(HeaderName, &str); 2] = [
    (
        header::CONTENT_TYPE,
        "text/csv; charset=utf-8; header=present",
    ),
    (
        header::CONTENT_DISPOSITION,
        "attachment; filename=\"statement.csv\"",
    ),
];

/// What a spreadsheet knows a formula by, or leaves out before one.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

const COLUMNS: &str =
    "number,created_at,kind,amount,balance,counterparty_username,counterparty,reference,id\r\n";

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(statement_csv))
}

/// The entries on the account of the user who asks, newest first, as CSV; all that are there when it
/// is asked for. Amounts are decimals. The file is sent while it is read: a body that is cut off, so
/// that its last chunk is missing, is no statement. By HTTP/1.0, which has no chunks, a short one can
/// be had.
#[utoipa::path(
    get,
    path = "/api/account/statement.csv",
    tag = "account",
    params(Filtering),
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = String, content_type = "text/csv"),
        Bad, Unauthenticated, Frequent, Unavailable
    )
)]
async fn statement_csv(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    version: Version,
    filtering: Filtering,
) -> Result<([(HeaderName, &'static str); 2], Body), Problem> {
    csv(gateway.accounts.entries(filtering.filter()), version).await
}

/// Entries as CSV, sent while they are read.
pub(super) async fn csv(
    entries: StreamCall<Result<Items<StatementEntry, AccountError>, AccountError>>,
    version: Version,
) -> Result<([(HeaderName, &'static str); 2], Body), Problem> {
    let mut entries = entries.window_bytes(AHEAD_BYTES_MAX).await?;
    let first = entries.next().await.transpose()?;
    let begin = format!("{COLUMNS}{}", rows(first.as_slice()));
    let body = stream::once(ready(Ok(begin.into()))).chain(chunks(entries));
    let body = Body::from_stream(body);
    if version == Version::HTTP_10 {
        return Ok((HEADERS, whole(body).await?));
    }
    Ok((HEADERS, body))
}

type Failed = CallError<AccountError>;

/// The rows that are still to come, as they come. Nothing is read that nobody takes.
fn chunks(
    entries: Streaming<StatementEntry, AccountError>,
) -> impl Stream<Item = Result<Bytes, Failed>> + Send {
    entries.ready_chunks(ROWS_AT_A_TIME).map(|read| {
        let read: Result<Vec<_>, Failed> = read.into_iter().collect();
        let read = read.inspect_err(|error| {
            let error: &(dyn Error + 'static) = error;
            tracing::warn!(error, "a statement is cut off");
        });
        Ok(rows(&read?).into())
    })
}

/// A body with its length, for who could not tell its end from its being cut off.
async fn whole(body: Body) -> Result<Body, Problem> {
    let whole = to_bytes(body, WHOLE_BYTES_MAX).await.map_err(|_| {
        Problem::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "The statement could not be had whole; ask for it by HTTP/1.1",
        )
    })?;
    Ok(whole.into())
}

fn rows(entries: &[StatementEntry]) -> String {
    let mut csv = String::new();
    for entry in entries {
        write_entry(&mut csv, entry);
    }
    csv
}

fn write_entry(csv: &mut String, entry: &StatementEntry) {
    let kind = match entry.kind {
        EntryKind::Opening => "opening",
        EntryKind::Deposit => "deposit",
        EntryKind::Withdrawal => "withdrawal",
        EntryKind::Transfer => "transfer",
    };
    // A string takes all that is written to it.
    let _ = write!(
        csv,
        "{},{},{kind},{},{},{},{},{},{}\r\n",
        entry.number,
        entry.created_at,
        decimal(entry.amount),
        decimal(entry.balance),
        field(entry.counterparty_username.as_deref()),
        field(entry.counterparty.as_ref().map(AccountNumber::as_str)),
        field(entry.reference.as_ref().map(Reference::as_str)),
        entry.id,
    );
}

/// Minor units as a decimal, as other programs read it.
fn decimal(minor_units: i64) -> String {
    let sign = if minor_units < 0 { "-" } else { "" };
    let units = minor_units.unsigned_abs();
    format!("{sign}{}.{:02}", units / 100, units % 100)
}

/// A text as a field, in which nothing is taken for a formula.
fn field(text: Option<&str>) -> String {
    let Some(text) = text else {
        return String::new();
    };
    let guarded = guarded(text);
    if guarded == text && !text.contains(['"', ',', '\r', '\n']) {
        return guarded;
    }
    format!("\"{}\"", guarded.replace('"', "\"\""))
}

/// A text with an apostrophe before each character that a spreadsheet would begin a formula with: at
/// the start, and behind a semicolon, which separates cells where the comma is that of decimals.
/// There the quotes of a field count for nothing, unless they begin a cell.
fn guarded(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len() + 1);
    let mut begins_cell = true;
    for character in text.chars() {
        if begins_cell && FORMULA.contains(&character) {
            guarded.push('\'');
        }
        begins_cell = match character {
            ';' => true,
            ' ' | '"' => begins_cell,
            _ => false,
        };
        guarded.push(character);
    }
    guarded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_decimals_to_the_unit() {
        for (units, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (-123_456, "-1234.56"),
            (i64::MAX, "92233720368547758.07"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            assert_eq!(decimal(units), text);
        }
    }

    #[test]
    fn a_text_stays_one_field_and_is_no_formula() {
        for (text, expected) in [
            (None, ""),
            (Some("bob"), "bob"),
            (Some("a, b"), "\"a, b\""),
            (Some("say \"hi\""), "\"say \"\"hi\"\"\""),
            (Some("=1+1"), "\"'=1+1\""),
            (Some("@SUM(A1)"), "\"'@SUM(A1)\""),
            (Some("-1"), "\"'-1\""),
            (Some(" =1+1"), "\" '=1+1\""),
            (Some("x;=1+1;y"), "\"x;'=1+1;y\""),
            (Some("x; @SUM(A1);-1"), "\"x; '@SUM(A1);'-1\""),
            (Some("x;\"=1+1"), "\"x;\"\"'=1+1\""),
            (Some("a;b-c; d=e"), "a;b-c; d=e"),
            (Some("tiền nhà"), "tiền nhà"),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
