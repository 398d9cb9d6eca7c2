"""
Write a circuit as SVG, PNG, PDF or DOT.

SVG is text with the exact numbers beside the rounded ones (`data-value`, `data-gradient`) and a title on every wire and gate. PNG
and PDF are drawn by Matplotlib, which brings its own fonts. DOT is for people who have Graphviz and want to go on from there.
"""

from __future__ import annotations

import io
from html import escape
from typing import Any, Final

from bpcompile.diagnostics import error
from bpcompile.teaching.circuit import SIZE, Circuit, Curve, Dot, Label, Mark, Outline
from bpcompile.teaching.formula import escaped
from bpcompile.teaching.worked import Wire, Worked, shown

INK: Final = "#24292f"
GREEN: Final = "#116329"
RED: Final = "#b3261e"
GREY: Final = "#57606a"
_COLOURS: Final = {"name": INK, "shape": GREY, "value": GREEN, "gradient": RED, "sign": INK, "sum": RED, "stage": GREY, "order": GREY}
_BOLD: Final = frozenset({"name", "value", "sum"})
_SLANTED: Final = frozenset({"gradient"})
_LARGE: Final = {"sign": 15, "stage": 11, "order": 9}
_FONT: Final = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

STYLE: Final = f"""\
.circuit text {{ font: {SIZE}px {_FONT}; fill: {INK}; }}
.circuit .name {{ font-weight: bold; }}
.circuit .shape, .circuit .stage {{ fill: {GREY}; }}
.circuit .value {{ fill: {GREEN}; font-weight: bold; }}
.circuit .gradient {{ fill: {RED}; font-style: italic; }}
.circuit .sum {{ fill: {RED}; font-weight: bold; }}
.circuit .sign {{ font-size: {_LARGE["sign"]}px; }}
.circuit .stage {{ font-size: {_LARGE["stage"]}px; }}
.circuit .order {{ font-size: {_LARGE["order"]}px; fill: {GREY}; }}
.circuit path {{ fill: none; stroke: {INK}; stroke-width: 1.2; stroke-linecap: round; }}
.circuit .dot {{ fill: {INK}; }}
.circuit .box {{ fill: #f3f6fa; stroke: #8c959f; stroke-dasharray: 4 3; }}
.circuit .blank {{ fill: #ffffff; stroke: {GREY}; }}
.circuit .round {{ fill: #ffffff; stroke: {INK}; stroke-width: 1.4; }}
.circuit .lit path, .circuit .lit .round {{ stroke-width: 3; stroke: #0550ae; }}"""


