"""What of a network is quantised, and which tensors must share one range.

Convolutions are quantised; max pooling, nearest-neighbour resize and
concatenation only pass numbers on, so all tensors around them share one range
and they stay in INT8. Of a residual addition the shortcut is quantised: the
convolution on the other side takes it up as it writes its result. Whether that
result is rounded before it is added is the dialect's choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx

_PASSING = ("MaxPool", "Resize", "Concat")


@dataclass(frozen=True, slots=True)
class Sites:
    """The tensors that carry Q/DQ, for a given set of quantised convolutions.

    Parameters
    ----------
    groups
        Tensors that share a range; each group in the order of the graph.
    sources
        Tensors that some layer computes; the others only pass them on.
    """

    groups: tuple[tuple[str, ...], ...]
    sources: frozenset[str]


class Network:
    """A float network as read from ONNX; every node gets a name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        self._producers = {out: node for node in model.graph.node for out in node.output}
        self._order = {
            name: place
            for place, name in enumerate(
                [graph_input.name for graph_input in model.graph.input]
                + [out for node in model.graph.node for out in node.output]
            )
        }

    @property
    def convolutions(self) -> list[str]:
        """Names of the convolutions that can be quantised, in the order of the graph."""
        return [
            node.name
            for node in self.model.graph.node
            if node.op_type == "Conv" and node.input[1] in self.weights
        ]

    def sites(self, kept: Collection[str] = ()) -> Sites:
        """Where Q/DQ goes when all convolutions but `kept` are quantised."""
        quantised = set(self.convolutions) - set(kept)
        union = _Union()
        for node in self.model.graph.node:
            if node.name in quantised:
                self._join(node.input[0], union)
            elif node.op_type == "Add" and (shortcut := self.shortcut(node, quantised)):
                self._join(shortcut, union)
        groups = [tuple(sorted(group, key=self._order.__getitem__)) for group in union.groups()]
        sources = {name for group in groups for name in group if not self._passes(name)}
        return Sites(
            tuple(sorted(groups, key=lambda group: self._order[group[0]])), frozenset(sources)
        )

    def measured(self) -> list[str]:
        """Every tensor that may carry Q/DQ, whichever convolutions are kept."""
        names = set(self.sites().sources)
        for node in self.model.graph.node:
            if node.op_type == "Add" and self.shortcut(node, self.convolutions):
                names.update(node.input)
        return sorted(names, key=self._order.__getitem__)

    def _join(self, tensor: str, union: _Union) -> None:
        """The tensor and what passes into it, up to where it is computed."""
        if union.knows(tensor):
            return
        union.add(tensor)
        for before in self._passed_from(tensor):
            self._join(before, union)
            union.join(tensor, before)

    def shortcut(self, node: onnx.NodeProto, quantised: Collection[str]) -> str | None:
        """The side of an addition that is quantised; None where no INT8 result is added to."""
        if any(name in self.weights for name in node.input):
            return None
        from_conv = [self.is_made_by(name, quantised) for name in node.input]
        if not any(from_conv):
            return None
        return str(node.input[1] if from_conv[0] else node.input[0])

    def is_made_by(self, tensor: str, layers: Collection[str]) -> bool:
        """Whether one of these layers computes the tensor."""
        maker = self._producers.get(tensor)
        return maker is not None and maker.name in layers

    def _passes(self, tensor: str) -> bool:
        return any(True for _ in self._passed_from(tensor))

    def _passed_from(self, tensor: str) -> Iterator[str]:
        maker = self._producers.get(tensor)
        if maker is None or maker.op_type not in _PASSING or not _is_exact(maker):
            return
        data = maker.input if maker.op_type == "Concat" else maker.input[:1]
        yield from (name for name in data if name in self._order)


def _is_exact(node: onnx.NodeProto) -> bool:
    """Whether the node makes no new numbers."""
    modes = [attribute.s for attribute in node.attribute if attribute.name == "mode"]
    return node.op_type != "Resize" or modes in ([], [b"nearest"])


class _Union:
    """Disjoint sets of names."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def knows(self, name: str) -> bool:
        return name in self._parent

    def add(self, name: str) -> None:
        self._parent[name] = name

    def root(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        self._parent[self.root(one)] = self.root(other)

    def groups(self) -> list[list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.root(name), []).append(name)
        return list(found.values())
