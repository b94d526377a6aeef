//! Requests and events over RabbitMQ.
