"""The decisions of the hop protocol as pure functions; loops and journals only obey them."""
