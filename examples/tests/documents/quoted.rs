//! The code that README.md, docs/guide.md and the crates' READMEs show, and what they leave out
//! around it.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a document shows a public contract, and calls a part of it"
)]

use replybus::{Bus, SetupError};
use std::error::Error;

/// A bus that keeps a flight record.
pub(crate) mod flight {
    use replybus::{Amqp, SetupError};
    use replybus_redis::RedisReplies;

    async fn connect(amqp: Amqp, redis: RedisReplies) -> Result<(), SetupError> {
        use replybus::{Bus, flight::FlightRecord};

        let builder = Bus::builder().flight_record(FlightRecord::new());
        let bus = builder.connect(amqp, redis).await?;
        drop(bus);
        Ok(())
    }
}

/// Requests that are signed, and a service that believes the keys it knows.
pub(crate) mod signed {
    use replybus::{Amqp, server::Service};
    use replybus_redis::RedisReplies;
    use std::error::Error;

    struct AccountsServer;

    impl AccountsServer {
        #[allow(clippy::new_ret_no_self, reason = "stands for what the macro makes")]
        fn new(accounts: impl Service) -> impl Service {
            accounts
        }
    }

    #[rustfmt::skip]
    async fn connect(
        amqp: Amqp,
        redis: RedisReplies,
        auditor: [u8; 32],
        accounts: impl Service,
    ) -> Result<(), Box<dyn Error>> {
        use replybus::{Bus, signature::{KeyRing, SigningKey}};

        let key = SigningKey::from_pem("gateway-1", &std::fs::read_to_string("gateway.pem")?)?;
        let bus = Bus::builder().sign(key).connect(amqp, redis).await?;

        // In the service, whose ring names what each key may ask for:
        let ring = KeyRing::new()
            .trust_pem("gateway-1", &std::fs::read_to_string("gateway.pub.pem")?)?
            .trust_for("auditor-1", &auditor, ["account.requests/balance"])?;
        let serving = bus.serve(AccountsServer::new(accounts)).only_signed(ring).await?;
        serving.shutdown().await?;
        Ok(())
    }
}

/// A broker of one's own, as docs/transports.md tests it.
#[cfg(test)]
mod own_broker {
    use replybus::transport::memory::MemoryBroker;

    struct MyBroker;

    impl MyBroker {
        async fn start() -> MemoryBroker {
            MemoryBroker::new()
        }
    }

    use replybus_conformance::{TransportCase, transport_suite};

    transport_suite!(my_broker, claims: [events, limits]);

    #[tokio::main(flavor = "current_thread")]
    async fn my_broker(case: TransportCase) {
        case.check(MyBroker::start().await).await;
    }
}

/// The first program: `Hello` in README.md.
pub(crate) mod hello {
    use replybus::{Bus, Never, queue_handler};

    #[queue_handler("greeter.requests")]
    pub trait Greeter {
        /// A greeting for `name`.
        #[query]
        async fn greet(&self, name: String) -> Result<String, Never>;
    }

    struct English;

    impl Greeter for English {
        async fn greet(&self, name: String) -> Result<String, Never> {
            Ok(format!("Hello, {name}!"))
        }
    }

    #[tokio::main]
    async fn main() -> Result<(), Box<dyn std::error::Error>> {
        let bus = Bus::in_memory(); // or Bus::connect(Amqp::new(..), RedisReplies::new(..)).await?
        let serving = bus.serve(GreeterServer::new(English)).await?;

        let greeter = GreeterClient::new(&bus); // in another program, with Bus::connect
        assert_eq!(greeter.greet("Ada".to_owned()).await?, "Hello, Ada!");
        serving.shutdown().await?;
        Ok(())
    }

    pub(crate) fn run() -> Result<(), Box<dyn std::error::Error>> {
        main()
    }
}

/// The first screen of README.md.
#[rustfmt::skip]
pub(crate) async fn first_screen() -> Result<String, Box<dyn Error>> {
    use replybus::{Bus, Never, queue_handler};

    #[queue_handler("greeter.requests")]
    pub trait Greeter {
        #[query]
        async fn greet(&self, name: String) -> Result<String, Never>;
    }

    let bus = Bus::in_memory(); // or on RabbitMQ and Redis: Bus::connect(..)
    let serving = bus.serve(GreeterServer::new(English)).await?; // English: your type, `impl Greeter`
    let greeting = GreeterClient::new(&bus).greet("Ada".to_owned()).await?; // in any other program

    struct English;

    impl Greeter for English {
        async fn greet(&self, name: String) -> Result<String, Never> {
            Ok(format!("Hello, {name}!"))
        }
    }

    serving.shutdown().await?;
    Ok(greeting)
}

