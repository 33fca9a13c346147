"""One HTML page from the Markdown that assets show, for places that render HTML, such as MLflow's artefacts."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence

_IMAGE = re.compile(r"!\[(?P<title>[^]]*)\]\((?P<source>[^)]*)\)")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CELL_END = re.compile(r"(?<!\\)\|")
_STYLE = (
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}"
)


def page(title: str, sections: Mapping[str, str]) -> str:
    """A page with one heading per section, which is a table, an image or a paragraph, as this package writes them."""
    body = "".join(f"<h2>{html.escape(heading)}</h2>{_block(text)}" for heading, text in sections.items())
    name = html.escape(title)
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{name}</h1>{body}</body></html>\n"
    )


def _block(text: str) -> str:
    if image := _IMAGE.fullmatch(text):
        return f'<p><img src="{html.escape(image["source"])}" alt="{html.escape(image["title"])}"></p>'
    lines = text.splitlines()
    if lines and all(line.startswith("|") for line in lines):
        header, _, *rows = lines
        return f"<table>{_row(header, 'th')}{''.join(_row(row, 'td') for row in rows)}</table>"
    return f"<p>{_inline(text)}</p>"


def _row(line: str, tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_inline(cell)}</{tag}>' for cell in _cells(line))}</tr>"


def _cells(line: str) -> Iterator[str]:
    cells: Sequence[str] = _CELL_END.split(line)[1:-1]
    return (cell.strip().replace("\\|", "|") for cell in cells)


def _inline(text: str) -> str:
    return _BOLD.sub(r"<b>\1</b>", html.escape(text))
