use super::stock::{Outcome, serve};

#[tokio::test]
async fn a_call_waits_as_long_as_it_says() -> Outcome {
    let bus = replybus::Bus::in_memory();
    let (_serving, stock) = serve(&bus).await?;

    use std::time::Duration;

    let answer = stock
        .count("truck".to_owned())
        .timeout(Duration::from_millis(50)) // else the method's, else the contract's, else 5 s
        .await;
    let late = answer.unwrap_err();
    assert!(late.is_timeout() && late.may_have_executed());
    Ok(())
}