#[rustfmt::skip]
async fn connected() -> Result<Bus, SetupError> {
    use replybus::{Amqp, Bus};
    use replybus_redis::RedisReplies;

    let bus = Bus::connect(
        Amqp::new("amqp://user:password@rabbit:5672/%2f"),
        RedisReplies::new("redis://redis:6379/0"),
    )
    .await?;
    Ok(bus)
}

/// `What you write` in README.md.
#[rustfmt::skip]
mod written {
    use replybus::{Event, queue_handler};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    #[error("{missing} more are needed")]
    pub struct Overdrawn { pub missing: u64 }

    #[queue_handler("account.requests", concurrency = 32, timeout = "2s")]
    pub trait Accounts {
        #[query]                                  // reads only: sent again if the connection is lost, cancelled at its deadline, or when it is dropped
        async fn balance(&self, account: String) -> Result<u64, Overdrawn>;

        // not marked: a command. Claimed in Redis before it runs, its outcome recorded, never cancelled half-way.
        async fn withdraw(&self, account: String, amount: u64) -> Result<u64, Overdrawn>;
    }

    #[derive(Event, Serialize, Deserialize)]
    #[event("transfer.completed")]
    pub struct TransferCompleted { pub amount: u64 }
}

use written::{Overdrawn, TransferCompleted};

struct Ledger;

impl written::Accounts for Ledger {
    async fn balance(&self, _: String) -> Result<u64, Overdrawn> {
        Ok(1_000)
    }

    async fn withdraw(&self, _: String, amount: u64) -> Result<u64, Overdrawn> {
        1_000_u64
            .checked_sub(amount)
            .ok_or(Overdrawn { missing: amount })
    }
}

async fn notify(event: TransferCompleted) {
    assert_eq!(event.amount, 500);
}

#[rustfmt::skip]
pub(crate) async fn calls() -> Result<(), Box<dyn Error>> {
    let bus = Bus::in_memory();
    let serving = bus.serve(written::AccountsServer::new(Ledger)).await?;
    let accounts = written::AccountsClient::new(&bus);
    let (ada, payment, amount) = ("ada".to_owned(), "payment-4711", 500);

    use std::time::Duration;

    let balance = accounts.balance(ada.clone()).await?;                        // call
    let left = accounts.withdraw(ada.clone(), 500)
        .idempotency_key(payment)                                              // asked again, it gets the first run's answer
        .timeout(Duration::from_secs(2))
        .await?;
    accounts.withdraw(ada.clone(), 500).send().await?;                         // one-way: the broker has it
    let ticket = accounts.withdraw(ada, 500).submit().await?;                  // answered later, ..
    let later = ticket.wait(&bus).await?;                                      // .. to any process

    let subscription = bus                                                     // keep it: dropped, it ends
        .subscribe("notifications", |event: TransferCompleted| async move { notify(event).await })
        .await?;
    bus.emit(&TransferCompleted { amount }).await?;                            // an event; .mandatory() if it must not pass unheard

    assert_eq!((balance, left, later), (1_000, 500, 500));
    subscription.shutdown().await?;
    serving.shutdown().await?;
    Ok(())
}

/// docs/guide.md.
mod guide {
    use std::{error::Error, io};

    #[rustfmt::skip]
    mod contract {
        use replybus::queue_handler;
        use serde::{Deserialize, Serialize};

        #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
        #[error("{missing} more are needed")]
        pub struct Overdrawn { pub missing: u64 }

        #[queue_handler("account.requests")]
        pub trait Accounts {
            #[query]
            async fn balance(&self, account: String) -> Result<u64, Overdrawn>;
            async fn withdraw(&self, account: String, amount: u64) -> Result<u64, Overdrawn>;
        }
    }

    use contract::{Accounts, AccountsClient, AccountsServer, Overdrawn};

    struct Ledger;

    impl Ledger {
        async fn open() -> io::Result<Self> {
            Ok(Self)
        }
    }

    impl Accounts for Ledger {
        async fn balance(&self, _: String) -> Result<u64, Overdrawn> {
            Ok(0)
        }

        async fn withdraw(&self, _: String, amount: u64) -> Result<u64, Overdrawn> {
            Err(Overdrawn { missing: amount })
        }
    }

