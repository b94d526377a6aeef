use super::stock::Outcome;

use futures_util::stream;
use replybus::{Bus, queue_handler, stream::Items};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[error("its sender left after {lines} lines")]
pub struct Incomplete {
    pub lines: u64,
}

#[queue_handler("imports.requests")]
pub trait Imports {
    #[command(timeout = "5m")]
    async fn import(&self, #[stream] lines: Items<String>) -> Result<u64, Incomplete>;
}

struct Counting;

impl Imports for Counting {
    async fn import(&self, mut lines: Items<String>) -> Result<u64, Incomplete> {
        let mut count = 0;
        while let Some(line) = lines.next().await {
            // Its sender is gone: undo what is half done.
            let Ok(_line) = line else {
                return Err(Incomplete { lines: count });
            };
            count += 1;
        }
        Ok(count)
    }
}

#[tokio::test]
async fn an_argument_is_a_stream() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(ImportsServer::new(Counting)).await?;
    let imports = ImportsClient::new(&bus);

    let lines = (0..5_000).map(|line| format!("line {line}"));
    assert_eq!(imports.import(stream::iter(lines)).await?, 5_000);
    Ok(())
}
