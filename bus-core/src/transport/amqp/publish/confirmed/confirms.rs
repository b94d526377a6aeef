//! The publishes of one channel whose confirm has not come, polled as they wake up.

use futures_util::task::AtomicWaker;
use lapin::{Confirmation, Result};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

type Confirm = Pin<Box<dyn Future<Output = Result<Confirmation>> + Send>>;

/// Confirms to come.
///
/// Not a `FuturesUnordered`, because [`poll_round`](Self::poll_round) promises what that does not:
/// all that resolved before a member of a round is in it or in an earlier one. The resolution of a
/// confirm puts its number on the list before the next confirm resolves, so when a resolved one is
/// seen, all that resolved before it are on the list, and the round goes on until that is empty.
#[derive(Default)]
pub(super) struct Confirms {
    waiting: HashMap<u64, (Confirm, Waker)>,
    early: Vec<(u64, Result<Confirmation>)>,
    woken: Arc<Woken>,
}

/// The numbers of the confirms to poll.
#[derive(Default)]
struct Woken {
    numbers: Mutex<Vec<u64>>,
    task: AtomicWaker,
}

impl Woken {
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.numbers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct WakeOne {
    number: u64,
    woken: Arc<Woken>,
}

impl Wake for WakeOne {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken
            .numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(self.number);
        self.woken.task.wake();
    }
}

impl Confirms {
    /// Starts a publish: `confirm` is polled once here and now, which is when lapin allots its
    /// delivery tag and queues its frames.
    pub(super) fn start(
        &mut self,
        number: u64,
        confirm: impl Future<Output = Result<Confirmation>> + Send + 'static,
    ) {
        let waker = Waker::from(Arc::new(WakeOne {
            number,
            woken: Arc::clone(&self.woken),
        }));
        let mut confirm: Confirm = Box::pin(confirm);
        match confirm.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => self.early.push((number, result)),
            Poll::Pending => {
                self.waiting.insert(number, (confirm, waker));
            }
        }
    }

    /// All that has resolved.
    ///
    /// # Cancel safety
    /// What it returned is taken; before that nothing is.
    pub(super) fn poll_round(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Vec<(u64, Result<Confirmation>)>> {
        self.woken.task.register(cx.waker());
        let mut round = std::mem::take(&mut self.early);
        loop {
            let numbers = self.woken.take();
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                let Some((confirm, waker)) = self.waiting.get_mut(&number) else {
                    continue;
                };
                if let Poll::Ready(result) = confirm.as_mut().poll(&mut Context::from_waker(waker))
                {
                    self.waiting.remove(&number);
                    round.push((number, result));
                }
            }
        }
        if round.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(round)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_round_holds_all_that_resolved_before_its_members() {
        let mut confirms = Confirms::default();
        let mut senders = Vec::new();
        for number in 0..100 {
            let (sender, receiver) = oneshot::channel::<()>();
            senders.push(sender);
            confirms.start(number, async move {
                let _ = receiver.await;
                Ok(Confirmation::Ack(None))
            });
        }
        assert!(
            poll_fn(|cx| confirms.poll_round(cx))
                .now_or_never()
                .is_none()
        );
        let late = senders.split_off(50);
        drop(senders);
        let mut numbers: Vec<u64> = poll_fn(|cx| confirms.poll_round(cx))
            .await
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>());
        drop(late);
        assert_eq!(poll_fn(|cx| confirms.poll_round(cx)).await.len(), 50);
    }

    #[tokio::test]
    async fn what_resolves_at_once_is_in_the_next_round() {
        let mut confirms = Confirms::default();
        confirms.start(7, async { Ok(Confirmation::NotRequested) });
        let round = poll_fn(|cx| confirms.poll_round(cx)).await;
        assert_eq!(round.len(), 1);
    }
}