    #[rustfmt::skip]
    async fn service(amqp_url: &str, redis_url: &str) -> Result<(), Box<dyn Error>> {
        use replybus::{Amqp, Bus};
        use replybus_redis::RedisReplies;
        use std::time::Duration;

        let bus = Bus::connect(Amqp::new(amqp_url), RedisReplies::new(redis_url)).await?;
        let serving = bus.serve(AccountsServer::new(Ledger::open().await?)).await?;
        serving.run_until(tokio::signal::ctrl_c()).await?;
        bus.close(Duration::from_secs(5)).await;
        Ok(())
    }

    async fn caller(amqp_url: &str, redis_url: &str) -> Result<u64, Box<dyn Error>> {
        use replybus::{Amqp, Bus};
        use replybus_redis::RedisReplies;

        let bus = Bus::connect(Amqp::new(amqp_url), RedisReplies::new(redis_url)).await?;
        let accounts = AccountsClient::new(&bus);
        let balance = accounts.balance("DE-1".to_owned()).await?;
        Ok(balance)
    }

    #[rustfmt::skip]
    async fn command(accounts: &AccountsClient) -> Result<(), Box<dyn Error>> {
        let (account, payment_id) = ("DE-1".to_owned(), "payment-4711".to_owned());
        accounts.withdraw(account, 500).idempotency_key(&payment_id).await?;
        Ok(())
    }

    #[rustfmt::skip]
    async fn later(accounts: &AccountsClient, bus: &replybus::Bus) -> Result<(), Box<dyn Error>> {
        use super::TransferCompleted;

        use std::time::{Duration, SystemTime};

        let hour = Duration::from_secs(60 * 60);
        let account = "DE-1".to_owned();
        accounts.withdraw(account, 500).idempotency_key("order-17").send_after(hour).await?;
        bus.emit_at(&TransferCompleted { amount: 500 }, SystemTime::now() + 2 * hour).await?;
        Ok(())
    }

    #[rustfmt::skip]
    mod in_order {
        use super::Overdrawn;

        use replybus::queue_handler;

        #[queue_handler("ledger.requests", partitions = 16)]
        pub trait Ledgers {
            async fn post(&self, #[key] account: String, amount: i64) -> Result<i64, Overdrawn>;
            #[query]
            async fn balance(&self, #[key] account: String) -> Result<i64, Overdrawn>;
        }
    }

    mod passing {
        use serde::{Deserialize, Serialize};

        #[derive(Debug, Serialize, Deserialize)]
        pub struct Unpaid;

        struct Till {
            bank: Bank,
        }

        struct Bank;

        impl Bank {
            async fn pay(&self, amount: u64) -> Result<u64, Unpaid> {
                Ok(amount)
            }
        }

        use replybus::{RetryLater, queue_handler};

        #[queue_handler("payment.requests")]
        pub trait Payments {
            #[command(retry(max = 5, base = "200ms", max_delay = "1m", jitter))]
            async fn pay(&self, amount: u64) -> Result<u64, Unpaid>;
        }

        impl Payments for Till {
            async fn pay(&self, amount: u64) -> Result<u64, Unpaid> {
                let receipt = self.bank.pay(amount).await.retry_later()?;
                Ok(receipt)
            }
        }
    }

    #[rustfmt::skip]
    fn asked_again(stock: AccountsClient) {
        use replybus::client::RetryLayer;
        use std::time::Duration;

        let retries = RetryLayer::new().max(2).hedge_after(Duration::from_millis(50));
        let stock = stock.layer(retries);
        drop(stock);
    }

    #[rustfmt::skip]
    fn in_layers() {
        use replybus::{Bus, client::BreakerLayer, error::{BoxError, FaultCode}};
        use replybus::layer::{AuditLayer, Next, RateLimitLayer, from_fn};
        use replybus::server::{Answer, Request, ServerService};
        use std::time::Duration;

        async fn checked(request: Request, next: Next<ServerService>) -> Result<Answer, BoxError> {
            if request.context().metadata().get("user").is_none() {
                return Ok(Answer::fault(FaultCode::Denied, "who is asking?"));
            }
            next.run(request).await
        }

        let breaker = BreakerLayer::new();
        let builder = Bus::builder()
            // Around all services of this bus, the last one outermost.
            .server_layer(RateLimitLayer::new(500, Duration::from_secs(1)))
            .server_layer(from_fn(checked))
            .server_layer(AuditLayer::new().metadata("user"))
            // Around all of its clients.
            .client_layer(breaker.clone());
        drop(builder);
    }

