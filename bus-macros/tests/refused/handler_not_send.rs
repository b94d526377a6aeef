use replybus::queue_handler;

#[queue_handler("accounts")]
pub trait Accounts {
    async fn open(&self, name: String) -> Result<(), String>;
}

struct Branch;

impl Accounts for Branch {
    async fn open(&self, name: String) -> Result<(), String> {
        let name = std::rc::Rc::new(name);
        std::future::ready(()).await;
        drop(name);
        Ok(())
    }
}

fn main() {}
