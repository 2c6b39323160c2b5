"""What RabbitMQ has to have for a team, as data: exchanges, queues, bindings, a policy and users."""
