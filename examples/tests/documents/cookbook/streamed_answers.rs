use super::stock::Outcome;

use futures_util::{StreamExt as _, stream};
use replybus::{Bus, Never, queue_handler, stream::Items};

#[queue_handler("log.requests")]
pub trait Log {
    /// The lines from `from` on.
    #[stream]
    async fn lines(&self, from: u64) -> Result<Items<String, Never>, Never>;
}

struct Endless;

impl Log for Endless {
    async fn lines(&self, from: u64) -> Result<Items<String, Never>, Never> {
        let lines = stream::iter(from..).map(|line| Ok(format!("line {line}")));
        Ok(Items::new(lines)) // taken from only as fast as its reader reads
    }
}

#[tokio::test]
async fn an_answer_is_a_stream() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(LogServer::new(Endless)).await?;
    let log = LogClient::new(&bus);

    let mut lines = log.lines(7).await?;
    while let Some(line) = lines.next().await {
        let line = line?;
        if line == "line 1000" {
            break; // dropped, it ends the handler's stream
        }
    }
    Ok(())
}
