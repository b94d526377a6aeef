//! Lines of the log that handlers write: each says of which call it is, and of which trace.

use crate::{
    hops::Way,
    propagation::{TRACE, given},
};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

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

#[tokio::test(start_paused = true)]
async fn every_line_that_a_handler_logs_carries_its_call_and_its_trace() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log.clone());
    let _logging = subscriber.finish().set_default();
    let mut way = Way::begin().await;
    // A query, a command and the one it calls, an event, and every run of what is put off.
    given(true).scope(way.client.look()).await.unwrap();
    given(true).scope(way.client.pass_on()).await.unwrap();
    given(true).scope(way.client.tell()).await.unwrap();
    given(true).scope(way.client.soon()).await.unwrap();
    given(true).scope(way.client.later()).await.unwrap();
    let mut hops = Vec::new();
    for _ in 0..9 {
        hops.push(way.next().await);
    }
    way.end().await;
    let lines = log.lines();
    let written: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("reached"))
        .collect();
    assert_eq!(written.len(), hops.len(), "{lines:#?}");
    for hop in hops {
        let said = [
            format!("of=\"{}\"", hop.of),
            format!("attempt={}", hop.attempt),
            format!("call_id={}", hop.id),
            format!("trace_id=\"{TRACE}\""),
        ];
        let is_its = |line: &&&String| said.iter().all(|part| line.contains(part));
        assert_eq!(
            written.iter().filter(is_its).count(),
            1,
            "{said:?} in {lines:#?}"
        );
    }
}
