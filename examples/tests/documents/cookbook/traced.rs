use super::stock::{Outcome, serve};
use replybus_testkit::collector::Collector;

/// In a process of its own: what other tests do at the same time would be recorded as well.
#[test]
fn a_call_is_traced() -> Outcome {
    let alone = ["--exact", "cookbook::traced::alone", "--ignored"];
    let mut test = std::process::Command::new(std::env::current_exe()?);
    let ran = test.args(alone).output()?;
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(said.contains("1 passed"), "{said}");
    Ok(())
}

#[tokio::test]
#[ignore = "run by a_call_is_traced"]
async fn alone() -> Outcome {
    let collector = Collector::start().await?;
    let endpoint = collector.endpoint();
    let bus = replybus::Bus::in_memory();

    use replybus::trace::{Span, SpanKind};
    use replybus_otel::Otlp;

    // Or Otlp::from_env("shop"), which reads OTEL_EXPORTER_OTLP_ENDPOINT and the like.
    let telemetry = Otlp::to("shop", &endpoint)?.install()?;
    let (serving, stock) = serve(&bus).await?;
    let span = Span::begin(SpanKind::Internal, "restock"); // one of your own, with what is in it
    span.within(async { stock.take("pen".to_owned(), 3).await })
        .await?;
    drop(span);
    serving.shutdown().await?;
    telemetry.shutdown().await; // what is left is exported

    let spans = collector.spans();
    let ours = spans.iter().find(|span| span.name == "restock").unwrap();
    let names = spans.iter().filter(|span| span.trace == ours.trace);
    let names: Vec<_> = names.map(|span| span.name.as_str()).collect();
    for name in ["call stock.requests", "process stock.requests"] {
        assert!(names.contains(&name), "{names:?}");
    }
    Ok(())
}
