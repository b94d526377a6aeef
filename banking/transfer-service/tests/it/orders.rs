//! What a user asks for, and what they are told.

use crate::{
    accounts::Script,
    bank::{Bank, named, order},
    on_both_databases,
};
use contracts::{
    Movement, Refused, TransactionCompleted,
    account::Recipient,
    transfer::{Direction, TransferError, TransferOrder, TransferStatus},
};
use futures_util::future::join_all;
use replybus::CallError;
use std::{collections::HashSet, sync::Arc};
use town::wait::soon;

on_both_databases! {
    money_goes_to_the_recipient_and_everybody_is_told_once,
    the_same_key_again_gives_the_same_answer_and_moves_nothing,
    one_key_at_once_from_twenty_tasks_is_one_transfer,
    a_key_with_another_body_is_a_conflict,
    what_a_transfer_is_for_goes_with_it,
    another_users_same_key_is_another_transfer,
    a_rejection_is_repeated_though_money_has_arrived,
    who_is_not_there_and_oneself_can_not_be_paid_and_the_key_stays_free,
    a_key_given_to_the_bus_remembers_nothing_that_passes,
}

async fn money_goes_to_the_recipient_and_everybody_is_told_once(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (told, mut events) = tokio::sync::mpsc::unbounded_channel();
    let group = move |event: TransactionCompleted| {
        let _ = told.send(event);
        async {}
    };
    let _group = bank.platform.bus.subscribe("told", group).await.unwrap();
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );

    let receipt = ada.pay("BOB", 200, "rent").await.unwrap();
    assert_eq!((receipt.ok, receipt.amount.minor_units()), (true, 200));
    assert_eq!((receipt.from.as_str(), receipt.to.as_str()), ("ada", "bob"));
    assert_eq!(receipt.to_account_number, bob.party.account_number);
    assert_eq!(bank.accounts.balance(&ada.party.account_number), 300);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);

    let event = soon("an event", events.recv()).await.unwrap();
    let (from, to) = (ada.party.clone(), bob.party.clone());
    assert_eq!(event.movement, Movement::Transfer { from, to });
    // What is signed is what is told, by this service alone.
    let signed = TransactionCompleted {
        proof: None,
        ..event.clone()
    };
    assert_eq!(bank.platform.identity.proved(&event).unwrap(), signed);
    assert_eq!(event.amount.minor_units(), 200);
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken(), [event.id.to_string()]);
    assert_eq!(bank.accounts.posted(), [event.id]);

    for (customer, direction) in [(&ada, Direction::Sent), (&bob, Direction::Received)] {
        let seen = customer.transactions().await;
        let [transfer] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!((transfer.id, transfer.direction), (event.id, direction));
        assert_eq!(transfer.status, TransferStatus::Completed);
    }
}

async fn the_same_key_again_gives_the_same_answer_and_moves_nothing(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    let first = ada.pay("bob", 200, "rent").await.unwrap();
    assert_eq!(ada.pay("bob", 200, "rent").await.as_ref(), Ok(&first));
    process.stop().await;
    let _another = bank.start().await;
    assert_eq!(ada.pay("bob", 200, "rent").await, Ok(first));
    assert_eq!(bank.accounts.times_asked_to_post(), 1);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    assert_eq!(bank.broker.taken().len(), 1);
}

async fn one_key_at_once_from_twenty_tasks_is_one_transfer(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _replicas = [bank.start().await, bank.start().await];
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    let answers = (0..20).map(|_| {
        let ada = ada.clone();
        tokio::spawn(async move { ada.pay_in_the_end("bob", 200, "rent").await })
    });
    let answers = join_all(answers).await;
    let first = answers[0].as_ref().unwrap().clone().unwrap();
    for answer in answers {
        assert_eq!(answer.unwrap().unwrap(), first);
    }
    assert_eq!(bank.accounts.posted().len(), 1);
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    assert_eq!(bank.count("transfers").await, 1);
    bank.outbox_is_empty().await;
    assert_eq!(bank.broker.taken().len(), 1);
}

async fn a_key_with_another_body_is_a_conflict(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    bank.customer("eve", 0).await;
    ada.pay("bob", 200, "rent").await.unwrap();
    let by_number = Recipient::AccountNumber(bob.party.account_number.clone());
    for other in [
        order(named("bob"), 201, "rent"),
        order(named("eve"), 200, "rent"),
        order(named("nobody"), 200, "rent"),
        order(by_number, 200, "rent"),
    ] {
        let answer = ada.order(other).await;
        let refused = answer.unwrap_err();
        assert_eq!(refused.handler(), Some(&TransferError::KeyConflict));
    }
    assert_eq!(bank.accounts.balance(&ada.party.account_number), 300);
}

