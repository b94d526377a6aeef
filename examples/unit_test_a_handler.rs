//! A handler is a plain struct with plain methods: three ways to test it, the nearest first.
//!
//! ```text
//! cargo test -p replybus-examples --example unit_test_a_handler
//! cargo run -p replybus-examples --example unit_test_a_handler
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use replybus::{Bus, CallError, Context, Metadata, queue_handler};
use serde::{Deserialize, Serialize};

#[queue_handler("notes.requests")]
trait Notes {
    /// A note, in the caller's language.
    #[query]
    async fn read(&self, number: usize) -> Result<String, NoteError>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
enum NoteError {
    #[error("there is no note {0}")]
    NotFound(usize),
    #[error("notes are not kept in {0:?}")]
    Language(String),
}

struct Notebook(Vec<&'static str>);

impl Notes for Notebook {
    async fn read(&self, number: usize) -> Result<String, NoteError> {
        let note = self.0.get(number).ok_or(NoteError::NotFound(number))?;
        match Context::current().metadata().get("language") {
            None | Some("en") => Ok((*note).to_owned()),
            Some(other) => Err(NoteError::Language(other.to_owned())),
        }
    }
}

fn notebook() -> Notebook {
    Notebook(vec!["buy milk"])
}

/// The method itself. No bus, no encoding.
async fn by_calling_it() {
    assert_eq!(notebook().read(0).await, Ok("buy milk".to_owned()));
    assert_eq!(notebook().read(7).await, Err(NoteError::NotFound(7)));
}

/// The method within a call: what it reads from its context is set by the test.
async fn within_a_context() -> anyhow::Result<()> {
    let mut metadata = Metadata::new();
    metadata.insert("language", "fr")?;
    let context = Context::builder().metadata(metadata).build();
    let outcome = context.scope(notebook().read(0)).await;
    assert_eq!(outcome, Err(NoteError::Language("fr".to_owned())));
    Ok(())
}

/// The way of a real call, arguments and answer encoded, on a bus of the test's own.
async fn over_a_bus() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let _serving = bus.serve(NotesServer::new(notebook())).await?;
    let notes = NotesClient::new(&bus);
    assert_eq!(notes.read(0).metadata("language", "en").await?, "buy milk");
    let outcome = notes.read(0).metadata("language", "fr").await;
    assert!(matches!(
        outcome,
        Err(CallError::Handler(NoteError::Language(_)))
    ));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    by_calling_it().await;
    println!("by calling it: ok");
    within_a_context().await?;
    println!("within a context: ok");
    over_a_bus().await?;
    println!("over a bus in memory: ok");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn says_which_note_is_not_there() {
        super::by_calling_it().await;
    }

    #[tokio::test]
    async fn speaks_the_callers_language_or_says_so() -> anyhow::Result<()> {
        super::within_a_context().await
    }

    #[tokio::test]
    async fn answers_over_a_bus() -> anyhow::Result<()> {
        super::over_a_bus().await
    }
}
