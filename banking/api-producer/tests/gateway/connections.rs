//! Connections: slow ones, too many of them, live ones, and the end.

use crate::{
    services::Script,
    started::{SOON, Started, answer, bank},
};
use chassis::Running;
use contracts::UserId;
use futures_util::StreamExt as _;
use reqwest::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

async fn connect(bank: &Started) -> TcpStream {
    TcpStream::connect(bank.address).await.unwrap()
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    let reading = stream.read_to_string(&mut read);
    timeout(SOON, reading).await.unwrap().unwrap();
    read
}

/// Reads the answer to a request for `/health`.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"}") {
        let mut some = [0; 1024];
        let length = timeout(SOON, stream.read(&mut some))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(length, 0, "closed before it had answered");
        read.extend_from_slice(some.get(..length).unwrap());
    }
    String::from_utf8(read).unwrap()
}

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: bank\r\n\r\n";

#[tokio::test]
async fn headers_that_do_not_arrive_end_the_connection() {
    let short = |limits: &mut api_producer::Limits| {
        limits.connections.header_read = Duration::from_millis(100);
        limits.connections.idle = Duration::from_millis(100);
    };
    let bank = Started::with(short, true, None).await;
    for begun in [
        "",
        "GET /health HT",
        "GET /health HTTP/1.1\r\nHost: bank\r\nX-Slow: ",
    ] {
        let mut stream = connect(&bank).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(!until_closed(&mut stream).await.contains("200 OK"));
    }
    let mut kept = connect(&bank).await;
    kept.write_all(HEALTH).await.unwrap();
    let told = until_closed(&mut kept).await;
    assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_408() {
    let short = |limits: &mut api_producer::Limits| {
        limits.body_read = Duration::from_millis(100);
    };
    let bank = Started::with(short, true, None).await;
    let mut stream = connect(&bank).await;
    let begun = "POST /api/account/deposit HTTP/1.1\r\nHost: bank\r\nX-Session: a.b.c\r\n\
                 Content-Length: 20\r\nConnection: close\r\n\r\n{\"amount\"";
    stream.write_all(begun.as_bytes()).await.unwrap();
    let told = until_closed(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(bank.accounts.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let bank = bank().await;
    let large = format!(
        "GET /health HTTP/1.1\r\nX-Large: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    for sent in [
        "hello\r\n\r\n",
        "GET /health HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        &large,
    ] {
        let mut stream = connect(&bank).await;
        // It may be closed before all is written.
        let _ = stream.write_all(sent.as_bytes()).await;
        let mut told = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut told)).await;
        assert!(ended.is_ok(), "it is still open");
        let told = String::from_utf8(told).unwrap();
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 4"), "{told}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_has_its_query_dropped_by_the_service() {
    let bank = bank().await;
    let (asked, dropped) = (Arc::new(Notify::new()), CancellationToken::new());
    bank.accounts.follows(Script::Hold {
        asked: Arc::clone(&asked),
        dropped: dropped.clone(),
    });
    let mut stream = connect(&bank).await;
    let request = "GET /api/account/balance HTTP/1.1\r\nHost: bank\r\nX-Session: a.b.c\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    timeout(SOON, asked.notified()).await.unwrap();
    // Who still waits has it go on.
    let goes_on = timeout(Duration::from_millis(200), dropped.cancelled()).await;
    assert!(goes_on.is_err(), "it was dropped though its client waits");
    drop(stream);
    // Sooner than after 5 s, when its time is up, which would drop it as well.
    let within = Duration::from_secs(4);
    timeout(within, dropped.cancelled()).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let few = |limits: &mut api_producer::Limits| limits.connections.open_max = 1;
    let bank = Started::with(few, true, None).await;
    let mut first = connect(&bank).await;
    first.write_all(HEALTH).await.unwrap();
    one_answer(&mut first).await;
    let mut second = connect(&bank).await;
    second.write_all(HEALTH).await.unwrap();
    let waits = timeout(Duration::from_millis(200), second.readable()).await;
    assert!(waits.is_err(), "it was answered though there was no place");
    drop(first);
    assert!(one_answer(&mut second).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_connection_that_is_kept_may_be_idle_and_then_has_to_be_quick() {
    let bank = Started::with(
        |limits| limits.connections.header_read = Duration::from_millis(100),
        true,
        None,
    )
    .await;
    let mut kept = connect(&bank).await;
    for _ in 0..2 {
        kept.write_all(b"GET /health HTTP/1.1\r\nhost: bank\r\n\r\n")
            .await
            .unwrap();
        assert!(one_answer(&mut kept).await.starts_with("HTTP/1.1 200"));
        // Others are closed for less.
        let mut silent = connect(&bank).await;
        assert_eq!(until_closed(&mut silent).await, "");
    }
    kept.write_all(b"GET /hea").await.unwrap();
    assert_eq!(until_closed(&mut kept).await, "");
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_place() {
    let slow = |limits: &mut api_producer::Limits| {
        limits.connections.open_max = 1;
        limits.connections.write = Duration::from_millis(200);
    };
    let bank = Started::with(slow, true, None).await;
    let mut greedy = connect(&bank).await;
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: bank\r\n\r\n";
    let asking = tokio::spawn(async move {
        // For more than fits between the two.
        while greedy.write_all(ask).await.is_ok() {}
    });
    let mut waits = connect(&bank).await;
    waits
        .write_all(b"GET /health HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(until_closed(&mut waits).await.starts_with("HTTP/1.1 200"));
    timeout(SOON, asking).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_address_has_a_share_of_the_connections() {
    let few = |limits: &mut api_producer::Limits| limits.connections.of_address_max = 2;
    let bank = Started::with(few, true, None).await;
    let (first, _second) = (connect(&bank).await, connect(&bank).await);
    let mut third = connect(&bank).await;
    // A reset, or an end without a word.
    let mut told = String::new();
    let read = timeout(SOON, third.read_to_string(&mut told)).await;
    assert!(read.unwrap().is_err() || told.is_empty(), "{told}");
    drop(first);
    let comes_in = async {
        loop {
            let mut next = connect(&bank).await;
            let ask = b"GET /health HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n\r\n";
            let mut told = String::new();
            if next.write_all(ask).await.is_ok()
                && next.read_to_string(&mut told).await.is_ok()
                && told.starts_with("HTTP/1.1 200")
            {
                return;
            }
        }
    };
    timeout(SOON, comes_in).await.unwrap();
}

#[tokio::test]
async fn a_request_that_was_begun_ends_before_the_gateway_does() {
    let bank = bank().await;
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    bank.accounts.follows(Script::Wait {
        asked: Arc::clone(&asked),
        go: Arc::clone(&go),
    });
    let mut idle = connect(&bank).await;
    idle.write_all(HEALTH).await.unwrap();
    one_answer(&mut idle).await;
    let request = bank.signed("GET", "/api/account/me");
    let begun = tokio::spawn(answer(request));
    asked.notified().await;
    let stopping = tokio::spawn(Running::stop(bank.running));
    // Connections without a request are closed at once, and no new ones are taken.
    assert_eq!(until_closed(&mut idle).await, "");
    let refused = async { while TcpStream::connect(bank.address).await.is_ok() {} };
    timeout(SOON, refused).await.unwrap();
    assert!(!stopping.is_finished());
    go.notify_one();
    assert_eq!(begun.await.unwrap().status, StatusCode::OK);
    timeout(SOON, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_is_not_waited_for_longer_than_allowed() {
    let short = |limits: &mut api_producer::Limits| {
        limits.connections.drain = Duration::from_millis(100);
    };
    let bank = Started::with(short, true, None).await;
    let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    bank.accounts.follows(Script::Wait {
        asked: Arc::clone(&asked),
        go,
    });
    let request = bank.signed("GET", "/api/account/me");
    let begun = tokio::spawn(answer(request));
    asked.notified().await;
    timeout(SOON, bank.running.stop()).await.unwrap();
    begun.abort();
}

#[tokio::test]
async fn live_notifications_go_through_the_gateway() {
    let bank = bank().await;
    let url = |session: &str| format!("ws://{}/ws?session={session}", bank.address);
    let (mut refused, answered) = connect_async(url("forged")).await.unwrap();
    assert_eq!(answered.status().as_u16(), 101);
    assert!(answered.headers().contains_key("x-correlation-id"));
    assert_eq!(closed(&mut refused).await, 1008);

    let session = bank
        .platform
        .identity
        .begin_session(UserId::new(), "ada", SOON)
        .await;
    let (mut live, _) = connect_async(url(&session.unwrap())).await.unwrap();
    timeout(SOON, bank.running.stop()).await.unwrap();
    assert_eq!(
        closed(&mut live).await,
        1001,
        "the gateway says that it goes"
    );
}

type Live = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn closed(live: &mut Live) -> u16 {
    loop {
        match timeout(SOON, live.next()).await.unwrap().unwrap().unwrap() {
            Message::Close(frame) => return frame.unwrap().code.into(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
