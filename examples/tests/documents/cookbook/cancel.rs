use super::stock::{Outcome, serve};

#[tokio::test]
async fn a_call_is_cancelled() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (serving, stock) = serve(&bus).await?;
    serving.shutdown().await?; // nobody takes it yet

    use replybus::{CancelOutcome, FailureKind};

    let ticket = stock.take("pen".to_owned(), 3).submit().await?;
    match ticket.cancel(&bus).await? {
        CancelOutcome::NeverStarted => println!("and it never will be"),
        CancelOutcome::Running => println!("its handler is told, and ends when it sees fit"),
        CancelOutcome::Done(left) => println!("too late: {left:?}"),
        other => println!("{other:?}"),
    }
    let failure = ticket.wait(&bus).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Cancelled));

    let (_serving, _) = serve(&bus).await?;
    assert_eq!(
        stock.count("pen".to_owned()).await?,
        10,
        "nothing was taken"
    );
    Ok(())
}
