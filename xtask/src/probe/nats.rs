//! The beginning of a conversation with NATS.

use super::Address;
use std::io::{self, BufRead as _, BufReader, Write as _};

pub(super) fn check(address: &Address) -> Result<(), String> {
    let mut stream = BufReader::new(address.connect()?);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        Ok(line)
    };
    let greets = line().is_ok_and(|line| line.starts_with("INFO "));
    // What is said over TLS, or to whom one logs in as, is beyond a look.
    if greets && (address.scheme == "tls" || !address.user.is_empty()) {
        return Ok(());
    }
    let asked = stream
        .get_mut()
        .write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n");
    let mut line = String::new();
    let answered = asked.and_then(|()| stream.read_line(&mut line));
    match line.trim_end() {
        "PONG" if greets && answered.is_ok() => Ok(()),
        refused if refused.starts_with("-ERR 'Authorization") => {
            Err("refuses the login".to_owned())
        }
        _ => Err("does not answer PING".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check_against;
    use crate::services::Server;

    fn checked(address: &str, answer: &str) -> Result<(), String> {
        let greeting = (Vec::new(), b"INFO {}\r\n".to_vec());
        let ping = b"CONNECT {\"verbose\":false}\r\nPING\r\n".to_vec();
        let asked = (ping, answer.as_bytes().to_vec());
        let mut script = vec![greeting];
        if !answer.is_empty() {
            script.push(asked);
        }
        check_against(Server::Nats, address, script)
    }

    #[test]
    fn a_server_that_answers_works() {
        assert_eq!(checked("nats://127.0.0.1:{}", "PONG\r\n"), Ok(()));
        assert_eq!(checked("nats://me:hunter2@127.0.0.1:{}", ""), Ok(()));
    }

    #[test]
    fn a_refusal_is_told() {
        for (answer, expected) in [
            ("-ERR 'Authorization Violation'\r\n", "refuses the login"),
            ("+OK\r\n", "does not answer PING"),
        ] {
            let checked = checked("nats://127.0.0.1:{}", answer);
            assert_eq!(checked, Err(expected.to_owned()));
        }
    }
}
