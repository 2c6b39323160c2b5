"""One hop: deliver, claim, take the turn with its steps, finish, publish, ack."""
