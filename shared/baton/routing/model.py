"""The offline model of one set of cards: how probable and how similar each agent is for a text.

In: a `TrainingSet`. Out: `Scores` of texts; `calibration` finds the threshold, `lexical` decides.
"""

from dataclasses import dataclass

import numpy as np

from baton.routing.features import FloatArray
from baton.routing.index import TextIndex
from baton.routing.softmax import Head, IntArray, Prototypes, Regression, affordable_iterations, softmax
from baton.routing.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model finds in some texts, one row each."""

    agents: FloatArray
    """Probability per agent, shape (rows, agents); what lacks to 1 is the background's."""
    skills: FloatArray
    """Probability per skill, shape (rows, skills)."""
    nearest: FloatArray
    """Cosine with the most similar text of each agent, shape (rows, agents)."""

    def best(self) -> IntArray:
        """Return the most probable agent of each row."""
        best: IntArray = self.agents.argmax(axis=1)
        return best

    def confidences(self) -> FloatArray:
        """Return, per row, the best agent's probability times its nearest text's similarity, 0 to 1.

        Source:
            research/routing.md section 3: the product ranks what no agent handles better than either.
        """
        chosen = self.best()[:, np.newaxis]
        product = np.take_along_axis(self.agents, chosen, 1) * np.take_along_axis(self.nearest, chosen, 1)
        return np.ravel(product)


class LexicalModel:
    """Similarities with the texts of a training set, and the classes learnt from them."""

    def __init__(self, training: TrainingSet) -> None:
        """Index the texts and train; under a second for some hundred texts.

        Args:
            training: At least one agent.
        """
        self.training = training
        self._index = TextIndex(training.texts)
        self._head = self._trained_head()
        every_agent = np.arange(len(training.agents) + 1)
        self.agent_of_text: IntArray = training.agent_of[training.skill_of]
        self._first_text = np.searchsorted(self.agent_of_text, every_agent)
        self._first_skill = np.searchsorted(training.agent_of, every_agent)

    def scores(self, text: str) -> Scores:
        """Score one text: one row."""
        similarities = self._index.similarities(text)[np.newaxis]
        return self._scored(similarities, self._head.logits(similarities))

    def scores_left_out(self, rows: IntArray, *, agent_too: bool) -> Scores:
        """Score texts of the training set as if they had not been in it, without training anew.

        Args:
            rows: Indices of texts, shape (rows,).
            agent_too: Also as if the text's agent did not exist: its other texts and skills do not count.
        """
        similarities = np.stack([self._index.similarities(self.training.texts[row]) for row in rows])
        for place, row in enumerate(rows):
            similarities[place, self._agent_texts(row) if agent_too else row] = 0.0
        logits = self._head.logits(similarities)
        if agent_too:
            for place, row in enumerate(rows):
                agent = self.agent_of_text[row]
                logits[place, self._first_skill[agent] : self._first_skill[agent + 1]] = -np.inf
        return self._scored(similarities, logits)

    def best_skill(self, scores: Scores, agent: int) -> str | None:
        """Return the name of the most probable skill of `agent`, an index, in the first row of `scores`."""
        first = int(self._first_skill[agent])
        skills = scores.skills[0, first : self._first_skill[agent + 1]]
        return self.training.skills[first + int(skills.argmax())]

    def _agent_texts(self, row: int) -> slice:
        agent = self.agent_of_text[row]
        return slice(self._first_text[agent], self._first_text[agent + 1])

    def _trained_head(self) -> Head:
        classes = self.training.skill_of
        iterations = affordable_iterations(len(classes), len(self.training.skills) + 1)
        if not iterations:
            return Prototypes(classes)
        gram = np.stack([self._index.similarities(text) for text in self.training.texts])
        return Regression(gram, classes, weights=_weights(classes), iterations=iterations)

    def _scored(self, similarities: FloatArray, logits: FloatArray) -> Scores:
        skills = softmax(logits)
        return Scores(
            agents=np.add.reduceat(skills, self._first_skill, axis=1)[:, :-1],
            skills=skills[:, :-1],
            nearest=np.maximum.reduceat(similarities, self._first_text, axis=1)[:, :-1],
        )


def _weights(classes: IntArray) -> FloatArray:
    """Let the background, the last class, count like one usual skill: it must not drown two examples."""
    counts = np.bincount(classes)
    weights = np.ones(len(classes), dtype=np.float32)
    weights[-counts[-1] :] = min(1.0, float(np.median(counts[:-1])) / counts[-1])
    return weights
