//! Encrypted connections to PostgreSQL, in each mode that there is.

use crate::migrations;
use chassis::{Database, settings::PlatformSettings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// A server that speaks TLS, as far as its client's first word. Before that word a client needs to
/// know whom it would believe, and with what cryptography.
#[tokio::test]
async fn every_mode_comes_as_far_as_a_handshake() {
    for mode in ["require", "verify-ca", "verify-full"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("postgres://bank@{address}/bank?sslmode={mode}");
        let settings = PlatformSettings::with_database(&url);
        let first_byte = async {
            let (mut asked, _) = listener.accept().await.unwrap();
            let mut ssl_request = [0; 8];
            asked.read_exact(&mut ssl_request).await.unwrap();
            asked.write_all(b"S").await.unwrap();
            asked.read_u8().await
        };
        let migrations = migrations();
        tokio::select! {
            first = first_byte => assert_eq!(first.unwrap(), 22, "{mode}: no handshake begins so"),
            opened = Database::open(&settings, "notes", &migrations) => {
                panic!("{mode}: {opened:?} without a handshake");
            }
        }
    }
}
