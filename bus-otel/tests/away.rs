//! A collector that is away. A process has one export: this is a program of its own.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

use replybus::trace::{Span, SpanKind};
use replybus_otel::Otlp;
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_nobody_up_and_is_told_of_once() {
    let log = Log::default();
    tracing_subscriber::fmt().with_writer(log.clone()).init();
    let refusing = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let endpoint = format!("http://{refusing}");
    let telemetry = Otlp::to("test", &endpoint).unwrap().install().unwrap();
    // More than are kept: what does not fit is dropped, where it ended.
    for _ in 0..2 {
        for _ in 0..5_000 {
            drop(Span::begin(SpanKind::Internal, "a span"));
        }
        telemetry.flush().await;
    }
    telemetry.shutdown().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let told = log.matches("spans were not exported").count();
    assert_eq!(told, 1, "{log}");
}
