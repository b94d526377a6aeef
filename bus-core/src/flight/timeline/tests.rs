use super::*;
use crate::presence::InstanceId;

const CALLER: u8 = 1;
const WORKER: u8 = 2;
const OTHER: u8 = 3;

fn id(number: u8) -> CallId {
    CallId::from_bytes([number; 16])
}

fn event(call: u8, by: u8, at_ms: u64, step: FlightStep) -> FlightEvent {
    FlightEvent {
        call: id(call),
        at: UNIX_EPOCH + Duration::from_millis(at_ms),
        step,
        instance: InstanceId::from_bytes([by; 16]),
        program: "bank".into(),
        host: "vienna-1".into(),
    }
}

fn published(awaited: bool, parent: Option<u8>) -> FlightStep {
    FlightStep::Published {
        service: "Accounts".into(),
        method: "post".into(),
        queue: "account.requests".into(),
        awaited,
        repeated: false,
        parent: parent.map(id),
        trace: None,
    }
}

fn taken() -> FlightStep {
    FlightStep::Taken {
        service: "Accounts".into(),
        method: "post".into(),
        queue: "account.requests".into(),
        redelivered: false,
    }
}

fn ok() -> Text {
    "ok".into()
}

fn recorded(events: Vec<FlightEvent>) -> Recorded {
    let mut recorded = Recorded::default();
    recorded.add(events.into_iter());
    recorded
}

#[test]
fn the_time_of_a_call_is_told_apart() {
    let milliseconds = |ms| Some(Duration::from_millis(ms));
    let flight = recorded(vec![
        // Came into the record before what caused it.
        event(9, WORKER, 30, FlightStep::Began { attempt: 1 }),
        event(9, WORKER, 25, taken()),
        event(9, CALLER, 5, published(true, None)),
        // Its worker stood still, and another ran it meanwhile.
        event(9, OTHER, 100, taken()),
        event(9, OTHER, 110, FlightStep::Began { attempt: 2 }),
        event(9, OTHER, 150, FlightStep::Ended { outcome: ok() }),
        event(9, WORKER, 160, FlightStep::Ended { outcome: ok() }),
        event(9, CALLER, 165, FlightStep::Answered { outcome: ok() }),
        event(
            9,
            OTHER,
            170,
            FlightStep::ReplyStored {
                outcome: ok(),
                inbox_absent: false,
            },
        ),
    ])
    .flight(id(9))
    .unwrap();
    assert_eq!(flight.took(), milliseconds(160));
    assert_eq!(flight.outcome(), Some("ok"));
    assert_eq!((&*flight.service, &*flight.method), ("Accounts", "post"));
    let times = flight.times();
    assert_eq!(times.queued, milliseconds(20));
    assert_eq!(times.ran, milliseconds(130 + 40));
    assert_eq!(times.answering, milliseconds(5));
}

#[test]
fn calls_within_a_call_are_found_by_who_made_them() {
    let events = vec![
        event(1, CALLER, 0, published(true, None)),
        event(3, WORKER, 20, published(false, Some(1))),
        event(2, WORKER, 10, published(true, Some(1))),
        event(4, OTHER, 15, published(true, Some(2))),
        event(7, CALLER, 5, published(true, None)),
    ];
    let flight = recorded(events.clone()).flight(id(1)).unwrap();
    let nested: Vec<_> = flight.nested.iter().map(|within| within.call).collect();
    assert_eq!(nested, [id(2), id(3)]);
    assert_eq!(flight.nested[0].nested[0].call, id(4));
    let of_within = recorded(events).flight(id(4)).unwrap();
    assert_eq!((of_within.parent, of_within.nested.len()), (Some(id(2)), 0));
}

#[test]
fn the_calls_of_a_trace_are_found_with_those_within_them() {
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
    let of_trace = |parent| match published(true, parent) {
        FlightStep::Published {
            service,
            method,
            queue,
            awaited,
            repeated,
            parent,
            ..
        } => FlightStep::Published {
            service,
            method,
            queue,
            awaited,
            repeated,
            parent,
            trace: Some(format!("{trace:032x}").into()),
        },
        other => other,
    };
    let events = vec![
        event(3, CALLER, 20, of_trace(None)),
        event(1, CALLER, 0, of_trace(None)),
        event(2, WORKER, 10, of_trace(Some(1))),
        event(4, CALLER, 30, published(true, None)),
    ];
    let calls = |trace| {
        let flights = recorded(events.clone()).flights_of_trace(trace);
        flights
            .into_iter()
            .map(|flight| flight.call)
            .collect::<Vec<_>>()
    };
    assert_eq!(calls(trace), [1, 3].map(id));
    // The trace that begins with a call is named after it.
    assert_eq!(calls(u128::from_be_bytes([4; 16])), [id(4)]);
    assert_eq!(calls(1), []);
}

#[test]
fn forged_circles_and_endless_depths_end() {
    let circle = vec![
        event(1, CALLER, 0, published(true, Some(2))),
        event(2, CALLER, 0, published(true, Some(1))),
        event(3, CALLER, 0, published(true, Some(3))),
    ];
    assert_eq!(
        recorded(circle.clone()).flight(id(1)).unwrap().nested.len(),
        1
    );
    assert_eq!(recorded(circle).flight(id(3)).unwrap().nested.len(), 0);
    let chain = (1..=200).map(|n| event(n, CALLER, 0, published(true, Some(n - 1))));
    let mut flight = recorded(chain.collect()).flight(id(0)).unwrap();
    let mut depth = 0;
    while let Some(within) = flight.nested.pop() {
        (flight, depth) = (within, depth + 1);
    }
    assert_eq!(depth, FLIGHT_DEPTH_MAX);
}

#[test]
fn of_what_was_not_recorded_there_is_nothing() {
    assert_eq!(recorded(Vec::new()).flight(id(1)), None);
    // An event's handler makes calls, and the event itself is not recorded.
    let within = vec![event(2, WORKER, 10, published(true, Some(1)))];
    let flight = recorded(within).flight(id(1)).unwrap();
    assert_eq!((flight.events.len(), flight.nested.len()), (0, 1));
    assert_eq!((flight.took(), flight.outcome()), (None, None));
}

#[test]
fn the_slowest_come_first_and_those_without_an_end_count() {
    let answered = |call, at| event(call, CALLER, at, FlightStep::Answered { outcome: ok() });
    let events = vec![
        event(1, CALLER, 1_000, published(true, None)),
        answered(1, 1_010),
        event(2, CALLER, 1_000, published(true, None)),
        answered(2, 1_500),
        // Under way for fifty years.
        event(3, CALLER, 1_000, published(true, None)),
        event(3, WORKER, 1_001, taken()),
        // Nobody waits: over with its last event.
        event(4, CALLER, 1_000, published(false, None)),
        event(4, WORKER, 1_200, FlightStep::Ended { outcome: ok() }),
        // Too early, and without a beginning.
        event(5, CALLER, 900, published(true, None)),
        answered(5, 9_000),
        answered(6, 9_000),
    ];
    let slowest = |queue, count| {
        let since = Duration::from_millis(950);
        let flights = recorded(events.clone()).slowest(queue, since, count);
        flights
            .into_iter()
            .map(|flight| flight.call)
            .collect::<Vec<_>>()
    };
    assert_eq!(slowest(None, 10), [3, 2, 4, 1].map(id));
    assert_eq!(slowest(Some("account.requests"), 2), [3, 2].map(id));
    assert_eq!(slowest(Some("other.requests"), 2), []);
}
