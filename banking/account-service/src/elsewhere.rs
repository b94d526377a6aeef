//! What the administrator asks of this service and other services know. The pass of the call that
//! is being served goes with it by itself.

use contracts::{
    Page, PageRequest, Refused, UserId,
    account::AccountError,
    notification::{AdminNotification, NotificationError, NotificationsClient},
    program::{NOTIFICATION_SERVICE, TRANSFER_SERVICE},
    transfer::{AdminTransfer, TransferError, TransferTotals, TransfersClient},
};
use replybus::{Bus, CallError, Context};
use std::{
    fmt::{Debug, Display},
    time::Duration,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Handlers that may wait for other services at once. Those services wait for this one when they
/// move money: if all handlers here waited for them, neither side would go on.
const WAITING_MAX: usize = 8;
/// Where the caller set no deadline.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The other services.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    transfers: TransfersClient,
    notifications: NotificationsClient,
    places: Semaphore,
}

impl Elsewhere {
    /// The services on this bus.
    pub(crate) fn new(bus: &Bus) -> Self {
        Self {
            transfers: TransfersClient::new(bus),
            notifications: NotificationsClient::new(bus),
            places: Semaphore::new(WAITING_MAX),
        }
    }

    /// Totals of the transfers, and how many notifications there are, asked for at the same time.
    pub(crate) async fn totals(&self) -> Result<(TransferTotals, u64), AccountError> {
        let _place = self.place()?;
        let transfers = async {
            let asked = self.transfers.admin_totals().timeout(answer_within());
            asked.await.map_err(of_transfers)
        };
        let notifications = async {
            let asked = self.notifications.admin_total().timeout(answer_within());
            asked.await.map_err(of_notifications)
        };
        futures_util::future::try_join(transfers, notifications).await
    }

    /// Transfers of all users or one.
    pub(crate) async fn transfers(
        &self,
        page: PageRequest,
        user: Option<UserId>,
        search: Option<String>,
    ) -> Result<Page<AdminTransfer>, AccountError> {
        let _place = self.place()?;
        let asked = self.transfers.admin_transfers(page, user, search);
        asked.timeout(answer_within()).await.map_err(of_transfers)
    }

    /// Notifications of all users or one.
    pub(crate) async fn notifications(
        &self,
        page: PageRequest,
        user: Option<UserId>,
    ) -> Result<Page<AdminNotification>, AccountError> {
        let _place = self.place()?;
        let asked = self.notifications.admin_notifications(page, user);
        let asked = asked.timeout(answer_within());
        asked.await.map_err(of_notifications)
    }

    fn place(&self) -> Result<SemaphorePermit<'_>, Refused> {
        self.places.try_acquire().map_err(|_| Refused::Unavailable)
    }
}

/// Most of what is left of the call, so that there is time to say that nothing came.
fn answer_within() -> Duration {
    match Context::current().remaining() {
        Some(left) => left * 4 / 5,
        None => ANSWER_WITHIN,
    }
}

fn of_transfers(error: CallError<TransferError>) -> AccountError {
    match error {
        CallError::Handler(TransferError::Refused(refused)) => refused.into(),
        error => unavailable(TRANSFER_SERVICE, &error),
    }
}

fn of_notifications(error: CallError<NotificationError>) -> AccountError {
    match error {
        CallError::Handler(NotificationError::Refused(refused)) => refused.into(),
        error => unavailable(NOTIFICATION_SERVICE, &error),
    }
}

fn unavailable<E: Debug + Display>(service: &'static str, error: &CallError<E>) -> AccountError {
    tracing::warn!(service, %error, "another service gave no answer");
    Refused::Unavailable.into()
}
