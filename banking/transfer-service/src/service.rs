//! The contract, method by method: who asks, then what is done for them.

use crate::{
    accounts::AccountService, driver::Driver, history::History, record::Transfer, recovery,
    standing::Orders, store::TransferStore,
};
use chassis::{Database, Identity, User};
use contracts::{
    Page, PageRequest, Refused, ServiceHealth, UserId,
    program::TRANSFER_SERVICE,
    standing_order::{NewStandingOrder, StandingOrder},
    transfer::{
        AdminTransfer, Transaction, TransferError, TransferOrder, TransferReceipt, TransferTotals,
        Transfers,
    },
};
use replybus::Never;
use std::{error::Error, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use uuid::Uuid;

/// Transfers that may wait for the account service at once. While it is silent each waits for
/// seconds, and the handlers that are left are for those who ask for something else.
pub(crate) const PERMITS: usize = 96;
/// As long as it answers, permits come free within this.
const PERMIT_WITHIN: Duration = Duration::from_millis(250);

/// The transfer service.
#[derive(Debug)]
pub(crate) struct TransferService {
    pub(crate) identity: Identity,
    pub(crate) database: Database,
    pub(crate) store: TransferStore,
    pub(crate) history: History,
    pub(crate) accounts: AccountService,
    pub(crate) driver: Driver,
    pub(crate) orders: Orders,
    pub(crate) permits: Semaphore,
}

impl Transfers for TransferService {
    async fn transfer(&self, order: TransferOrder) -> Result<TransferReceipt, TransferError> {
        self.order(&order).await
    }

    async fn transactions(&self, page: PageRequest) -> Result<Page<Transaction>, TransferError> {
        let user = self.identity.user().await?;
        let page = self.history.of_user(user.id, page).await;
        page.map_err(|error| unavailable(&error))
    }

    async fn order_standing(
        &self,
        order: NewStandingOrder,
    ) -> Result<StandingOrder, TransferError> {
        let user = self.identity.user().await?;
        self.orders.order(user.id, &order).await
    }

    async fn standing_orders(
        &self,
        page: PageRequest,
    ) -> Result<Page<StandingOrder>, TransferError> {
        let user = self.identity.user().await?;
        self.orders.all(user.id, page).await
    }

    async fn cancel_standing_order(&self, id: Uuid) -> Result<StandingOrder, TransferError> {
        let user = self.identity.user().await?;
        self.orders.cancel(user.id, id).await
    }

    async fn admin_totals(&self) -> Result<TransferTotals, TransferError> {
        self.identity.require_admin()?;
        let totals = self.history.totals().await;
        totals.map_err(|error| unavailable(&error))
    }

    async fn admin_transfers(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
        search: Option<String>,
    ) -> Result<Page<AdminTransfer>, TransferError> {
        self.identity.require_admin()?;
        let page = self.history.of_all(page, user_id, search.as_deref()).await;
        page.map_err(|error| unavailable(&error))
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        let (database, store) = tokio::join!(self.database.is_up(), self.identity.store_is_up());
        Ok(ServiceHealth::new(TRANSFER_SERVICE, database, store))
    }
}

impl TransferService {
    async fn order(&self, order: &TransferOrder) -> Result<TransferReceipt, TransferError> {
        let user = self.identity.user().await?;
        // Whether the key is known is told by the attempt to record it.
        if let Some(parties) = self.accounts.known(user.id, &order.to)
            && parties.from.user_id != parties.to.user_id
            && let Ok(permit) = self.permits.try_acquire()
        {
            return self
                .record(Transfer::new(order, parties), order, permit)
                .await;
        }
        // Before others are asked, who may be away: a known key is answered without them.
        let known = self.store.find(user.id, &order.key).await;
        if let Some(known) = known.map_err(|error| unavailable(&error))? {
            return self.take_up(known, order).await;
        }
        let permit = self.permit().await.ok_or(Refused::Unavailable)?;
        let transfer = self.with_parties(&user, order).await?;
        self.record(transfer, order, permit).await
    }

    /// Records a transfer and drives it, or answers for what its key is of.
    async fn record(
        &self,
        transfer: Transfer,
        order: &TransferOrder,
        permit: SemaphorePermit<'_>,
    ) -> Result<TransferReceipt, TransferError> {
        let recorded = self.store.record(&transfer).await;
        if recorded.map_err(|error| unavailable(&error))? {
            return self.drive(transfer).await;
        }
        // Another call with this key came before.
        drop(permit);
        let known = self.store.find(transfer.from.user_id, &order.key).await;
        match known.map_err(|error| unavailable(&error))? {
            Some(known) => self.take_up(known, order).await,
            None => Err(Refused::Unavailable.into()),
        }
    }

    /// The transfer that the user orders, if there is somebody to get it. Nothing is recorded yet.
    async fn with_parties(
        &self,
        user: &User,
        order: &TransferOrder,
    ) -> Result<Transfer, TransferError> {
        let parties = self.accounts.parties(user.id, &order.to).await;
        let parties = parties.map_err(|error| unavailable(&error))?;
        let parties = parties.ok_or(TransferError::UnknownRecipient)?;
        if parties.from.user_id == parties.to.user_id {
            return Err(TransferError::ToYourself);
        }
        Ok(Transfer::new(order, parties))
    }

    /// Answers for what is recorded under the order's key, and goes on with it if it is pending.
    async fn take_up(
        &self,
        known: Transfer,
        order: &TransferOrder,
    ) -> Result<TransferReceipt, TransferError> {
        if !known.is_for(order) {
            return Err(TransferError::KeyConflict);
        }
        match known.answer() {
            Err(TransferError::Pending) => match self.permit().await {
                Some(_permit) => self.drive(known).await,
                // Recovery goes on with it.
                None => Err(TransferError::Pending),
            },
            decided => decided,
        }
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        timeout(PERMIT_WITHIN, self.permits.acquire())
            .await
            .ok()?
            .ok()
    }

    async fn drive(&self, mut transfer: Transfer) -> Result<TransferReceipt, TransferError> {
        match self.driver.drive(&transfer).await {
            Ok(state) => transfer.state = state,
            Err(undecided) => recovery::report(&transfer, &undecided),
        }
        transfer.answer()
    }
}

fn unavailable(error: &(dyn Error + 'static)) -> TransferError {
    tracing::warn!(error, "a call is refused");
    Refused::Unavailable.into()
}
