//! What the bank promises over HTTP, row by row. The same suite runs on the bank's embedded default
//! and on RabbitMQ, Redis and PostgreSQL with each service in processes of its own.
//!
//! Without servers the second is skipped, unless `BUS_REQUIRE_LIVE=1`.

mod account;
mod admin;
mod auth;
mod expect;
mod export;
mod gateway;
mod live;
mod months;
mod notification;
mod outage;
mod owasp;
mod processes;
mod standing;
mod transfer;
mod trust;

use crate::program;
use futures_util::FutureExt as _;
use std::{future::Future, panic::AssertUnwindSafe};
use town::{Bank, site::Servers};

/// A bank of many processes, if there are servers.
async fn live_bank() -> Option<Bank> {
    let servers = Servers::found().await?;
    Some(Bank::live(program(), servers).await.unwrap())
}

/// Runs each promise by itself, and tells of all that are broken.
macro_rules! suite {
    ($($module:ident: $($promise:ident),+;)+) => {
        async fn suite(bank: &Bank) {
            let mut broken = Vec::new();
            $($(
                if !is_kept(stringify!($promise), $module::$promise(bank)).await {
                    broken.push(concat!(stringify!($module), "::", stringify!($promise)));
                }
            )+)+
            assert!(broken.is_empty(), "broken: {broken:#?}");
        }
    };
}

async fn is_kept(name: &str, promise: impl Future<Output = ()>) -> bool {
    let kept = AssertUnwindSafe(promise).catch_unwind().await.is_ok();
    println!("{} {name}", if kept { "kept  " } else { "BROKEN" });
    kept
}

suite! {
    gateway:
        the_gateway_and_every_service_say_that_they_are_up,
        metrics_are_counted,
        the_page_is_there,
        every_route_is_described,
        every_answer_carries_the_id_of_its_call,
        what_is_not_there_says_so_in_json,
        a_body_that_is_no_object_is_refused,
        a_body_over_the_limit_is_413,
        unknown_fields_are_ignored,
        the_dashboard_joins_three_services;
    auth:
        a_registration_answers_with_the_new_account,
        a_name_or_phone_that_is_taken_is_409,
        a_registration_with_a_wrong_field_is_400_and_names_it,
        a_login_by_name_or_phone_begins_a_session,
        wrong_credentials_are_all_the_same_401,
        a_logout_ends_the_session_everywhere_and_no_other;
    trust:
        no_route_of_a_user_answers_without_a_session,
        no_route_of_a_user_takes_a_forged_session,
        a_session_travels_as_a_bearer_token_too;
    account:
        me_and_balance_are_the_users_own,
        an_account_number_tells_its_holders_name,
        a_deposit_and_a_withdrawal_answer_with_the_new_balance,
        nobody_withdraws_what_they_do_not_have,
        the_same_key_pays_once,
        a_key_belongs_to_its_user,
        an_amount_that_is_none_is_400_and_moves_nothing,
        a_statement_lists_the_newest_first_by_pages;
    export:
        a_statement_is_a_file_for_other_programs;
    months:
        a_statement_of_a_month_is_made_for_its_user_alone;
    transfer:
        money_moves_by_name_and_by_number,
        the_same_key_moves_money_once_and_answers_the_same,
        the_same_key_for_something_else_is_409,
        a_rejection_stays_one,
        nobody_pays_themselves_or_somebody_who_is_not_there,
        an_order_that_makes_no_sense_is_400,
        both_sides_see_a_transfer,
        crossing_transfers_all_get_through;
    standing:
        a_standing_order_moves_money_when_its_time_comes;
    notification:
        both_sides_are_told_once,
        a_deposit_and_a_withdrawal_are_told_once_and_live,
        what_was_read_is_marked,
        a_notification_arrives_live_at_every_gateway,
        nobody_hears_what_is_not_for_them,
        a_socket_without_a_good_session_closes_with_1008,
        a_socket_closes_with_1008_when_its_session_ends;
    admin:
        nothing_is_told_without_the_secret,
        totals_count_everything,
        users_are_found_by_name_and_number,
        a_user_is_found_by_id,
        transfers_are_listed_for_all_and_for_one,
        notifications_are_listed_for_all_and_for_one;
    owasp:
        api1_what_is_anothers_is_not_there,
        api2_a_session_ends_and_a_guess_tells_nothing,
        api3_nobody_sets_or_reads_more_than_is_theirs,
        api4_whatever_is_asked_has_a_largest_size,
        api5_a_user_is_no_administrator,
        api6_haste_moves_no_more_money,
        api7_no_text_leads_the_bank_to_an_address,
        api8_an_answer_is_safe_in_a_browser_and_tells_nothing_of_within,
        api9_what_is_described_is_there_and_nothing_else,
        api10_what_came_from_elsewhere_stays_a_text;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bank_in_one_process_keeps_its_promises() {
    let bank = Bank::embedded(program()).await.unwrap();
    bank.lent_to(suite).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bank_on_real_servers_keeps_its_promises() {
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(suite).await.unwrap();
}
