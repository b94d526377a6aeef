//! What every transport promises.

mod bench;
mod browsing;
mod consuming;
mod delayed_events;
mod delays;
mod direct;
mod events;
mod lifecycle;
mod limits;
mod publishing;
mod queues;
mod removal;
mod single_active;
mod turns;

use self::bench::Bench;
use crate::wait::checked;
use async_trait::async_trait;
use replybus::transport::TransportBackend;
use std::{fmt, pin::Pin, sync::Arc, time::Duration};

/// A broker that is tested: how it is reached, and cleaned up.
///
/// It is implemented for each backend whose clones open the same broker. One that needs more is a
/// type of its own:
///
/// ```
/// use async_trait::async_trait;
/// use replybus::transport::{TransportBackend, memory::MemoryBroker};
/// use replybus_conformance::{Declared, TransportFixture};
///
/// struct Shared(MemoryBroker);
///
/// #[async_trait]
/// impl TransportFixture for Shared {
///     fn backend(&self) -> Box<dyn TransportBackend> {
///         Box::new(self.0.clone())
///     }
///
///     async fn clear(&self, declared: Declared) {
///         for queue in declared.queues {
///             // Deletes it from the server, which other tests use as well.
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait TransportFixture: Send + Sync + 'static {
    /// What opens a connection to the broker. Each is one of its own, as another process has: to
    /// close it ends no other.
    fn backend(&self) -> Box<dyn TransportBackend>;

    /// Deletes what a case has declared, whether its promise is kept or not. Some of it may be gone,
    /// or never have been there. Does nothing if it is not said how, which is right where the broker
    /// ends with the fixture.
    async fn clear(&self, declared: Declared) {
        let _ = declared;
    }

    /// The time after which a case that has not ended hangs, and fails.
    fn bound(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[async_trait]
impl<B: TransportBackend + Clone + Sync> TransportFixture for B {
    fn backend(&self) -> Box<dyn TransportBackend> {
        Box::new(self.clone())
    }
}

/// What a case has given names to, of which no two are ever the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declared {
    /// The queues.
    pub queues: Vec<String>,
    /// The topic exchanges.
    pub exchanges: Vec<String>,
    /// What the names of all begin with that its messages were delayed in, where there is such.
    pub way: Option<String>,
}

type Check = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One promise of transports, and how it is checked.
#[derive(Clone, Copy)]
pub struct TransportCase {
    group: &'static str,
    name: &'static str,
    optional: bool,
    promise: fn(Arc<Bench>) -> Check,
}

impl TransportCase {
    /// All there are, in the order of their groups.
    ///
    /// ```
    /// use replybus_conformance::TransportCase;
    ///
    /// let required = TransportCase::all().iter().filter(|case| !case.is_optional());
    /// assert!(required.clone().count() > 20);
    /// assert!(required.clone().any(|case| case.name() == "messages_come_in_order"));
    /// ```
    #[must_use]
    pub fn all() -> &'static [Self] {
        CASES
    }

    /// Its group: what is claimed, if it is [optional](Self::is_optional).
    #[must_use]
    pub fn group(self) -> &'static str {
        self.group
    }

    /// The promise, as a name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// `true` if a transport need not do it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self.optional
    }

    /// Checks the promise on a broker. It may be the one of other cases, at the same time as well.
    ///
    /// # Panics
    /// It is not kept, the broker can't be reached, or the case hangs.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves behind what it has declared.
    pub async fn check(self, fixture: impl TransportFixture) {
        let bound = fixture.bound();
        let bench = Arc::new(Bench::new(Box::new(fixture)).await);
        let checked = checked(self, bound, (self.promise)(Arc::clone(&bench))).await;
        bench.clear(bound).await;
        checked.report();
    }

    #[doc(hidden)]
    #[must_use]
    pub fn named(group: &str, name: &str) -> Self {
        let mut cases = CASES.iter();
        match cases.find(|case| case.group == group && case.name == name) {
            Some(case) => *case,
            None => panic!("there is no case {group}::{name}"),
        }
    }
}

impl fmt::Display for TransportCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}

impl fmt::Debug for TransportCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportCase({self})")
    }
}

/// The promises, by their groups, handed on to the macro `$then`.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_promises {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            required publishing {
                a_message_arrives_as_it_was_sent,
                the_time_left_travels_as_expiration,
                a_message_that_reaches_no_queue_is_returned_if_mandatory,
                a_passed_deadline_is_never_written,
                what_was_confirmed_can_not_be_withdrawn,
                an_abandoned_receipt_withdraws_nothing,
            }
            required consuming {
                messages_come_in_order,
                prefetch_bounds_what_a_consumer_holds,
                a_settled_delivery_makes_room,
                a_requeued_delivery_comes_back_first,
                a_dropped_delivery_comes_back,
                an_expired_message_is_not_delivered,
                a_stopped_consumer_gives_back_what_it_did_not_take,
                a_stopped_consumer_can_settle_what_it_took,
                a_dropped_consumer_gives_back_what_it_did_not_take,
                a_cancelled_next_loses_nothing,
            }
            required queues {
                a_queue_can_be_declared_again,
                a_queue_tells_what_it_holds_and_who_consumes_it,
                a_quorum_queue_carries_messages,
            }
            required lifecycle {
                an_open_transport_is_up,
                close_waits_for_what_was_published,
                close_ends_consumers_and_refuses_publishes,
                close_gives_back_what_was_not_settled,
            }
            optional limits {
                a_full_queue_refuses,
                a_queue_is_full_by_bytes_too,
                verdicts_are_true_under_load,
                a_queue_with_other_arguments_is_refused,
                a_queue_that_exists_is_used_as_it_is_if_that_is_allowed,
            }
            optional turns {
                consumers_take_turns,
            }
            optional events {
                an_exchange_needs_no_listener,
                patterns_select_events,
                a_queue_bound_twice_gets_an_event_once,
            }
            optional removal {
                a_queue_is_removed_when_nobody_needs_it,
            }
            optional delays {
                short_and_long_delays_end_in_order_and_none_early,
                a_delayed_message_needs_its_queue_now,
                a_delayed_message_past_its_deadline_is_never_written,
            }
            optional delayed_events {
                a_delayed_event_reaches_who_listens_when_it_is_due,
            }
            optional single_active {
                one_consumer_gets_all_until_it_stops,
                all_that_a_stopped_consumer_held_is_back_in_its_place,
                a_dropped_consumer_is_followed_by_the_next_in_order,
                who_consumes_again_is_the_last,
                a_closed_connection_is_followed_by_the_next_in_order,
                a_queue_with_a_single_active_consumer_is_declared_as_one,
            }
            optional browsing {
                a_look_leaves_messages_in_their_order,
                a_look_removes_what_it_acked,
                a_dropped_look_gives_back_what_it_held,
                a_look_sees_what_came_since,
                a_look_at_no_queue_sees_nothing,
                a_closed_transport_looks_at_nothing,
            }
            optional direct {
                what_is_written_directly_arrives_and_its_departure_is_told,
                what_was_withdrawn_is_not_written_directly,
                a_direct_message_that_reaches_no_queue_is_returned,
                a_closed_transport_gives_back_what_it_was_to_write,
            }
        }
    };
}

const CASES: &[TransportCase] = crate::__transport_promises!(__cases[TransportCase]);
