//! The shortest way to a promise that is broken.

use replybus_model::{Action, Protocol};
use stateright::{Checker, HasDiscoveries, Model};

/// The shortest way by which a protocol breaks a promise, which it keeps with fewer faults.
pub(crate) fn shortest(protocol: &Protocol, promise: &'static str) -> Vec<Action> {
    for faults in 0..protocol.faults {
        let protocol = Protocol {
            faults,
            ..protocol.clone()
        };
        protocol
            .checker()
            .spawn_bfs()
            .join()
            .assert_no_discovery(promise);
    }
    let mut way = within(protocol, promise, None).expect("the promise is broken");
    // A checker tells of the last that it finds before it stops, and not of the first.
    while let Some(shorter) = within(protocol, promise, Some(way.len() - 1)) {
        way = shorter;
    }
    way
}

/// A way of so many steps at most.
fn within(protocol: &Protocol, promise: &'static str, steps: Option<usize>) -> Option<Vec<Action>> {
    let checker = protocol.clone().checker();
    let checker = checker.finish_when(HasDiscoveries::AnyOf([promise].into()));
    let checker = match steps {
        // The beginning is at depth 1, and what is at the depth that is set is not looked at.
        Some(steps) => checker.target_max_depth(steps + 2),
        None => checker,
    };
    let way = checker.spawn_bfs().join().discovery(promise)?;
    let actions = way.into_actions();
    assert!(steps.is_none_or(|steps| actions.len() <= steps));
    Some(actions)
}
