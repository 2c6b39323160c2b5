"""What carries envelopes: its contract, and the in-process one."""
