//! Services without a database: each notes how it was asked, and then does what its script says.

use chassis::{Identity, identity::SESSION};
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Party, Refused, ServiceHealth,
    TimeZoneName, UserId,
    account::{
        AccountError, AccountTotals, Accounts, AdminUser, Balance, EntryKind, Holder, NewHolder,
        Parties, Posted, Profile, Recipient, StatementEntry, StatementFilter, TransferPosting,
    },
    auth::{
        Auth, AuthError, LoggedIn, Login, LoginName, Password, PasswordChange, Registered,
        Registration, purpose,
    },
    month_statement::{MonthOrder, MonthResult, MonthState, MonthStatement},
    notification::{AdminNotification, MarkedRead, Notification, NotificationError, Notifications},
    standing_order::{CalendarUnit, NewStandingOrder, StandingOrder, StandingState},
    transfer::{
        AdminTransfer, Direction, Transaction, TransferError, TransferOrder, TransferReceipt,
        TransferStatus, TransferTotals, Transfers,
    },
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use replybus::{Context, Never, sealed::OpeningKey, stream::Items};
use std::{
    future::{pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{Barrier, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
pub(crate) const NUMBER: &str = "400012345675";
pub(crate) const TIME: &str = "2026-01-02T03:04:05Z";

/// What a service does when it is asked.
#[derive(Clone)]
pub(crate) enum Script<E> {
    Answer,
    Refuse(E),
    Panic,
    NeverAnswer,
    /// Answers when so many are asked at the same time.
    Meet(Arc<Barrier>),
    /// Says that it was asked, and answers when it is told to.
    Wait {
        asked: Arc<Notify>,
        go: Arc<Notify>,
    },
    /// Says that it was asked, and never answers; says when it is dropped.
    Hold {
        asked: Arc<Notify>,
        dropped: CancellationToken,
    },
    /// A stream gives so many, and then this.
    Stream {
        entries: u64,
        then: Then<E>,
        watch: Arc<Watch>,
    },
}

/// What a stream does when it has given what it has.
#[derive(Clone)]
pub(crate) enum Then<E> {
    Fail(E),
    Wait,
}

/// A stream, as a test sees it.
#[derive(Default)]
pub(crate) struct Watch {
    /// What it has given.
    pub(crate) given: AtomicU64,
    /// Cancelled when it is dropped.
    pub(crate) ended: CancellationToken,
}

/// How a service was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) arguments: String,
    pub(crate) call_id: String,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) trace: String,
    pub(crate) key: Option<String>,
}

impl Seen {
    pub(crate) fn session(&self) -> Option<&str> {
        let session = self.metadata.iter().find(|(name, _)| name == "session");
        session.map(|(_, value)| value.as_str())
    }
}

/// A service, as a test holds it.
pub(crate) struct Scripted<E> {
    script: Mutex<Script<E>>,
    healthy: Mutex<bool>,
    seen: Mutex<Vec<Seen>>,
    identity: Identity,
}

impl<E: Clone + From<Refused>> Scripted<E> {
    pub(crate) fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Script::Answer),
            healthy: Mutex::new(true),
            seen: Mutex::default(),
            identity,
        })
    }

    pub(crate) fn follows(&self, script: Script<E>) {
        *self.script.lock().unwrap() = script;
    }

    pub(crate) fn is_unwell(&self) {
        *self.healthy.lock().unwrap() = false;
    }

    /// How it was asked, and forgets it.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn note(&self, arguments: String) {
        let context = Context::current();
        let entries = context.metadata().iter();
        self.seen.lock().unwrap().push(Seen {
            method: context.method().to_owned(),
            arguments,
            call_id: context.call_id().unwrap().to_string(),
            metadata: entries
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            trace: context.trace().unwrap().to_string(),
            key: context.idempotency_key().map(str::to_owned),
        });
    }

    async fn ask(&self, arguments: String) -> Result<(), E> {
        self.note(arguments);
        let script = self.script.lock().unwrap().clone();
        match script {
            Script::Answer => Ok(()),
            Script::Refuse(error) => Err(error),
            Script::Panic => panic!("as the script says"),
            Script::NeverAnswer => pending().await,
            Script::Meet(barrier) => {
                barrier.wait().await;
                Ok(())
            }
            Script::Wait { asked, go } => {
                asked.notify_one();
                go.notified().await;
                Ok(())
            }
            Script::Hold { asked, dropped } => {
                let _says = dropped.drop_guard();
                asked.notify_one();
                pending().await
            }
            Script::Stream { .. } => Ok(()),
        }
    }

    async fn ask_as_admin(&self, arguments: String) -> Result<(), E> {
        self.identity.require_admin()?;
        self.ask(arguments).await
    }

    async fn health(&self, name: &str) -> Result<ServiceHealth, Never> {
        self.note(String::new());
        let healthy = *self.healthy.lock().unwrap();
        let silent = matches!(*self.script.lock().unwrap(), Script::NeverAnswer);
        if silent {
            pending::<()>().await;
        }
        Ok(ServiceHealth::new(name, healthy, true))
    }
}

