//! A question before what can't be undone.

use crate::failure::Failure;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether something is meant, of who sits at the terminal.
pub(crate) fn confirm(question: &str) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let text = format!("{question} nobody can be asked; --yes says so");
        return Err(Failure::Usage(text));
    }
    // An answer to a question that was not seen is none of yes.
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    let read = stdin.lock().read_line(&mut answer);
    read.map_err(|error| Failure::because("the answer can't be read", error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Said("nothing was done".to_owned())),
    }
}
