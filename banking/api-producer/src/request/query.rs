//! The query of a request, a parameter or two at a time. Unknown ones are ignored, and an empty one
//! is as good as none: forms send what is left empty.

use super::fields::account_number;
use crate::{gateway::Gateway, problem::Problem};
use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use contracts::{
    PageRequest, SEARCH_CHARS_MAX, UserId,
    account::{Recipient, StatementFilter},
};
use jiff::Timestamp;
use std::{collections::HashMap, sync::Arc};
use utoipa::IntoParams;
use uuid::Uuid;

/// Which page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Counts from 1; the first unless given.
    #[param(minimum = 1, maximum = 1_000_000)]
    page: Option<u32>,
    /// Entries on a page, 20 unless given or said otherwise; more than 100 count as 100.
    #[param(minimum = 1)]
    size: Option<u32>,
}

/// The text to look for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Searching {
    /// Part of a name or an account number; everything unless given.
    #[param(max_length = 100)]
    pub(crate) search: Option<String>,
}

/// Which entries of a statement.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filtering {
    /// Part of the other side's name or account number, or of the reference.
    #[param(max_length = 100)]
    search: Option<String>,
    /// A moment (RFC 3339); those posted then or later.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-03-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// A moment (RFC 3339); those posted before.
    #[param(value_type = Option<String>, format = DateTime, example = "2026-04-01T00:00:00Z")]
    to: Option<Timestamp>,
}

impl Filtering {
    pub(crate) fn filter(self) -> StatementFilter {
        let Self { search, from, to } = self;
        StatementFilter {
            search,
            from,
            to,
            ..StatementFilter::default()
        }
    }
}

/// Whom it concerns.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfUser {
    /// A user's id; all users unless given.
    #[param(value_type = Option<String>, format = Uuid)]
    pub(crate) user_id: Option<UserId>,
}

/// Which queue.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfQueue {
    /// A queue of the bank's, or its group of events.
    #[param(example = "account.requests")]
    pub(crate) queue: String,
}

/// Whose account is asked for: one of the two.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it describes what becomes `OfAccount`")]
pub(crate) struct AccountQuery {
    /// 6 to 20 digits.
    #[param(example = "400012345675")]
    account_number: Option<String>,
    /// The name of its holder, whatever its case.
    username: Option<String>,
}

/// Whose account is asked for.
pub(crate) struct OfAccount(pub(crate) Recipient);

impl Paging {
    pub(crate) fn request(&self) -> PageRequest {
        self.request_of(PageRequest::SIZE)
    }

    /// Pages of that size, unless one was given.
    pub(crate) fn request_of(&self, size: u32) -> PageRequest {
        PageRequest::new(self.page.unwrap_or(1), self.size.unwrap_or(size))
    }
}

impl FromRequestParts<Arc<Gateway>> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let parameters = Parameters::of(parts)?;
        Ok(Self {
            page: parameters.count("page")?,
            size: parameters.count("size")?,
        })
    }
}

impl FromRequestParts<Arc<Gateway>> for Searching {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let search = Parameters::of(parts)?.search()?;
        Ok(Self { search })
    }
}

impl FromRequestParts<Arc<Gateway>> for Filtering {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let parameters = Parameters::of(parts)?;
        Ok(Self {
            search: parameters.search()?,
            from: parameters.moment("from")?,
            to: parameters.moment("to")?,
        })
    }
}

impl FromRequestParts<Arc<Gateway>> for OfUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let parameters = Parameters::of(parts)?;
        let id = parameters.given("user_id");
        Ok(Self {
            user_id: id.map(|id| user_id("user_id", id)).transpose()?,
        })
    }
}

impl FromRequestParts<Arc<Gateway>> for OfQueue {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let parameters = Parameters::of(parts)?;
        let queue = parameters.given("queue");
        let queue = queue.ok_or_else(|| Problem::field("queue", "is required"))?;
        Ok(Self {
            queue: queue.to_owned(),
        })
    }
}

impl FromRequestParts<Arc<Gateway>> for OfAccount {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let (number, username) = ("account_number", "username");
        let parameters = Parameters::of(parts)?;
        match (parameters.given(number), parameters.given(username)) {
            (Some(digits), None) => {
                let digits = account_number(number, digits)?;
                Ok(Self(Recipient::AccountNumber(digits)))
            }
            (None, Some(name)) => Ok(Self(Recipient::Username(name.to_owned()))),
            (None, None) => Err(Problem::field(number, "it or username is required")),
            (Some(_), Some(_)) => Err(Problem::field(
                number,
                "either it or username is allowed, not both",
            )),
        }
    }
}

/// A user's id out of a parameter.
pub(crate) fn user_id(name: &str, text: &str) -> Result<UserId, Problem> {
    text.parse()
        .map_err(|_| Problem::field(name, "a user's id (UUID) is needed"))
}

/// The id of something out of a path.
pub(crate) fn id_of(name: &str, text: &str) -> Result<Uuid, Problem> {
    text.parse()
        .map_err(|_| Problem::field(name, "an id (UUID) is needed"))
}

/// The parameters as they came, each name once: of one that is there twice each program on the way
/// takes another.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let query = Query::try_from_uri(&parts.uri);
        let Query(given): Query<Vec<(String, String)>> =
            query.map_err(|_| Problem::field("query", "it can't be read as parameters"))?;
        let mut parameters = HashMap::new();
        for (name, value) in given {
            if parameters.insert(name, value).is_some() {
                return Err(Problem::field("query", "a parameter is there twice"));
            }
        }
        Ok(Self(parameters))
    }

    fn given(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn search(&self) -> Result<Option<String>, Problem> {
        let search = self.given("search").map(str::to_owned);
        let chars = search.as_ref().map_or(0, |text| text.chars().count());
        if chars > SEARCH_CHARS_MAX {
            let allowed = format!("at most {SEARCH_CHARS_MAX} characters are allowed");
            return Err(Problem::field("search", &allowed));
        }
        Ok(search)
    }

    fn moment(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let text = self.given(name);
        let moment = text.map(|text| {
            let refused = "a moment is needed, such as 2026-03-01T00:00:00Z";
            text.parse().map_err(|_| Problem::field(name, refused))
        });
        moment.transpose()
    }

    fn count(&self, name: &str) -> Result<Option<u32>, Problem> {
        let Some(text) = self.given(name) else {
            return Ok(None);
        };
        let count = text.parse().ok().filter(|count| *count >= 1);
        count
            .map(Some)
            .ok_or_else(|| Problem::field(name, "an integer from 1 is needed"))
    }
}
