"""The offline model of one set of cards: how probable each agent is for a text, and how familiar the text is.

In: a `TrainingSet`. Out: `Scores` of texts; `calibration` finds the threshold, `offline` decides.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from baton.routing.features import FloatArray, normalise
from baton.routing.likeness import Comparer, Likeness, Mask
from baton.routing.minilm import Encoder
from baton.routing.softmax import Head, IntArray, Partial, Prototypes, Regression, affordable_iterations, softmax
from baton.routing.training_set import TrainingSet

_NEAREST = 3
"""So many of the nearest texts tell whether something of the kind was seen; a single one may be chance."""
_NAME_WEIGHT = 2.0
_PIVOT_TEXTS = 200
_HELD_OUT = 200  # examples, if there are as many; some 40 more cost another training where there are few
_BLOCK = 512  # texts compared at a time; bounds the memory where there are thousands


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model finds in some texts, one row each."""

    agents: FloatArray
    """Probability per agent, shape (rows, agents); what lacks to 1 is the background's."""
    skills: FloatArray
    """Probability per skill, shape (rows, skills)."""
    nearest: FloatArray
    """Cosine with the most similar text of each agent, 0 to 1, shape (rows, agents)."""
    background: FloatArray
    """Cosine with the most similar text of the background, 0 to 1, shape (rows,)."""
    familiar: FloatArray
    """How much the text is like what any agent handles, 0 to 1, shape (rows,)."""

    def best(self) -> IntArray:
        """Return the most probable agent of each row."""
        best: IntArray = self.agents.argmax(axis=1)
        return best

    def confidences(self) -> FloatArray:
        """Return, per row, how sure it is that the best agent should have the text, 0 to 1.

        Both have to hold: no other agent is as probable, and texts of the kind have been seen. The root
        gives the second the greater say, which is what tells foreign texts from own ones.

        Source:
            docs/routing.md, 'How sure is sure': what other measures give.
        """
        confidences: FloatArray = np.sqrt(self.agents.max(axis=1)) * self.familiar
        return confidences


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is found in examples by models that have not seen them; without examples it is empty."""

    confidences: FloatArray
    """Shape (examples,)."""
    is_right: Mask
    """Whether the best agent is that of the example, shape (examples,)."""


class OfflineModel:
    """Likenesses with the texts of a training set, and the classes learnt from them.

    Args:
        training: At least one agent.
        encoder: Gives the texts' meaning; None: words alone.
        known: Vectors that are known already, by text.
    """

    def __init__(
        self, training: TrainingSet, encoder: Encoder | None = None, known: Mapping[str, FloatArray] | None = None
    ) -> None:
        self.training = training
        self._comparer = Comparer(training.texts, encoder, known or {})
        every_agent = np.arange(len(training.agents) + 1)
        self.agent_of_text: IntArray = training.agent_of[training.skill_of]
        self._first_text = np.searchsorted(self.agent_of_text, every_agent)
        self._first_skill = np.searchsorted(training.agent_of, every_agent)
        gram = self._gram()
        everything = np.arange(len(training.texts))
        self._head: Head = Prototypes(training.skill_of) if gram is None else _trained(training, gram, everything)
        self._pivot = np.float32(0.0)
        self._pivot = self._found_pivot()
        self.held_out = self._judged_held_out(gram)

    @property
    def vectors(self) -> dict[str, FloatArray]:
        """The vectors of the training set's texts, by text."""
        return dict(zip(self.training.texts, self._comparer.vectors, strict=True))

    def scores(self, texts: Sequence[str], without: frozenset[str] = frozenset()) -> Scores:
        """Score texts, one row each.

        Args:
            texts: At least one.
            without: Agents to be left out, as if they had no card.
        """
        gone = np.array([agent in without for agent in self.training.agents] + [False])
        words = [normalise(text) for text in texts]
        return self._scored(self._comparer.compare(words, self._comparer.encode(words)), gone)

    def scores_left_out(self, rows: IntArray, *, agent_too: bool) -> Scores:
        """Score texts of the training set as if they had not been in it, without training anew.

        Args:
            rows: Indices of texts, shape (rows,).
            agent_too: Also as if the text's agent did not exist: its other texts and skills do not count.
        """
        everyone = np.arange(len(self.training.agents) + 1)
        gone = self.agent_of_text[rows, np.newaxis] == everyone if agent_too else np.zeros_like(everyone, np.bool_)
        itself = np.arange(len(self.training.texts)) == rows[:, np.newaxis]
        return self._scored(self._among(rows).forgetting(itself), gone)

    def best_skill(self, scores: Scores, row: int, agent: int) -> str | None:
        """Return the name of the most probable skill of `agent`, an index, in a row of `scores`."""
        first = int(self._first_skill[agent])
        skills = scores.skills[row, first : self._first_skill[agent + 1]]
        return self.training.skills[first + int(skills.argmax())]

    def _among(self, rows: IntArray) -> Likeness:
        """Compare texts of the set with all of it."""
        return self._comparer.compare([self.training.texts[row] for row in rows], self._comparer.vectors[rows])

    def _gram(self) -> FloatArray | None:
        """Return how alike the texts are to one another; None: there are too many to train on."""
        if not _iterations(self.training):
            return None
        every = np.arange(len(self.training.texts))
        parts = [self._among(every[start : start + _BLOCK]).both() for start in range(0, len(every), _BLOCK)]
        return np.concatenate(parts)

    def _judged_held_out(self, gram: FloatArray | None) -> HeldOut:
        """Judge examples by heads that have not seen them, fold after fold until there are enough."""
        if gram is None:  # prototypes are not taught, so that to leave one text out changes nothing else
            rows = spread(np.flatnonzero(self.training.is_example), 2 * _HELD_OUT)
            return self._judged([(rows, self.scores_left_out(rows, agent_too=False))] if len(rows) else [])
        every, nobody = np.arange(len(self.training.texts)), np.zeros(len(self.training.agents) + 1, np.bool_)
        scored: list[tuple[IntArray, Scores]] = []
        for fold in self.training.folds():
            rows, known = spread(fold, 2 * _HELD_OUT), np.delete(every, fold)
            likeness = self._among(rows).forgetting(np.isin(every, fold))
            head = Partial(_trained(self.training, gram, known), known)
            scored.append((rows, self._scored(likeness, nobody, head)))
            if sum(len(one) for one, _ in scored) >= _HELD_OUT:
                break
        return self._judged(scored)

    def _judged(self, scored: Sequence[tuple[IntArray, Scores]]) -> HeldOut:
        is_right = [scores.best() == self.agent_of_text[rows] for rows, scores in scored]
        return HeldOut(
            np.concatenate([np.zeros(0, dtype=np.float32), *(scores.confidences() for _, scores in scored)]),
            np.concatenate([np.zeros(0, dtype=np.bool_), *is_right]),
        )

    def _found_pivot(self) -> np.float32:
        """Return the usual energy of requests that the agents handle: half of them are more familiar, half less."""
        examples = np.flatnonzero(self.training.is_example)
        own = examples if len(examples) else np.flatnonzero(self.agent_of_text < len(self.training.agents))
        rows = spread(own, _PIVOT_TEXTS)
        itself = np.arange(len(self.training.texts)) == rows[:, np.newaxis]
        among = self._among(rows)
        energies = [_energy(self._head.logits(one.both())[:, :-1]) for one in (among, among.forgetting(itself))]
        # Of two agents with the same text each pulls with all its might; without one the other has its way.
        return np.float32(min(np.median(one) for one in energies))

    def _scored(self, likeness: Likeness, gone: Mask, head: Head | None = None) -> Scores:
        """Score likenesses, as if the agents of `gone`, shape (agents + 1,) or (rows, agents + 1), were none.

        Args:
            likeness: Of the texts.
            gone: Agents.
            head: Takes the place of the model's own.
        """
        gone = np.broadcast_to(gone, (len(likeness.words), len(self.training.agents) + 1))
        likeness = likeness.forgetting(gone[:, self.agent_of_text])
        logits = np.where(gone[:, self.training.agent_of], -np.inf, (head or self._head).logits(likeness.both()))
        skills, nearness = softmax(logits), likeness.nearness()
        nearest = np.maximum.reduceat(nearness, self._first_text, axis=1)
        own = nearness[:, : self._first_text[-1]]
        count = min(_NEAREST, own.shape[1])
        typical = np.partition(own, -count, axis=1)[:, -count:].mean(axis=1)
        return Scores(
            agents=np.add.reduceat(skills, self._first_skill, axis=1)[:, :-1],
            skills=skills[:, :-1],
            nearest=nearest[:, :-1],
            background=nearest[:, -1],
            familiar=typical / (1 + np.exp(self._pivot - _energy(logits[:, :-1]))),
        )


