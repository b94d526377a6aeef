use replybus::{Never, queue_handler};
use replybus_sim::{Faults, History, Node, ProcessError, Simulation, Violation, check, invariants};
use std::time::Duration;

#[queue_handler("counter.requests", timeout = "10s")]
trait Counter {
    async fn count(&self, key: String) -> Result<u64, Never>;
}

struct Counting {
    node: Node,
    history: History,
}

impl Counter for Counting {
    async fn count(&self, key: String) -> Result<u64, Never> {
        self.node.step("opens a transaction").await; // may be killed here,
        let count = self.history.did_once(&key, 1); // a row with a unique key
        self.node.step("has committed it").await; // or here
        Ok(count)
    }
}

async fn serve(node: Node, history: History) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    let counting = Counting {
        node: node.clone(),
        history,
    };
    let serving = bus.serve(CounterServer::new(counting)).await?;
    node.stopped().await;
    serving.shutdown().await?;
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

async fn call(node: Node, history: History) -> Result<(), ProcessError> {
    let bus = node.connect().await?;
    let key = format!("key {}", node.life());
    let asked = history.asks(&*key);
    let told = CounterClient::new(&bus)
        .count(key.clone())
        .idempotency_key(key)
        .await;
    history.is_told(asked, &told);
    bus.close(Duration::from_secs(5)).await;
    Ok(())
}

#[test]
fn what_is_counted_is_counted_once_whatever_fails() {
    check(
        20,
        &Faults::all(),
        |simulation: &mut Simulation| -> Result<(), Violation> {
            let history = History::new();
            for name in ["one", "another"] {
                let history = history.clone();
                simulation.service(name, move |node| serve(node, history.clone()));
            }
            let asking = history.clone();
            simulation.caller("caller", move |node| call(node, asking.clone()));
            let ended = simulation.run()?;
            invariants::answered_truthfully(&history)?;
            invariants::effects_are_present_once(&history)?;
            invariants::no_message_is_left(&ended)
        },
    );
}
