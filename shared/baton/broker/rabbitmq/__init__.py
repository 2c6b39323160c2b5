"""RabbitMQ as the broker: names, connections, publishing, consuming."""
