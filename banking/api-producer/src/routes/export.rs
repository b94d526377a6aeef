//! `/api/account/statement.csv`: a statement for other programs, as CSV (RFC 4180).

use super::openapi::{Bad, Unauthenticated, Unavailable};
use crate::{
    gateway::Gateway,
    problem::Problem,
    request::{Filtering, Signed},
};
use axum::{
    extract::State,
    http::{HeaderName, StatusCode, header},
};
use contracts::{
    AccountNumber, PageRequest, Reference,
    account::{EntryKind, StatementEntry, StatementFilter},
};
use std::{fmt::Write as _, sync::Arc};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The most entries in one file: some hundred calls, which end well within a request's time, and a
/// megabyte or two.
const ENTRIES_MAX: u64 = 10_000;

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

const COLUMNS: &str =
    "number,created_at,kind,amount,balance,counterparty_username,counterparty,reference,id\r\n";

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default().routes(routes!(statement_csv))
}

/// The entries on the account of the user who asks, newest first, as CSV; at most 10000. Amounts
/// are decimals.
#[utoipa::path(
    get,
    path = "/api/account/statement.csv",
    tag = "account",
    params(Filtering),
    security(("session" = []), ("bearer" = [])),
    responses(
        (status = OK, body = String, content_type = "text/csv"),
        Bad, Unauthenticated, Unavailable
    )
)]
async fn statement_csv(
    State(gateway): State<Arc<Gateway>>,
    _: Signed,
    filtering: Filtering,
) -> Result<([(HeaderName, &'static str); 2], String), Problem> {
    let mut filter = filtering.filter();
    let mut csv = COLUMNS.to_owned();
    for page in 1.. {
        let read = page_of(&gateway, page, &filter).await?;
        if read.total > ENTRIES_MAX {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                format!(
                    "from: at most {ENTRIES_MAX} entries fit into one file, and these are {}; \
                     choose a shorter time",
                    read.total
                ),
            ));
        }
        for entry in &read.items {
            write_entry(&mut csv, entry);
        }
        // What is posted meanwhile would move the pages.
        let newest = read.items.first().map(|entry| entry.number);
        filter.up_to = filter.up_to.or(newest);
        if u64::from(page) >= read.pages {
            break;
        }
    }
    Ok((HEADERS, csv))
}

async fn page_of(
    gateway: &Gateway,
    page: u32,
    filter: &StatementFilter,
) -> Result<contracts::Page<StatementEntry>, Problem> {
    let page = PageRequest::new(page, PageRequest::SIZE_MAX);
    Ok(gateway.accounts.statement(page, filter.clone()).await?)
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

/// A text as a field. One that a spreadsheet would take for a formula begins with an apostrophe.
fn field(text: Option<&str>) -> String {
    let Some(text) = text else {
        return String::new();
    };
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        "'"
    } else {
        ""
    };
    if guard.is_empty() && !text.contains(['"', ',', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
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
            (Some("tiền nhà"), "tiền nhà"),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
