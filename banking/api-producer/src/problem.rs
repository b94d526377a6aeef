//! Answers that are not a success.

use crate::unserved;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{
    Refused, account::AccountError, auth::AuthError, notification::NotificationError,
    transfer::TransferError,
};
use replybus::{CallError, CallFailure, FailureKind, Never};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, error::Error, time::Duration};
use utoipa::ToSchema;

/// Seconds after which asking again makes sense: a broker or a service that was restarted is back
/// by then, or soon.
pub(crate) const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Seconds in which one of the statements that are being made or read is there, more often than not.
const STATEMENT_SECONDS: u64 = 5;

const NOT_IN_TIME: &str = "No answer in time; ask again, with the same Idempotency-Key if it moves \
                           money";
const NOT_AVAILABLE: &str = "The service is not available, try again later";
const FAILED: &str = "The service failed";

/// A refusal or a failure, as a status and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    /// Seconds after which asking again makes sense, if that is known.
    retry_after: Option<HeaderValue>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Detail {
    /// What is wrong, as a sentence.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            status,
            detail: detail.into(),
            retry_after: unavailable.then_some(RETRY_AFTER_SECONDS),
        }
    }

    /// Too many wrong secrets, or requests: nothing is looked at for so many seconds.
    pub(crate) fn too_many(detail: impl Into<Cow<'static, str>>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after.into()),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// A field of the request is not as it must be.
    pub(crate) fn field(name: &str, allowed: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{name}: {allowed}"))
    }

    /// The request ran out of time.
    pub(crate) fn not_in_time() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, NOT_IN_TIME)
    }

    /// Nobody is there to answer.
    pub(crate) fn not_available() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, NOT_AVAILABLE)
    }

    /// Nobody is asked before that time has passed.
    fn not_available_for(left: Option<Duration>) -> Self {
        let seconds = left.map(|left| left.as_secs() + u64::from(left.subsec_nanos() > 0));
        let seconds = seconds
            .filter(|seconds| *seconds > 1)
            .map(HeaderValue::from);
        Self {
            retry_after: Some(seconds.unwrap_or(RETRY_AFTER_SECONDS)),
            ..Self::not_available()
        }
    }

    /// A service gave no answer, for a reason that does not matter to who asked.
    pub(crate) fn unanswered(failure: &CallFailure) -> Self {
        let error: &(dyn Error + 'static) = failure;
        tracing::warn!(error, "a call got no answer");
        Self::not_available()
    }

    /// The gateway itself is at fault.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The request failed inside the gateway",
        )
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub(crate) fn into_detail(self) -> String {
        self.detail.into_owned()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after.clone());
        let detail = self.into_detail();
        let mut response = (status, Json(Detail { detail })).into_response();
        if let Some(seconds) = retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2, asks for it.
            let headers = response.headers_mut();
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"bank\""),
            );
        }
        response
    }
}

/// The service answered with its own error, or there is no answer.
impl<E: Into<Problem>> From<CallError<E>> for Problem {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::Handler(error) => error.into(),
            CallError::Bus(failure) => failure.into(),
        }
    }
}

impl From<CallFailure> for Problem {
    fn from(failure: CallFailure) -> Self {
        let kind = failure.kind();
        let problem = match kind {
            FailureKind::TimedOut | FailureKind::Expired => Self::not_in_time(),
            _ if unserved::is_why(&failure) => Self::not_available(),
            FailureKind::CircuitOpen => Self::not_available_for(failure.retry_after()),
            FailureKind::Unroutable
            | FailureKind::NoConsumer
            | FailureKind::Disconnected
            | FailureKind::Overloaded => Self::not_available(),
            FailureKind::KeyConflict => Self::new(
                StatusCode::CONFLICT,
                "Idempotency-Key was already used for another request",
            ),
            FailureKind::BadRequest => Self::new(
                StatusCode::BAD_REQUEST,
                "The service could not read the request",
            ),
            FailureKind::NotSent => Self::internal(),
            _ => Self::new(StatusCode::BAD_GATEWAY, FAILED),
        };
        let error: &(dyn Error + 'static) = &failure;
        match problem.status {
            // These pass by themselves, or are about to be noticed by whoever watches the service.
            StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(error, ?kind, "a call got no answer");
            }
            _ => tracing::error!(error, ?kind, "a call failed"),
        }
        problem
    }
}

impl From<Never> for Problem {
    fn from(never: Never) -> Self {
        match never {}
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Unauthenticated => StatusCode::UNAUTHORIZED,
            Refused::Forbidden => StatusCode::FORBIDDEN,
            Refused::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = match &error {
            AuthError::UsernameTaken | AuthError::PhoneTaken => StatusCode::CONFLICT,
            AuthError::Invalid { .. } => StatusCode::BAD_REQUEST,
            AuthError::InvalidCredentials => StatusCode::UNAUTHORIZED,
            // The session is not at fault.
            AuthError::WrongPassword => StatusCode::FORBIDDEN,
            AuthError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            AuthError::TooManyGuesses { retry_after } => {
                return Self::too_many(error.to_string(), *retry_after);
            }
            AuthError::Refused(refused) => return (*refused).into(),
        };
        Self::new(status, error.to_string())
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        let status = match &error {
            AccountError::InsufficientBalance | AccountError::BalanceTooLarge => {
                StatusCode::BAD_REQUEST
            }
            AccountError::NotFound(_) => StatusCode::NOT_FOUND,
            AccountError::KeyConflict | AccountError::NotMade => StatusCode::CONFLICT,
            AccountError::MonthAhead => StatusCode::BAD_REQUEST,
            AccountError::TooManyStatements(_) | AccountError::TooManyExports(_) => {
                return Self::too_many(error.to_string(), STATEMENT_SECONDS);
            }
            AccountError::Refused(refused) => return (*refused).into(),
        };
        Self::new(status, error.to_string())
    }
}

impl From<TransferError> for Problem {
    fn from(error: TransferError) -> Self {
        let status = match &error {
            TransferError::InsufficientBalance
            | TransferError::BalanceTooLarge
            | TransferError::ToYourself => StatusCode::BAD_REQUEST,
            TransferError::UnknownRecipient | TransferError::NoStandingOrder => {
                StatusCode::NOT_FOUND
            }
            TransferError::NoSuchTime(_) => StatusCode::BAD_REQUEST,
            // Time does not help: one has to be cancelled.
            TransferError::TooManyStandingOrders(_) => StatusCode::CONFLICT,
            TransferError::KeyConflict => StatusCode::CONFLICT,
            TransferError::Pending => StatusCode::GATEWAY_TIMEOUT,
            TransferError::Refused(refused) => return (*refused).into(),
        };
        Self::new(status, error.to_string())
    }
}

impl From<NotificationError> for Problem {
    fn from(error: NotificationError) -> Self {
        match &error {
            NotificationError::TooMany(_) => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            NotificationError::Refused(refused) => (*refused).into(),
        }
    }
}
