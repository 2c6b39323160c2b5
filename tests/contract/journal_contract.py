"""What every journal has to do, whatever it is made of: one suite for all implementations.

An implementation's test module has a fixture `harness` (see `tests.support.journals.Harness`) and a class
that inherits `JournalContract`.
"""

from tests.contract.journal.accepting import Accepting
from tests.contract.journal.admission import Admission
from tests.contract.journal.claiming import Claiming
from tests.contract.journal.conversations import Conversations
from tests.contract.journal.counterexamples import Counterexamples
from tests.contract.journal.dead import Dead, Redriving
from tests.contract.journal.finishing import Finishing
from tests.contract.journal.group_commit import GroupCommit, LostReplies
from tests.contract.journal.labels import Labels
from tests.contract.journal.origins import ClaimedAtOnce, Origins
from tests.contract.journal.polling import Polling
from tests.contract.journal.presence import Presence
from tests.contract.journal.reading import Reading
from tests.contract.journal.results import Results
from tests.contract.journal.steps import RecordedSteps
from tests.contract.journal.stopping import Stopping
from tests.contract.journal.waits import Waits


class JournalContract(
    Accepting,
    Origins,
    ClaimedAtOnce,
    Admission,
    Conversations,
    Claiming,
    RecordedSteps,
    Finishing,
    Waits,
    Stopping,
    Polling,
    Results,
    Dead,
    Redriving,
    Reading,
    Presence,
    Labels,
    GroupCommit,
    LostReplies,
    Counterexamples,
):
    """All of it."""
