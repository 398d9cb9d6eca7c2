"""
Lay a worked program out as a circuit: from gates and wires to lines, boxes and texts with coordinates.

Every wire with its labels is a node of the layout of its own, so that no label can lie on anything else; Graphviz, which comes
inside the wheel of pygraphviz, ranks the nodes, orders them to cross few lines, and routes the lines between them. What comes back
is a list of marks in pixels, from which `picture` writes every format.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from bpcompile.diagnostics import error
from bpcompile.ir import show_shape
from bpcompile.messages import say
from bpcompile.teaching.worked import Gate, Stage, Wire, Worked, shown

#: Width of a character and height of a line, at the size that labels are set in.
CHAR: Final = 7.3
LINE: Final = 13.0
SIZE: Final = 12
_GATE: Final = 34.0
_MARGIN: Final = 14.0
_POINTS: Final = 72.0
#: Pictures of up to so many gates are laid out twice, for fewer crossings; beyond the other number nobody could read them.
_SOME: Final = 60
_MOST: Final = 400
#: Gates whose operands may come in either order.
_COMMUTING: Final = frozenset({"add", "mul", "max", "min", "hypot", "logaddexp", "and", "or", "eq", "ne", "beta"})
#: What stands where a number is to be filled in.
_BLANK: Final = "______"

Anchor = Literal["start", "middle", "end"]


@dataclass(slots=True)
class Label:
    """A piece of text; `kind` is its class: `name`, `shape`, `value`, `gradient`, `sign`, `sum` or `stage`."""

    x: float
    y: float
    text: str
    kind: str
    anchor: Anchor = "middle"


@dataclass(slots=True)
class Curve:
    """A chain of cubic curves: the first point, then three for each curve. A straight line is one too."""

    points: list[tuple[float, float]]


@dataclass(slots=True)
class Dot:
    """The point where the wires that leave a variable join."""

    x: float
    y: float


@dataclass(slots=True)
class Outline:
    """A gate (round), a stage (a box), or a number to be filled in."""

    x: float
    y: float
    width: float
    height: float
    kind: Literal["gate", "stage", "blank"]


Mark = Label | Curve | Dot | Outline


@dataclass(slots=True)
class Group:
    """What belongs to one wire, gate or stage: its marks, what a screen reader says, and the exact numbers."""

    kind: Literal["wire", "gate", "stage"]
    key: str
    title: str
    marks: list[Mark] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Circuit:
    """A drawing: its size in pixels, its groups from back to front, and its text alternative."""

    width: float
    height: float
    title: str
    description: str
    groups: list[Group]


@dataclass(eq=False, slots=True)
class _Node:
    """A gate, or in a collapsed picture a stage."""

    label: str
    inputs: list[Wire]
    ordered: bool
    out: Wire
    title: str
    stage: Stage | None


def draw(worked: Worked, *, collapse: bool = False, lang: str = "en", blank: str = "") -> Circuit:
    """
    Lay out a worked program.

    Args:
        worked: The program at a point.
        collapse: One gate a stage, instead of boxes around the gates of a stage.
        lang: The language of the text alternatives.
        blank: `gradients` draws empty boxes in their place; `values` does, and leaves the gradients out.

    Raises:
        CompileError: E021 pygraphviz is not installed; E024 there are more gates than a picture shows.
    """
    request = _Request(worked, collapse=collapse, lang=lang, blank=blank)
    if len(request.nodes) > _MOST:
        raise error("E024", f"{len(request.nodes)} gates are too many for a picture", help="`--collapse` draws one gate a stage, `--of` an earlier stage")
    best = _Layout(request, swapped=False, ordered=False)
    if len(request.nodes) <= _SOME:
        best = min(_Layout(request, swapped=False, ordered=True), best, key=_Layout.crossings)
    if best.is_upside_down():
        # As many lines cross in the mirror, and the inputs come in the order of the program.
        best = _Layout(request, swapped=True, ordered=best.ordered)
    title = say(lang, "picture.title", name=worked.name)
    return Circuit(math.ceil(best.width + 2 * _MARGIN), math.ceil(best.height + 2 * _MARGIN), title, request.description(), best.groups())


class _Request:
    """What is to be laid out."""

    def __init__(self, worked: Worked, *, collapse: bool, lang: str, blank: str) -> None:
        self.nodes = _stage_nodes(worked) if collapse else _gate_nodes(worked)
        self.stages = [] if collapse else worked.stages
        self.lang = lang
        self.blank = blank
        used = {w for node in self.nodes for w in (*node.inputs, node.out)}
        wires = [w for w in worked.wires if w in used or w.is_output]
        self.inputs = [w for w in worked.inputs if w in wires]
        self.labels = {w: self._labels(w) for w in wires}

    def _labels(self, wire: Wire) -> _Labels:
        readers = sum(w is wire for node in self.nodes for w in node.inputs)
        return _Labels(wire, readers, value=not self.hides_value(wire), gradient=None if self.blank == "values" else not self.hides_gradient(wire))

    def hides_value(self, wire: Wire) -> bool:
        """Whether a value is left for the reader to fill in."""
        return self.blank == "values" and wire.maker is not None

    def hides_gradient(self, wire: Wire) -> bool:
        """Whether a gradient is left for the reader to fill in: all but the one that everything starts from."""
        return self.blank == "values" or (self.blank == "gradients" and not (wire.is_output and not wire.readers))

    def wire_title(self, wire: Wire) -> str:
        """Return what a screen reader says of a wire."""
        parts = [wire.name]
        if wire.is_array:
            parts.append(f"{say(self.lang, 'picture.shape')} {show_shape(wire.var.shape)}")
        if not self.hides_value(wire):
            parts.append(f"{say(self.lang, 'picture.value')} {shown(wire.value)}")
        if wire.gradient is not None and not self.hides_gradient(wire):
            parts.append(f"{say(self.lang, 'picture.gradient')} {shown(wire.gradient)}")
        return ", ".join(parts)

    def description(self) -> str:
        """Return what a screen reader says of the whole picture."""
        return f"{say(self.lang, 'picture.description', gates=len(self.nodes))} {'; '.join(node.title for node in self.nodes)}."


def _gate_nodes(worked: Worked) -> list[_Node]:
    stage = {gate: s for s in worked.stages for gate in s.gates}
    return [_Node(g.label, g.wires, not _commutes(g), g.out, g.code, stage.get(g)) for g in worked.gates if g.out.readers or g.out.is_output]


def _stage_nodes(worked: Worked) -> list[_Node]:
    nodes = []
    for stage in worked.stages:
        text = stage.gates[0].label if len(stage.gates) == 1 else _right_side(stage)
        inside = {g.out for g in stage.gates}
        inputs = [w for g in stage.gates for w in g.wires if w not in inside]
        nodes.append(_Node(text, inputs, ordered=len(stage.gates) > 1 or not _commutes(stage.gates[0]), out=stage.out, title=stage.forward.code, stage=stage))
    return nodes


def _right_side(stage: Stage) -> str:
    text = stage.forward.code.partition(" = ")[2].replace("math.", "").replace("np.", "")
    return text if len(text) <= 24 else stage.out.name


def _commutes(gate: Gate) -> bool:
    return gate.primitive.name in _COMMUTING or len(gate.wires) < 2


class _Labels:
    """The texts of one wire and the room that they take; the wire itself runs through the middle of it."""

    def __init__(self, wire: Wire, readers: int, *, value: bool, gradient: bool | None) -> None:
        self.wire = wire
        self.joins = readers > 1
        self.above: list[tuple[str, str]] = []
        self.below: list[tuple[str, str]] = []
        self.left = wire.name if wire.maker is None else ""
        if wire.named and not self.left:
            self.above.append((wire.name, "name"))
        if wire.is_array:
            self.above.append((show_shape(wire.var.shape), "shape"))
        self.above.append((shown(wire.value) if value else _BLANK, "value"))
        if wire.gradient is not None and gradient is not None:
            self.below.append((shown(wire.gradient) if gradient else _BLANK, "gradient"))
        self.joins &= bool(self.below)
        longest = max(len(text) for text, _ in (*self.above, *self.below))
        self.name_width = (len(self.left) * CHAR + 8) if self.left else 0.0
        self.width = max(longest * CHAR + 8, 40.0) + self.name_width + (22 if self.joins else 0)
        self.half = max(len(self.above) * LINE, len(self.below) * LINE) + 5

    def place(self, x: float, y: float) -> list[Mark]:
        """Return the marks of the wire around its middle."""
        left, right = x - self.width / 2, x + self.width / 2
        start = left + self.name_width
        joined = 22 if self.joins else 0
        middle = (start + right - joined) / 2
        marks: list[Mark] = [Curve([(start, y), (start, y), (right, y), (right, y)])]
        if self.left:
            marks.append(Label(left + self.name_width - 6, y + 4, self.left, "name", "end"))
        marks += [_number(middle, y - 5 - i * LINE, text, kind) for i, (text, kind) in enumerate(reversed(self.above))]
        marks += [_number(middle, y + LINE + 1 + i * LINE, text, kind) for i, (text, kind) in enumerate(self.below)]
        if joined:
            marks += [Dot(right, y), Label(right - 4, y + LINE + 1, "+=", "sum", "end")]
        return marks


def _number(x: float, y: float, text: str, kind: str) -> Mark:
    if text == _BLANK:
        return Outline(x - 3 * CHAR, y - 10, 6 * CHAR, 12, "blank")
    return Label(x, y, text, kind)


class _Layout:
    """
    One attempt at a layout.

    Args:
        swapped: Whether the picture is turned upside down.
        ordered: Whether the first operand of `a - b` must come in above the second.
    """

    def __init__(self, request: _Request, *, swapped: bool, ordered: bool) -> None:
        self.request = request
        self.swapped = swapped
        self.ordered = ordered
        self.key = {wire: f"w{i}" for i, wire in enumerate(request.labels)}
        self.graph = self._graph()
        self.graph.layout(prog="dot")
        box = [float(v) for v in self.graph.graph_attr["bb"].split(",")]
        self.width, self.height = box[2], box[3]
        self.edges = [(edge[0], edge[1], self._curve(edge.attr["pos"])) for edge in self.graph.edges()]

    def is_upside_down(self) -> bool:
        """Whether more than half of the inputs come in the opposite order."""
        heights = [self.place(self.key[w])[1] for w in self.request.inputs]
        pairs = [(a, b) for i, a in enumerate(heights) for b in heights[i + 1 :]]
        return sum(a > b for a, b in pairs) > len(pairs) / 2

    def crossings(self) -> int:
        """Count the pairs of lines that cross, as far as a chain of chords shows it."""
        lines = [_chords(curve) for _, _, curve in self.edges]
        if len(lines) < 2:
            return 0
        low = np.array([line.min(axis=0) for line in lines])
        high = np.array([line.max(axis=0) for line in lines])
        near = ((low[:, None] < high) & (low < high[:, None])).all(axis=-1)
        first, second = np.nonzero(np.triu(near, 1))
        return sum(_cross(lines[i], lines[j]) for i, j in zip(first, second, strict=True))

    def place(self, key: str) -> tuple[float, float]:
        """Return the middle of a node, in pixels."""
        return self._at(self.graph.get_node(key).attr["pos"])

    @functools.cached_property
    def chords(self) -> Any:
        """Points close together on all lines."""
        return np.concatenate([_chords(curve, 40) for _, _, curve in self.edges])

    def groups(self) -> list[Group]:
        """Return what is to be drawn, from back to front."""
        wires = self._wires()
        gates = self._gates()
        return [*self._stages(), *wires, *gates]

    def _graph(self) -> Any:
        pgv = _library()
        graph = pgv.AGraph(directed=True, strict=False, rankdir="LR", ranksep="0.28", nodesep="0.16", splines="true", fontname="none")
        graph.node_attr.update(label="", shape="box", fixedsize="true", margin="0")
        graph.edge_attr.update(arrowhead="none")
        first = [self.key[w] for w in self.request.inputs]
        for wire, labels in self.request.labels.items():
            graph.add_node(self.key[wire], width=labels.width / _POINTS, height=2 * labels.half / _POINTS)
        if first:
            graph.add_subgraph(first, rank="min")
        for i, node in enumerate(self.request.nodes):
            graph.add_node(f"g{i}", shape="ellipse", width=_gate_width(node) / _POINTS, height=_GATE / _POINTS)
        inside: dict[Stage, list[str]] = {}
        for i, node in enumerate(self.request.nodes):
            if node.stage is not None:
                inside.setdefault(node.stage, []).append(f"g{i}")
                if node.out is not node.stage.out:
                    inside[node.stage].append(self.key[node.out])
        for j, stage in enumerate(self.request.stages):
            if len(stage.gates) > 1:
                graph.add_subgraph(inside[stage], name=f"cluster{j}", margin="14")
        for i, node in enumerate(self.request.nodes):
            for place, wire in enumerate(node.inputs):
                port = ("nw", "sw")[place ^ self.swapped] if self.ordered and node.ordered and len(node.inputs) == 2 else "_"
                graph.add_edge(self.key[wire], f"g{i}", tailport="e", headport=port)
            graph.add_edge(f"g{i}", self.key[node.out], headport="w", tailport="e", weight=3)
        return graph

    def _at(self, text: str) -> tuple[float, float]:
        x, y = (float(v) for v in text.split(","))
        return x + _MARGIN, (y if self.swapped else self.height - y) + _MARGIN

    def _curve(self, text: str) -> list[tuple[float, float]]:
        return [self._at(p) for p in text.split() if not p.startswith(("s,", "e,"))]

    def _stages(self) -> list[Group]:
        groups = []
        for j, stage in enumerate(self.request.stages):
            cluster = self.graph.get_subgraph(f"cluster{j}")
            if cluster is None:
                continue
            x0, y0, x1, y1 = (float(v) for v in cluster.graph_attr["bb"].split(","))
            left, top = self._at(f"{x0},{y0 if self.swapped else y1}")
            text = f"{stage.out.name} ({stage.number})" if stage.number else stage.out.name
            x, y = self._free_corner(left, top, x1 - x0, y1 - y0, len(text) * 6.7)
            marks: list[Mark] = [Outline(left, top, x1 - x0, y1 - y0, "stage"), Label(x, y, text, "stage", "start")]
            groups.append(Group("stage", stage.out.name, stage.forward.code, marks))
        return groups

    def _free_corner(self, left: float, top: float, width: float, height: float, room: float) -> tuple[float, float]:
        """Return where the name of a box crosses the fewest lines."""
        x, y = self.chords.T

        def crossed(place: tuple[float, float]) -> int:
            across = (place[0] - 2 <= x) & (x <= place[0] + room + 2)
            return int((across & (place[1] - 11 <= y) & (y <= place[1] + 3)).sum())

        rows = (top + 12, top + height - 4)
        columns = (left + 8, left + width - room - 8, left + (width - room) / 2)
        return min(itertools.product(columns, rows), key=crossed)

    def _wires(self) -> list[Group]:
        groups = {}
        for wire, labels in self.request.labels.items():
            x, y = self.place(self.key[wire])
            group = Group("wire", wire.name, self.request.wire_title(wire), labels.place(x, y), {})
            if not self.request.hides_value(wire):
                group.data["value"] = _exact(wire.value)
            if wire.gradient is not None and not self.request.hides_gradient(wire):
                group.data["gradient"] = _exact(wire.gradient)
            groups[self.key[wire]] = group
        for tail, head, curve in self.edges:
            groups[tail if tail in groups else head].marks.append(Curve(curve))
        return list(groups.values())

    def _gates(self) -> list[Group]:
        groups = []
        for i, node in enumerate(self.request.nodes):
            x, y = self.place(f"g{i}")
            width = _gate_width(node)
            marks: list[Mark] = [Outline(x - width / 2, y - _GATE / 2, width, _GATE, "gate"), Label(x, y + 5, node.label, "sign")]
            marks += self._order_marks(i, node)
            key = node.stage.out.name if node.stage is not None else node.out.name
            groups.append(Group("gate", key, node.title, marks))
        return groups

    def _order_marks(self, i: int, node: _Node) -> list[Mark]:
        """Number the operands of `a - b` where the second comes in above the first."""
        if not node.ordered or len(node.inputs) != 2 or node.inputs[0] is node.inputs[1]:
            return []
        ends = {tail: curve[-1] for tail, head, curve in self.edges if head == f"g{i}"}
        first, second = (ends[self.key[w]] for w in node.inputs)
        if first[1] <= second[1]:
            return []
        return [Label(first[0] - 6, first[1] + 11, "1", "order"), Label(second[0] - 6, second[1] - 4, "2", "order")]


def _gate_width(node: _Node) -> float:
    return max(_GATE, len(node.label) * (CHAR + 1.7) + 16)


def _chords(curve: Sequence[tuple[float, float]], count: int = 12) -> Any:
    """Return points on a chain of cubic curves, as rows of an array."""
    points = np.array(curve)
    t = np.linspace(0, 1, count + 1)[1:, None]
    weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
    pieces = [sum(w * points[i + k] for k, w in enumerate(weights)) for i in range(0, len(points) - 3, 3)]
    return np.concatenate([points[:1], *pieces])


def _cross(first: Any, second: Any) -> bool:
    """Whether two chains of chords cross, other than where they begin or end together."""

    def side(o: Any, a: Any, b: Any) -> Any:
        return (a[..., 0] - o[..., 0]) * (b[..., 1] - o[..., 1]) - (a[..., 1] - o[..., 1]) * (b[..., 0] - o[..., 0])

    a, b = first[:-1, None], first[1:, None]
    c, d = second[None, :-1], second[None, 1:]
    return bool(((side(a, b, c) * side(a, b, d) < 0) & (side(c, d, a) * side(c, d, b) < 0)).any())


def _exact(value: Any) -> str:
    return "" if getattr(value, "ndim", 0) else repr(value.item() if hasattr(value, "item") else value)


def _library() -> Any:
    try:
        import pygraphviz  # noqa: PLC0415  only where something is drawn
    except ImportError:
        raise error("E021", "drawing needs the library pygraphviz", help="pip install 'bpcompile[draw]'") from None
    return pygraphviz
