//! The first methods of AMQP 0-9-1: a login, and the opening of a virtual host.

use super::Address;
use std::io::{self, Read, Write};

/// Says which protocol and version is meant.
const PROTOCOL_HEADER: &[u8] = b"AMQP\0\0\x09\x01";
/// The kind of frame that holds a method.
const METHOD_FRAME: u8 = 1;
const FRAME_END: u8 = 0xCE;
/// A server's first method has some hundred bytes.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// A method: its class, which is that of connections, and its number.
type Method = (u16, u16);
const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CLOSE: Method = (10, 50);

pub(super) fn check(address: &Address) -> Result<(), String> {
    let mut stream = address.connect()?;
    // What is said over TLS is beyond a look.
    if address.scheme == "amqps" {
        return Ok(());
    }
    let or_guest = |given: &str| match given {
        "" => "guest".to_owned(),
        given => given.to_owned(),
    };
    let user = or_guest(&address.user);
    let password = or_guest(address.password.as_deref().unwrap_or_default());
    let host = match address.path.as_str() {
        "" => "/",
        host => host,
    };

    let silent = |_| "does not speak AMQP 0-9-1".to_owned();
    stream.write_all(PROTOCOL_HEADER).map_err(silent)?;
    expect(&mut stream, START).map_err(silent)?;

    let refused = |_| format!("refuses the login of user '{user}'");
    let login = start_ok(&user, &password);
    stream.write_all(&login).map_err(refused)?;
    expect(&mut stream, TUNE).map_err(refused)?;

    let refused = |_| format!("refuses the virtual host '{host}'");
    let open = [tune_ok(), open(host)].concat();
    stream.write_all(&open).map_err(refused)?;
    expect(&mut stream, OPEN_OK).map_err(refused)?;
    // It works: whether the goodbye arrives does not matter.
    let _ = stream.write_all(&close());
    Ok(())
}

fn start_ok(user: &str, password: &str) -> Vec<u8> {
    let no_properties = 0_u32.to_be_bytes();
    let response = format!("\0{user}\0{password}");
    let arguments = [
        &no_properties[..],
        &short_string("PLAIN"),
        &long_string(&response),
        &short_string("en_US"),
    ];
    frame(START_OK, &arguments.concat())
}

fn tune_ok() -> Vec<u8> {
    let (channels, frame_bytes, heartbeat_seconds) = (1_u16, 128 * 1024_u32, 0_u16);
    let arguments = [
        &channels.to_be_bytes()[..],
        &frame_bytes.to_be_bytes(),
        &heartbeat_seconds.to_be_bytes(),
    ];
    frame(TUNE_OK, &arguments.concat())
}

fn open(host: &str) -> Vec<u8> {
    // A short string and a bit that mean nothing any more.
    frame(OPEN, &[&short_string(host)[..], &[0, 0]].concat())
}

fn close() -> Vec<u8> {
    let (success, cause) = (200_u16, 0_u32);
    let arguments = [
        &success.to_be_bytes()[..],
        &short_string(""),
        &cause.to_be_bytes(),
    ];
    frame(CLOSE, &arguments.concat())
}

/// A method on channel 0.
fn frame((class, method): Method, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let channel = 0_u16.to_be_bytes();
    [
        &[METHOD_FRAME][..],
        &channel,
        &length.to_be_bytes(),
        &payload,
        &[FRAME_END],
    ]
    .concat()
}

/// Up to 255 bytes, of which there are no more in what is sent here.
fn short_string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let kept = text.as_bytes().iter().copied().take(length.into());
    std::iter::once(length).chain(kept).collect()
}

fn long_string(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Reads the next method, which must be this one.
fn expect(stream: &mut impl Read, method: Method) -> io::Result<()> {
    let mut header = [0; 7];
    stream.read_exact(&mut header)?;
    let [kind, _, _, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if kind != METHOD_FRAME || length > PAYLOAD_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length + 1];
    stream.read_exact(&mut payload)?;
    let (class, number) = method;
    let begin = [class.to_be_bytes(), number.to_be_bytes()].concat();
    if payload.starts_with(&begin) {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::check_against, *};
    use crate::services::Server;

    fn greeting() -> (Vec<u8>, Vec<u8>) {
        (PROTOCOL_HEADER.to_vec(), frame(START, b"properties"))
    }

    fn login(user: &str, password: &str, answer: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        (start_ok(user, password), answer)
    }

    fn opening(host: &str, answer: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
        ([tune_ok(), open(host)].concat(), answer)
    }

    #[test]
    fn a_method_is_written_as_the_specification_says() {
        let expected = b"\x01\0\0\0\0\0\x08\0\x0a\0\x28\x01/\0\0\xce";
        assert_eq!(open("/"), expected);
        assert!(start_ok("ada", "pw").ends_with(b"\x05PLAIN\0\0\0\x07\0ada\0pw\x05en_US\xce"));
    }

    #[test]
    fn a_broker_that_lets_in_works() {
        let script = vec![
            greeting(),
            login("ada", "p@ss", frame(TUNE, &[0; 8])),
            opening("bank", frame(OPEN_OK, &[0])),
            (close(), Vec::new()),
        ];
        let address = "amqp://ada:p%40ss@127.0.0.1:{}/bank";
        assert_eq!(check_against(Server::RabbitMq, address, script), Ok(()));
        let script = vec![
            greeting(),
            login("guest", "guest", frame(TUNE, &[0; 8])),
            opening("/", frame(OPEN_OK, &[0])),
            (close(), Vec::new()),
        ];
        let address = "amqp://127.0.0.1:{}";
        assert_eq!(check_against(Server::RabbitMq, address, script), Ok(()));
    }

    #[test]
    fn a_refusal_is_told_without_the_password() {
        let address = "amqp://ada:hunter2@127.0.0.1:{}/bank";
        let refusal = frame(CLOSE, b"\x01\x93");
        for (script, expected) in [
            (
                vec![(
                    PROTOCOL_HEADER.to_vec(),
                    b"HTTP/1.1 400 Bad Request".to_vec(),
                )],
                "does not speak AMQP 0-9-1",
            ),
            (
                vec![greeting(), login("ada", "hunter2", refusal.clone())],
                "refuses the login of user 'ada'",
            ),
            (
                vec![
                    greeting(),
                    login("ada", "hunter2", frame(TUNE, &[0; 8])),
                    opening("bank", refusal),
                ],
                "refuses the virtual host 'bank'",
            ),
        ] {
            let checked = check_against(Server::RabbitMq, address, script);
            assert_eq!(checked, Err(expected.to_owned()));
        }
    }
}
