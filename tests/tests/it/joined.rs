//! Many calls at once over real servers, whose connections are cut while they are under way.

use replybus::{Amqp, Bus, Never, join, queue_handler};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{self, unique},
    proxy::{Mode, Proxy},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const CALLS: u32 = 6_000;

#[queue_handler("echo.requests", timeout = "60s")]
trait Echo {
    #[query]
    async fn echo(&self, number: u32) -> Result<u32, Never>;
}

/// Cuts its callers' connections when so many calls have come.
struct Cutter {
    proxies: Vec<Arc<Proxy>>,
    came: AtomicU32,
}

impl Echo for Cutter {
    async fn echo(&self, number: u32) -> Result<u32, Never> {
        let came = self.came.fetch_add(1, Ordering::SeqCst);
        if came.is_multiple_of(2_000)
            && let Some(proxy) = self.proxies.get(came as usize / 2_000)
        {
            proxy.set(Mode::Cut);
        }
        Ok(number)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_joined_survive_cut_connections() {
    let (Some(amqp_url), Some(redis_url)) = (live::rabbitmq().await, live::redis().await) else {
        return;
    };
    let namespace = unique("joined");
    let connect = async |amqp_url: &str, redis_url: &str| {
        let bus = Bus::builder().namespace(&namespace);
        let replies = RedisReplies::new(redis_url);
        bus.connect(Amqp::new(amqp_url), replies).await.unwrap()
    };
    let (rabbit, amqp_cut) = Proxy::before(&amqp_url, 5672).await.unwrap();
    let (redis, redis_cut) = Proxy::before(&redis_url, 6379).await.unwrap();
    let (rabbit, redis) = (Arc::new(rabbit), Arc::new(redis));
    let service = connect(&amqp_url, &redis_url).await;
    let cutter = Cutter {
        proxies: vec![Arc::clone(&rabbit), redis, rabbit],
        came: AtomicU32::new(0),
    };
    let serving = service.serve(EchoServer::new(cutter)).await.unwrap();

    let caller = connect(amqp_cut.as_str(), redis_cut.as_str()).await;
    let echo = EchoClient::new(&caller);
    let answers = join((0..CALLS).map(|number| echo.echo(number))).await;
    assert!(answers.into_iter().map(Result::unwrap).eq(0..CALLS));

    caller.close(Duration::from_secs(5)).await;
    serving.shutdown().await.unwrap();
    service.close(Duration::from_secs(5)).await;
    let left = Leftovers::of(&namespace).queues(["echo.requests"]);
    left.delete(&amqp_url).await.unwrap();
}
