impl ::replybus::__private::Event for TransactionCompleted {
    const ROUTING_KEY: &'static str = "transaction.completed";
    const EXCHANGE: &'static str = "banking_events";
}
