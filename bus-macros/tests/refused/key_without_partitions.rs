use replybus::queue_handler;

#[queue_handler("payments")]
pub trait Payments {
    async fn pay(&self, #[key] account: String) -> Result<(), String>;
}

fn main() {}
