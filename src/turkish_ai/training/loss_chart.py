"""Draw the losses of a training as a small SVG, by hand: two lines need no plotting library.

Called by `training.adapter_folder`. Knows nothing of files.
"""

from collections.abc import Sequence
from html import escape

from turkish_ai.training.report import EpochLoss

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 44
_SVG = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
    'role="img" font-family="sans-serif" font-size="12" fill="#24292f">'
)
_TRAIN_COLOUR, _DEV_COLOUR = "#1f6feb", "#c2410c"


def loss_chart(title: str, *, base_dev_loss: float, epochs: Sequence[EpochLoss], kept_epoch: int) -> str:
    """Both curves over epochs; the dev curve starts at epoch 0 with the base model. A ring marks the kept epoch."""
    train = [(number, loss.train) for number, loss in enumerate(epochs, start=1)]
    dev = [(0, base_dev_loss), *((number, loss.dev) for number, loss in enumerate(epochs, start=1))]
    top = max(value for _, value in train + dev) * 1.05
    scale = _Scale(last_epoch=len(epochs), top=top)
    kept_x, kept_y = scale.place(kept_epoch, epochs[kept_epoch - 1].dev)
    parts = [
        _SVG,
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="24" font-size="14">{escape(title)}</text>',
        *_grid(scale, top=top, last_epoch=len(epochs)),
        _line(train, scale, colour=_TRAIN_COLOUR),
        _line(dev, scale, colour=_DEV_COLOUR),
        f'<circle cx="{kept_x:.1f}" cy="{kept_y:.1f}" r="6" fill="none" stroke="{_DEV_COLOUR}"/>',
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    """Epoch and loss to pixels; the loss axis starts at 0."""

    def __init__(self, *, last_epoch: int, top: float) -> None:
        self._x = (_WIDTH - _LEFT - _RIGHT) / last_epoch
        self._y = (_HEIGHT - _TOP - _BOTTOM) / (top or 1.0)

    def place(self, epoch: int, loss: float) -> tuple[float, float]:
        return _LEFT + epoch * self._x, _HEIGHT - _BOTTOM - loss * self._y


def _grid(scale: _Scale, *, top: float, last_epoch: int) -> list[str]:
    parts = []
    for tick in range(5):
        loss = top * tick / 4
        _, y = scale.place(0, loss)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{loss:.2f}</text>')
    every = max(1, -(-last_epoch // 12))  # at most 13 labels fit
    for epoch in range(0, last_epoch + 1, every):
        x, _ = scale.place(epoch, 0)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{epoch}</text>')
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">epoch</text>')
    return parts


def _line(points: Sequence[tuple[int, float]], scale: _Scale, *, colour: str) -> str:
    places = [scale.place(epoch, loss) for epoch, loss in points]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places)
    return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _legend() -> list[str]:
    parts = []
    for row, (name, colour) in enumerate((("train", _TRAIN_COLOUR), ("dev (other questions)", _DEV_COLOUR))):
        y = _TOP + 12 + 18 * row
        parts.append(f'<path d="M{_WIDTH - 190} {y - 4}h24" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_WIDTH - 160}" y="{y}">{name}</text>')
    return parts
