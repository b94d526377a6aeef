//! An account service that keeps its promises to the letter and fails when it is told to.

use chassis::Identity;
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Party, Refused, ServiceHealth,
    UserId,
    account::{
        AccountError, AccountTotals, Accounts, AdminUser, Balance, Holder, NewHolder, Parties,
        Posted, Profile, Recipient, StatementEntry, StatementFilter, TransferPosting,
    },
    month_statement::{MonthOrder, MonthStatement},
};
use jiff::Timestamp;
use replybus::{Context, Never, stream::Items};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;
use town::wait::soon;
use uuid::Uuid;

/// What happens to those who ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// They are answered.
    Answer,
    /// Nothing is done, and that is said so that they may ask again.
    Unavailable,
    /// Nothing is done, and the bus remembers that under the key it was asked with.
    UnavailableForTheKey,
    /// They wait, and nothing is done before the script changes.
    WaitFirst,
    /// It is done, and they wait.
    WaitAfterwards,
    /// The handler panics when it is done.
    Panic,
}

#[derive(Clone)]
pub(crate) struct ScriptedAccounts(Arc<Inner>);

struct Inner {
    identity: Identity,
    ledger: Mutex<Ledger>,
    parties: watch::Sender<Script>,
    postings: watch::Sender<Script>,
    parties_asked: watch::Sender<usize>,
    postings_asked: watch::Sender<usize>,
}

#[derive(Default)]
struct Ledger {
    holders: Vec<Party>,
    balances: HashMap<AccountNumber, i64>,
    verdicts: HashMap<Uuid, (TransferPosting, Result<Posted, AccountError>)>,
}

impl ScriptedAccounts {
    pub(crate) fn new(identity: Identity) -> Self {
        Self(Arc::new(Inner {
            identity,
            ledger: Mutex::default(),
            parties: watch::Sender::new(Script::Answer),
            postings: watch::Sender::new(Script::Answer),
            parties_asked: watch::Sender::new(0),
            postings_asked: watch::Sender::new(0),
        }))
    }

    pub(crate) fn open(&self, username: &str, balance: i64) -> Party {
        let party = Party {
            user_id: UserId::new(),
            username: username.parse().unwrap(),
            account_number: AccountNumber::draw(),
        };
        let mut ledger = self.0.ledger.lock().unwrap();
        let number = party.account_number.clone();
        ledger.balances.insert(number, balance);
        ledger.holders.push(party.clone());
        party
    }

    /// From now on, and for those who wait.
    pub(crate) fn on_parties(&self, script: Script) {
        self.0.parties.send_replace(script);
    }

    /// From now on, and for those who wait.
    pub(crate) fn on_postings(&self, script: Script) {
        self.0.postings.send_replace(script);
    }

    pub(crate) fn times_asked_to_post(&self) -> usize {
        *self.0.postings_asked.borrow()
    }

    pub(crate) async fn asked_for_parties(&self, times: usize) {
        reached(&self.0.parties_asked, times).await;
    }

    pub(crate) async fn asked_to_post(&self, times: usize) {
        reached(&self.0.postings_asked, times).await;
    }

    pub(crate) fn balance(&self, of: &AccountNumber) -> i64 {
        self.0.ledger.lock().unwrap().balances[of]
    }

    pub(crate) fn pay_in(&self, to: &AccountNumber, amount: i64) {
        let mut ledger = self.0.ledger.lock().unwrap();
        *ledger.balances.get_mut(to).unwrap() += amount;
    }

    pub(crate) fn sum(&self) -> i64 {
        self.0.ledger.lock().unwrap().balances.values().sum()
    }

    /// The transfers that moved money.
    pub(crate) fn posted(&self) -> Vec<Uuid> {
        let ledger = self.0.ledger.lock().unwrap();
        let posted = ledger
            .verdicts
            .iter()
            .filter(|(_, (_, verdict))| verdict.is_ok());
        posted.map(|(id, _)| *id).collect()
    }

    /// What the transfers that were asked for are for.
    pub(crate) fn references(&self) -> Vec<Option<String>> {
        let ledger = self.0.ledger.lock().unwrap();
        let postings = ledger.verdicts.values();
        postings
            .map(|(posting, _)| posting.reference.clone().map(String::from))
            .collect()
    }

    fn require_the_transfer_service(&self) -> Result<(), AccountError> {
        Ok(self.0.identity.require_service("transfer-service")?)
    }
}

