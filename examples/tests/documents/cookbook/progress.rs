use super::stock::Outcome;

use replybus::{Bus, Context, Never, queue_handler};
use std::time::Duration;

#[queue_handler("press.requests")]
pub trait Press {
    /// Prints pages, until it is done or nobody wants them any more.
    #[command(job = "4h")]
    async fn print(&self, pages: u64) -> Result<u64, Never>;
}

struct Printer;

impl Press for Printer {
    async fn print(&self, pages: u64) -> Result<u64, Never> {
        let context = Context::current();
        for page in 0..pages {
            if context.is_cancelled() {
                return Ok(page);
            }
            context.progress(page, pages, "printing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(pages)
    }
}

#[tokio::test]
async fn a_job_says_how_far_it_is() -> Outcome {
    let bus = Bus::in_memory();
    let _serving = bus.serve(PressServer::new(Printer)).await?;
    let press = PressClient::new(&bus);

    use replybus::TicketStatus;

    let ticket = press.print(100_000).submit().await?;
    let mut updates = ticket.progress(&bus); // in any process that has the ticket
    let first = updates.next().await.unwrap();
    println!("{first}"); // 0 of 100000, printing
    let status = ticket.status(&bus).await?;
    assert!(matches!(status, TicketStatus::Running { attempt: 1, .. }));

    ticket.cancel(&bus).await?;
    assert!(ticket.wait(&bus).await? < 100_000);
    Ok(())
}
