//! Messages in a queue of dead letters, which services put there and so can others: each is shown, is
//! put back or stays with a reason, and can be thrown away.

use crate::{
    arbitrary,
    foreign::Foreign,
    world::{World, to_its_end},
};
use replybus::{
    dead_letters::DeadLetter,
    transport::{QueueSpec, Transport as _},
};

const QUEUE: &str = "fuzz.requests";
const LETTERS: &str = "fuzz.requests.dead";

pub(crate) fn run(data: &[u8]) {
    if let Some((may_run_twice, messages)) = arbitrary(data) {
        to_its_end(look(may_run_twice, messages));
    }
}

async fn look(may_run_twice: bool, messages: Vec<Foreign>) {
    let world = World::new().await;
    for queue in [QUEUE, LETTERS] {
        let declared = world.stranger.declare(QueueSpec::new(queue)).await;
        declared.expect("it is new");
    }
    let most = messages.len() as u64;
    world.publish_all(messages, LETTERS).await;
    let letters = world.bus.dead_letters(QUEUE);
    // Without those whose time was over at once.
    let there = world
        .bus
        .inspect(LETTERS)
        .await
        .expect("it is there")
        .unwrap();
    let count = there.waiting;
    assert!(count <= most);
    let page = letters.list(0..100).await.expect("it can be looked at");
    assert_eq!(page.total, count);
    page.letters.iter().for_each(show);
    let redrive = letters.redrive(|_| true);
    let redrive = match may_run_twice {
        true => redrive.may_run_twice(),
        false => redrive,
    };
    let redriven = redrive.await.expect("the queue takes all");
    assert_eq!(redriven.redriven + redriven.stayed, count);
    assert_eq!(redriven.why_stayed.is_some(), redriven.stayed > 0);
    let back = world
        .bus
        .inspect(QUEUE)
        .await
        .expect("it is there")
        .unwrap();
    assert_eq!(
        back.waiting, redriven.redriven,
        "they go where they came from"
    );
    let purged = letters.purge(|_| true).await.expect("it can be emptied");
    assert_eq!(purged, redriven.stayed);
    world.is_empty(LETTERS).await;
}

/// All that a letter says.
fn show(letter: &DeadLetter) {
    assert_eq!(letter.malformed().is_some(), {
        let is_said = letter.message().properties.header("dead-letter-malformed") == Some("true");
        letter.reason().is_empty() || is_said
    });
    let _ = (letter.id(), letter.name(), letter.caller(), letter.error());
    let _ = (letter.died_at(), letter.sent_at(), letter.known_until());
    let _ = (
        letter.may_have_executed(),
        letter.attempts(),
        letter.redriven(),
    );
    let _ = (letter.shortened(), letter.arguments::<serde_json::Value>());
    assert!(letter.retry_errors().count() <= 21);
    let shown = format!("{letter:?}");
    assert!(shown.starts_with("DeadLetter"));
}
