//! Calls that were given up because nobody served them.

use super::bench::{Bench, LONG, SHORT, changed};
use replybus::CallId;

pub(crate) async fn what_was_given_up_is_known_until_its_time_is_over(bench: Bench) {
    let (caller, worker) = (bench.open().await, bench.open().await);
    let given_up = async || {
        let mut calls = worker.store.given_up("work.requests").await.unwrap();
        calls.sort();
        assert!(calls.iter().all(|(_, left)| *left <= LONG));
        calls.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(given_up().await, []);
    let [long, short, other] = [(); 3].map(|()| CallId::new());
    for (queue, id, within) in [
        ("work.requests", long, LONG),
        ("work.requests", short, SHORT),
        ("other.requests", other, LONG),
    ] {
        assert!(caller.store.give_up(queue, id, within).await.unwrap());
    }
    assert_eq!(given_up().await, [long, short]);
    assert_eq!(changed(vec![long, short], given_up).await, [long]);
}
