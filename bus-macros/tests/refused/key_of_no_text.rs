use replybus::queue_handler;

#[queue_handler("payments", partitions = 16)]
pub trait Payments {
    async fn pay(&self, #[key] amount: f64) -> Result<(), String>;
}

fn main() {}
