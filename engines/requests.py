"""What the engines are asked, what they answer, and the way in between."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engines.preprocess import Frame, Image, Mask

#: A prepared plane: an array, or one in the memory of a device.
P = TypeVar("P")
A = TypeVar("A", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRequest(Generic[P]):
    """One slab.

    Parameters
    ----------
    model
        Name of the lesion model.
    planes
        Foot to head, the target in their middle.
    frame
        The target's grid.
    blended
        Makes the lesion probability of the target from a block model's answers,
        asked only where there is lung; None for models that see `planes`.
    """

    model: str
    planes: tuple[P, ...]
    frame: Frame
    blended: Callable[[], P] | None = None

    @property
    def centre(self) -> P:
        """The target's plane."""
        return self.planes[len(self.planes) // 2]

    def blend(self) -> P:
        """The lesion probability of the target.

        Raises
        ------
        ValueError
            When the request does not say how it is made.
        """
        if self.blended is None:
            raise ValueError(f"{self.model} answers blocks, it was asked about neighbours")
        return self.blended()


@dataclass(frozen=True, slots=True, eq=False)
class SliceMasks:
    """Masks of one slice in the standard view, on its own grid; lesion lies inside lung."""

    lung: Mask
    lesion: Mask


class Answer(Protocol[A]):
    """What a block model answers: a plane for each that it was given."""

    @property
    def nbytes(self) -> int: ...

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> A: ...


class SlabPath(Protocol[P]):
    """The way of slabs through the engines: all on the host, or all on one device."""

    @property
    def memory(self) -> Hashable:
        """Where the planes lie; None for the host. Planes serve wherever this is equal."""
        ...

    def prepare(self, images: Sequence[Image]) -> list[P]:
        """Network input of some slices, one plane an image."""
        ...

    def segment(self, requests: Sequence[SegmentRequest[P]]) -> list[SliceMasks]:
        """Masks of some slabs; each depends on its own slab alone."""
        ...

    def answer_block(self, model: str, planes: Sequence[Sequence[P]]) -> Answer[P]:
        """Lesion probabilities of the planes of a block, each the mean of some slices."""
        ...

    def blend(self, weights: Sequence[float], planes: Sequence[P]) -> P:
        """The weighted sum of some probabilities, in their order."""
        ...
