"""Every fault of a server that `make chaos` injects, in the order of its report."""

from tests.e2e.faults import servers_broker, servers_journal
from tests.e2e.faults.catalogue import Trial
from tests.e2e.faults.servers_arena import at_place, harming

TRIALS = tuple(
    Trial(name, harming(fault), at_place)
    for name, fault in (
        ("broker restarted", servers_broker.restart),
        ("broker away at the start", servers_broker.serve_without),
        ("broker's queues emptied", servers_broker.empty),
        ("broker forgets everything", servers_broker.forget),
        ("broker cancels consumers", servers_broker.cancel_consumers),
        ("broker's memory alarm", servers_broker.alarm),
        ("broker closes connections", servers_broker.close_connections),
        ("broker half open", servers_broker.half_open),
        ("broker's consumer timeout", servers_broker.outwait),
        ("journal restarted", servers_journal.restart),
        ("journal's replies to commits lost", servers_journal.lose_replies),
        ("journal away at the stop", servers_journal.stop_without),
    )
)
