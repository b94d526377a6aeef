use super::*;
use crate::testing::{Client, HOUR, SOON, feed, identity, notification, serve};
use axum::extract::ws::close_code::{AGAIN, AWAY, POLICY, RESTART};
use chassis::{http::ConnectionLimits, identity::SessionStore, keys::Keys, settings::TlsSettings};
use contracts::UserId;
use futures_util::{SinkExt as _, StreamExt as _};
use replybus_testkit::{live::unique, servers::ReservedPort};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_message_reaches_all_sockets_of_its_user_and_nobody_elses() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let address = serve(&bank, &feed, SocketLimits::default()).await;
    let (ada, bob) = (UserId::new(), UserId::new());
    let adas = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let again = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let bobs = bank.begin_session(bob, "bob", HOUR).await.unwrap();
    let mut of_ada = [
        Client::connect(address, &adas).await,
        Client::connect(address, &again).await,
    ];
    let mut of_bob = Client::connect(address, &bobs).await;

    let (for_ada, for_bob) = (notification(ada, "for ada"), notification(bob, "for bob"));
    feed.publish(&[for_ada.clone(), for_bob]).await;
    for client in &mut of_ada {
        let message = client.message().await.unwrap();
        assert_eq!(message["type"], "notification");
        assert_eq!(message["message"], "for ada");
        assert_eq!(message["id"], for_ada.id.to_string());
        assert_eq!(message["is_read"], false);
        assert_eq!(message["created_at"], for_ada.created_at.to_string());
    }
    // The first that comes is his own.
    assert_eq!(of_bob.message().await.unwrap()["message"], "for bob");
}

#[tokio::test]
async fn a_socket_without_a_session_is_accepted_and_closed() {
    let bank = identity();
    let address = serve(&bank, &feed(None, "").await, SocketLimits::default()).await;
    let theirs = identity().begin_session(UserId::new(), "ada", HOUR).await;
    let ended = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let ended = ended.unwrap();
    let session = bank.user_of(&ended).await.unwrap().session;
    bank.end_session(session).await.unwrap();
    for query in [
        String::new(),
        "?session=".to_owned(),
        "?session=forged".to_owned(),
        "?session=%ff&session=twice".to_owned(),
        format!("?session={}", theirs.unwrap()),
        format!("?session={ended}"),
    ] {
        let mut client = Client::open(&format!("ws://{address}/ws{query}")).await;
        assert_eq!(client.closed().await, Some(POLICY), "{query}");
    }
}

#[tokio::test]
async fn a_socket_is_closed_when_its_session_ends() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let settings = SocketLimits {
        verify_every: Duration::from_millis(20),
        ..SocketLimits::default()
    };
    let address = serve(&bank, &feed, settings).await;
    let ada = UserId::new();
    let token = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let other = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let mut client = Client::connect(address, &token).await;
    let mut stays = Client::connect(address, &other).await;
    feed.publish(&[notification(ada, "still logged in")]).await;
    assert!(client.message().await.is_some());
    assert!(stays.message().await.is_some());

    let session = bank.user_of(&token).await.unwrap().session;
    bank.end_session(session).await.unwrap();
    assert_eq!(client.closed().await, Some(POLICY));
    feed.publish(&[notification(ada, "another session")]).await;
    assert!(stays.message().await.is_some());

    let short = bank.begin_session(ada, "ada", Duration::from_secs(2)).await;
    let mut expires = Client::connect(address, &short.unwrap()).await;
    assert_eq!(expires.closed().await, Some(POLICY));
}

#[tokio::test]
async fn without_the_store_of_sessions_a_client_is_to_come_back_later() {
    let keys = Keys::draw().unwrap();
    let known = Identity::new("test", &keys, SessionStore::memory());
    let token = known.begin_session(UserId::new(), "ada", HOUR).await;
    // Nobody listens there.
    let port = ReservedPort::new().unwrap();
    let away = format!("redis://{}/0", port.address());
    let store = SessionStore::redis(&away, &TlsSettings::default(), &unique("away")).unwrap();
    let bank = Identity::new("test", &keys, store);
    let address = serve(&bank, &feed(None, "").await, SocketLimits::default()).await;
    let mut client = Client::connect(address, &token.unwrap()).await;
    assert_eq!(client.closed().await, Some(AGAIN));
}

#[tokio::test]
async fn sockets_beyond_the_limits_are_refused_until_others_leave() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let settings = SocketLimits {
        open_max: 3,
        of_user_max: 2,
        ..SocketLimits::default()
    };
    let address = serve(&bank, &feed, settings).await;
    let (ada, bob) = (UserId::new(), UserId::new());
    let adas = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let bobs = bank.begin_session(bob, "bob", HOUR).await.unwrap();
    let mut first = Client::connect(address, &adas).await;
    let _second = Client::connect(address, &adas).await;
    let mut third = Client::connect(address, &adas).await;
    assert_eq!(third.closed().await, Some(AGAIN), "ada has two");

    // The place of the one that was refused is free.
    let mut others = Client::connect(address, &bobs).await;
    feed.publish(&[notification(bob, "connected")]).await;
    assert!(others.message().await.is_some());
    let mut fourth = Client::connect(address, &bobs).await;
    assert_eq!(fourth.closed().await, Some(AGAIN), "there are three");

    first.0.close(None).await.unwrap();
    first.closed().await;
    let comes_in = async {
        loop {
            let mut client = Client::connect(address, &bobs).await;
            feed.publish(&[notification(bob, "connected")]).await;
            if client.message().await.is_some() {
                return;
            }
        }
    };
    timeout(SOON, comes_in).await.unwrap();
}

