//! The records of serving instances: for each queue a sorted set of ids, by when they count as gone,
//! and a hash of their records; the queues that have such, or had until the last was lost; and the
//! calls that were given up where nobody serves. Time is the server's.

use crate::{connection::Link, error::Failure, inbox::millis, keys::Keys};
use bytes::Bytes;
use deadpool_redis::redis::{Script, cmd};
use replybus::{
    CallId,
    limits::{GIVEN_UP_MAX, PRESENCE_RECORD_BYTES_MAX, SERVICE_REMEMBERED, SERVICES_LISTED_MAX},
    presence::InstanceId,
    reply::Presence,
};
use std::time::Duration;

/// What a user of the server needs beside what all else does.
const NEEDED: &str = "+zadd +zrem +zcard +zrangebyscore +zremrangebyscore +hset +hdel +hget +hstrlen \
                      +pexpire +pttl +time";

/// The scripts, hashed once.
pub(crate) struct Presences {
    announce: Script,
    announce_queue: Script,
    queues: Script,
    withdraw: Script,
    list: Script,
    give_up: Script,
    given_up: Script,
}

impl Presences {
    pub(crate) fn new() -> Self {
        Self {
            announce: Script::new(include_str!("scripts/announce.lua")),
            announce_queue: Script::new(include_str!("scripts/announce_queue.lua")),
            queues: Script::new(include_str!("scripts/queues.lua")),
            withdraw: Script::new(include_str!("scripts/withdraw.lua")),
            list: Script::new(include_str!("scripts/instances.lua")),
            give_up: Script::new(include_str!("scripts/give_up.lua")),
            given_up: Script::new(include_str!("scripts/given_up.lua")),
        }
    }

    pub(crate) async fn announce(
        &self,
        link: &mut Link,
        keys: &Keys,
        presence: &Presence,
    ) -> Result<(), Failure> {
        let [until, records] = keys.instances(&presence.queue);
        let mut asked = self.announce.key(until);
        asked.key(records);
        asked.arg(presence.instance.to_string());
        asked.arg(&*presence.record).arg(millis(presence.ttl));
        let announced: Result<(), _> = asked.invoke_async(link).await;
        announced.map_err(|error| needing(keys, error))?;
        // A script of its own: in a cluster the key lives elsewhere.
        let mut asked = self.announce_queue.key(keys.served_queues());
        let remembered = presence.ttl.max(SERVICE_REMEMBERED);
        asked.arg(&presence.queue).arg(millis(remembered));
        let noted = asked.invoke_async(link).await;
        noted.map_err(|error| needing(keys, error))
    }

    pub(crate) async fn queues(
        &self,
        link: &mut Link,
        keys: &Keys,
    ) -> Result<Vec<String>, Failure> {
        let served = keys.served_queues();
        let mut asked = self.queues.key(&served);
        asked.arg(SERVICES_LISTED_MAX);
        let listed: Result<Vec<Vec<u8>>, _> = asked.invoke_async(link).await;
        let listed = listed.map_err(|error| needing(keys, error).naming(&[&served]))?;
        // What is no text was written by somebody else.
        let queues = listed
            .into_iter()
            .filter_map(|queue| String::from_utf8(queue).ok());
        Ok(queues.collect())
    }

    pub(crate) async fn withdraw(
        &self,
        link: &mut Link,
        keys: &Keys,
        queue: &str,
        instance: InstanceId,
    ) -> Result<(), Failure> {
        let [until, records] = keys.instances(queue);
        let mut asked = self.withdraw.key(until);
        asked.key(records).arg(instance.to_string());
        let left: Result<u64, _> = asked.invoke_async(link).await;
        if left.map_err(|error| needing(keys, error))? > 0 {
            return Ok(());
        }
        // One that is announced just now says so again within seconds.
        let mut forget = cmd("ZREM");
        forget.arg(keys.served_queues()).arg(queue);
        let forgotten: Result<(), _> = forget.query_async(link).await;
        forgotten.map_err(|error| needing(keys, error))
    }

    /// The records of so many instances.
    pub(crate) async fn list(
        &self,
        link: &mut Link,
        keys: &Keys,
        queue: &str,
        most: usize,
    ) -> Result<Vec<Bytes>, Failure> {
        let [until, records] = keys.instances(queue);
        let mut asked = self.list.key(&until);
        asked.key(&records);
        asked.arg(most).arg(PRESENCE_RECORD_BYTES_MAX);
        let listed: Result<Vec<Vec<u8>>, _> = asked.invoke_async(link).await;
        let listed = listed.map_err(|error| needing(keys, error).naming(&[&until, &records]))?;
        Ok(listed.into_iter().map(Bytes::from).collect())
    }

    pub(crate) async fn give_up(
        &self,
        link: &mut Link,
        keys: &Keys,
        queue: &str,
        id: CallId,
        within: Duration,
    ) -> Result<bool, Failure> {
        let mut asked = self.give_up.key(keys.given_up(queue));
        asked.arg(id.to_string()).arg(millis(within));
        asked.arg(GIVEN_UP_MAX);
        let noted = asked.invoke_async(link).await;
        noted.map_err(|error| needing(keys, error))
    }

    pub(crate) async fn given_up(
        &self,
        link: &mut Link,
        keys: &Keys,
        queue: &str,
    ) -> Result<Vec<(CallId, Duration)>, Failure> {
        let mut asked = self.given_up.key(keys.given_up(queue));
        asked.arg(GIVEN_UP_MAX);
        let listed: Result<Vec<(String, u64)>, _> = asked.invoke_async(link).await;
        let listed = listed.map_err(|error| needing(keys, error))?;
        // What is no id was written by somebody else.
        let calls = listed.into_iter().filter_map(|(id, left)| {
            let id = id.parse().ok()?;
            Some((id, Duration::from_millis(left)))
        });
        Ok(calls.collect())
    }
}

pub(crate) fn needing(keys: &Keys, error: impl Into<Failure>) -> Failure {
    let failure: Failure = error.into();
    failure.needing(&format!("~{}", keys.all_in_scope()), NEEDED)
}
