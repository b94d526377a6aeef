//! Three commands of Redis: a login, a ping, and the choice of a database.

use super::Address;
use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

pub(super) fn check(address: &Address) -> Result<(), String> {
    let stream = address.connect()?;
    // What is said over TLS is beyond a look.
    if address.scheme == "rediss" {
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    let mut answers = |parts: &[&str], answer| {
        ask(&mut stream, parts).is_ok_and(|line| line.trim_end() == answer)
    };
    if let Some(password) = address.password.as_deref().filter(|it| !it.is_empty()) {
        let login = match address.user.as_str() {
            "" => vec!["AUTH", password],
            user => vec!["AUTH", user, password],
        };
        if !answers(&login, "+OK") {
            return Err("refuses the login".to_owned());
        }
    }
    if !answers(&["PING"], "+PONG") {
        return Err("does not answer PING".to_owned());
    }
    let database = match address.path.as_str() {
        "" => "0",
        database => database,
    };
    if !answers(&["SELECT", database], "+OK") {
        return Err(format!("has no database '{database}'"));
    }
    Ok(())
}

/// The first line of the answer to a command.
fn ask(stream: &mut BufReader<TcpStream>, parts: &[&str]) -> io::Result<String> {
    stream.get_mut().write_all(&command(parts))?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line)
}

fn command(parts: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command += &format!("${}\r\n{part}\r\n", part.len());
    }
    command.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::check_against, *};
    use crate::services::Server;

    fn exchange(parts: &[&str], answer: &str) -> (Vec<u8>, Vec<u8>) {
        (command(parts), format!("{answer}\r\n").into_bytes())
    }

    #[test]
    fn a_command_is_written_as_the_specification_says() {
        let expected = "*2\r\n$4\r\nAUTH\r\n$3\r\np\u{e9}\r\n";
        assert_eq!(command(&["AUTH", "p\u{e9}"]), expected.as_bytes());
    }

    #[test]
    fn a_server_that_answers_works() {
        let script = vec![
            exchange(&["PING"], "+PONG"),
            exchange(&["SELECT", "0"], "+OK"),
        ];
        let address = "redis://127.0.0.1:{}";
        assert_eq!(check_against(Server::Redis, address, script), Ok(()));
        let script = vec![
            exchange(&["AUTH", "ada", "p@ss"], "+OK"),
            exchange(&["PING"], "+PONG"),
            exchange(&["SELECT", "3"], "+OK"),
        ];
        let address = "redis://ada:p%40ss@127.0.0.1:{}/3";
        assert_eq!(check_against(Server::Redis, address, script), Ok(()));
    }

    #[test]
    fn a_refusal_is_told_without_the_password() {
        let address = "redis://:hunter2@127.0.0.1:{}/99";
        let login = |answer| exchange(&["AUTH", "hunter2"], answer);
        for (script, expected) in [
            (vec![login("-WRONGPASS invalid")], "refuses the login"),
            (
                vec![login("+OK"), exchange(&["PING"], "-LOADING")],
                "does not answer PING",
            ),
            (
                vec![
                    login("+OK"),
                    exchange(&["PING"], "+PONG"),
                    exchange(&["SELECT", "99"], "-ERR out of range"),
                ],
                "has no database '99'",
            ),
        ] {
            let checked = check_against(Server::Redis, address, script);
            assert_eq!(checked, Err(expected.to_owned()));
        }
    }
}
