//! The statement of a month: made in the background, however much happened in it.

use crate::{IdempotencyKey, Month, TimeZoneName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A statement of a month that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonthOrder {
    /// Which month.
    pub month: Month,
    /// By the days of which time zone.
    pub time_zone: TimeZoneName,
    /// The user's name for it.
    pub key: IdempotencyKey,
}

/// The statement of a month, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonthStatement {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// Which month.
    pub month: Month,
    /// By the days of which time zone.
    #[serde(deserialize_with = "TimeZoneName::read_stored")]
    pub time_zone: TimeZoneName,
    /// How far it is.
    pub state: MonthState,
    /// Entries of the account that were looked at.
    pub done: i64,
    /// Entries of the account, when it was asked for.
    pub total: i64,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What is in it, when it is made.
    pub result: Option<MonthResult>,
}

/// How far the statement of a month is. The last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MonthState {
    /// Nobody has begun it.
    Waiting,
    /// Somebody is at it.
    Running,
    /// It is there.
    Made,
    /// Its user did not want it any more.
    Cancelled,
    /// It was given up. Another may be asked for.
    Failed,
}

/// What a month came to: `opening_balance + paid_in - paid_out` is `closing_balance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MonthResult {
    /// The moment with which the month begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The moment with which it ends, or up to which it had come when the statement was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Whether the month was over when the statement was asked for, for 10 seconds at least: what was
    /// posted in it is on the account by then.
    pub is_whole: bool,
    /// What was on the account when it began, in minor units.
    pub opening_balance: i64,
    /// What came in, in minor units.
    pub paid_in: i64,
    /// What went out, in minor units.
    pub paid_out: i64,
    /// What was on the account when it ended, in minor units.
    pub closing_balance: i64,
    /// How many entries it has.
    pub entries: i64,
}
