//! What the framework itself costs: whole calls inside one process, without servers; beside it the
//! same with tarpc's channel.
#![allow(
    clippy::panic,
    missing_docs,
    reason = "a benchmark that can not start has nothing to measure; criterion makes its own items"
)]

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use futures_util::future::join_all;
use replybus::Bus;
use replybus_benches::{
    echo::{Echo, TEXT_BYTES},
    handler::Handler,
    service::{EchoServiceClient, EchoServiceServer, Echoes},
};
use std::{hint::black_box, time::Duration};
use tokio::runtime::{Builder, Runtime};

const CALLERS: [u64; 3] = [1, 64, 512];
const AT_ONCE: Handler = Handler(Duration::ZERO);

/// One thread, so that time per call is work per call.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"))
}

fn round_trip(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round_trip_memory");
    group.measurement_time(Duration::from_secs(3));
    for callers in CALLERS {
        group.throughput(Throughput::Elements(callers));
        for (kind, is_query) in [("query", true), ("command", false)] {
            // A bus of its own: what commands leave remembered is not another's to carry.
            let runtime = runtime();
            let (client, serving) = runtime.block_on(async {
                let bus = Bus::in_memory();
                let serving = bus.serve(EchoServiceServer::new(Echoes(AT_ONCE))).await;
                (EchoServiceClient::new(&bus), serving)
            });
            let serving = serving.unwrap_or_else(|error| panic!("not served: {error}"));
            measure(&mut group, kind, callers, &runtime, async |echo| {
                let back = if is_query {
                    client.ask(echo).await
                } else {
                    client.order(echo).await
                };
                black_box(back).is_ok()
            });
            drop(runtime.block_on(serving.shutdown()));
        }
        #[cfg(feature = "peers")]
        tarpc_channel::measure(&mut group, callers);
    }
    group.finish();
}

/// So many calls at once, again and again.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    kind: &str,
    callers: u64,
    runtime: &Runtime,
    call: impl AsyncFn(Echo) -> bool,
) {
    let bytes = usize::try_from(TEXT_BYTES).unwrap_or_default();
    group.bench_function(format!("{kind}/{callers}"), |bencher| {
        bencher.iter(|| {
            let calls = (0..callers).map(|number| call(Echo::numbered(number, bytes)));
            runtime.block_on(join_all(calls))
        });
    });
}

/// The same without encoding, deadline on the wire, claims or settlement: the channel hands the
/// argument itself over.
#[cfg(feature = "peers")]
mod tarpc_channel {
    use super::*;
    use futures_util::StreamExt;
    use replybus_benches::paths::tarpc::{Answers, Echoing, EchoingClient};
    use tarpc::{
        client::Config,
        context,
        server::{BaseChannel, Channel as _},
        transport::channel,
    };

    pub(super) fn measure(group: &mut BenchmarkGroup<'_, WallTime>, callers: u64) {
        let runtime = runtime();
        let client = runtime.block_on(async {
            let (ours, theirs) = channel::unbounded();
            let answering = BaseChannel::with_defaults(theirs).execute(Answers(AT_ONCE).serve());
            tokio::spawn(answering.for_each(|request| async {
                tokio::spawn(request);
            }));
            EchoingClient::new(Config::default(), ours).spawn()
        });
        super::measure(group, "tarpc_channel", callers, &runtime, async |echo| {
            let back = client.ask(context::current(), echo).await;
            black_box(back).is_ok()
        });
    }
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
