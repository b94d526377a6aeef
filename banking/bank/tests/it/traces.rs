//! The trace of one transfer, as a collector gets it.

use crate::program;
use replybus_testkit::{
    collector::{CollectedSpan, Collector, tree},
    wait::eventually,
};
use town::{Bank, customer};

const KEY: &str = "a-key-that-nobody-is-told";

/// The spans of one trace, by their places in it.
struct Tree(Vec<CollectedSpan>);

impl Tree {
    /// The trace of the request by which money was moved.
    fn of_the_transfer(collector: &Collector) -> Self {
        let spans = collector.spans();
        let is_root = |span: &&CollectedSpan| span.name == "POST /api/transfer/transfer";
        let root = spans.iter().find(is_root);
        Self(root.map_or_else(Vec::new, |root| collector.trace(&root.trace)))
    }

    /// `true` once somebody was told, and all that it came of has ended.
    fn has_come(&self) -> bool {
        let is_told = |span: &CollectedSpan| span.attributes.contains_key(GROUP);
        let is_there = |id: &str| self.0.iter().any(|span| span.id == id);
        let mut parents = self.0.iter().map(|span| span.parent.as_str());
        self.0.iter().any(is_told) && parents.all(|parent| parent.is_empty() || is_there(parent))
    }

    /// Those below a span, of this kind and name.
    fn below<'a>(
        &'a self,
        above: &CollectedSpan,
        kind: &str,
        name: &str,
    ) -> Vec<&'a CollectedSpan> {
        let of_it = |span: &&CollectedSpan| {
            span.parent == above.id && span.kind == kind && span.name.starts_with(name)
        };
        self.0.iter().filter(of_it).collect()
    }

    /// The only one of these.
    fn one<'a>(&'a self, above: &CollectedSpan, kind: &str, name: &str) -> &'a CollectedSpan {
        match self.below(above, kind, name).as_slice() {
            [one] => one,
            others => panic!(
                "{} of {kind} {name} below {}:\n{}",
                others.len(),
                above.name,
                tree(&self.0).join("\n")
            ),
        }
    }

    /// `true` if a span, or one within it, asked the database.
    fn asks(&self, span: &CollectedSpan) -> bool {
        let mut children = self.0.iter().filter(|child| child.parent == span.id);
        children.any(|child| {
            let asks = child.attributes.contains_key("db.system.name");
            asks || (child.kind == "internal" && self.asks(child))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_is_one_trace_from_http_to_the_notification() {
    let collector = Collector::start().await.unwrap();
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
    ];
    let bank = Bank::embedded_with(program(), environment).await.unwrap();
    bank.lent_to(async |bank: &Bank| {
        let ada = customer(bank.client(), "ada").await.unwrap();
        let bob = customer(bank.client(), "bob").await.unwrap();
        ada.transfer(&bob, 100, KEY).ok().await.unwrap();
        eventually("the notification is part of the trace", || async {
            Tree::of_the_transfer(&collector).has_come()
        })
        .await;
        let tree = Tree::of_the_transfer(&collector);
        assert_is_whole(&tree);
        let all = format!("{:?}", tree.0);
        for secret in [KEY, ada.session.as_str(), town::PASSWORD, &ada.username] {
            assert!(!all.contains(secret), "{secret} is in a span");
        }
    })
    .await
    .unwrap();
}

const GROUP: &str = "messaging.consumer.group.name";

fn assert_is_whole(tree: &Tree) {
    let root = tree.0.iter().find(|span| span.parent.is_empty()).unwrap();
    assert_eq!((root.kind, root.service.as_str()), ("server", "bank"));
    assert_eq!(root.attributes["http.response.status_code"], "200");

    // Three calls: the transfer, who its sides are, and the posting.
    let transfer = tree.one(root, "producer", "call transfer.requests");
    let transfer = tree.one(transfer, "consumer", "process transfer.requests");
    assert_eq!(transfer.attributes["rpc.method"], "transfer");
    assert!(tree.asks(transfer));
    let calls = tree.below(transfer, "producer", "call account.requests");
    assert_eq!(calls.len(), 2);
    for call in calls {
        let served = tree.one(call, "consumer", "process account.requests");
        assert_eq!(
            served.attributes["rpc.method"],
            call.attributes["rpc.method"]
        );
        assert!(tree.asks(served), "{served:?}");
        tree.one(served, "internal", "store reply");
    }

    // The event, which an outbox kept meanwhile, and what somebody is told.
    let event = tree.one(transfer, "producer", "send transaction.completed");
    let told = tree.one(event, "consumer", "process ");
    tree.one(told, "internal", "claim");
    assert!(tree.asks(told), "{told:?}");
}
