//! The start of a session of PostgreSQL.

use super::Address;
use crate::program;
use std::{
    io::{self, Read, Write as _},
    process::Command,
    time::Duration,
};
use url::Url;

/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 3 << 16;
/// A server says some hundred bytes before it is ready.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// psql connects within 5 s.
const PSQL_WITHIN: Duration = Duration::from_secs(10);

const AUTHENTICATION: u8 = b'R';
const READY_FOR_QUERY: u8 = b'Z';
const ERROR: u8 = b'E';

pub(super) fn check(address: &Address) -> Result<(), String> {
    let mut stream = address.connect()?;
    let user = match address.user.as_str() {
        "" => "postgres",
        user => user,
    };
    let database = match address.path.as_str() {
        "" => user,
        database => database,
    };
    let refused = format!("refuses user '{user}' or database '{database}'");
    // It also knows how a password is proven, and TLS.
    if program::is_installed("psql") {
        return match psql(address).as_deref() {
            Some(_) => Ok(()),
            None => Err(refused),
        };
    }
    stream
        .write_all(&startup(user, database))
        .map_err(|_| refused.clone())?;
    match begun(&mut stream) {
        Ok(Begun::Ready) => Ok(()),
        Ok(Begun::AsksForPassword) if address.password.is_some() => Ok(()),
        Ok(Begun::AsksForPassword) => Err(format!("asks user '{user}' for a password")),
        Ok(Begun::Refused) | Err(_) => Err(refused),
    }
}

/// The answer of psql to a statement.
fn psql(address: &Address) -> Option<String> {
    let mut url = Url::parse(&address.text).ok()?;
    let mut psql = Command::new("psql");
    if let Some(password) = &address.password {
        // In the environment, where a list of processes does not show it.
        url.set_password(None).ok()?;
        psql.env("PGPASSWORD", password);
    }
    psql.args(["-X", "-w", "-q", "-t", "-d", url.as_str(), "-c", "select 1"])
        .env("PGPASSFILE", "/dev/null")
        .env("PGCONNECT_TIMEOUT", "5");
    program::output_within(PSQL_WITHIN, &mut psql)
}

/// The beginning of a session.
#[derive(Debug, PartialEq, Eq)]
enum Begun {
    Ready,
    AsksForPassword,
    Refused,
}

fn startup(user: &str, database: &str) -> Vec<u8> {
    let parameters = format!("user\0{user}\0database\0{database}\0\0");
    let length = parameters.len() + size_of_val(&PROTOCOL) + size_of::<u32>();
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    [
        &length.to_be_bytes()[..],
        &PROTOCOL.to_be_bytes(),
        parameters.as_bytes(),
    ]
    .concat()
}

fn begun(stream: &mut impl Read) -> io::Result<Begun> {
    loop {
        let (kind, body) = message(stream)?;
        match kind {
            READY_FOR_QUERY => return Ok(Begun::Ready),
            ERROR => return Ok(Begun::Refused),
            AUTHENTICATION if body != [0; 4] => return Ok(Begun::AsksForPassword),
            // Settings of the session, and how to cancel it.
            _ => {}
        }
    }
}

/// The next message: its kind, and its body without the length.
fn message(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let [kind, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    let body = length.checked_sub(size_of::<u32>());
    let body = body.filter(|bytes| *bytes <= MESSAGE_BYTES_MAX);
    let mut body = vec![0; body.ok_or(io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    #[test]
    fn a_session_begins_as_the_specification_says() {
        let expected = b"\0\0\0\x20\0\x03\0\0user\0ada\0database\0bank\0\0";
        assert_eq!(startup("ada", "bank"), expected);
    }

    #[test]
    fn a_session_is_ready_refused_or_needs_a_password() {
        let let_in = said(AUTHENTICATION, &[0; 4]);
        for (answer, expected) in [
            (
                [
                    let_in.clone(),
                    said(b'S', b"a\0b\0"),
                    said(READY_FOR_QUERY, b"I"),
                ]
                .concat(),
                Begun::Ready,
            ),
            ([let_in, said(ERROR, b"SFATAL\0")].concat(), Begun::Refused),
            (
                said(AUTHENTICATION, b"\0\0\0\x0aSCRAM"),
                Begun::AsksForPassword,
            ),
            (said(ERROR, b"SFATAL\0"), Begun::Refused),
        ] {
            assert_eq!(begun(&mut &answer[..]).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_postgres_is_no_session() {
        for answer in [
            &b""[..],
            b"HTTP/1.1 400 Bad Request",
            b"R\0\0\0\0",
            b"R\0\0",
        ] {
            assert!(begun(&mut &answer[..]).is_err());
        }
    }
}
