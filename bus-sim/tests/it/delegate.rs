//! What a wrapper of a transport or of a store leaves to what it wraps.

/// A transport that is another one, but for these methods.
macro_rules! transport {
    ($wrapper:ty, $inner:tt, { $($own:tt)* }) => {
        #[async_trait::async_trait]
        impl replybus::transport::Transport for $wrapper {
        $($own)*

        fn publish_at(
            &self,
            outgoing: replybus::transport::Outgoing,
            delay: replybus::transport::Delay,
        ) -> replybus::transport::Receipt {
            self.$inner.publish_at(outgoing, delay)
        }

        fn direct(&self) -> Option<&dyn replybus::transport::DirectPublish> {
            self.$inner.direct()
        }

        async fn consume(
            &self,
            source: replybus::transport::Source,
        ) -> Result<Box<dyn replybus::transport::Deliveries>, replybus::SetupError> {
            self.$inner.consume(source).await
        }

        async fn declare(
            &self,
            queue: replybus::transport::QueueSpec,
        ) -> Result<(), replybus::SetupError> {
            self.$inner.declare(queue).await
        }

        async fn inspect(
            &self,
            queue: &str,
        ) -> Result<Option<replybus::transport::QueueState>, replybus::transport::InspectError> {
            self.$inner.inspect(queue).await
        }

        async fn remove(
            &self,
            queue: &str,
            bindings: &[replybus::transport::Binding],
            discard_messages: bool,
        ) -> Result<replybus::transport::Removal, replybus::SetupError> {
            self.$inner.remove(queue, bindings, discard_messages).await
        }

        fn health(&self) -> replybus::transport::TransportHealth {
            self.$inner.health()
        }

        async fn close(&self, within: std::time::Duration) {
            self.$inner.close(within).await;
        }
        }
    };
}

/// A store that is another one, but for these methods, as far as commands and services use it.
macro_rules! store {
    ($wrapper:ty, $inner:ident, { $($own:tt)* }) => {
        #[async_trait::async_trait]
        impl replybus::reply::ReplyStore for $wrapper {
        $($own)*

        fn inbox(&self) -> &str {
            self.$inner.inbox()
        }

        fn is_inbox(&self, reply_to: &str) -> bool {
            self.$inner.is_inbox(reply_to)
        }

        async fn fetch(&self, id: replybus::CallId) -> Result<Option<replybus::Bytes>, replybus::reply::StoreError> {
            self.$inner.fetch(id).await
        }

        async fn claim(
            &self,
            claim: &replybus::reply::Claim,
        ) -> Result<replybus::reply::Claimed, replybus::reply::StoreError> {
            self.$inner.claim(claim).await
        }

        async fn renew(&self, claim: &replybus::reply::Claim) -> Result<bool, replybus::reply::StoreError> {
            self.$inner.renew(claim).await
        }

        async fn release(&self, claim: &replybus::reply::Claim) -> Result<(), replybus::reply::StoreError> {
            self.$inner.release(claim).await
        }

        async fn lapse(&self, claim: &replybus::reply::Claim) -> Result<(), replybus::reply::StoreError> {
            self.$inner.lapse(claim).await
        }

        async fn cancel(
            &self,
            cancel: &replybus::reply::Cancel,
        ) -> Result<replybus::reply::Cancelled, replybus::reply::StoreError> {
            self.$inner.cancel(cancel).await
        }

        async fn note(
            &self,
            claim: &replybus::reply::Claim,
            progress: replybus::Bytes,
        ) -> Result<(), replybus::reply::StoreError> {
            self.$inner.note(claim, progress).await
        }

        async fn record(
            &self,
            key: &str,
        ) -> Result<Option<replybus::reply::CommandRecord>, replybus::reply::StoreError> {
            self.$inner.record(key).await
        }

        async fn announce(&self, presence: &replybus::reply::Presence) -> Result<(), replybus::reply::StoreError> {
            self.$inner.announce(presence).await
        }

        async fn withdraw(
            &self,
            queue: &str,
            instance: replybus::presence::InstanceId,
        ) -> Result<(), replybus::reply::StoreError> {
            self.$inner.withdraw(queue, instance).await
        }

        async fn present(&self, queue: &str) -> Result<Vec<replybus::Bytes>, replybus::reply::StoreError> {
            self.$inner.present(queue).await
        }

        async fn give_up(
            &self,
            queue: &str,
            id: replybus::CallId,
            within: std::time::Duration,
        ) -> Result<bool, replybus::reply::StoreError> {
            self.$inner.give_up(queue, id, within).await
        }

        async fn given_up(
            &self,
            queue: &str,
        ) -> Result<Vec<(replybus::CallId, std::time::Duration)>, replybus::reply::StoreError> {
            self.$inner.given_up(queue).await
        }

        fn health(&self) -> replybus::reply::StoreHealth {
            self.$inner.health()
        }

        async fn close(&self) {
            self.$inner.close().await;
        }
        }
    };
}

pub(crate) use {store, transport};