fn id() -> UserId {
    ID.parse().unwrap()
}

fn number() -> AccountNumber {
    NUMBER.parse().unwrap()
}

fn time() -> Timestamp {
    TIME.parse().unwrap()
}

fn uuid() -> Uuid {
    ID.parse().unwrap()
}

fn profile() -> Profile {
    Profile {
        id: id(),
        phone: Some("49*********78".to_owned()),
        username: "ada".to_owned(),
        account_number: number(),
        balance: 100_000,
    }
}

fn standing_order() -> StandingOrder {
    StandingOrder {
        id: uuid(),
        to: "bob".to_owned(),
        to_account_number: number(),
        amount: Amount::new(5).unwrap(),
        reference: None,
        first_at: time(),
        every: CalendarUnit::Month,
        count: 1,
        time_zone: TimeZoneName::utc(),
        until: None,
        times: None,
        state: StandingState::Active,
        next_at: Some(time()),
        occurrences: 0,
        last: None,
        created_at: time(),
    }
}

fn month_statement(state: MonthState) -> MonthStatement {
    let is_made = state == MonthState::Made;
    MonthStatement {
        id: uuid(),
        month: "2026-01".parse().unwrap(),
        time_zone: TimeZoneName::utc(),
        state,
        done: if is_made { 7 } else { 0 },
        total: 7,
        created_at: time(),
        result: is_made.then(|| MonthResult {
            from: time(),
            to: time(),
            is_whole: true,
            opening_balance: 5,
            paid_in: 3,
            paid_out: 1,
            closing_balance: 7,
            entries: 2,
        }),
    }
}

pub(crate) struct FakeAuth(pub(crate) Arc<Scripted<AuthError>>, pub(crate) OpeningKey);

impl FakeAuth {
    fn open(&self, password: Password, purpose: &str) -> String {
        let elsewhere = password.clone().open(&self.1, "something else");
        assert!(elsewhere.is_err(), "a password came in the clear");
        password.open(&self.1, purpose).unwrap()
    }
}

impl Auth for FakeAuth {
    async fn register(&self, registration: Registration) -> Result<Registered, AuthError> {
        let Registration {
            username,
            password,
            phone,
            key,
        } = registration;
        let password = self.open(password, &purpose::of_registration(&username));
        let key = key.unwrap();
        self.0
            .ask(format!("{username} {password} {phone:?} {key}"))
            .await?;
        let profile = profile();
        Ok(Registered {
            id: profile.id,
            phone: None,
            username,
            account_number: profile.account_number,
            balance: profile.balance,
        })
    }

    async fn login(&self, login: Login) -> Result<LoggedIn, AuthError> {
        let password = self.open(login.password, &purpose::of_login(&login.who));
        self.0.ask(format!("{:?} {password}", login.who)).await?;
        let LoginName::Username(username) = login.who else {
            return Err(AuthError::InvalidCredentials);
        };
        Ok(LoggedIn {
            session: "a.b.c".to_owned(),
            phone: None,
            username,
            account_number: number(),
            balance: 5,
        })
    }

    async fn change_password(&self, change: PasswordChange) -> Result<(), AuthError> {
        let context = Context::current();
        let session = context.metadata().get(SESSION).unwrap();
        let current = self.open(change.current, &purpose::of_current(session));
        let new = self.open(change.new, &purpose::of_new(session));
        self.0.ask(format!("{current} {new}")).await
    }

    async fn logout(&self) -> Result<(), AuthError> {
        self.0.ask(String::new()).await
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        self.0.health("auth-service").await
    }
}

pub(crate) struct FakeAccounts(pub(crate) Arc<Scripted<AccountError>>);

impl Accounts for FakeAccounts {
    async fn me(&self) -> Result<Profile, AccountError> {
        self.0.ask(String::new()).await?;
        Ok(profile())
    }

    async fn balance(&self) -> Result<Balance, AccountError> {
        self.0.ask(String::new()).await?;
        Ok(Balance { balance: 7 })
    }

    async fn lookup(&self, account: Recipient) -> Result<Holder, AccountError> {
        self.0.ask(format!("{account:?}")).await?;
        Ok(Holder {
            account_number: number(),
            username: "bob".to_owned(),
        })
    }

