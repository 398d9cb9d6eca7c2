"""The report as one self-contained page of HTML: no scripts, nothing loaded."""

from __future__ import annotations

from html import escape
from typing import Final

from bpcompile.marking.messages import say
from bpcompile.marking.report import LineReport, Report, show_shape, verdict
from bpcompile.messages import speaker

_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.2rem; } table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .15rem .6rem; vertical-align: top; }
code, .code { font: 14px/1.5 ui-monospace, monospace; white-space: pre-wrap; }
.number { color: #6b7280; text-align: right; } .say { padding-left: 2rem; }
.right { background: #e9f7ec; } .wrong { background: #fde8e8; } .inherits { background: #fff6e0; } .unread { background: #f0ecf9; }
tr.explains td { padding-bottom: .5rem; }
@media (prefers-color-scheme: dark) { body { color: #e6e6e6; background: #16181c; } .right { background: #17301d; } .wrong { background: #401b1b; }
.inherits { background: #3a2f12; } .unread { background: #2b2440; } }
"""


def render_page(report: Report) -> str:
    """Return the page."""
    rows = "\n".join(_row(line) for line in report.lines)
    gradients = "\n".join(
        f'<tr class="{"right" if each.ok else "wrong"}"><td><code>{escape(each.name)}</code></td><td><code>{escape(each.of)}</code></td>'
        f"<td>{'' if each.shape is None else escape(show_shape(each.shape))}</td>"
        f"<td>{escape(say('gradient-ok' if each.ok else 'gradient-wrong'))}</td>"
        f"<td>{escape(each.message)}{'' if each.max_relative_error is None else f'{each.max_relative_error:.1e}'}</td></tr>"
        for each in report.gradients
    )
    head = "".join(f"<th>{escape(say(key))}</th>" for key in ("column-gradient", "column-of", "column-shape", "column-verdict", "column-error"))
    table = f"<table>\n<tr>{head}</tr>\n{gradients}\n</table>\n" if gradients else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{speaker.lang}">\n<head>\n<meta charset="utf-8">\n<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(report.path)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(verdict(report))}</h1>\n<table>\n{rows}\n</table>\n{table}</body>\n</html>\n"
    )


def _row(line: LineReport) -> str:
    status = escape(say(f"status-{line.status}"))
    row = f'<tr class="{line.status}"><td class="number">{line.line}</td><td>{status}</td><td class="code">{escape(line.source)}</td></tr>'
    said = escape(line.message)
    if line.expected and line.status == "wrong":
        said += f"<br>{escape(say('correct'))}: <code>{escape(line.expected)}</code>"
    return row + (f'\n<tr class="{line.status} explains"><td></td><td></td><td class="say">{said}</td></tr>' if said else "")
