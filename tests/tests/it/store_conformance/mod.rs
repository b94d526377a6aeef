//! What every reply store promises, checked on each of them.
//!
//! A store is added by a function that opens it and one line at the end of this file.

mod bench;
mod cache;
mod claims;
mod delayed;
mod flight;
mod inboxes;
mod instances;
mod keys;

/// One test per promise, on the store that the function of this name in [`bench`] opens.
macro_rules! suite {
    ($store:ident) => {
        suite! { $store:
            inboxes::a_reply_reaches_the_inbox_it_names,
            inboxes::every_reply_arrives,
            inboxes::replies_in_groups_reach_their_inboxes,
            inboxes::frames_of_a_stream_come_in_order,
            inboxes::a_frame_for_an_inbox_that_is_gone_is_stored_nowhere,
            inboxes::a_reply_to_an_inbox_that_is_gone_is_kept,
            inboxes::only_inboxes_are_inboxes,
            inboxes::namespaces_are_apart,
            inboxes::a_closed_store_is_down,
            keys::a_reply_is_kept_under_its_key,
            keys::the_first_reply_wins,
            keys::a_kept_reply_expires,
            keys::a_one_way_reply_is_kept_nowhere,
            claims::one_of_many_runs,
            claims::the_same_owner_gets_the_same_answer,
            claims::an_outcome_is_stored_with_its_reply,
            claims::the_first_outcome_wins,
            claims::another_fingerprint_is_a_conflict,
            claims::a_lapsed_claim_goes_to_the_next_owner,
            claims::an_owner_that_lost_its_claim_records_nothing,
            claims::callers_of_one_command_get_one_outcome,
            claims::a_claim_whose_record_is_gone_is_made_again,
            claims::a_renewed_claim_does_not_lapse,
            claims::who_was_away_may_renew_before_another_runs,
            claims::what_is_cancelled_before_it_starts_never_does,
            claims::what_runs_or_is_done_is_not_cancelled,
            claims::what_was_interrupted_is_not_started_again_once_cancelled,
            claims::what_was_cancelled_while_it_ran_is_not_begun_anew,
            claims::a_cancel_and_claims_at_once_agree,
            claims::a_record_tells_what_became_of_its_command,
            claims::a_claim_without_a_lease_holds_nobody_off_and_counts,
            claims::a_released_claim_does_not_count,
            claims::a_run_that_lapsed_counts,
            claims::an_outcome_is_forgotten_after_its_retention,
            claims::a_record_that_is_forgotten_lets_nobody_run_it_again,
            claims::an_outcome_is_kept_until_its_moment,
            claims::what_is_known_outlives_its_moment,
            instances::who_serves_a_queue_is_listed_until_withdrawn,
            instances::who_is_not_heard_of_any_more_is_gone,
            instances::queues_are_listed_until_the_last_who_serves_one_withdraws,
            instances::instances_of_other_namespaces_are_not_listed,
            instances::a_record_that_is_too_large_is_not_read,
            delayed::what_waits_is_listed_until_it_is_due_or_forgotten,
            delayed::a_note_that_is_too_large_is_not_read,
            instances::what_was_given_up_is_known_until_its_time_is_over,
            flight::events_are_read_in_the_order_in_which_they_came,
            flight::of_more_events_than_are_kept_the_latest_are,
            cache::an_answer_is_kept_until_a_tag_of_it_is_invalidated,
            cache::an_answer_that_was_overtaken_is_never_given,
            cache::one_of_many_who_look_has_the_turn,
            cache::a_turn_that_is_not_held_on_to_goes_to_the_next,
            cache::an_answer_goes_when_its_time_is_over,
            cache::an_answer_is_given_as_it_was_kept,
        }
    };
    ($store:ident: $($topic:ident::$promise:ident,)*) => {
        mod $store {
            $(#[tokio::test]
            async fn $promise() {
                super::bench::run(super::bench::$store().await, |bench| {
                    Box::pin(super::$topic::$promise(bench))
                })
                .await;
            })*
        }
    };
}

suite!(memory);
suite!(redis);
