"""Measuring what a durable handoff costs: in one process, or with every stage a service of its own."""