async fn reached(count: &watch::Sender<usize>, times: usize) {
    let mut count = count.subscribe();
    let reached = count.wait_for(|count| *count >= times);
    soon("it was asked so often", reached).await.unwrap();
}

/// Waits while the script says so.
async fn hold(script: &watch::Sender<Script>, what: Script) {
    let mut script = script.subscribe();
    script.wait_for(|script| *script != what).await.unwrap();
}

/// Refuses if the script says so.
fn refuse(script: Script) -> Result<(), AccountError> {
    match script {
        Script::Unavailable => Context::current().release_key(),
        Script::UnavailableForTheKey => {}
        _ => return Ok(()),
    }
    Err(Refused::Unavailable.into())
}

impl Ledger {
    fn parties(&self, from: UserId, to: &Recipient) -> Result<Parties, AccountError> {
        let find = |wanted: &dyn Fn(&Party) -> bool| {
            let found = self.holders.iter().find(|holder| wanted(holder)).cloned();
            found.ok_or_else(|| AccountError::NotFound("account".to_owned()))
        };
        Ok(Parties {
            from: find(&|holder| holder.user_id == from)?,
            to: find(&|holder| match to {
                Recipient::Username(name) => holder.username.as_str().eq_ignore_ascii_case(name),
                Recipient::AccountNumber(number) => holder.account_number == *number,
            })?,
        })
    }

    /// One verdict for each transfer, for ever.
    fn post(&mut self, posting: TransferPosting) -> Result<Posted, AccountError> {
        if let Some((known, verdict)) = self.verdicts.get(&posting.transfer) {
            assert_eq!(*known, posting, "a transfer was posted with another body");
            return verdict.clone();
        }
        let amount = posting.amount.minor_units();
        let verdict = if self.balances[&posting.from] < amount {
            Err(AccountError::InsufficientBalance)
        } else {
            *self.balances.get_mut(&posting.from).unwrap() -= amount;
            *self.balances.get_mut(&posting.to).unwrap() += amount;
            // As exact as a database keeps it.
            let now = Timestamp::now().as_microsecond();
            Ok(Posted {
                posted_at: Timestamp::from_microsecond(now).unwrap(),
            })
        };
        self.verdicts
            .insert(posting.transfer, (posting, verdict.clone()));
        verdict
    }
}

impl Accounts for ScriptedAccounts {
    async fn parties(&self, from: UserId, to: Recipient) -> Result<Parties, AccountError> {
        self.require_the_transfer_service()?;
        self.0.parties_asked.send_modify(|count| *count += 1);
        hold(&self.0.parties, Script::WaitFirst).await;
        refuse(*self.0.parties.borrow())?;
        self.0.ledger.lock().unwrap().parties(from, &to)
    }

    async fn post_transfer(&self, posting: TransferPosting) -> Result<Posted, AccountError> {
        self.require_the_transfer_service()?;
        // The ledger knows a transfer by its id: nothing else is to remember what came of it.
        assert_eq!(Context::current().idempotency_key(), None);
        self.0.postings_asked.send_modify(|count| *count += 1);
        hold(&self.0.postings, Script::WaitFirst).await;
        let script = *self.0.postings.borrow();
        refuse(script)?;
        let verdict = self.0.ledger.lock().unwrap().post(posting);
        assert_ne!(script, Script::Panic, "as it was told");
        hold(&self.0.postings, Script::WaitAfterwards).await;
        verdict
    }

    async fn me(&self) -> Result<Profile, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn balance(&self) -> Result<Balance, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn lookup(&self, _: Recipient) -> Result<Holder, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn deposit(&self, _: Amount, _: IdempotencyKey) -> Result<Balance, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn withdraw(&self, _: Amount, _: IdempotencyKey) -> Result<Balance, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn statement(
        &self,
        _: PageRequest,
        _: StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn entries(
        &self,
        _: StatementFilter,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn begin_month_statement(&self, _: MonthOrder) -> Result<MonthStatement, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn month_statements(&self) -> Result<Vec<MonthStatement>, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn month_statement(&self, _: Uuid) -> Result<MonthStatement, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn cancel_month_statement(&self, _: Uuid) -> Result<MonthStatement, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn month_statement_entries(
        &self,
        _: Uuid,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn open(&self, _: NewHolder) -> Result<Profile, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn admin_totals(&self) -> Result<AccountTotals, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn admin_users(
        &self,
        _: PageRequest,
        _: Option<String>,
    ) -> Result<Page<AdminUser>, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn admin_user(&self, _: UserId) -> Result<AdminUser, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        Ok(ServiceHealth::new("account-service", true, true))
    }
}
