//! What every transport promises, checked on each of them.
//!
//! A transport is added by a function that opens it and one line at the end of this file.

mod bench;
mod browsing;
mod consuming;
mod delays;
mod lifecycle;
mod publishing;
mod single_active;
mod topology;

/// One test per promise, on the transport that the function of this name in [`bench`] opens.
macro_rules! suite {
    ($transport:ident) => {
        suite! { $transport:
            publishing::a_message_arrives_as_it_was_sent,
            publishing::the_time_left_travels_as_expiration,
            publishing::a_message_that_reaches_no_queue_is_returned_if_mandatory,
            publishing::a_full_queue_refuses,
            publishing::a_queue_is_full_by_bytes_too,
            publishing::a_passed_deadline_is_never_written,
            publishing::what_was_confirmed_can_not_be_withdrawn,
            publishing::an_abandoned_receipt_withdraws_nothing,
            publishing::verdicts_are_true_under_load,
            consuming::messages_come_in_order,
            consuming::prefetch_bounds_what_a_consumer_holds,
            consuming::a_settled_delivery_makes_room,
            consuming::consumers_take_turns,
            consuming::a_requeued_delivery_comes_back_first,
            consuming::a_dropped_delivery_comes_back,
            consuming::an_expired_message_is_not_delivered,
            consuming::a_stopped_consumer_gives_back_what_it_did_not_take,
            consuming::a_stopped_consumer_can_settle_what_it_took,
            consuming::a_dropped_consumer_gives_back_what_it_did_not_take,
            consuming::a_cancelled_next_loses_nothing,
            single_active::one_consumer_gets_all_until_it_stops,
            single_active::all_that_a_stopped_consumer_held_is_back_in_its_place,
            single_active::a_dropped_consumer_is_followed_by_the_next_in_order,
            single_active::who_consumes_again_is_the_last,
            single_active::a_closed_connection_is_followed_by_the_next_in_order,
            single_active::a_queue_with_a_single_active_consumer_is_declared_as_one,
            browsing::a_look_leaves_messages_in_their_order,
            browsing::a_look_removes_what_it_acked,
            browsing::a_dropped_look_gives_back_what_it_held,
            browsing::a_look_sees_what_came_since,
            browsing::a_look_at_no_queue_sees_nothing,
            browsing::a_closed_transport_looks_at_nothing,
            topology::a_queue_can_be_declared_again,
            topology::a_queue_with_other_arguments_is_refused,
            topology::a_queue_that_exists_is_used_as_it_is_if_that_is_allowed,
            topology::a_queue_tells_what_it_holds_and_who_consumes_it,
            topology::a_queue_is_removed_when_nobody_needs_it,
            topology::an_exchange_needs_no_listener,
            topology::patterns_select_events,
            topology::a_queue_bound_twice_gets_an_event_once,
            topology::a_quorum_queue_carries_messages,
            delays::short_and_long_delays_end_in_order_and_none_early,
            delays::a_delayed_message_needs_its_queue_now,
            delays::a_delayed_event_reaches_who_listens_when_it_is_due,
            delays::a_delayed_message_past_its_deadline_is_never_written,
            lifecycle::an_open_transport_is_up,
            lifecycle::close_waits_for_what_was_published,
            lifecycle::close_ends_consumers_and_refuses_publishes,
            lifecycle::close_gives_back_what_was_not_settled,
        }
    };
    ($transport:ident: $($topic:ident::$promise:ident,)*) => {
        mod $transport {
            $(#[tokio::test]
            async fn $promise() {
                super::bench::run(super::bench::$transport().await, |bench| {
                    Box::pin(super::$topic::$promise(bench))
                })
                .await;
            })*
        }
    };
}

suite!(memory);
suite!(rabbitmq);
