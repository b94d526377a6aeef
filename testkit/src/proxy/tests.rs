use super::*;
use crate::wait::eventually;

/// A server that echoes, behind a proxy.
async fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::to(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    proxy
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.addr()).await.unwrap()
}

async fn echoes(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"hello").await?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

/// Whether nothing comes back for a while. It can only be wrong about a proxy that forwards late.
async fn is_silent(stream: &mut TcpStream) -> bool {
    let wait = Duration::from_millis(100);
    tokio::time::timeout(wait, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn passes_both_ways_to_the_end() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    echoes(&mut stream).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn cut_resets_what_is_open_and_takes_new_connections() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    echoes(&mut stream).await.unwrap();
    proxy.set(Mode::Cut);
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    echoes(&mut connect(&proxy).await).await.unwrap();
}

#[tokio::test]
async fn refuse_lets_nobody_in_until_it_ends() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    echoes(&mut stream).await.unwrap();
    proxy.set(Mode::Refuse);
    assert!(stream.read_u8().await.is_err());
    while TcpStream::connect(proxy.addr()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    proxy.set(Mode::Pass);
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(proxy.addr()).await {
            break stream;
        }
        tokio::task::yield_now().await;
    };
    echoes(&mut stream).await.unwrap();
}

#[tokio::test]
async fn swallow_holds_everything_back() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    echoes(&mut old).await.unwrap();
    proxy.set(Mode::Swallow);
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"x").await.unwrap();
        assert!(is_silent(stream).await);
    }
    proxy.set(Mode::Pass);
    for stream in [&mut old, &mut new] {
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    }
}

#[tokio::test]
async fn swallow_old_spares_new_connections() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    echoes(&mut old).await.unwrap();
    proxy.set(Mode::SwallowOld);
    old.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut old).await);
    echoes(&mut connect(&proxy).await).await.unwrap();
    proxy.set(Mode::Pass);
    assert!(is_silent(&mut old).await);
}

#[tokio::test]
async fn latency_delays_and_keeps_order() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    let latency = Duration::from_millis(30);
    proxy.set(Mode::Latency(latency));
    let start = Instant::now();
    echoes(&mut stream).await.unwrap();
    assert!(start.elapsed() >= 2 * latency);
}

#[tokio::test]
async fn the_end_of_a_client_is_noticed_whatever_it_is_done_with() {
    let proxy = echo().await;
    let mut read = connect(&proxy).await;
    echoes(&mut read).await.unwrap();
    proxy.set(Mode::Swallow);
    let mut unread = connect(&proxy).await;
    unread.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut unread).await);
    assert_eq!(proxy.ended_by_client(), 0);
    drop(unread);
    eventually("one has ended", || async { proxy.ended_by_client() == 1 }).await;
    proxy.set(Mode::Pass);
    drop(read);
    eventually("both have ended", || async { proxy.ended_by_client() == 2 }).await;
}

#[tokio::test]
async fn what_is_injected_comes_to_everybody() {
    let proxy = echo().await;
    let mut clients = [connect(&proxy).await, connect(&proxy).await];
    for client in &mut clients {
        echoes(client).await.unwrap();
    }
    proxy.inject(b"!");
    for client in &mut clients {
        assert_eq!(client.read_u8().await.unwrap(), b'!');
        echoes(client).await.unwrap();
    }
}

#[tokio::test]
async fn pieces_pass_one_by_one_and_whole_again_when_that_ends() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Mode::Pieces {
        bytes: 2,
        pause: Duration::from_secs(3_600),
    });
    stream.write_all(b"hello").await.unwrap();
    // The next piece is an hour away.
    let mut piece = [0; 2];
    stream.read_exact(&mut piece).await.unwrap();
    assert_eq!(&piece, b"he");
    assert!(is_silent(&mut stream).await);
    proxy.set(Mode::Pass);
    let mut rest = [0; 3];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"llo");
}

#[tokio::test]
async fn another_server_is_for_new_connections() {
    let (proxy, other) = (echo().await, echo().await);
    let mut stream = connect(&proxy).await;
    echoes(&mut stream).await.unwrap();
    proxy.lead_to(other.addr());
    echoes(&mut stream).await.unwrap();
    assert_eq!(other.accepted(), 0);
    echoes(&mut connect(&proxy).await).await.unwrap();
    assert_eq!(other.accepted(), 1);
}
