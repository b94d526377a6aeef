//! Answers to what is asked over the control line, by whoever hears the questions: one that can't be
//! read, or be shown to people, is passed over, and all that is told is bounded.

use crate::{
    records::{Shared, is_shown},
    world::to_its_end,
};
use bytes::Bytes;
use replybus::{
    Bus, CallId,
    control::Control,
    limits::{CONTRACT_ANSWER_BYTES_MAX, PROGRESS_NOTE_BYTES_MAX},
    reply::{Reply, ReplyTarget},
    transport::{Binding, QueueSpec, Settled, Source, Transport as _, memory::MemoryBroker},
};
use std::time::Duration;

const QUEUE: &str = "fuzz.requests";

pub(crate) fn run(data: &[u8]) {
    let Some((&verb, data)) = data.split_first() else {
        return;
    };
    // Several answers, a line each.
    let answers = data.split(|byte| *byte == b'\n').take(8);
    to_its_end(ask(verb, answers.map(Bytes::copy_from_slice).collect()));
}

async fn ask(verb: u8, answers: Vec<Bytes>) {
    let (broker, shared) = (MemoryBroker::new(), Shared::default());
    let stranger = broker.connect();
    let bus = Bus::connect(broker, shared.clone()).await;
    let (bus, store) = (bus.expect("it is in this process"), shared.store());
    let source = Source::new(QueueSpec::new("a.stranger"), 8);
    let source = source.bind(Binding::new("replybus.control", QUEUE));
    let mut asked = stranger.consume(source).await.expect("it is new");
    let count = answers.len();
    let answering = async {
        let question = asked.next().await.expect("it is asked");
        let properties = &question.message.properties;
        let id: CallId = properties
            .correlation_id
            .as_deref()
            .unwrap()
            .parse()
            .unwrap();
        let inbox = properties.reply_to.clone().expect("it is to be answered");
        for answer in answers {
            let reply = Reply::new(id, ReplyTarget::Inbox(inbox.clone()), answer);
            store.store(reply).await.unwrap();
        }
        question.settler.settle(Settled::Ack);
    };
    let control = bus.control(QUEUE).within(Duration::from_secs(1));
    let (told, ()) = tokio::join!(told(verb, &control), answering);
    assert!(told <= count, "an instance answers once");
}

/// The number of those who answered what can be told.
async fn told(verb: u8, control: &Control) -> usize {
    match verb % 6 {
        0 => control.ping().await.unwrap().len(),
        1 => {
            let instances = control.info().await.unwrap();
            for instance in &instances {
                is_shown(&instance.service);
                is_shown(&instance.program);
                is_shown(&instance.host);
            }
            instances.len()
        }
        2 => {
            let all = control.stats().await.unwrap();
            for stats in all.iter().flat_map(|of| &of.methods) {
                let (name, stats) = stats;
                is_shown(name);
                let _ = (stats.took.quantile(0.99), stats.waited.count());
            }
            all.len()
        }
        3 => {
            let contracts = control.contracts().await.unwrap();
            for contract in &contracts {
                let document = contract.document.as_deref().unwrap_or_default();
                assert!(document.len() <= CONTRACT_ANSWER_BYTES_MAX);
            }
            contracts.len()
        }
        4 => {
            let all = control.jobs().await.unwrap();
            for job in all.iter().flat_map(|of| &of.jobs) {
                is_shown(&job.method);
                let note = job.progress.as_ref().map(|progress| progress.note.as_str());
                let note = note.unwrap_or_default();
                assert!(note.len() <= PROGRESS_NOTE_BYTES_MAX, "{note:?}");
            }
            all.len()
        }
        _ => control.drain(Duration::ZERO).await.unwrap().len(),
    }
}
