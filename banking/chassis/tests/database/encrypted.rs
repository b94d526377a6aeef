//! Encrypted connections to PostgreSQL, in each mode that there is, and with certificates of one's
//! own.

use crate::migrations;
use chassis::{Database, settings::PlatformSettings};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use replybus_testkit::{
    certificates::{Authority, Certified},
    live::require_or_skip,
    proxy::{Mode, Proxy},
    servers::{PrivatePostgres, Workplace},
    wait::{bounded, eventually},
};
use std::{fs, path::Path};
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

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
}

/// The settings with these flags, whatever the environment says.
fn settings(url: &str, files: &[(&str, &Path)]) -> PlatformSettings {
    let command = Program::command().mut_args(|argument| argument.env(None::<&str>));
    let mut arguments = vec!["service", "--database-url", url];
    for (flag, path) in files {
        arguments.extend([*flag, path.to_str().unwrap()]);
    }
    let matches = command.get_matches_from(arguments);
    Program::from_arg_matches(&matches).unwrap().platform
}

/// A certificate and its key, in files of these names.
fn in_files(workplace: &Workplace, name: &str, certified: &Certified) -> [std::path::PathBuf; 2] {
    let paths = [format!("{name}.pem"), format!("{name}-key.pem")];
    let paths = paths.map(|name| workplace.path(&name));
    fs::write(&paths[0], &certified.certificate).unwrap();
    fs::write(&paths[1], &certified.key).unwrap();
    paths
}

async fn refused(settings: &PlatformSettings) -> String {
    let migrations = migrations();
    let opened = bounded(Database::open(settings, "notes", &migrations)).await;
    format!("{:#}", opened.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_of_ones_own_vouches_for_the_server_and_the_server_knows_who_connects() {
    let (authority, workplace) = (Authority::new().unwrap(), Workplace::new("tls").unwrap());
    let server = authority.certify("localhost").unwrap();
    let files = authority.write(workplace.directory(), &server).unwrap();
    let set_up = PrivatePostgres::set_up(|postgres| postgres.tls(&files));
    let Some(server) = require_or_skip(set_up.await) else {
        return;
    };
    let proxy = Proxy::to(server.address()).await.unwrap();
    let [cert, key] = in_files(&workplace, "bank", &authority.certify("bank").unwrap());
    let url = |host: &str| {
        format!(
            "postgres://postgres@{host}:{}/postgres",
            proxy.addr().port()
        )
    };
    let ca = files.authority.as_path();
    let shown = |cert, key| {
        [
            ("--database-ca-file", ca),
            ("--database-cert-file", cert),
            ("--database-key-file", key),
        ]
    };

    let right = settings(&url("localhost"), &shown(&cert, &key));
    let database = Database::open(&right, "notes", &migrations())
        .await
        .unwrap();
    assert!(database.is_up().await);
    let before = proxy.accepted();
    proxy.set(Mode::Cut);
    eventually("it is reached by a new connection", || async {
        database.is_up().await && proxy.accepted() > before
    })
    .await;

    let other = Authority::new().unwrap();
    let other_ca = workplace.path("other.pem");
    fs::write(&other_ca, other.pem()).unwrap();
    let stranger = in_files(&workplace, "stranger", &other.certify("bank").unwrap());
    let expired = in_files(&workplace, "old", &authority.certify_once("bank").unwrap());
    let mut unknown = shown(&cert, &key);
    unknown[0].1 = &other_ca;
    let (near, there) = (url("localhost"), url("127.0.0.1"));
    let unchecked = format!("{near}?sslmode=require");
    for (url, files, reason) in [
        (&near, &unknown[..], "UnknownIssuer"),
        (&there, &shown(&cert, &key), "127.0.0.1"),
        (&near, &shown(&cert, &key)[..1], "certificate"),
        (&near, &shown(&stranger[0], &stranger[1]), "UnknownCA"),
        (
            &near,
            &shown(&expired[0], &expired[1]),
            "CertificateExpired",
        ),
        (&near, &shown(&cert, &expired[1]), "KeyMismatch"),
        (&unchecked, &shown(&cert, &key), "verify-full"),
    ] {
        let said = refused(&settings(url, files)).await;
        assert!(said.contains(reason), "{reason}: {said}");
    }

    // What the server shows from now on has expired.
    let old = authority.certify_once("localhost").unwrap();
    fs::write(server.path("data/cert.pem"), &old.certificate).unwrap();
    fs::write(server.path("data/key.pem"), &old.key).unwrap();
    let reload = sqlx::query("SELECT pg_reload_conf()");
    reload.execute(database.pool()).await.unwrap();
    database.close().await;
    // It does so in its own time.
    let said = loop {
        let migrations = migrations();
        let opened = bounded(Database::open(&right, "notes", &migrations)).await;
        match opened {
            Ok(database) => database.close().await,
            Err(error) => break format!("{error:#}"),
        }
    };
    assert!(said.contains("expired"), "{said}");
}
