//! The contract, method by method: first who asks, then the books.

use crate::{
    books::{Books, Entries},
    exports::{Exports, OF_USER_MAX, OpenExport},
    months::{MonthTable, Months},
    order::Order,
};
use chassis::{Database, Identity, outbox::Outbox};
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Party, Refused, ServiceHealth,
    UserId,
    account::{
        AccountError, AccountTotals, Accounts, AdminUser, Balance, Holder, NewHolder, Parties,
        Posted, Profile, Recipient, StatementEntry, StatementFilter, TransferPosting,
    },
    month_statement::{MonthOrder, MonthStatement},
    program::{ACCOUNT_SERVICE, AUTH_SERVICE, TRANSFER_SERVICE},
};
use futures_util::{TryStreamExt as _, stream};
use replybus::{Bus, Never, stream::Items};
use uuid::Uuid;

/// The account service, on its database.
#[derive(Debug)]
pub struct AccountService {
    identity: Identity,
    books: Books,
    months: Months,
    exports: Exports,
}

impl AccountService {
    /// A service that knows who asks by `identity`, keeps its books in `database`, and has what
    /// takes long done by jobs over `bus`.
    #[must_use]
    pub fn new(identity: Identity, database: Database, bus: &Bus) -> Self {
        let books = Books::new(database.clone());
        Self {
            identity,
            months: Months::new(MonthTable::new(database), books.clone(), bus),
            books,
            exports: Exports::default(),
        }
    }

    /// Where events are that tell of postings.
    pub(crate) fn outbox(&self) -> &Outbox {
        self.books.outbox()
    }
}

impl Accounts for AccountService {
    async fn me(&self) -> Result<Profile, AccountError> {
        let user = self.identity.user().await?;
        self.books.profile(user.id).await
    }

    async fn balance(&self) -> Result<Balance, AccountError> {
        let user = self.identity.user().await?;
        let balance = self.books.profile(user.id).await?.balance;
        Ok(Balance { balance })
    }

    async fn lookup(&self, account: Recipient) -> Result<Holder, AccountError> {
        self.identity.user().await?;
        self.books.holder(&account).await
    }

    async fn deposit(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError> {
        self.pay(Order::deposit, amount, key).await
    }

    async fn withdraw(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError> {
        self.pay(Order::withdrawal, amount, key).await
    }

    async fn statement(
        &self,
        page: PageRequest,
        filter: StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError> {
        let user = self.identity.user().await?;
        self.books.statement(user.id, page, &filter).await
    }

    async fn entries(
        &self,
        filter: StatementFilter,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        let user = self.identity.user().await?;
        let export = self.export(user.id)?;
        let entries = self.books.entries(user.id, filter).await?;
        Ok(self.stream(export, entries))
    }

    async fn begin_month_statement(
        &self,
        order: MonthOrder,
    ) -> Result<MonthStatement, AccountError> {
        let user = self.identity.user().await?;
        self.months.begin(user.id, &order).await
    }

    async fn month_statements(&self) -> Result<Vec<MonthStatement>, AccountError> {
        let user = self.identity.user().await?;
        self.months.all(user.id).await
    }

    async fn month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError> {
        let user = self.identity.user().await?;
        self.months.one(user.id, id).await
    }

    async fn cancel_month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError> {
        let user = self.identity.user().await?;
        self.months.cancel(user.id, id).await
    }

    async fn month_statement_entries(
        &self,
        id: Uuid,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        let user = self.identity.user().await?;
        let export = self.export(user.id)?;
        let entries = self.months.entries(user.id, id).await?;
        Ok(self.stream(export, entries))
    }

    async fn open(&self, holder: NewHolder) -> Result<Profile, AccountError> {
        self.open_for(holder).await
    }

    async fn parties(&self, from: UserId, to: Recipient) -> Result<Parties, AccountError> {
        self.identity.require_service(TRANSFER_SERVICE)?;
        self.books.parties(from, &to).await
    }

    async fn post_transfer(&self, posting: TransferPosting) -> Result<Posted, AccountError> {
        self.transfer(posting).await
    }

    async fn admin_totals(&self) -> Result<AccountTotals, AccountError> {
        self.identity.require_admin()?;
        self.books.totals().await
    }

    async fn admin_users(
        &self,
        page: PageRequest,
        search: Option<String>,
    ) -> Result<Page<AdminUser>, AccountError> {
        self.identity.require_admin()?;
        self.books.users(page, search.as_deref()).await
    }

    async fn admin_user(&self, id: UserId) -> Result<AdminUser, AccountError> {
        self.identity.require_admin()?;
        self.books.user(id).await
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        let parts = (self.books.are_up(), self.identity.store_is_up());
        let (database, redis) = futures_util::future::join(parts.0, parts.1).await;
        Ok(ServiceHealth::new(ACCOUNT_SERVICE, database, redis))
    }
}

impl AccountService {
    /// Room for one more stream of a user's.
    fn export(&self, user: UserId) -> Result<OpenExport, AccountError> {
        let export = self.exports.open(user);
        export.ok_or(AccountError::TooManyExports(OF_USER_MAX))
    }

    /// Entries as they are read, for as long as the session of who asks lasts.
    fn stream(&self, export: OpenExport, entries: Entries) -> Items<StatementEntry, AccountError> {
        let identity = self.identity.clone();
        let spans = stream::try_unfold(entries, move |entries| {
            // It is open for as long as this is.
            let _ = &export;
            let identity = identity.clone();
            async move { next_span(&identity, entries).await }
        });
        let entries = spans.map_ok(|span| stream::iter(span.into_iter().map(Ok)));
        Items::new(entries.try_flatten())
    }

    /// Moves the user's money over the edge of the bank.
    async fn pay(
        &self,
        order: impl Fn(Party, IdempotencyKey, Amount) -> Order,
        amount: Amount,
        key: IdempotencyKey,
    ) -> Result<Balance, AccountError> {
        let user = self.identity.user().await?;
        let holder = self.books.party(user.id).await?;
        let order = order(holder, key, amount);
        let balance = self.books.post(order).await?.balance;
        Ok(Balance { balance })
    }

    async fn open_for(&self, holder: NewHolder) -> Result<Profile, AccountError> {
        self.identity.require_service(AUTH_SERVICE)?;
        self.books.open(&holder, AccountNumber::draw).await
    }

    async fn transfer(&self, posting: TransferPosting) -> Result<Posted, AccountError> {
        self.identity.require_service(TRANSFER_SERVICE)?;
        if posting.from == posting.to {
            tracing::error!(transfer = %posting.transfer, "a transfer goes where it comes from");
            return Err(Refused::Forbidden.into());
        }
        let receipt = self.books.post(Order::transfer(posting)).await?;
        Ok(Posted {
            posted_at: receipt.posted_at,
        })
    }
}

/// The next of a user's entries, and those after them. A session that ended meanwhile reads no
/// further.
async fn next_span(
    identity: &Identity,
    mut entries: Entries,
) -> Result<Option<(Vec<StatementEntry>, Entries)>, AccountError> {
    identity.user().await?;
    let span = entries.next_span().await?;
    Ok(span.map(|span| (span, entries)))
}
