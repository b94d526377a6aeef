//! Letters as they are printed. A body is shown to who asks for one letter, or for JSON.

use super::Found;
use crate::{
    failure::Failure,
    output::{Color, Output, Table, ago, clock, shown},
};
use replybus::dead_letters::DeadLetter;
use serde_json::{Value, json};

/// Characters of an error in a table.
const ERROR_SHOWN: usize = 60;

pub(super) fn list(found: &Found, output: &Output) -> Result<(), Failure> {
    if output.json {
        let letters: Vec<Value> = found.letters.iter().map(as_json).collect();
        return output.json(&json!({ "total": found.total, "letters": letters }));
    }
    if found.letters.is_empty() {
        return output.line(&format!("no such letters, of {}", found.total));
    }
    let mut table = Table::new(&["ID", "METHOD", "REASON", "RUNS", "AGE", "FROM", "ERROR"]);
    for letter in &found.letters {
        let error = letter.malformed().unwrap_or_else(|| letter.error());
        table.row([
            &letter.id().unwrap_or("-"),
            &letter.name(),
            &letter.reason(),
            &letter
                .attempts()
                .map_or_else(|| "-".to_owned(), |runs| runs.to_string()),
            &letter.died_at().map_or_else(|| "-".to_owned(), ago),
            &letter.caller().unwrap_or("-"),
            &error.chars().take(ERROR_SHOWN).collect::<String>(),
        ]);
    }
    table.print(output)?;
    output.line(&format!(
        "{} of {} letters",
        found.letters.len(),
        found.total
    ))
}

pub(super) fn whole(letters: &[DeadLetter], output: &Output) -> Result<(), Failure> {
    if output.json {
        let letters: Vec<Value> = letters.iter().map(as_json).collect();
        return output.json(&letters);
    }
    for letter in letters {
        let field = |name: &str, value: &str| match value {
            "" => Ok(()),
            value => output.line(&format!("{name:<12} {}", shown(value))),
        };
        field("id", letter.id().unwrap_or("-"))?;
        field("method", letter.name())?;
        field("from", letter.caller().unwrap_or_default())?;
        field("reason", letter.reason())?;
        field("error", letter.error())?;
        field("unreadable", letter.malformed().unwrap_or_default())?;
        let runs = letter.attempts().map(|runs| runs.to_string());
        field("runs", &runs.unwrap_or_default())?;
        for (at, error) in letter.retry_errors().enumerate() {
            field(&format!("  run {}", at + 1), error)?;
        }
        let ran = if letter.may_have_executed() {
            "perhaps"
        } else {
            "no"
        };
        field("executed", ran)?;
        field("sent", &letter.sent_at().map(clock).unwrap_or_default())?;
        field("died", &letter.died_at().map(clock).unwrap_or_default())?;
        field(
            "known until",
            &letter.known_until().map(clock).unwrap_or_default(),
        )?;
        if letter.redriven() > 0 {
            field("put back", &format!("{} times", letter.redriven()))?;
        }
        field("shortened", letter.shortened().unwrap_or_default())?;
        for (name, value) in &letter.message().properties.headers {
            field(&format!("  {name}"), value)?;
        }
        output.line(&output.paint(Color::Bold, "body"))?;
        match body(letter) {
            Ok(body) => {
                let text = serde_json::to_string_pretty(&body);
                output.line(&text.map_err(|error| Failure::because("its body", error))?)?;
            }
            Err(why) => output.line(&shown(&why))?,
        }
    }
    Ok(())
}

/// The arguments or the event, whatever they were written in.
fn body(letter: &DeadLetter) -> Result<Value, String> {
    letter.arguments().map_err(|error| error.to_string())
}

pub(super) fn as_json(letter: &DeadLetter) -> Value {
    let body = body(letter);
    json!({
        "id": letter.id(),
        "method": letter.name(),
        "from": letter.caller(),
        "reason": letter.reason(),
        "error": letter.error(),
        "malformed": letter.malformed(),
        "attempts": letter.attempts(),
        "retry_errors": letter.retry_errors().collect::<Vec<_>>(),
        "may_have_executed": letter.may_have_executed(),
        "sent_at": letter.sent_at().map(clock),
        "died_at": letter.died_at().map(clock),
        "known_until": letter.known_until().map(clock),
        "redriven": letter.redriven(),
        "shortened": letter.shortened(),
        "body": body.as_ref().ok(),
        "unreadable": body.as_ref().err(),
    })
}