#[tokio::test]
async fn a_close_is_answered() {
    let bank = identity();
    let address = serve(&bank, &feed(None, "").await, SocketLimits::default()).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let mut client = Client::connect(address, &session.unwrap()).await;
    client.0.close(None).await.unwrap();
    let last = timeout(SOON, async {
        let mut last = None;
        while let Some(message) = client.0.next().await {
            last = Some(message.unwrap());
        }
        last
    });
    assert!(matches!(last.await.unwrap(), Some(Message::Close(_))));
}

#[tokio::test]
async fn a_socket_that_falls_behind_is_closed() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let address = serve(&bank, &feed, SocketLimits::default()).await;
    let ada = UserId::new();
    let token = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let mut client = Client::connect(address, &token).await;
    // On the one thread of this test, the socket does not get its turn in between.
    for _ in 0..1000 {
        feed.publish(&[notification(ada, "one of many")]).await;
    }
    assert_eq!(client.closed().await, Some(RESTART));
}

#[tokio::test]
async fn a_client_that_gives_no_sign_of_life_is_closed() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let settings = SocketLimits {
        ping_every: Duration::from_millis(20),
        silence_max: Duration::from_secs(1),
        ..SocketLimits::default()
    };
    let address = serve(&bank, &feed, settings).await;
    let ada = UserId::new();
    let token = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let mut lives = Client::connect(address, &token).await;
    // It reads, and answers nothing.
    let mut silent = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /ws?session={token} HTTP/1.1\r\nhost: bank\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    silent.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let ended = tokio::select! {
        ended = timeout(SOON, silent.read_to_end(&mut bytes)) => ended.unwrap().is_ok(),
        // Reading answers pings.
        said = lives.message() => panic!("the one that lives: {said:?}"),
    };
    assert!(ended);
    let code = RESTART.to_be_bytes();
    assert!(bytes.windows(2).any(|bytes| bytes == code));
    feed.publish(&[notification(ada, "still there")]).await;
    assert!(lives.message().await.is_some());
}

#[tokio::test]
async fn clients_have_little_to_say() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let address = serve(&bank, &feed, SocketLimits::default()).await;
    let ada = UserId::new();
    let token = bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let mut client = Client::connect(address, &token).await;
    client.0.send(Message::text("hello")).await.unwrap();
    feed.publish(&[notification(ada, "ignored what was said")])
        .await;
    assert!(client.message().await.is_some());
    let much = "x".repeat(MESSAGE_BYTES_MAX + 1);
    client.0.send(Message::text(much)).await.unwrap();
    assert!(client.message().await.is_none());
}

/// Never looked at by itself in this test.
fn seldom() -> SocketLimits {
    SocketLimits {
        verify_every: HOUR,
        ..SocketLimits::default()
    }
}

async fn a_logout_closes_the_sockets_of_its_session(bank: Identity, feed: Feed) {
    let address = serve(&bank, &feed, seldom()).await;
    let ada = UserId::new();
    let begin = async || bank.begin_session(ada, "ada", HOUR).await.unwrap();
    let (token, other) = (begin().await, begin().await);
    let mut both = [
        Client::connect(address, &token).await,
        Client::connect(address, &token).await,
    ];
    let mut stays = Client::connect(address, &other).await;
    let session = bank.user_of(&token).await.unwrap().session;
    bank.end_session(session).await.unwrap();
    for client in &mut both {
        assert_eq!(client.closed().await, Some(POLICY));
    }
    feed.publish(&[notification(ada, "another session")]).await;
    assert!(stays.message().await.is_some());
}

#[tokio::test]
async fn a_logout_in_this_process_closes_its_sockets_at_once() {
    a_logout_closes_the_sockets_of_its_session(identity(), feed(None, "").await).await;
}

#[tokio::test]
async fn a_logout_in_any_process_closes_its_sockets_at_once() {
    let Some(url) = replybus_testkit::live::redis().await else {
        return;
    };
    let namespace = unique("logout");
    let store = SessionStore::redis(&url, &TlsSettings::default(), &namespace).unwrap();
    let bank = Identity::new("auth-service", &Keys::draw().unwrap(), store);
    let feed = feed(Some(&url), &namespace).await;
    a_logout_closes_the_sockets_of_its_session(bank, feed).await;
}

#[tokio::test]
async fn a_client_that_never_stops_talking_is_closed() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let address = serve(&bank, &feed, seldom()).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let mut client = Client::connect(address, &session.unwrap()).await;
    let talk = async {
        while client.0.send(Message::text("and")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, talk).await.unwrap();
}