    mod kept {
        use replybus::{Never, queue_handler};

        #[queue_handler("product.requests")]
        pub trait Products {
            #[query(cache = "300s", tags("product:{id}"))]
            async fn product(&self, id: u32) -> Result<String, Never>;

            #[query(cache = "1m", tags("products"), vary("tenant"))]
            async fn all(&self) -> Result<Vec<u32>, Never>;

            #[invalidates("product:{id}", "products")]
            async fn rename(&self, id: u32, name: String) -> Result<(), Never>;
        }

        #[expect(clippy::print_stdout, reason = "as in the guide")]
        async fn shown(products: ProductsClient) -> Result<(), Box<dyn std::error::Error>> {
            let (product, status) = products.product(7).with_cache_status().await?;
            if let Some(status) = status {
                println!("x-cache: {status}"); // hit, shared, miss, refreshed or bypassed
            }
            drop(product);
            Ok(())
        }
    }

    #[cfg(feature = "schedules")]
    mod again {
        use replybus::{Bus, Never, queue_handler};
        use std::{error::Error, time::SystemTime};

        #[queue_handler("report.requests")]
        pub trait Reports {
            async fn write(&self, of: SystemTime) -> Result<(), Never>;
        }

        #[rustfmt::skip]
        async fn again(bus: &Bus, reports: ReportsClient) -> Result<(), Box<dyn Error>> {
            use replybus::schedule::{Missed, Tick};

            let nightly = bus
                .schedule("reports.nightly", "0 3 * * *", move |tick: Tick| {
                    let reports = reports.clone();
                    async move { reports.write(tick.at()).idempotency_key(tick.key()).send().await.map(drop) }
                })
                .time_zone("Europe/Vienna")
                .missed(Missed::Once)
                .await?;
            nightly.shutdown().await?;
            Ok(())
        }
    }

    #[cfg(feature = "schema")]
    mod changing {
        use replybus::{
            Event, Never, queue_handler,
            schema::{JsonSchema, schemars},
        };
        use serde::{Deserialize, Serialize};

        #[derive(Event, Serialize, Deserialize, JsonSchema)]
        #[event("rate.changed")]
        pub struct RateChanged {
            currency: String,
        }

        #[queue_handler("rates.requests")]
        pub trait Rates {
            #[query]
            async fn rate(&self, currency: String) -> Result<u64, Never>;
        }

        #[rustfmt::skip]
        mod held {
            use super::*;
            use replybus::schema::Contracts;

            #[test]
            fn the_contracts_are_those_that_callers_have() {
                let contracts = Contracts::builder()
                    .service(RatesClient::CONTRACT)
                    .event::<RateChanged>()
                    .build()
                    .unwrap();
                let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/contracts.lock");
                contracts.check_lock(lock).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }

    #[rustfmt::skip]
    #[expect(clippy::print_stdout, reason = "as in the guide")]
    async fn who_serves(bus: &replybus::Bus) -> Result<(), Box<dyn Error>> {
        use std::time::Duration;

        for instance in bus.instances("account.requests").await? {
            println!("{} {:?} on {}", instance.id, instance.version, instance.host);
        }
        let control = bus.control("account.requests");
        for stats in control.stats().await? {
            println!("{}: {} at work", stats.instance, stats.in_flight);
        }
        let drained = control.drain(Duration::from_secs(20)).await?;
        drop(drained);
        Ok(())
    }

    #[rustfmt::skip]
    #[expect(clippy::print_stdout, reason = "as in the guide")]
    async fn cancelling(accounts: &AccountsClient, bus: replybus::Bus) -> Result<(), Box<dyn Error>> {
        use replybus::CancelOutcome;

        let account = "DE-1".to_owned();
        let ticket = accounts.withdraw(account, 500).submit().await?;
        match ticket.cancel(&bus).await? {
            CancelOutcome::NeverStarted => println!("and it never will be"),
            CancelOutcome::Running => println!("its handler is told, and ends when it sees fit"),
            CancelOutcome::Done(left) => println!("too late: {left:?}"),
            other => println!("{other:?}"),
        }
        Ok(())
    }

    #[rustfmt::skip]
    mod jobs {
        use replybus::Bus;
        use std::error::Error;

