//! The errors of the contract, and the codes that stood for them.

use crate::migration::orders::OrderError;
use tonic::{Code, Status};

impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        let code = match error {
            OrderError::NotFound { .. } => Code::NotFound,
            OrderError::InvalidQuantity => Code::InvalidArgument,
            OrderError::CutOff => Code::Aborted,
            OrderError::NotAvailable => Code::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

impl OrderError {
    /// The error of a request about the order `id`.
    pub(crate) fn of_order(id: u64, status: &Status) -> Self {
        match status.code() {
            Code::NotFound => Self::NotFound { id },
            _ => Self::of(status),
        }
    }

    pub(crate) fn of(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument => Self::InvalidQuantity,
            Code::Aborted => Self::CutOff,
            _ => Self::NotAvailable,
        }
    }
}
