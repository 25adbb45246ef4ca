"""Draw a matrix of numbers as a small SVG, by hand: squares and labels need no plotting library.

Called by `report`. Knows nothing of what is drawn.
"""

from collections.abc import Callable, Sequence
from html import escape

_CELL, _LEFT, _TOP, _RIGHT, _BOTTOM = 26, 170, 210, 16, 16
_LIGHT, _DARK = (246, 248, 250), (9, 105, 218)
_TITLE_Y = 24


def heatmap(
    title: str,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    text: Callable[[float], str],
    marked: Callable[[int, int], bool] = lambda _row, _column: False,
) -> str:
    """`values` [rows][columns], darker where larger; `text` is written into a cell, `marked` cells have a frame."""
    most = max((value for line in values for value in line), default=0.0) or 1.0
    width, height = _LEFT + _CELL * len(columns) + _RIGHT, _TOP + _CELL * len(rows) + _BOTTOM
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'role="img" font-family="sans-serif" font-size="10" fill="#24292f">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="{_TITLE_Y}" font-size="14">{escape(title)}</text>',
    ]
    for number, name in enumerate(columns):
        x = _LEFT + _CELL * number + _CELL / 2 + 4
        parts.append(f'<text transform="translate({x:.0f} {_TOP - 6}) rotate(-60)">{escape(name)}</text>')
    for line, name in enumerate(rows):
        y = _TOP + _CELL * line
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        for column, value in enumerate(values[line]):
            parts += _cell(
                _LEFT + _CELL * column, y, share=max(0.0, value) / most, said=text(value), framed=marked(line, column)
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: int, y: int, *, share: float, said: str, framed: bool) -> list[str]:
    colour = "#" + "".join(
        f"{round(light + (dark - light) * share):02x}" for light, dark in zip(_LIGHT, _DARK, strict=True)
    )
    frame = ' stroke="#24292f" stroke-width="1.5"' if framed else ' stroke="#ffffff"'
    ink = "#ffffff" if share > 0.55 else "#24292f"
    drawn = [f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{colour}"{frame}/>']
    if said:
        drawn.append(
            f'<text x="{x + _CELL / 2:.0f}" y="{y + 17}" text-anchor="middle" fill="{ink}" font-size="9">{said}</text>'
        )
    return drawn
