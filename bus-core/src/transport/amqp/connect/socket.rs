//! The TCP connection under a connection of lapin, kept so that it can be cut.
//!
//! lapin ends a connection by writing a close frame. When the peer is frozen or blocks us that
//! frame is never written, and its thread, its memory and everything queued in it stay. Shutting
//! the socket ends all of it at once, whatever state lapin is in.

use std::{
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Owns the right to cut a TCP connection; does so when dropped.
#[derive(Debug, Default)]
pub(super) struct Socket(Arc<Mutex<State>>);

/// The place of the connection once it is open.
#[derive(Debug, Clone)]
pub(super) struct OpenedSocket(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Unopened,
    Open(TcpStream),
    Cut,
}

impl Socket {
    pub(super) fn opened(&self) -> OpenedSocket {
        OpenedSocket(Arc::clone(&self.0))
    }

    /// Ends the connection now, or as soon as it is opened.
    pub(super) fn cut(&self) {
        if let State::Open(stream) = std::mem::replace(&mut *lock(&self.0), State::Cut) {
            // It fails only on a connection that is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.cut();
    }
}

impl OpenedSocket {
    /// Takes a second handle of `stream`.
    ///
    /// # Errors
    /// The socket was cut meanwhile, or the handle can't be made.
    #[cfg(unix)]
    pub(super) fn fill(&self, stream: &impl std::os::fd::AsFd) -> io::Result<()> {
        self.put(stream.as_fd().try_clone_to_owned()?.into())
    }

    #[cfg(windows)]
    pub(super) fn fill(&self, stream: &impl std::os::windows::io::AsSocket) -> io::Result<()> {
        self.put(stream.as_socket().try_clone_to_owned()?.into())
    }

    fn put(&self, stream: TcpStream) -> io::Result<()> {
        let mut state = lock(&self.0);
        if matches!(*state, State::Cut) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        *state = State::Open(stream);
        Ok(())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, net::TcpListener};

    #[test]
    fn cuts_what_another_handle_holds() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::default();
        socket.opened().fill(&stream).unwrap();
        drop(socket);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn cuts_what_is_opened_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::default();
        let opened = socket.opened();
        drop(socket);
        assert!(opened.fill(&stream).is_err());
    }
}
