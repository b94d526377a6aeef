//! An account service that opens accounts, or does not.

use chassis::Identity;
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Refused, ServiceHealth, UserId,
    account::{
        AccountError, AccountTotals, Accounts, AdminUser, Balance, Holder, NewHolder,
        OPENING_BALANCE, Parties, Posted, Profile, Recipient, StatementEntry, StatementFilter,
        TransferPosting,
    },
    month_statement::{MonthOrder, MonthStatement},
};
use replybus::{Never, stream::Items};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Opens,
    Refuses,
    /// Does not answer until the mood changes.
    Silent,
}

#[derive(Clone)]
pub(crate) struct FakeAccounts {
    identity: Identity,
    mood: Arc<watch::Sender<Mood>>,
    opened: Arc<Mutex<BTreeMap<UserId, (NewHolder, Profile)>>>,
    asked: Arc<watch::Sender<u32>>,
}

impl FakeAccounts {
    pub(crate) fn new(identity: Identity) -> Self {
        Self {
            identity,
            mood: Arc::new(watch::Sender::new(Mood::Opens)),
            opened: Arc::default(),
            asked: Arc::new(watch::Sender::new(0)),
        }
    }

    pub(crate) fn become_(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Waits until it was asked that often to open an account.
    pub(crate) async fn asked(&self, times: u32) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| *asked >= times).await.unwrap();
    }

    /// For whom there are accounts.
    pub(crate) fn holders(&self) -> Vec<NewHolder> {
        let opened = self.opened.lock().unwrap();
        opened.values().map(|(holder, _)| holder.clone()).collect()
    }

    /// Money comes and goes.
    pub(crate) fn set_balance(&self, user: UserId, balance: i64) {
        let mut opened = self.opened.lock().unwrap();
        opened.get_mut(&user).unwrap().1.balance = balance;
    }
}

impl Accounts for FakeAccounts {
    async fn open(&self, holder: NewHolder) -> Result<Profile, AccountError> {
        self.identity.require_service("auth-service")?;
        self.asked.send_modify(|asked| *asked += 1);
        let mut mood = self.mood.subscribe();
        let mood = *mood.wait_for(|mood| *mood != Mood::Silent).await.unwrap();
        if mood == Mood::Refuses {
            return Err(Refused::Unavailable.into());
        }
        let mut opened = self.opened.lock().unwrap();
        let (_, profile) = opened.entry(holder.user_id).or_insert_with(|| {
            let profile = Profile {
                id: holder.user_id,
                phone: holder.phone.clone(),
                username: holder.username.clone(),
                account_number: AccountNumber::draw(),
                balance: OPENING_BALANCE,
            };
            (holder, profile)
        });
        Ok(profile.clone())
    }

    async fn me(&self) -> Result<Profile, AccountError> {
        panic!("not asked for")
    }

    async fn balance(&self) -> Result<Balance, AccountError> {
        panic!("not asked for")
    }

    async fn lookup(&self, _: Recipient) -> Result<Holder, AccountError> {
        panic!("not asked for")
    }

    async fn deposit(&self, _: Amount, _: IdempotencyKey) -> Result<Balance, AccountError> {
        panic!("not asked for")
    }

    async fn withdraw(&self, _: Amount, _: IdempotencyKey) -> Result<Balance, AccountError> {
        panic!("not asked for")
    }

    async fn statement(
        &self,
        _: PageRequest,
        _: StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError> {
        panic!("not asked for")
    }

    async fn entries(
        &self,
        _: StatementFilter,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        panic!("not asked for")
    }

    async fn begin_month_statement(&self, _: MonthOrder) -> Result<MonthStatement, AccountError> {
        panic!("not asked for")
    }

    async fn month_statements(&self) -> Result<Vec<MonthStatement>, AccountError> {
        panic!("not asked for")
    }

    async fn month_statement(&self, _: Uuid) -> Result<MonthStatement, AccountError> {
        panic!("not asked for")
    }

    async fn cancel_month_statement(&self, _: Uuid) -> Result<MonthStatement, AccountError> {
        panic!("not asked for")
    }

    async fn month_statement_entries(
        &self,
        _: Uuid,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        panic!("not asked for")
    }

    async fn parties(&self, _: UserId, _: Recipient) -> Result<Parties, AccountError> {
        panic!("not asked for")
    }

    async fn post_transfer(&self, _: TransferPosting) -> Result<Posted, AccountError> {
        panic!("not asked for")
    }

    async fn admin_totals(&self) -> Result<AccountTotals, AccountError> {
        panic!("not asked for")
    }

    async fn admin_users(
        &self,
        _: PageRequest,
        _: Option<String>,
    ) -> Result<Page<AdminUser>, AccountError> {
        panic!("not asked for")
    }

    async fn admin_user(&self, _: UserId) -> Result<AdminUser, AccountError> {
        panic!("not asked for")
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        panic!("not asked for")
    }
}
