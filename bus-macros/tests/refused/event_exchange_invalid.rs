use replybus::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event("account.opened", exchange = "amq.topic")]
pub struct Opened;

fn main() {}