def spread(rows: IntArray, count: int) -> IntArray:
    """Take at most `count` of `rows`, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(np.int64)]


def _iterations(training: TrainingSet) -> int:
    return affordable_iterations(len(training.texts), len(training.skills) + 1)


def _trained(training: TrainingSet, gram: FloatArray, known: IntArray) -> Regression:
    """Learn the classes from the texts `known`; all of them, or at least the background's."""
    alike = gram if len(known) == len(gram) else gram[np.ix_(known, known)]
    # The fewer the texts, the longer the steps; as many of them would learn these better than the whole is learnt.
    iterations = round(_iterations(training) * math.sqrt(len(known) / len(gram)))
    return Regression(alike, training.skill_of[known], weights=_weights(training)[known], iterations=iterations)


def _energy(logits: FloatArray) -> FloatArray:
    """Return the logarithm of the sum of exponentials, row by row; it ranks the unfamiliar better than a probability.

    Source:
        Liu et al., Energy-based Out-of-distribution Detection, NeurIPS 2020.
    """
    most = np.maximum(logits.max(axis=1), np.float32(-80.0))
    energy: FloatArray = most + np.log(np.exp(logits - most[:, np.newaxis]).sum(axis=1) + np.float32(1e-30))
    return energy


def _weights(training: TrainingSet) -> FloatArray:
    """Let a name count like two examples, and the background like one usual skill: it must not drown two examples."""
    counts = np.bincount(training.skill_of)
    weights = np.where(training.is_example, np.float32(1.0), np.float32(_NAME_WEIGHT))
    weights[-counts[-1] :] = min(1.0, float(np.median(counts[:-1])) / counts[-1])
    return weights
