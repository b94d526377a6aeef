//! A question before what can't be undone.

use crate::failure::Failure;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Whether something is meant, of who sits at the terminal.
pub(crate) async fn confirm(question: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let text = format!("{question} nobody can be asked; --yes says so");
        return Err(Failure::Usage(text));
    }
    // An answer to a question that was not seen is none of yes.
    let _ = write!(io::stderr(), "{question} [y/N] ");
    // Elsewhere, so that Ctrl-C is heard meanwhile.
    let reading = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let unread = |error| Failure::because("the answer can't be read", error);
    let answer = reading.await.map_err(|error| unread(error.into()))?;
    match answer.map_err(unread)?.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Said("nothing was done".to_owned())),
    }
}
