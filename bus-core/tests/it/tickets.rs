use crate::bank::{AccountsClient, AccountsServer, Ledger, Refused, bank};
use replybus::{
    Bus, FailureKind, Ticket, limits, reply::memory::MemoryReplies, transport::memory::MemoryBroker,
};
use std::time::Duration;

type Posted = Result<u32, Refused>;

#[tokio::test(start_paused = true)]
async fn any_holder_of_a_ticket_gets_the_reply_as_often_as_wanted() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let connect = || Bus::connect(broker.clone(), replies.clone());
    let server = connect().await.unwrap();
    let submitter = connect().await.unwrap();
    let collector = connect().await.unwrap();
    let _serving = server
        .serve(AccountsServer::new(Ledger::new()))
        .await
        .unwrap();

    let ticket = AccountsClient::new(&submitter)
        .post(1)
        .submit()
        .await
        .unwrap();
    let stored = serde_json::to_string(&ticket).unwrap();
    submitter.close(Duration::from_secs(1)).await;

    let ticket: Ticket<Posted> = serde_json::from_str(&stored).unwrap();
    for _ in 0..3 {
        assert_eq!(ticket.wait(&collector).await.unwrap(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_waits_for_work_that_takes_its_time() {
    let (bus, ledger, client, _serving) = bank().await;
    let ticket = client.work().submit().await.unwrap();
    ledger.entered(1).await;
    let early = ticket
        .wait_for(&bus, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert_eq!(early.kind(), Some(FailureKind::TimedOut));
    ledger.open(1);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    assert!(!format!("{early}").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_expires() {
    let (bus, _, client, _serving) = bank().await;
    let ticket = client.post(1).submit().await.unwrap();
    ticket.wait(&bus).await.unwrap();
    tokio::time::advance(limits::REPLY_TTL + Duration::from_secs(1)).await;
    let late = ticket.wait_for(&bus, Duration::from_secs(1)).await;
    assert_eq!(late.unwrap_err().kind(), Some(FailureKind::TimedOut));
}

#[tokio::test]
async fn a_failure_comes_through_a_ticket_as_through_a_call() {
    let (bus, _, client, _serving) = bank().await;
    let ticket = client.panics_half_way().submit().await.unwrap();
    let error = ticket.wait(&bus).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Panicked));
    assert!(
        error.to_string().contains("Accounts.panics_half_way"),
        "{error}"
    );
    let ticket = client.balance("nobody".into(), 1).submit().await.unwrap();
    let error = ticket.wait(&bus).await.unwrap_err();
    assert_eq!(error.handler(), Some(&Refused::NoAccount("nobody".into())));
}

#[tokio::test(start_paused = true)]
async fn closing_the_bus_ends_the_wait() {
    let (bus, ledger, client, _serving) = bank().await;
    let ticket = client.work().submit().await.unwrap();
    ledger.entered(1).await;
    let waiting = tokio::spawn({
        let (bus, ticket) = (bus.clone(), ticket.clone());
        async move { ticket.wait(&bus).await }
    });
    bus.close(Duration::from_secs(1)).await;
    let ended = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    let error = ended.unwrap().unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Disconnected));
    assert!(error.may_have_executed());
}
