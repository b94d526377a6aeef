//! Traces by OpenTelemetry's protocol: a call, the call that its handler makes, an event, and a span
//! of the program's own, as one tree.
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT` it goes to the collector there. Without it this process is the
//! collector as well, and prints what it got.
//!
//! ```text
//! cargo run -p replybus-examples -F otel --example tracing
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::{Context as _, ensure};
use replybus::{
    Bus, Context, Event, Never, queue_handler,
    trace::{Span, SpanKind},
};
use replybus_otel::Otlp;
use replybus_testkit::collector::{Collector, tree};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[queue_handler("shop.requests")]
trait Shop {
    /// Asks for the price, and tells of the order.
    async fn order(&self, article: String) -> Result<u64, Never>;
    #[query]
    async fn price(&self, article: String) -> Result<u64, Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("shop.ordered")]
struct Ordered {
    article: String,
}

struct Counter {
    bus: Bus,
}

impl Shop for Counter {
    async fn order(&self, article: String) -> Result<u64, Never> {
        let shop = ShopClient::new(&self.bus);
        let price = shop.price(article.clone()).await.unwrap_or_default();
        // What the program does itself is a span if it says so.
        let mut writing = Span::begin(SpanKind::Client, "INSERT orders");
        writing.set("db.system.name", "postgresql");
        writing.within(tokio::task::yield_now()).await;
        drop(writing);
        // An event that is not told of is no reason to fail the order.
        if self.bus.emit(&Ordered { article }).await.is_err() {
            println!("nobody was told");
        }
        Ok(price)
    }

    async fn price(&self, article: String) -> Result<u64, Never> {
        Ok(article.len() as u64)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut otlp = Otlp::from_env("shop")?;
    // Only here, to have something to show: a program goes on without a collector.
    let collector = match otlp.is_on() {
        true => None,
        false => Some(Collector::start().await?),
    };
    if let Some(collector) = &collector {
        otlp = Otlp::to("shop", &collector.endpoint())?;
    }
    let telemetry = otlp.install()?;

    let bus = Bus::in_memory();
    let counter = Counter { bus: bus.clone() };
    let serving = bus.serve(ShopServer::new(counter)).await?;
    let (told, mut orders) = mpsc::unbounded_channel();
    let subscription = bus
        .subscribe("stock", move |order: Ordered| {
            let trace = Context::current().trace().map(|trace| trace.trace_id());
            let _ = told.send((order.article, trace));
            async {}
        })
        .await?;

    ShopClient::new(&bus).order("kettle".to_owned()).await?;
    let (article, trace) = orders.recv().await.context("the event is heard")?;
    let trace = trace.context("it is part of a trace")?;
    println!("{article} ordered, in trace {trace:032x}");

    // What runs ends, and with it its spans; then what is left is exported.
    subscription.shutdown().await?;
    serving.shutdown().await?;
    telemetry.shutdown().await;
    match collector {
        None => println!("exported to the collector that the environment names"),
        Some(collector) => {
            let lines = tree(&collector.trace(&format!("{trace:032x}")));
            println!("{}", lines.join("\n"));
            ensure!(lines.len() == 12, "a span is missing");
        }
    }
    Ok(())
}
