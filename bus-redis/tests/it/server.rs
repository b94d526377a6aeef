//! A private Redis that a test may stop, freeze, wipe or fill.

use crate::live;
use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the ephemeral range, where a client that retries could connect to itself, and so that a
/// cluster node's second port, 10000 above, is below it too.
const PORTS: std::ops::Range<u16> = 12_000..22_000;

pub(crate) struct Server {
    child: Option<Child>,
    program: &'static str,
    arguments: Vec<String>,
    pub(crate) port: u16,
    pub(crate) directory: PathBuf,
}

impl Server {
    /// `None` if it is not installed.
    pub(crate) async fn start(arguments: &[&str]) -> Option<Self> {
        if !live::can_start("redis-server") {
            return None;
        }
        let port = free_port();
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(["--save", "", "--appendonly", "no"].map(str::to_owned));
        all.extend(arguments.iter().map(ToString::to_string));
        Some(Self::launch("redis-server", port, all).await)
    }

    pub(crate) async fn launch(program: &'static str, port: u16, arguments: Vec<String>) -> Self {
        let directory = env::temp_dir().join(live::unique("replybus-redis"));
        fs::create_dir_all(&directory).unwrap();
        let mut server = Self {
            child: None,
            program,
            arguments,
            port,
            directory,
        };
        server.restart().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Starts it, or starts it again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let child = Command::new(self.program)
            .args(&self.arguments)
            .args(["--bind", "127.0.0.1", "--loglevel", "warning"])
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(fs::File::create(self.directory.join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        live::eventually("the server listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_ok()
        })
        .await;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().unwrap();
        let sent = Command::new("kill")
            .arg(signal)
            .arg(child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(process::id() % 1000).unwrap() * 10;
    for _ in PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = PORTS.start + offset;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
    panic!("no free port");
}
