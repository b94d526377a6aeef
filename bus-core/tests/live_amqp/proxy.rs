//! A TCP proxy that does to a connection what networks do.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Listens on a port of its own and forwards to `target`.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    links: Mutex<Vec<Arc<Pair>>>,
    /// New connections are closed at once.
    refuse: AtomicBool,
    /// New connections are accepted, and that is all.
    swallow_new: AtomicBool,
    /// Connections that a client has ended.
    ended_by_client: AtomicUsize,
}

/// One forwarded connection.
struct Pair {
    client: TcpStream,
    server: Option<TcpStream>,
    /// What either side sends vanishes, while both stay connected.
    swallow: AtomicBool,
}

impl Proxy {
    pub(crate) fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener
            .local_addr()
            .map(|address: SocketAddr| address.port())
            .expect("bound");
        let shared = Arc::new(Shared {
            target,
            links: Mutex::default(),
            refuse: AtomicBool::new(false),
            swallow_new: AtomicBool::new(false),
            ended_by_client: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accept(&accepting, client);
            }
        });
        Self { port, shared }
    }

    /// Ends every connection there is.
    pub(crate) fn cut(&self) {
        for pair in self.shared.links.lock().unwrap().drain(..) {
            let _ = pair.client.shutdown(Shutdown::Both);
            if let Some(server) = &pair.server {
                let _ = server.shutdown(Shutdown::Both);
            }
        }
    }

    /// Every connection there is stays open and carries nothing any more; new ones work.
    pub(crate) fn freeze(&self) {
        for pair in self.shared.links.lock().unwrap().iter() {
            pair.swallow.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Ordering::SeqCst);
    }

    pub(crate) fn swallow_new(&self, swallow: bool) {
        self.shared.swallow_new.store(swallow, Ordering::SeqCst);
    }

    /// Sends `bytes` to the clients as if the server had.
    pub(crate) fn inject(&self, bytes: &[u8]) {
        for pair in self.shared.links.lock().unwrap().iter() {
            (&pair.client).write_all(bytes).expect("the client reads");
        }
    }

    pub(crate) fn ended_by_client(&self) -> usize {
        self.shared.ended_by_client.load(Ordering::SeqCst)
    }
}

fn accept(shared: &Arc<Shared>, client: TcpStream) {
    if shared.refuse.load(Ordering::SeqCst) {
        return;
    }
    let swallow = shared.swallow_new.load(Ordering::SeqCst);
    let server = if swallow {
        None
    } else {
        TcpStream::connect(&shared.target).ok()
    };
    let pair = Arc::new(Pair {
        client,
        server,
        swallow: AtomicBool::new(swallow),
    });
    shared.links.lock().unwrap().push(Arc::clone(&pair));
    if pair.server.is_some() {
        let pair = Arc::clone(&pair);
        thread::spawn(move || {
            let server = pair.server.as_ref().expect("there is one");
            forward(&pair, server, Some(&pair.client));
        });
    }
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        forward(&pair, &pair.client, pair.server.as_ref());
        shared.ended_by_client.fetch_add(1, Ordering::SeqCst);
    });
}

/// Copies until `from` ends, and then ends `to`.
fn forward(pair: &Pair, mut from: &TcpStream, to: Option<&TcpStream>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if pair.swallow.load(Ordering::SeqCst) {
            continue;
        }
        if let Some(mut to) = to
            && to.write_all(&buffer[..count]).is_err()
        {
            break;
        }
    }
    if let Some(to) = to {
        let _ = to.shutdown(Shutdown::Both);
    }
}
