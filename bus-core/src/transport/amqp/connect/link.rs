//! One connection to the broker that is always being kept up.
//!
//! lapin's own recovery is not used: it leaves confirms pending and consumers silent. Here any sign
//! that the connection is lost drops it and makes a new one, for ever, one attempt at a time.

use super::{
    backoff::Backoff,
    failure::{Failure, is_of_one_channel},
    live::Live,
    open::{Broker, Opened, open_first, reopen},
};
use crate::error::SetupError;
use futures_util::StreamExt;
use lapin::Event;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The period at which the state of a connection is looked at, for changes that lapin announces
/// nowhere.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// The time the broker has to agree to the end of a connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The reason why there is no connection any more when nobody keeps it up.
const RUNTIME_ENDED: &str = "the runtime of this bus has ended";

/// The connection there is, or the reason why there is none.
#[derive(Debug, Clone)]
pub(crate) enum LinkState {
    Up(Arc<Live>),
    Down(Arc<str>),
    Closed,
}

/// A connection that is always being kept up.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    state: watch::Receiver<LinkState>,
}

impl Link {
    /// Makes the first connection and keeps it up until `closing`.
    ///
    /// # Errors
    /// The broker refuses us, or can't be reached within `connect_within`.
    pub(crate) async fn connect(
        broker: Arc<Broker>,
        role: &'static str,
        tasks: &TaskTracker,
        closing: CancellationToken,
    ) -> Result<Self, SetupError> {
        let opened = open_first(&broker, role).await?;
        let (sender, state) = watch::channel(LinkState::Up(Arc::clone(&opened.live)));
        tasks.spawn(keep_up(broker, role, opened, sender, closing));
        Ok(Self { state })
    }

    /// The state now.
    pub(crate) fn state(&self) -> LinkState {
        if self.is_orphaned() {
            return LinkState::Down(RUNTIME_ENDED.into());
        }
        self.state.borrow().clone()
    }

    /// `true` if the task that keeps it up is gone without having closed it: the runtime that the
    /// bus was connected on has ended, and everything that the bus does with it.
    pub(crate) fn is_orphaned(&self) -> bool {
        self.state.has_changed().is_err() && !matches!(*self.state.borrow(), LinkState::Closed)
    }

    /// The error of somebody who can't wait for a connection, for there will be none.
    pub(crate) fn ended(&self) -> SetupError {
        if self.is_orphaned() {
            SetupError::RuntimeEnded
        } else {
            SetupError::Closed
        }
    }

    /// The connection, if there is one now.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        match &*self.state.borrow() {
            LinkState::Up(live) => Some(Arc::clone(live)),
            LinkState::Down(_) | LinkState::Closed => None,
        }
    }

    /// `true` while the broker takes no messages on the connection there is.
    pub(crate) fn is_blocked(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(live) if live.is_blocked())
    }

    /// Waits for another state.
    pub(crate) async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            // The supervisor is gone, and with it every change.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a connection; `None` once there will be none.
    pub(crate) async fn up(&mut self) -> Option<Arc<Live>> {
        if self.is_orphaned() {
            return None;
        }
        let state = self
            .state
            .wait_for(|state| !matches!(state, LinkState::Down(_)))
            .await
            .ok()?;
        match &*state {
            LinkState::Up(live) => Some(Arc::clone(live)),
            LinkState::Down(_) | LinkState::Closed => None,
        }
    }
}

async fn keep_up(
    broker: Arc<Broker>,
    role: &'static str,
    mut opened: Opened,
    state: watch::Sender<LinkState>,
    closing: CancellationToken,
) {
    tracing::info!(
        connection = role,
        address = opened.address,
        "connected to RabbitMQ"
    );
    let reconnects = || metrics::counter!("replybus_reconnects_total", "connection" => role);
    // So that the first one is an increase.
    reconnects().increment(0);
    let mut backoff = Backoff::new();
    loop {
        let up_since = Instant::now();
        let reason = tokio::select! {
            reason = lost(&mut opened) => reason,
            () = closing.cancelled() => {
                state.send_replace(LinkState::Closed);
                // A blocked connection would never agree to its end.
                let _ = timeout(CLOSE_WITHIN, opened.live.close()).await;
                opened.live.cut();
                return;
            }
        };
        tracing::warn!(
            connection = role,
            address = opened.address,
            reason,
            "lost the connection to RabbitMQ"
        );
        state.send_replace(LinkState::Down(reason.into()));
        opened.live.cut();
        backoff.lost_after(up_since.elapsed());
        opened = tokio::select! {
            opened = reopen(&broker, role, &mut backoff) => opened,
            () = closing.cancelled() => {
                state.send_replace(LinkState::Closed);
                return;
            }
        };
        reconnects().increment(1);
        tracing::info!(
            connection = role,
            address = opened.address,
            "connected to RabbitMQ again"
        );
        state.send_replace(LinkState::Up(Arc::clone(&opened.live)));
    }
}

/// Follows a connection until it is lost, and says why.
async fn lost(opened: &mut Opened) -> String {
    let live = &opened.live;
    let status = live.status();
    let mut check = tokio::time::interval(CHECK_EVERY);
    loop {
        tokio::select! {
            event = opened.events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => live.block(Some(reason)),
                Some(Event::ConnectionUnblocked) => live.block(None),
                // An error of one channel is told to those who use it.
                Some(Event::Error(error)) if !is_of_one_channel(&error) => {
                    return Failure::from(error).to_string();
                }
                Some(_) => {}
                None => return "the connection ended".to_owned(),
            },
            Some(reason) = opened.broken.recv() => return reason,
            _ = check.tick() => {
                if !status.connected() {
                    return "the connection ended".to_owned();
                }
                if status.blocked() != live.is_blocked() {
                    live.block(status.blocked().then(|| "no reason given".to_owned()));
                }
            }
        }
    }
}