async fn what_a_transfer_is_for_goes_with_it(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    let rent = |text: Option<&str>| TransferOrder {
        reference: text.map(|text| text.parse().unwrap()),
        ..order(named("bob"), 200, "rent")
    };
    let text = "Tiền nhà, tháng 3";
    let paid = ada.order(rent(Some(text))).await.unwrap();
    assert_eq!(ada.order(rent(Some(text))).await.unwrap(), paid);
    for other in [None, Some("something else")] {
        match ada.order(rent(other)).await {
            Err(CallError::Handler(error)) => assert_eq!(error, TransferError::KeyConflict),
            answer => panic!("{answer:?}"),
        }
    }
    for customer in [&ada, &bob] {
        let seen = customer.transactions().await;
        let reference = seen[0].reference.as_ref();
        assert_eq!(reference.map(|reference| reference.as_str()), Some(text));
    }
    // The ledger is told as well, for the statement.
    let posted = bank.accounts.references();
    assert_eq!(posted, [Some(text.to_owned())]);
}

async fn another_users_same_key_is_another_transfer(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 500).await,
    );
    ada.pay("bob", 200, "rent").await.unwrap();
    bob.pay("ada", 50, "rent").await.unwrap();
    assert_eq!(bank.accounts.posted().len(), 2);
    assert_eq!(bank.accounts.balance(&ada.party.account_number), 350);
    // A key that looks like the end of another's is another as well.
    ada.pay("bob", 1, "0:rent").await.unwrap();
    assert_eq!(bank.accounts.posted().len(), 3);
}

async fn a_rejection_is_repeated_though_money_has_arrived(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 100).await,
        bank.customer("bob", 0).await,
    );
    let insufficient = Err(TransferError::InsufficientBalance);
    assert_eq!(ada.pay("bob", 200, "rent").await, insufficient);
    bank.accounts.pay_in(&ada.party.account_number, 1000);
    assert_eq!(ada.pay("bob", 200, "rent").await, insufficient);
    assert_eq!(bank.accounts.times_asked_to_post(), 1);
    assert!(bank.accounts.posted().is_empty());
    assert_eq!(bank.count("outbox").await, 0);
    assert!(bank.broker.taken().is_empty());
    let seen = ada.transactions().await;
    assert_eq!(seen[0].status, TransferStatus::Rejected);
    assert!(bob.transactions().await.is_empty());
    // Another key is another try.
    assert!(ada.pay("bob", 200, "rent, again").await.is_ok());
}

async fn who_is_not_there_and_oneself_can_not_be_paid_and_the_key_stays_free(bank: Arc<Bank>) {
    let _accounts = bank.serve_accounts().await;
    let _process = bank.start().await;
    let ada = bank.customer("ada", 500).await;
    let unknown = Err(TransferError::UnknownRecipient);
    assert_eq!(ada.pay("bob", 200, "rent").await, unknown);
    assert_eq!(
        ada.pay("Ada", 200, "rent").await,
        Err(TransferError::ToYourself)
    );
    assert_eq!(bank.count("transfers").await, 0);
    bank.customer("bob", 0).await;
    assert!(ada.pay("bob", 200, "rent").await.is_ok());
}

async fn a_key_given_to_the_bus_remembers_nothing_that_passes(bank: Arc<Bank>) {
    let _process = bank.start().await;
    let (ada, bob) = (
        bank.customer("ada", 500).await,
        bank.customer("bob", 0).await,
    );
    let pay = async || {
        let call = ada.order(order(named("bob"), 200, "rent"));
        match call.idempotency_key("the bus's own").await {
            Ok(receipt) => Ok(receipt),
            Err(CallError::Handler(error)) => Err(error),
            Err(CallError::Bus(failure)) => panic!("{failure:?}"),
        }
    };
    // Nobody serves the accounts yet: nothing is recorded.
    let unavailable = TransferError::Refused(Refused::Unavailable);
    assert_eq!(pay().await, Err(unavailable.clone()));
    assert_eq!(bank.count("transfers").await, 0);

    let _accounts = bank.serve_accounts().await;
    bank.accounts.on_parties(Script::Unavailable);
    assert_eq!(pay().await, Err(unavailable));
    bank.accounts.on_parties(Script::Answer);
    bank.accounts.on_postings(Script::Unavailable);
    assert_eq!(pay().await, Err(TransferError::Pending));
    bank.accounts.on_postings(Script::Answer);
    assert!(pay().await.is_ok());
    ada.is_settled().await;
    assert_eq!(bank.accounts.balance(&bob.party.account_number), 200);
    let distinct: HashSet<_> = bank.accounts.posted().into_iter().collect();
    assert_eq!(distinct.len(), 1);
}
