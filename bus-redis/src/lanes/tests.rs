//! Each is told what came of it, whatever becomes of the others.

use super::*;
use proptest::{collection::vec, prelude::*};
use std::{collections::HashSet, time::Duration};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

#[derive(Debug, Clone)]
struct Job {
    lane: u8,
    number: usize,
    bytes: usize,
    /// The server refuses every batch with it.
    is_refused: bool,
    /// Every so often the server can't be reached.
    is_lost: bool,
}

/// Does jobs when it is let, and writes down what it did.
#[derive(Debug, Default)]
struct Work {
    lets: Option<Arc<Semaphore>>,
    done: Arc<Mutex<Vec<Vec<usize>>>>,
    busy: Mutex<HashSet<u8>>,
}

impl Batched for Work {
    type Lane = u8;
    type Job = Job;
    type Done = usize;

    fn bytes(job: &Job) -> usize {
        job.bytes
    }

    async fn run(&self, lane: &u8, jobs: &[Job]) -> Result<Vec<usize>, Failure> {
        let alone = jobs.iter().any(|job| job.bytes > BYTES_MAX);
        if !alone {
            assert!(self.busy.lock().unwrap().insert(*lane), "two at a time");
        }
        if let Some(lets) = &self.lets {
            lets.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        self.busy.lock().unwrap().remove(lane);
        assert!(jobs.len() <= JOBS_MAX && jobs.iter().all(|job| job.lane == *lane));
        assert!(jobs.len() == 1 || jobs.iter().map(|job| job.bytes).sum::<usize>() <= BYTES_MAX);
        if jobs.iter().any(|job| job.is_lost) {
            return Err(Failure::NoConnection);
        }
        if jobs.iter().any(|job| job.is_refused) {
            return Err(Failure::Unexpected);
        }
        let numbers: Vec<_> = jobs.iter().map(|job| job.number).collect();
        self.done.lock().unwrap().push(numbers.clone());
        Ok(numbers)
    }
}

fn job(number: usize) -> Job {
    Job {
        lane: 0,
        number,
        bytes: 1,
        is_refused: false,
        is_lost: false,
    }
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let sizes = prop_oneof![8 => 0..2_000_usize, 1 => BYTES_MAX - 1..BYTES_MAX + 2];
    let some = |one_in: u32| (0..one_in).prop_map(|n| n == 0);
    let job = (0..3_u8, sizes, some(10), some(40)).prop_map(|(lane, bytes, refused, lost)| Job {
        lane,
        bytes,
        is_refused: refused,
        is_lost: lost,
        ..job(0)
    });
    vec(job, 1..300).prop_map(|mut jobs| {
        for (number, job) in jobs.iter_mut().enumerate() {
            job.number = number;
        }
        jobs
    })
}

fn lanes(work: Work) -> Arc<Lanes<Work>> {
    Arc::new(Lanes::new(work, Handle::current(), TaskTracker::new()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_is_told_what_came_of_it(jobs in jobs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let work = Work::default();
            let done = Arc::clone(&work.done);
            let lanes = lanes(work);
            let mut tasks = JoinSet::new();
            for job in jobs.clone() {
                let lanes = Arc::clone(&lanes);
                tasks.spawn(async move { (job.number, lanes.run(job.lane, job).await) });
            }
            let told = timeout(Duration::from_secs(60), tasks.join_all()).await.unwrap();
            let done: Vec<usize> = done.lock().unwrap().concat();
            let anything_was_lost = jobs.iter().any(|job| job.is_lost);
            for (number, told) in told {
                let job = &jobs[number];
                let was_done = done.iter().filter(|done| **done == number).count();
                match told {
                    Ok(what) => assert_eq!((what, was_done), (number, 1)),
                    Err(Failure::Unexpected) => assert!(job.is_refused && was_done == 0),
                    Err(_) => assert!(anything_was_lost && was_done == 0),
                }
            }
            assert!(lanes.0.busy().is_empty());
        });
    }
}

/// Lanes whose work waits until it is let, and what it did.
struct HeldUp {
    lanes: Arc<Lanes<Work>>,
    lets: Arc<Semaphore>,
    done: Arc<Mutex<Vec<Vec<usize>>>>,
}

fn held_up() -> HeldUp {
    let lets = Arc::new(Semaphore::new(0));
    let work = Work {
        lets: Some(Arc::clone(&lets)),
        ..Work::default()
    };
    let done = Arc::clone(&work.done);
    HeldUp {
        lanes: lanes(work),
        lets,
        done,
    }
}

#[tokio::test]
async fn what_comes_meanwhile_leaves_together_and_one_alone_at_once() {
    let HeldUp { lanes, lets, done } = held_up();
    let all = async {
        tokio::join!(
            lanes.run(0, job(0)),
            lanes.run(0, job(1)),
            lanes.run(1, Job { lane: 1, ..job(2) }),
            lanes.run(0, job(3)),
        )
    };
    lets.add_permits(3);
    let (first, second, other, third) = all.await;
    let told = [first, second, other, third].map(Result::unwrap);
    assert_eq!(told, [0, 1, 2, 3]);
    let mut done = done.lock().unwrap().clone();
    done.sort();
    assert_eq!(done, [vec![0], vec![1, 3], vec![2]]);
}

#[tokio::test]
async fn whoever_is_dropped_takes_nobody_with_it() {
    let HeldUp { lanes, lets, done } = held_up();
    let mut first = Box::pin(lanes.run(0, job(0)));
    let mut dropped = Box::pin(lanes.run(0, job(1)));
    let mut stays = Box::pin(lanes.run(0, job(2)));
    for waits in [&mut first, &mut dropped, &mut stays] {
        assert!(timeout(Duration::from_millis(1), waits).await.is_err());
    }
    drop(dropped);
    drop(first);
    // The lane is free for the others at once.
    lanes.0.work.busy.lock().unwrap().clear();
    lets.add_permits(1);
    assert_eq!(stays.await.unwrap(), 2);
    assert_eq!(*done.lock().unwrap(), [vec![2]]);
}

#[test]
fn without_a_runtime_to_carry_them_those_who_wait_are_told_so() {
    let home = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let work = Work {
        lets: Some(Arc::new(Semaphore::new(0))),
        ..Work::default()
    };
    let lanes = Lanes::new(work, home.handle().clone(), TaskTracker::new());
    let mut here = tokio::runtime::Builder::new_current_thread();
    here.enable_all().build().unwrap().block_on(async {
        let mut first = Box::pin(lanes.run(0, job(0)));
        let mut waits = Box::pin(lanes.run(0, job(1)));
        for waits in [&mut first, &mut waits] {
            assert!(timeout(Duration::from_millis(1), waits).await.is_err());
        }
        home.shutdown_background();
        drop(first);
        assert!(matches!(waits.await, Err(Failure::Closed)));
        assert!(lanes.0.busy().is_empty());
    });
}
