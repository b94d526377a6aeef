//! What every reply store promises.

mod bench;
mod cache;
mod cancels;
mod claims;
mod delayed_notes;
mod flight;
mod given_up;
mod inboxes;
mod instances;
mod keys;
mod retention;
mod streams;

use self::bench::Bench;
use crate::wait::checked;
use async_trait::async_trait;
use replybus::reply::ReplyBackend;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// A reply store that is tested: how it is opened, and cleaned up.
///
/// It is implemented for each backend whose clones open the same store. One that needs more is a
/// type of its own, as with a [`TransportFixture`](crate::TransportFixture).
#[async_trait]
pub trait StoreFixture: Send + Sync + 'static {
    /// What opens the store, once for each process that a case has: each has an inbox of its own.
    fn backend(&self) -> Box<dyn ReplyBackend>;

    /// Deletes all that is kept in the namespaces of a case, whether its promise is kept or not. Does
    /// nothing if it is not said how: nothing that a case keeps is kept for longer than an hour.
    async fn clear(&self, namespaces: Vec<String>) {
        let _ = namespaces;
    }

    /// The time after which a case that has not ended hangs, and fails.
    fn bound(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[async_trait]
impl<B: ReplyBackend + Clone + Sync> StoreFixture for B {
    fn backend(&self) -> Box<dyn ReplyBackend> {
        Box::new(self.clone())
    }
}

type Check = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One promise of reply stores, and how it is checked.
#[derive(Clone, Copy)]
pub struct StoreCase {
    group: &'static str,
    name: &'static str,
    optional: bool,
    promise: fn(Bench) -> Check,
}

impl StoreCase {
    /// All there are, in the order of their groups.
    ///
    /// ```
    /// use replybus::reply::memory::MemoryReplies;
    /// use replybus_conformance::StoreCase;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let keys = StoreCase::all().iter().filter(|case| case.group() == "keys");
    /// for case in keys {
    ///     println!("{case}");
    /// #   if case.name() != "a_kept_reply_expires" {
    ///     case.check(MemoryReplies::new()).await;
    /// #   }
    /// }
    /// # }
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

    /// `true` if a store need not do it.
    #[must_use]
    pub fn is_optional(self) -> bool {
        self.optional
    }

    /// Checks the promise on a store. It may be the one of other cases, at the same time as well.
    ///
    /// # Panics
    /// It is not kept, the store can't be reached, or the case hangs.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves behind what it has stored, until that expires.
    pub async fn check(self, fixture: impl StoreFixture) {
        let bound = fixture.bound();
        let fixture: Arc<dyn StoreFixture> = Arc::new(fixture);
        let namespaces: Arc<Mutex<Vec<String>>> = Arc::default();
        let bench = Bench::new(Arc::clone(&fixture), Arc::clone(&namespaces));
        let checked = checked(self, bound, (self.promise)(bench)).await;
        let namespaces = std::mem::take(&mut *lock(&namespaces));
        fixture.clear(namespaces).await;
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

fn lock(namespaces: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    namespaces.lock().unwrap()
}

impl fmt::Display for StoreCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}

impl fmt::Debug for StoreCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreCase({self})")
    }
}

/// The promises, by their groups, handed on to the macro `$then`.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_promises {
    ($then:ident $with:tt) => {
        $crate::$then! { $with
            required inboxes {
                a_reply_reaches_the_inbox_it_names,
                every_reply_arrives,
                replies_in_groups_reach_their_inboxes,
                a_reply_to_an_inbox_that_is_gone_is_kept,
                only_inboxes_are_inboxes,
                namespaces_are_apart,
                a_closed_store_is_down,
            }
            required keys {
                a_reply_is_kept_under_its_key,
                the_first_reply_wins,
                a_kept_reply_expires,
                a_one_way_reply_is_kept_nowhere,
            }
            required claims {
                one_of_many_runs,
                the_same_owner_gets_the_same_answer,
                an_outcome_is_stored_with_its_reply,
                the_first_outcome_wins,
                another_fingerprint_is_a_conflict,
                a_lapsed_claim_goes_to_the_next_owner,
                an_owner_that_lost_its_claim_records_nothing,
                callers_of_one_command_get_one_outcome,
                a_claim_whose_record_is_gone_is_made_again,
                a_renewed_claim_does_not_lapse,
                who_was_away_may_renew_before_another_runs,
                a_record_tells_what_became_of_its_command,
                a_claim_without_a_lease_holds_nobody_off_and_counts,
                a_released_claim_does_not_count,
                a_run_that_lapsed_counts,
            }
            required cancels {
                what_is_cancelled_before_it_starts_never_does,
                what_runs_or_is_done_is_not_cancelled,
                what_was_interrupted_is_not_started_again_once_cancelled,
                what_was_cancelled_while_it_ran_is_not_begun_anew,
                a_cancel_and_claims_at_once_agree,
            }
            required retention {
                an_outcome_is_forgotten_after_its_retention,
                a_record_that_is_forgotten_lets_nobody_run_it_again,
                an_outcome_is_kept_until_its_moment,
                what_is_known_outlives_its_moment,
            }
            optional streams {
                frames_of_a_stream_come_in_order,
                a_frame_for_an_inbox_that_is_gone_is_stored_nowhere,
            }
            optional instances {
                who_serves_a_queue_is_listed_until_withdrawn,
                who_is_not_heard_of_any_more_is_gone,
                queues_are_listed_until_the_last_who_serves_one_withdraws,
                instances_of_other_namespaces_are_not_listed,
                a_record_that_is_too_large_is_not_read,
            }
            optional given_up {
                what_was_given_up_is_known_until_its_time_is_over,
            }
            optional delayed_notes {
                what_waits_is_listed_until_it_is_due_or_forgotten,
                a_note_that_is_too_large_is_not_read,
            }
            optional flight {
                events_are_read_in_the_order_in_which_they_came,
                of_more_events_than_are_kept_the_latest_are,
            }
            optional cache {
                an_answer_is_kept_until_a_tag_of_it_is_invalidated,
                an_answer_that_was_overtaken_is_never_given,
                one_of_many_who_look_has_the_turn,
                a_turn_that_is_not_held_on_to_goes_to_the_next,
                an_answer_goes_when_its_time_is_over,
                an_answer_is_given_as_it_was_kept,
            }
        }
    };
}

const CASES: &[StoreCase] = crate::__store_promises!(__cases[StoreCase]);
