//! Clients that take connections and use them for nothing, while others want answers.

use crate::started::{SOON, Started};
use api_producer::Limits;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// A connection from another address of this machine.
async fn connect_from(address: &str, bank: &Started) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(from).unwrap();
    socket.connect(bank.address).await.unwrap()
}

/// What a connection says before it is silent, by its number.
fn said(number: usize) -> &'static [u8] {
    match number % 4 {
        0 => b"",
        1 => b"GET /health HTTP/1.1\r\nHost: bank\r\nX-Slow: ",
        2 => {
            b"POST /api/auth/login HTTP/1.1\r\nHost: bank\r\nContent-Length: 60\r\n\r\n{\"username\""
        }
        // One that is kept, and idle.
        _ => b"GET /health HTTP/1.1\r\nHost: bank\r\n\r\n",
    }
}

/// So many connections that are silent from now on. Some may be closed at once.
async fn silent(address: &str, bank: &Started, number: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for number in 0..number {
        let mut stream = connect_from(address, bank).await;
        let _ = stream.write_all(said(number)).await;
        all.push(stream);
    }
    all
}

/// Somebody at this address is answered, be it at a second try.
async fn is_served(address: &str, bank: &Started) {
    let ask = b"GET /health HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n\r\n";
    let served = async {
        loop {
            let mut stream = connect_from(address, bank).await;
            let mut told = String::new();
            if stream.write_all(ask).await.is_ok()
                && stream.read_to_string(&mut told).await.is_ok()
                && told.starts_with("HTTP/1.1 200")
            {
                return;
            }
        }
    };
    timeout(SOON, served).await.unwrap();
}

/// Nobody waits here for a connection to be given up but who is meant to.
const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_flood_of_connections_from_one_address_leaves_the_others_theirs() {
    let few = |limits: &mut Limits| {
        limits.connections.open_max = 96;
        limits.connections.of_address_max = 64;
        limits.connections.header_read = NEVER;
        limits.connections.idle = NEVER;
        limits.body_read = NEVER;
        limits.request = NEVER;
    };
    let bank = Started::with(few, true, None).await;
    let flood = silent("127.0.0.2", &bank, 300).await;
    for address in ["127.0.0.3", "127.0.0.4"] {
        for _ in 0..20 {
            is_served(address, &bank).await;
        }
    }
    drop(flood);
}

#[tokio::test]
async fn a_flood_from_many_addresses_is_over_when_they_have_been_too_slow() {
    let few = |limits: &mut Limits| {
        limits.connections.open_max = 32;
        limits.connections.of_address_max = 16;
        limits.connections.header_read = Duration::from_millis(200);
        limits.connections.idle = NEVER;
        limits.body_read = Duration::from_millis(200);
    };
    let bank = Started::with(few, true, None).await;
    let mut flood = Vec::new();
    for attacker in 2..8 {
        flood.push(silent(&format!("127.0.0.{attacker}"), &bank, 24).await);
    }
    for _ in 0..5 {
        is_served("127.0.0.9", &bank).await;
    }
    drop(flood);
}

#[tokio::test]
async fn connections_that_are_idle_give_way_when_all_are_taken() {
    let few = |limits: &mut Limits| {
        limits.connections.open_max = 2;
        limits.connections.header_read = Duration::from_millis(200);
        limits.connections.idle = NEVER;
    };
    let bank = Started::with(few, true, None).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut stream = connect_from("127.0.0.2", &bank).await;
        stream.write_all(said(3)).await.unwrap();
        let mut some = [0; 16];
        timeout(SOON, stream.read_exact(&mut some))
            .await
            .unwrap()
            .unwrap();
        assert!(some.starts_with(b"HTTP/1.1 200"));
        kept.push(stream);
    }
    is_served("127.0.0.3", &bank).await;
}