    async fn deposit(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError> {
        self.0.ask(format!("{amount} {key}")).await?;
        Ok(Balance { balance: 8 })
    }

    async fn withdraw(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError> {
        self.0.ask(format!("{amount} {key}")).await?;
        Ok(Balance { balance: 6 })
    }

    async fn statement(
        &self,
        page: PageRequest,
        filter: StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError> {
        let asked = format!("{} {}", paging(page), filtering(&filter));
        self.0.ask(asked).await?;
        let entry = entry();
        let search = filter.search;
        // What is looked for says how much there is of it, page by page.
        match search.as_deref().unwrap_or_default().parse() {
            Ok(total) => {
                let left = i64::try_from(total).unwrap() - page.offset();
                let length = usize::try_from(left.clamp(0, page.limit())).unwrap();
                Ok(page.of(total, vec![entry; length]))
            }
            Err(_) => Ok(page.of(1, vec![entry])),
        }
    }

    async fn entries(
        &self,
        filter: StatementFilter,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        self.0.ask(format!("all {}", filtering(&filter))).await?;
        let script = self.0.script.lock().unwrap().clone();
        let Script::Stream {
            entries,
            then,
            watch,
        } = script
        else {
            let total = filter.search.unwrap_or_default().parse().unwrap_or(1);
            return Ok(Items::new(stream::iter((0..total).map(|_| Ok(entry())))));
        };
        let ended = watch.ended.clone().drop_guard();
        let given = stream::iter((0..entries).map(move |_| {
            watch.given.fetch_add(1, Ordering::Relaxed);
            Ok(entry())
        }));
        let last = match then {
            Then::Fail(error) => stream::once(ready(Err(error))).boxed(),
            Then::Wait => stream::pending().boxed(),
        };
        Ok(Items::new(given.chain(last).inspect(move |_| {
            let _ = &ended;
        })))
    }

    async fn begin_month_statement(
        &self,
        order: MonthOrder,
    ) -> Result<MonthStatement, AccountError> {
        let MonthOrder {
            month,
            time_zone,
            key,
        } = order;
        self.0.ask(format!("{month} {time_zone} {key}")).await?;
        Ok(month_statement(MonthState::Waiting))
    }

    async fn month_statements(&self) -> Result<Vec<MonthStatement>, AccountError> {
        self.0.ask(String::new()).await?;
        Ok(vec![month_statement(MonthState::Made)])
    }

    async fn month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError> {
        self.0.ask(id.to_string()).await?;
        Ok(month_statement(MonthState::Made))
    }

    async fn cancel_month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError> {
        self.0.ask(id.to_string()).await?;
        Ok(month_statement(MonthState::Cancelled))
    }

    async fn month_statement_entries(
        &self,
        id: Uuid,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError> {
        self.0.ask(id.to_string()).await?;
        Ok(Items::new(stream::iter([Ok(entry())])))
    }

    async fn open(&self, _: NewHolder) -> Result<Profile, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn parties(&self, _: UserId, _: Recipient) -> Result<Parties, AccountError> {
        let party = Party {
            user_id: id(),
            username: "ada".parse().unwrap(),
            account_number: number(),
        };
        Ok(Parties {
            from: party.clone(),
            to: party,
        })
    }

    async fn post_transfer(&self, _: TransferPosting) -> Result<Posted, AccountError> {
        Err(Refused::Forbidden.into())
    }

    async fn admin_totals(&self) -> Result<AccountTotals, AccountError> {
        self.0.ask_as_admin(String::new()).await?;
        Ok(AccountTotals {
            users: 1,
            balance: 2,
        })
    }

    async fn admin_users(
        &self,
        page: PageRequest,
        search: Option<String>,
    ) -> Result<Page<AdminUser>, AccountError> {
        let asked = format!("{} {search:?}", paging(page));
        self.0.ask_as_admin(asked).await?;
        Ok(page.of(1, vec![admin_user()]))
    }

    async fn admin_user(&self, id: UserId) -> Result<AdminUser, AccountError> {
        self.0.ask_as_admin(id.to_string()).await?;
        Ok(admin_user())
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        self.0.health("account-service").await
    }
}

fn admin_user() -> AdminUser {
    AdminUser {
        id: id(),
        username: "ada".to_owned(),
        phone: None,
        account_number: number(),
        balance: 1,
        created_at: time(),
    }
}

fn entry() -> StatementEntry {
    StatementEntry {
        id: uuid(),
        number: 2,
        kind: EntryKind::Transfer,
        amount: -5,
        balance: 99_995,
        counterparty: Some(number()),
        counterparty_username: Some("bob".to_owned()),
        reference: Some("=Rent, March".parse().unwrap()),
        created_at: time(),
    }
}

fn filtering(filter: &StatementFilter) -> String {
    let StatementFilter {
        search,
        from,
        to,
        up_to,
    } = filter;
    let (from, to) = (from.map(|at| at.to_string()), to.map(|at| at.to_string()));
    let up_to = up_to.map_or_else(String::new, |number| format!(" up to {number}"));
    format!("{search:?} {from:?} {to:?}{up_to}")
}

fn paging(page: PageRequest) -> String {
    format!("{} from {}", page.limit(), page.offset())
}

pub(crate) struct FakeTransfers(pub(crate) Arc<Scripted<TransferError>>);

impl Transfers for FakeTransfers {
    async fn transfer(&self, order: TransferOrder) -> Result<TransferReceipt, TransferError> {
        let TransferOrder {
            to,
            amount,
            reference,
            key,
        } = order;
        let reference = reference.map(String::from);
        let asked = format!("{to:?} {amount} {reference:?} {key}");
        self.0.ask(asked).await?;
        Ok(TransferReceipt {
            ok: true,
            from: "ada".to_owned(),
            to: "bob".to_owned(),
            to_account_number: number(),
            amount,
        })
    }

    async fn order_standing(
        &self,
        order: NewStandingOrder,
    ) -> Result<StandingOrder, TransferError> {
        let NewStandingOrder {
            to,
            amount,
            first_at,
            every,
            time_zone,
            until,
            times,
            key,
            ..
        } = order;
        let every = format!("{} {}", every.count(), every.unit().word());
        let until = until.map(|until| until.to_string());
        let asked =
            format!("{to:?} {amount} {first_at} {every} {time_zone} {until:?} {times:?} {key}");
        self.0.ask(asked).await?;
        Ok(standing_order())
    }

    async fn standing_orders(
        &self,
        page: PageRequest,
    ) -> Result<Page<StandingOrder>, TransferError> {
        self.0.ask(paging(page)).await?;
        Ok(page.of(1, vec![standing_order()]))
    }

    async fn cancel_standing_order(&self, id: Uuid) -> Result<StandingOrder, TransferError> {
        self.0.ask(id.to_string()).await?;
        Ok(standing_order())
    }

    async fn transactions(&self, page: PageRequest) -> Result<Page<Transaction>, TransferError> {
        self.0.ask(paging(page)).await?;
        let transaction = Transaction {
            id: uuid(),
            direction: Direction::Sent,
            from: "ada".to_owned(),
            from_account_number: number(),
            to: "bob".to_owned(),
            to_account_number: number(),
            amount: Amount::new(5).unwrap(),
            reference: None,
            status: TransferStatus::Completed,
            created_at: time(),
        };
        Ok(page.of(1, vec![transaction]))
    }

    async fn admin_totals(&self) -> Result<TransferTotals, TransferError> {
        self.0.ask_as_admin(String::new()).await?;
        Ok(TransferTotals {
            transfers: 3,
            amount: 4,
        })
    }

    async fn admin_transfers(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
        search: Option<String>,
    ) -> Result<Page<AdminTransfer>, TransferError> {
        let user = user_id.map(|id| id.to_string());
        let asked = format!("{} {user:?} {search:?}", paging(page));
        self.0.ask_as_admin(asked).await?;
        Ok(page.of(0, Vec::new()))
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        self.0.health("transfer-service").await
    }
}

pub(crate) struct FakeNotifications(pub(crate) Arc<Scripted<NotificationError>>);

impl Notifications for FakeNotifications {
    async fn list(&self, page: PageRequest) -> Result<Vec<Notification>, NotificationError> {
        self.0.ask(paging(page)).await?;
        Ok(vec![Notification {
            id: uuid(),
            message: "You got 5".to_owned(),
            is_read: false,
            created_at: time(),
        }])
    }

    async fn mark_read(&self, ids: Option<Vec<Uuid>>) -> Result<MarkedRead, NotificationError> {
        let ids = ids.map(|ids| ids.iter().map(Uuid::to_string).collect::<Vec<_>>());
        self.0.ask(format!("{ids:?}")).await?;
        Ok(MarkedRead { marked: 1 })
    }

    async fn admin_total(&self) -> Result<u64, NotificationError> {
        self.0.ask_as_admin(String::new()).await?;
        Ok(5)
    }

    async fn admin_notifications(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
    ) -> Result<Page<AdminNotification>, NotificationError> {
        let user = user_id.map(|id| id.to_string());
        let asked = format!("{} {user:?}", paging(page));
        self.0.ask_as_admin(asked).await?;
        Ok(page.of(0, Vec::new()))
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        self.0.health("notification-service").await
    }
}
