//! What the framework itself costs: whole calls inside one process, without servers.
#![allow(
    clippy::panic,
    missing_docs,
    reason = "a benchmark that can not start has nothing to measure; criterion makes its own items"
)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use replybus::Bus;
use replybus_benches::{
    echo::Echo,
    service::{EchoServiceClient, EchoServiceServer, Echoes},
};
use std::{hint::black_box, time::Duration};
use tokio::runtime::{Builder, Runtime};

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
    for callers in [1_u64, 64, 512] {
        group.throughput(Throughput::Elements(callers));
        for (kind, is_query) in [("query", true), ("command", false)] {
            // A bus of its own: what commands leave remembered is not another's to carry.
            let runtime = runtime();
            let (client, serving) = runtime.block_on(async {
                let bus = Bus::in_memory();
                let serving = bus.serve(EchoServiceServer::new(Echoes)).await;
                (EchoServiceClient::new(&bus), serving)
            });
            let serving = serving.unwrap_or_else(|error| panic!("not served: {error}"));
            let name = format!("{kind}/{callers}");
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    runtime.block_on(join_all((0..callers).map(|number| {
                        let client = &client;
                        async move {
                            let echo = Echo::numbered(number);
                            let back = if is_query {
                                client.ask(echo).await
                            } else {
                                client.order(echo).await
                            };
                            black_box(back).is_ok()
                        }
                    })))
                });
            });
            drop(runtime.block_on(serving.shutdown()));
        }
    }
    group.finish();
}

criterion_group!(benches, round_trip);
criterion_main!(benches);