        #[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)]
        pub enum ReportError {
            #[error("stopped")]
            Stopped,
        }

        struct Archive;

        impl Archive {
            async fn entries_of(&self, _: u16, _: u64) -> u64 {
                1
            }
        }

        use replybus::{Context, queue_handler};

        #[queue_handler("report.requests", concurrency = 4)]
        pub trait Reports {
            #[command(job = "4h")]
            async fn yearly(&self, year: u16) -> Result<u64, ReportError>;
        }

        impl Reports for Archive {
            async fn yearly(&self, year: u16) -> Result<u64, ReportError> {
                let context = Context::current();
                let mut entries = 0;
                for month in 1..=12 {
                    if context.is_cancelled() {
                        context.release_key();                    // told to stop by a shutdown, another worker begins it anew
                        return Err(ReportError::Stopped);
                    }
                    context.progress(month, 12, format!("adding up {month}/{year}"));
                    entries += self.entries_of(year, month).await;
                }
                Ok(entries)
            }
        }

        #[expect(clippy::print_stdout, reason = "as in the guide")]
        async fn followed(reports: &ReportsClient, bus: Bus) -> Result<u64, Box<dyn Error>> {
            use replybus::TicketStatus;

            let entries = reports.yearly(2025)
                .on_progress(|progress| println!("{progress}"))       // 3 of 12, adding up 3/2025
                .await?;
            let ticket = reports.yearly(2026).submit().await?;
            if let TicketStatus::Running { attempt, progress, .. } = ticket.status(&bus).await? {
                println!("run {attempt}: {progress:?}");
            }
            Ok(entries)
        }
    }

    #[rustfmt::skip]
    #[expect(clippy::print_stdout, reason = "as in the guide")]
    async fn streaming(bus: &replybus::Bus) -> Result<(), Box<dyn Error>> {
        use futures_util::stream;
        use replybus::{Never, queue_handler, stream::Items};

        #[queue_handler("log.requests")]
        pub trait Log {
            /// The lines from `from` on.
            #[stream]
            async fn lines(&self, from: u64) -> Result<Items<String, Never>, Never>;
        }

        struct Disk(Vec<String>);

        impl Log for Disk {
            async fn lines(&self, from: u64) -> Result<Items<String, Never>, Never> {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let lines: Vec<_> = self.0.iter().skip(from).cloned().map(Ok).collect();
                Ok(Items::new(stream::iter(lines)))
            }
        }

        let _serving = bus.serve(LogServer::new(Disk(Vec::new()))).await?;
        let log = LogClient::new(bus);
        let mut lines = log.lines(0).await?;
        while let Some(line) = lines.next().await {
            println!("{}", line?);
        }
        Ok(())
    }

    #[rustfmt::skip]
    #[expect(clippy::print_stdout, reason = "as in the guide")]
    async fn importing(bus: &replybus::Bus, lines: Vec<String>) -> Result<(), Box<dyn Error>> {
        use futures_util::stream;
        use replybus::{queue_handler, stream::Items};
        use serde::{Deserialize, Serialize};

        #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
        #[error("its sender left after {lines} lines")]
        pub struct Incomplete { pub lines: u64 }

        #[queue_handler("imports.requests", timeout = "5m")]
        pub trait Imports {
            /// Adds lines to an account, and says how many.
            async fn import(&self, account: String, #[stream] lines: Items<String>) -> Result<u64, Incomplete>;
        }

        struct Ledger;

        impl Imports for Ledger {
            async fn import(&self, account: String, mut lines: Items<String>) -> Result<u64, Incomplete> {
                let mut count = 0;
                while let Some(line) = lines.next().await {
                    let Ok(line) = line else {
                        return Err(Incomplete { lines: count });
                    };
                    println!("{account}: {line}");
                    count += 1;
                }
                Ok(count)
            }
        }

        let _serving = bus.serve(ImportsServer::new(Ledger)).await?;
        let imports = ImportsClient::new(bus);
        let count = imports.import("ada".to_owned(), stream::iter(lines)).await?;
        println!("{count}");
        Ok(())
    }
}

/// Traces, in the guide and in the README of `replybus-otel`.
pub(crate) mod traces {
    async fn serve() -> Result<(), Box<dyn std::error::Error>> {
        Ok(())
    }

    #[tokio::main]
    async fn main() -> Result<(), Box<dyn std::error::Error>> {
        let telemetry = replybus_otel::Otlp::from_env("account-service")?.install()?;
        serve().await?;
        telemetry.shutdown().await; // what is left is exported, for 5 s at most
        Ok(())
    }

