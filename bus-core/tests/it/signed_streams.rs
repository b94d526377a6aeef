//! Streams whose frames are signed: what is not by the right key is never read.

use super::{
    lossy::{Appended, Lossy},
    signed::{key, ring, teller},
};
use futures_util::stream;
use replybus::{
    Bus, BusBuilder, CallError, FailureKind, Never, queue_handler, reply::memory::MemoryReplies,
    server::Serving, signature::SigningKey, stream::Items, transport::memory::MemoryBroker,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

#[queue_handler("shelf.requests", timeout = "20m")]
trait Shelf {
    /// The numbers below `end`, and then an error if `end` is odd.
    #[stream]
    async fn list(&self, end: u32) -> Result<Items<u32, String>, String>;

    /// The sum of what comes, and why no more did.
    async fn fill(&self, #[stream] items: Items<u32>) -> Result<(u32, Option<String>), Never>;
}

#[derive(Clone, Default)]
struct Oak {
    filled: Arc<AtomicU32>,
}

impl Shelf for Oak {
    async fn list(&self, end: u32) -> Result<Items<u32, String>, String> {
        let last = (end % 2 == 1).then(|| Err("odd".to_owned()));
        Ok(Items::new(stream::iter((0..end).map(Ok).chain(last))))
    }

    async fn fill(&self, mut items: Items<u32>) -> Result<(u32, Option<String>), Never> {
        self.filled.fetch_add(1, Ordering::SeqCst);
        let mut sum = 0;
        while let Some(item) = items.next().await {
            match item {
                Ok(item) => sum += item,
                Err(failure) => return Ok((sum, Some(format!("{failure:?}")))),
            }
        }
        Ok((sum, None))
    }
}

fn oak() -> SigningKey {
    key("oak-1", 2)
}

/// One broker and one store, on the way to which frames may be changed.
#[derive(Default)]
struct Stage {
    broker: MemoryBroker,
    replies: MemoryReplies,
    oak: Oak,
}

/// Whose frames are changed, and how.
type Fate = fn(u64) -> Appended;

const WELL: Fate = |_| Appended::Well;

impl Stage {
    async fn bus(&self, builder: BusBuilder, fate: Fate) -> Bus {
        let replies = Lossy::new(self.replies.clone(), fate);
        builder.connect(self.broker.clone(), replies).await.unwrap()
    }

    /// Signs, and believes the oak only.
    async fn teller(&self, fate: Fate) -> ShelfClient {
        let builder = Bus::builder().sign(teller());
        let builder = builder.only_signed_replies(ring(&oak()));
        ShelfClient::new(&self.bus(builder, fate).await)
    }

    /// Signs, and believes the teller only.
    async fn serve(&self, fate: Fate) -> Serving {
        let bus = self.bus(Bus::builder().sign(oak()), fate).await;
        let serving = bus.serve(ShelfServer::new(self.oak.clone()));
        serving.only_signed(ring(&teller())).await.unwrap()
    }
}

async fn listed(shelf: &ShelfClient, end: u32) -> (Vec<u32>, Option<CallError<String>>) {
    let mut items = shelf.list(end).window_bytes(40).await.unwrap();
    let mut read = Vec::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => read.push(item),
            Err(error) => return (read, Some(error)),
        }
    }
    (read, None)
}

async fn filled(shelf: &ShelfClient) -> Result<(u32, Option<String>), CallError<Never>> {
    shelf.fill(stream::iter(0..100)).window_bytes(40).await
}

#[tokio::test(start_paused = true)]
async fn both_ways_are_signed_and_only_that_is_believed() {
    let stage = Stage::default();
    let serving = stage.serve(WELL).await;
    let shelf = stage.teller(WELL).await;
    let whole: Vec<u32> = (0..100).collect();
    assert!(matches!(listed(&shelf, 100).await, (read, None) if read == whole));
    let (read, error) = listed(&shelf, 3).await;
    assert_eq!(read, [0, 1, 2]);
    assert!(matches!(error, Some(CallError::Handler(odd)) if odd == "odd"));
    assert_eq!(filled(&shelf).await.unwrap(), (4950, None));
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_changed_on_the_way_is_passed_over_and_asked_for_again() {
    for changed in [Appended::Bare, Appended::Altered] {
        let fate: Fate = match changed {
            Appended::Bare => |count| match count % 3 {
                1 => Appended::Bare,
                _ => Appended::Well,
            },
            _ => |count| match count % 3 {
                1 => Appended::Altered,
                _ => Appended::Well,
            },
        };
        let stage = Stage::default();
        let serving = stage.serve(fate).await;
        let shelf = stage.teller(fate).await;
        let whole: Vec<u32> = (0..100).collect();
        assert!(matches!(listed(&shelf, 100).await, (read, None) if read == whole));
        assert_eq!(filled(&shelf).await.unwrap(), (4950, None));
        serving.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_which_no_frame_is_believed_has_no_item_and_says_why() {
    for (fate, why) in [
        ((|_| Appended::Bare) as Fate, "it is not signed"),
        (|_| Appended::Altered, "it is not what was signed"),
    ] {
        let stage = Stage::default();
        let serving = stage.serve(fate).await;
        let shelf = stage.teller(WELL).await;
        let (read, error) = listed(&shelf, 100).await;
        assert!(read.is_empty());
        let error = error.unwrap();
        assert_eq!(error.kind(), Some(FailureKind::BadReply), "{error:?}");
        assert!(format!("{error:?}").contains(why), "{error:?}");
        serving.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn no_handler_is_called_for_an_argument_that_is_not_believed() {
    let changes: Fate = |_| Appended::Bare;
    for (of_service, of_caller) in [(WELL, changes), (changes, WELL)] {
        let stage = Stage::default();
        let serving = stage.serve(of_service).await;
        let shelf = stage.teller(of_caller).await;
        let error = filled(&shelf).await.unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::Cancelled), "{error:?}");
        assert!(format!("{error:?}").contains("did not begin"), "{error:?}");
        assert_eq!(stage.oak.filled.load(Ordering::SeqCst), 0);
        serving.shutdown().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_argument_is_signed_for_whoever_asks_for_it() {
    // A service that does not sign, and believes signed requests only.
    let stage = Stage::default();
    let bus = stage.bus(Bus::builder(), WELL).await;
    let serving = bus.serve(ShelfServer::new(stage.oak.clone()));
    let serving = serving.only_signed(ring(&teller())).await.unwrap();
    let signs = stage.bus(Bus::builder().sign(teller()), WELL).await;
    let shelf = ShelfClient::new(&signs);
    assert_eq!(filled(&shelf).await.unwrap(), (4950, None));
    assert_eq!(listed(&shelf, 4).await.0, [0, 1, 2, 3]);
    serving.shutdown().await.unwrap();
    // One that believes everybody gets what it always got, of who signs and of who does not.
    let stage = Stage::default();
    let bus = stage.bus(Bus::builder().sign(oak()), WELL).await;
    let serving = bus.serve(ShelfServer::new(stage.oak.clone()));
    let serving = serving.await.unwrap();
    for builder in [Bus::builder(), Bus::builder().sign(teller())] {
        let shelf = ShelfClient::new(&stage.bus(builder, WELL).await);
        assert_eq!(filled(&shelf).await.unwrap(), (4950, None));
        assert_eq!(listed(&shelf, 4).await.0, [0, 1, 2, 3]);
    }
    serving.shutdown().await.unwrap();
}
