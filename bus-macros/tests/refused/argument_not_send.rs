use replybus::queue_handler;

#[derive(serde::Serialize, serde::Deserialize)]
pub struct Name(std::marker::PhantomData<*const ()>);

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, name: Name) -> Result<(), String>;
}

fn main() {}