#[tokio::test]
async fn a_page_from_elsewhere_is_refused() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let address = serve(&bank, &feed, seldom()).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let session = session.unwrap();
    for (origin, status) in [
        (format!("http://{address}"), "101"),
        ("https://evil.example".to_owned(), "403"),
        ("null".to_owned(), "403"),
    ] {
        let request = format!(
            "GET /ws?session={session} HTTP/1.1\r\nhost: {address}\r\norigin: {origin}\r\n\
            connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        let mut page = TcpStream::connect(address).await.unwrap();
        page.write_all(request.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        let read = page.read_exact(&mut line);
        timeout(SOON, read).await.unwrap().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&line),
            format!("HTTP/1.1 {status}"),
            "{origin}"
        );
    }
}

/// Serves sockets on a port of their own, within these limits.
async fn serve_within(
    bank: &Identity,
    feed: &Feed,
    limits: ConnectionLimits,
) -> (chassis::Running, std::net::SocketAddr) {
    let any = "127.0.0.1:0".parse().unwrap();
    let served = super::serve(bank.clone(), feed, any, Vec::new(), limits);
    served.await.unwrap()
}

#[tokio::test]
async fn a_stop_closes_all_sockets() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let limits = ConnectionLimits::default();
    let (running, address) = serve_within(&bank, &feed, limits).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let session = session.unwrap();
    let mut client = Client::connect(address, &session).await;
    let (code, ()) = tokio::join!(client.closed(), running.stop());
    assert_eq!(code, Some(AWAY));
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_connection_that_asks_nothing_is_closed() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let limits = ConnectionLimits {
        header_read: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let (running, address) = serve_within(&bank, &feed, limits).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let mut live = Client::connect(address, &session.unwrap()).await;
    for begun in [
        "",
        "GET /ws HT",
        "GET /ws HTTP/1.1\r\nHost: bank\r\nX-Slow: ",
    ] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(begun.as_bytes()).await.unwrap();
        let mut told = String::new();
        let closed = timeout(SOON, slow.read_to_string(&mut told)).await;
        assert!(closed.is_ok(), "it is still open");
    }
    // A socket has nothing to send, and stays.
    let (code, ()) = tokio::join!(live.closed(), running.stop());
    assert_eq!(code, Some(AWAY));
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_and_sockets_take_no_place() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let limits = ConnectionLimits {
        open_max: 1,
        ..ConnectionLimits::default()
    };
    let (running, address) = serve_within(&bank, &feed, limits).await;
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let session = session.unwrap();
    let _first = Client::connect(address, &session).await;
    let _second = Client::connect(address, &session).await;

    let idle = TcpStream::connect(address).await.unwrap();
    let mut waits = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n\r\n";
    waits.write_all(request.as_bytes()).await.unwrap();
    let answered = timeout(Duration::from_millis(200), waits.readable()).await;
    assert!(
        answered.is_err(),
        "it was answered though there was no place"
    );
    drop(idle);
    let mut told = String::new();
    let read = waits.read_to_string(&mut told);
    timeout(SOON, read).await.unwrap().unwrap();
    assert!(told.starts_with("HTTP/1.1 404"), "{told}");
    running.stop().await;
}

#[tokio::test]
async fn sockets_take_places_of_their_address_to_their_end() {
    let (bank, feed) = (identity(), feed(None, "").await);
    let limits = ConnectionLimits {
        of_address_max: 2,
        ..ConnectionLimits::default()
    };
    let (running, address) = serve_within(&bank, &feed, limits).await;
    // Refused, and they do not answer the close.
    let _silent = [
        upgraded(address, "forged").await.unwrap(),
        upgraded(address, "forged").await.unwrap(),
    ];
    assert!(upgraded(address, "forged").await.is_none());

    // Until they are given up; then of two that stay.
    let session = bank.begin_session(UserId::new(), "ada", HOUR).await;
    let session = session.unwrap();
    let comes_in = async || loop {
        if let Some(stream) = upgraded(address, &session).await {
            return stream;
        }
    };
    let first = timeout(SOON, comes_in()).await.unwrap();
    let _second = timeout(SOON, comes_in()).await.unwrap();
    assert!(upgraded(address, &session).await.is_none());
    drop(first);
    timeout(SOON, comes_in()).await.unwrap();
    running.stop().await;
}

/// A connection that has become a socket, and says nothing; none if it was closed at once.
async fn upgraded(address: std::net::SocketAddr, session: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /ws?session={session} HTTP/1.1\r\nhost: bank\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut line = [0; 12];
    let read = timeout(SOON, stream.read_exact(&mut line)).await.unwrap();
    (read.is_ok() && &line == b"HTTP/1.1 101").then_some(stream)
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let bank = identity();
    let address = serve(&bank, &feed(None, "").await, SocketLimits::default()).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    let request = "GET /ws?session=x HTTP/1.1\r\nhost: bank\r\nconnection: close\r\n\r\n";
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = plain.read_to_string(&mut answer);
    timeout(SOON, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains(r#"{"detail":"#), "{answer}");
}
