"""A recipe: what is trained, from which cached outputs, in which rounds."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from pneumo_tasks.training.backbone_table import BACKBONES

Decay = Literal["constant", "cosine", "cosine to 0"]
Exports = Literal["head", "fine_tuned", "mean"]  # what a run exports: one of its networks, or both as one

FRAME = "frame"  # the framed grey film itself: training from it runs the whole network
EVERYTHING = ("",)  # the prefix of every layer's name


@dataclass(frozen=True)
class Stage:
    """One round of training by gradients: from the cached outputs ``cuts`` up to the probability.

    ``trainable`` holds prefixes of layer names; the head is always trained. ``patience`` epochs
    without a better validation end the round; None never does. ``smoothing`` moves the labels so far towards
    each other. ``keeps`` the weights of the epoch with the best validation, or those of the last: where
    nearly every validation film is right, the best is chance. ``starts`` says what a second round goes on
    from: the head that was trained, or the backbone's own weights, with a head of its own. ``a_film`` is how
    many of a film's examples an epoch takes, of a healthy and of an ill one; None for all of them.
    """

    trains_on: ClassVar[tuple[str, ...]] = ("train",)
    takes_epochs: ClassVar[bool] = True

    cuts: tuple[str, ...]
    epochs: int
    rate: float
    trainable: tuple[str, ...] = ()
    decay: Decay = "constant"
    patience: int | None = None
    batch: int = 32
    optimizer: Literal["RMSprop", "AdamW"] = "RMSprop"
    smoothing: float = 0.0
    keeps: Literal["best", "last"] = "best"
    starts: Literal["head", "backbone"] = "head"
    a_film: tuple[int, int] | None = None

    @property
    def effort(self) -> str:
        return str(self.epochs)

    def shortened(self, epochs: int | None) -> "Stage":
        """The same round with that many epochs, where a number is given."""
        return self if epochs is None else dataclasses.replace(self, epochs=epochs)


@dataclass(frozen=True)
class CrossFitting:
    """A linear head for each fold of patients, solved exactly from the cached outputs ``cuts``.

    It has no epochs, and every film is trained on by the heads of the other folds. ``inverse_penalty`` is
    scikit-learn's C: smaller keeps the weights smaller.
    """

    trains_on: ClassVar[tuple[str, ...]] = ("train", "validation")
    takes_epochs: ClassVar[bool] = False

    cuts: tuple[str, ...]
    inverse_penalty: float = 0.01

    @property
    def effort(self) -> str:
        return "solved"

    def shortened(self, epochs: int | None) -> "CrossFitting":  # noqa: ARG002 (both heads answer it)
        """Itself: there is nothing to shorten."""
        return self


@dataclass(frozen=True)
class Recipe:
    """What is trained, on what, for how long; ``image_size`` is the side of the backbone's input.

    ``frame`` names how a film is brought into a square, ``head_kind`` the layers after the
    backbone, ``augmentation`` how the ``variants`` copies of a training film differ from it.
    """

    name: str
    summary: str
    backbone: str
    image_size: int
    head: Stage | CrossFitting
    fine_tuning: Stage | None = None
    frame: str = "squash"
    head_kind: str = "article"
    augmentation: str = "none"
    variants: int = 0

    @property
    def stages(self) -> tuple[Stage | CrossFitting, ...]:
        return (self.head, self.fine_tuning) if self.fine_tuning else (self.head,)

    @property
    def two_networks(self) -> bool:
        """Whether fine-tuning makes a network beside that of the head, so that their mean can answer."""
        return self.fine_tuning is not None and self.fine_tuning.starts == "backbone"

    def cuts_of(self, exports: Exports) -> tuple[str, ...]:
        """The cached outputs that what is exported answers from."""
        if not self.two_networks:
            return self.stages[-1].cuts
        given = {"head": self.stages[:1], "fine_tuned": self.stages[1:], "mean": self.stages}[exports]
        return tuple(dict.fromkeys(cut for stage in given for cut in stage.cuts))

    @property
    def needed_cuts(self) -> tuple[str, ...]:
        """The layers that the stages train from."""
        return tuple(dict.fromkeys(cut for stage in self.stages for cut in stage.cuts))

    @property
    def cuts(self) -> tuple[str, ...]:
        """The layers whose output is cached: what is needed, and what the same pass gives for free."""
        if set(self.needed_cuts) == {FRAME}:
            return (FRAME,)
        return tuple(dict.fromkeys([*self.needed_cuts, *BACKBONES[self.backbone].free_cuts]))