def svg(circuit: Circuit, *, ident: str = "circuit") -> str:
    """
    Write a circuit as SVG.

    Args:
        circuit: What to write.
        ident: Start of the ids in it, for pages with several pictures.
    """
    size = f"{circuit.width:g}", f"{circuit.height:g}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="circuit" viewBox="0 0 {size[0]} {size[1]}" width="{size[0]}" height="{size[1]}"',
        f'role="img" aria-labelledby="{ident}-title {ident}-desc">',
        f'<title id="{ident}-title">{escape(circuit.title)}</title>',
        f'<desc id="{ident}-desc">{escape(circuit.description)}</desc>',
        f"<style>\n{STYLE}\n</style>",
        f'<rect width="{size[0]}" height="{size[1]}" fill="#ffffff"/>',
    ]
    for group in circuit.groups:
        data = "".join(f' data-{key}="{escape(value)}"' for key, value in group.data.items())
        lines.append(f'<g class="{group.kind}" data-name="{escape(group.key)}"{data}><title>{escape(group.title)}</title>')
        lines += [_svg_mark(mark) for mark in group.marks]
        lines.append("</g>")
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _svg_mark(mark: Mark) -> str:
    match mark:
        case Label():
            anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
            return f'<text x="{_px(mark.x)}" y="{_px(mark.y)}" class="{mark.kind}"{anchor}>{escape(mark.text)}</text>'
        case Curve():
            first, *rest = [f"{_px(x)},{_px(y)}" for x, y in mark.points]
            return f'<path d="M{first} C{" ".join(rest)}"/>'
        case Dot():
            return f'<circle class="dot" cx="{_px(mark.x)}" cy="{_px(mark.y)}" r="3.5"/>'
        case Outline():
            kind, radius = {"stage": ("box", 8.0), "gate": ("round", mark.height / 2), "blank": ("blank", 1.0)}[mark.kind]
            place = f'x="{_px(mark.x)}" y="{_px(mark.y)}" width="{_px(mark.width)}" height="{_px(mark.height)}"'
            return f'<rect class="{kind}" {place} rx="{_px(radius)}"/>'


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def raster(circuit: Circuit, kind: str, *, dpi: int = 144) -> bytes:
    """
    Draw a circuit as PNG or PDF.

    Args:
        circuit: What to draw.
        kind: `png` or `pdf`.
        dpi: Pixels an inch of a PNG; 72 would be one for each of the circuit's.

    Raises:
        CompileError: E021 Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  only where something is drawn
    except ImportError:
        raise error("E021", f"drawing {kind.upper()} needs the library Matplotlib", help="pip install 'bpcompile[draw]'") from None
    figure = Figure(figsize=(circuit.width / 72, circuit.height / 72), dpi=72)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, circuit.width)
    axes.set_ylim(circuit.height, 0)
    for depth, group in enumerate(circuit.groups):
        for mark in group.marks:
            _paint(axes, mark, depth)
    buffer = io.BytesIO()
    # Dates and versions would make two runs differ.
    metadata = {"Title": circuit.title, "CreationDate": None} if kind == "pdf" else {"Title": circuit.title, "Software": None}
    figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata, facecolor="white")
    return buffer.getvalue()


def _paint(axes: Any, mark: Mark, depth: int) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Rectangle  # noqa: PLC0415  loaded by now
    from matplotlib.path import Path  # noqa: PLC0415  see above

    match mark:
        case Label():
            axes.text(
                mark.x,
                mark.y,
                mark.text,
                ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
                va="baseline",
                family="DejaVu Sans Mono",
                size=_LARGE.get(mark.kind, SIZE),
                weight="bold" if mark.kind in _BOLD else "normal",
                style="italic" if mark.kind in _SLANTED else "normal",
                color=_COLOURS[mark.kind],
                zorder=depth + 0.5,
                parse_math=False,
            )
        case Curve():
            codes = [Path.MOVETO] + [Path.CURVE4] * (len(mark.points) - 1)
            axes.add_patch(PathPatch(Path(mark.points, codes), fill=False, edgecolor=INK, linewidth=1.2, capstyle="round", zorder=depth))
        case Dot():
            axes.add_patch(Circle((mark.x, mark.y), 3.5, facecolor=INK, linewidth=0, zorder=depth))
        case Outline():
            stage = mark.kind == "stage"
            if mark.kind == "blank":
                axes.add_patch(Rectangle((mark.x, mark.y), mark.width, mark.height, facecolor="white", edgecolor=GREY, linewidth=1, zorder=depth))
                return
            if mark.width == mark.height:
                centre = (mark.x + mark.width / 2, mark.y + mark.height / 2)
                axes.add_patch(Circle(centre, mark.height / 2, facecolor="white", edgecolor=INK, linewidth=1.4, zorder=depth))
                return
            radius = 8 if stage else mark.height / 2
            axes.add_patch(
                FancyBboxPatch(
                    (mark.x, mark.y),
                    mark.width,
                    mark.height,
                    boxstyle=f"round,pad=0,rounding_size={radius}",
                    facecolor="#f3f6fa" if stage else "white",
                    edgecolor="#8c959f" if stage else INK,
                    linestyle=(0, (4, 3)) if stage else "solid",
                    linewidth=1.0 if stage else 1.4,
                    zorder=depth,
                )
            )


def tikz(circuit: Circuit) -> str:
    """Write a circuit as a TikZ picture, 1 pixel being 0.75 bp."""
    lines = [r"\begin{tikzpicture}[x=0.75bp, y=-0.75bp, line width=0.6bp, inner sep=0]"]
    for group in circuit.groups:
        lines += [_tikz_mark(mark) for mark in group.marks]
    return "\n".join([*lines, r"\end{tikzpicture}"])


def _tikz_mark(mark: Mark) -> str:
    match mark:
        case Label():
            anchor = {"start": "base west", "middle": "base", "end": "base east"}[mark.anchor]
            font = ("\\bfseries" if mark.kind in _BOLD else "") + ("\\itshape" if mark.kind in _SLANTED else "")
            size = 0.75 * _LARGE.get(mark.kind, SIZE)
            text = escaped(mark.text.replace("∗", "*"))
            look = rf"anchor={anchor}, text={mark.kind}, font=\ttfamily{font}\fontsize{{{size:g}}}{{{size:g}}}\selectfont"
            return rf"\node[{look}] at ({_px(mark.x)},{_px(mark.y)}) {{{text}}};"
        case Curve():
            points = [f"({_px(x)},{_px(y)})" for x, y in mark.points]
            parts = [f".. controls {points[i]} and {points[i + 1]} .. {points[i + 2]}" for i in range(1, len(points) - 2, 3)]
            return rf"\draw {points[0]} {' '.join(parts)};"
        case Dot():
            return rf"\fill ({_px(mark.x)},{_px(mark.y)}) circle [radius=2.6bp];"
        case Outline():
            stage = mark.kind == "stage"
            corner = {"stage": 6.0, "gate": 0.75 * mark.height / 2 - 0.1, "blank": 0.5}[mark.kind]
            look = "draw=stage, dashed, fill=box" if stage else "draw, fill=white"
            far = f"({_px(mark.x + mark.width)},{_px(mark.y + mark.height)})"
            return rf"\draw[{look}, rounded corners={corner:g}bp] ({_px(mark.x)},{_px(mark.y)}) rectangle {far};"


def dot(worked: Worked) -> str:
    """Write a worked program as text for Graphviz: gates, clusters for stages, and values and gradients on the edges."""
    lines = ["digraph circuit {", "  rankdir=LR;", '  node [fontname="monospace"];', '  edge [fontname="monospace"];']
    ident = {gate: f"gate{i}" for i, gate in enumerate(worked.gates)}
    for i, wire in enumerate(worked.inputs):
        lines.append(f"  input{i} [shape=plaintext, label={_quoted(wire.name)}];")
    source = {wire: f"input{i}" for i, wire in enumerate(worked.inputs)} | {gate.out: ident[gate] for gate in worked.gates}
    for j, stage in enumerate(worked.stages):
        body = [f"{ident[g]} [shape=circle, label={_quoted(g.label)}];" for g in stage.gates]
        if len(body) > 1:
            body = [f"subgraph cluster{j} {{", f"  label={_quoted(stage.out.name)}; style=dashed;", *(f"  {line}" for line in body), "}"]
        lines += [f"  {line}" for line in body]
    for gate in worked.gates:
        lines += [f"  {source[wire]} -> {ident[gate]} [label={_edge_label(wire)}];" for wire in gate.wires]
    for i, wire in enumerate(worked.outputs):
        lines += [f"  output{i} [shape=plaintext, label={_quoted(wire.name)}];", f"  {source[wire]} -> output{i} [label={_edge_label(wire)}];"]
    return "\n".join([*lines, "}", ""])


def _edge_label(wire: Wire) -> str:
    gradient = "" if wire.gradient is None else f'<BR/><FONT COLOR="{RED}"><I>{shown(wire.gradient)}</I></FONT>'
    name = f"{escape(wire.name)}<BR/>" if wire.named else ""
    return f'<{name}<FONT COLOR="{GREEN}"><B>{shown(wire.value)}</B></FONT>{gradient}>'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