    async fn select() -> u64 {
        0
    }

    #[rustfmt::skip]
    #[expect(clippy::let_and_return, reason = "as in the guide")]
    async fn own_span() -> u64 {
        use replybus::trace::{Span, SpanKind};

        let mut span = Span::begin(SpanKind::Client, "SELECT accounts");
        span.set("db.system.name", "postgresql");
        let accounts = span.within(select()).await;
        accounts
    }

    async fn shown() -> Result<(), Box<dyn std::error::Error>> {
        let telemetry = replybus_otel::Otlp::from_env("account-service")?.install()?;
        // ..
        telemetry.shutdown().await;
        Ok(())
    }
}

/// Inbox and outbox, in the guide and in the README of `replybus-sql`.
pub(crate) mod inbox_and_outbox {
    use replybus::{Bus, Event, queue_handler};
    use serde::{Deserialize, Serialize};
    use sqlx::SqlitePool;
    use std::future::Future;

    #[derive(Event, Serialize, Deserialize)]
    #[event("transfer.completed")]
    struct TransferCompleted {
        amount: u64,
    }

    #[queue_handler("savings.requests")]
    pub trait Accounts {
        #[command(own_record)]
        async fn withdraw(&self, account: i64, amount: i64) -> Result<i64, WithdrawError>;
    }

    #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    #[error("nothing was withdrawn")]
    pub enum WithdrawError {
        Overdrawn,
        KeyConflict,
        Unavailable,
    }

    impl From<InboxError> for WithdrawError {
        fn from(error: InboxError) -> Self {
            match error {
                InboxError::Conflict => Self::KeyConflict,
                _ => Self::Unavailable,
            }
        }
    }

    const TAKE: &str = "UPDATE accounts SET balance = balance - $2
        WHERE id = $1 AND balance >= $2 RETURNING balance";

    struct Service {
        inbox: Inbox,
        pool: SqlitePool,
    }

    #[rustfmt::skip]
    async fn told(
        bus: Bus,
        pool: SqlitePool,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Box<dyn std::error::Error>> {
        use replybus_sql::{Outbox, Relay};

        let outbox = Outbox::new(); // the table outbox
        outbox.install().run(&mut *pool.acquire().await?).await?;
        let relay = Relay::new(&bus, &outbox, pool.clone());
        let relaying = tokio::spawn(relay.run_until(stop));

        let mut transaction = pool.begin().await?;
        let take = sqlx::query("UPDATE accounts SET balance = balance - 500");
        take.execute(&mut *transaction).await?;
        outbox.put(&mut *transaction, &TransferCompleted { amount: 500 }).await?;
        transaction.commit().await?;
        outbox.wake(); // this program's relay, which else looks twice a second
        Ok(relaying.await?)
    }

    use replybus_sql::{Inbox, InboxError, Request};

    impl Accounts for Service {
        async fn withdraw(&self, account: i64, amount: i64) -> Result<i64, WithdrawError> {
            let request = Request::current(&(account, amount))?;
            let withdrawn = self.inbox.once(&self.pool, &request, async |transaction| {
                let take = sqlx::query_as(TAKE).bind(account).bind(amount);
                let left: Option<(i64,)> = take.fetch_optional(&mut *transaction).await?;
                Ok::<_, InboxError>(left.map(|(left,)| left).ok_or(WithdrawError::Overdrawn))
            });
            withdrawn.await?
        }
    }

    #[rustfmt::skip]
    async fn started<F>(bus: Bus, pool: SqlitePool, stop: F) -> Result<(), Box<dyn std::error::Error>>
    where
        F: Future<Output = ()> + Clone + Send + 'static,
    {
        use replybus_sql::{Inbox, Outbox, Relay, Sweep};

        let (outbox, inbox) = (Outbox::new(), Inbox::new());
        outbox.install().run(&mut *pool.acquire().await?).await?; // at each start, by any number of programs
        inbox.install().run(&mut *pool.acquire().await?).await?;
        let relay = Relay::new(&bus, &outbox, pool.clone());
        let relaying = tokio::spawn(relay.run_until(stop.clone()));
        let sweep = Sweep::new(&inbox, pool.clone());
        let sweeping = tokio::spawn(sweep.run_until(stop));
        Ok(tokio::try_join!(relaying, sweeping).map(drop)?)
    }
}
