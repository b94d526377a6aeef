use replybus::{Never, queue_handler, stream::Items};

#[queue_handler("log.requests")]
trait Log {
    #[stream]
    async fn both(&self, #[stream] lines: Items<String>) -> Result<Items<String, Never>, Never>;

    async fn two(
        &self,
        #[stream] lines: Items<String>,
        #[stream] more: Items<String>,
    ) -> Result<(), Never>;

    #[command(job = "1h")]
    async fn job(&self, #[stream] lines: Items<String>) -> Result<(), Never>;

    #[command(retry)]
    async fn retried(&self, #[stream] lines: Items<String>) -> Result<(), Never>;

    async fn options(&self, #[stream(window = 3)] lines: Items<String>) -> Result<(), Never>;

    async fn twice(&self, #[stream] #[stream] lines: Items<String>) -> Result<(), Never>;
}

fn main() {}
