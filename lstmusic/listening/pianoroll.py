"""A score as a picture: notes over bars and pitches, voices in colour.

Drawn with Pillow: four pictures take half the time of importing matplotlib. Lengths are in points and are drawn at
`SCALE` pixels a point, so that edges are crisp on dense screens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmusic.files import whole
from lstmusic.listening import palette
from lstmusic.score import Score

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SCALE = 2  # pixels a point
LEFT, RIGHT, TOP, BOTTOM = 44, 18, 52, 34  # margins, in points
NARROWEST, WIDEST = 720, 3600  # of the roll, in points
POINTS_PER_BAR, POINTS_PER_SEMITONE = 58, 8
INK, FAINT, BAR, BLACK_ROW, WHITE_ROW, PAPER = "#22262b", "#767d86", "#d3d8de", "#f1f3f6", "#fafbfc", "#ffffff"
PALEST = 0.35  # opacity of the softest note


def draw(score: Score, path: Path | str, *, title: str = "") -> Path:
    """Draw the score as a piano roll and write it as a PNG, whole or not at all.

    Args:
        score: the music; loud notes are more opaque.
        path: where to.
        title: a line above the picture.

    Returns:
        The path written.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    with whole(path) as beside:
        picture(score, title).save(beside, "PNG", compress_level=4)
    return path


def picture(score: Score, title: str):
    """The piano roll as a PIL image, mode RGB; a long score gets a wider one, up to a limit."""
    from PIL import Image, ImageDraw

    bars = score.bar_ticks()
    low, high = palette.pitch_range(score)
    width = int(np.clip((len(bars) - 1) * POINTS_PER_BAR, NARROWEST, WIDEST))
    height = (high - low + 1) * POINTS_PER_SEMITONE
    image = Image.new("RGB", ((LEFT + width + RIGHT) * SCALE, (TOP + height + BOTTOM) * SCALE), PAPER)
    roll = Roll(ImageDraw.Draw(image, "RGBA"), int(bars[-1]), low, high, width, height)
    roll.keyboard()
    if len(bars) > 2:
        roll.bar_lines(bars, score.first_bar)
    else:
        roll.second_lines(score)
    roll.notes(score)
    roll.heading(score, title)
    return image


class Roll:
    """A drawing surface whose axes are ticks and pitches.

    Args:
        surface: Pillow's, of mode RGBA.
        end_tick: where the right edge lies.
        low: the lowest pitch shown.
        high: the highest.
        width: of the roll, in points.
        height: of the roll, in points.
    """

    def __init__(self, surface: ImageDraw, end_tick: int, low: int, high: int, width: int, height: int) -> None:
        from PIL import ImageFont

        self.surface, self.end_tick, self.low, self.high = surface, end_tick, low, high
        self.width, self.height = width, height
        self.small, self.large = (ImageFont.load_default(size * SCALE) for size in (10, 15))

    def x(self, tick: float) -> float:
        """Pixels from the left edge of the picture."""
        return (LEFT + self.width * tick / self.end_tick) * SCALE

    def y(self, pitch: float) -> float:
        """Pixels from the top to the upper edge of a pitch's row."""
        return (TOP + (self.high - pitch) * POINTS_PER_SEMITONE) * SCALE

    def text(self, x: float, y: float, words: str, colour: str = FAINT, anchor: str = "mm", font=None) -> None:
        """Write words at a pixel; `anchor` as Pillow has it."""
        self.surface.text((x, y), words, fill=colour, font=font or self.small, anchor=anchor)

    def keyboard(self) -> None:
        """A row per pitch, shaded as the keys are; every C and G named."""
        for pitch in range(self.low, self.high + 1):
            row = BLACK_ROW if pitch % 12 in palette.BLACK_KEYS else WHITE_ROW
            top = self.y(pitch)
            self.surface.rectangle((self.x(0), top, self.x(self.end_tick), top + POINTS_PER_SEMITONE * SCALE - 1), row)
            if pitch % 12 == 0:
                line = top + POINTS_PER_SEMITONE * SCALE
                self.surface.line((self.x(0), line, self.x(self.end_tick), line), BAR, SCALE // 2)
            if pitch % 12 in (0, 7):
                middle = top + POINTS_PER_SEMITONE * SCALE / 2
                colour = INK if pitch % 12 == 0 else FAINT
                self.text(self.x(0) - 8 * SCALE, middle, palette.pitch_name(pitch), colour, "rm")

    def vertical(self, tick: float, label: str, strong: bool) -> None:
        """A line at a tick and its label below."""
        bottom = self.y(self.low) + POINTS_PER_SEMITONE * SCALE
        self.surface.line((self.x(tick), self.y(self.high), self.x(tick), bottom), BAR, SCALE if strong else SCALE // 2)
        if label:
            self.text(self.x(tick), bottom + 11 * SCALE, label, INK if strong else FAINT)

    def bar_lines(self, bars: np.ndarray, first: int) -> None:
        """Bar lines and numbers from `first`; every fourth is stronger, and numbers thin out before they touch."""
        points = self.width / (len(bars) - 1)
        every = next(n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, len(bars)) if n * points >= 26 or n == len(bars))
        for number, tick in enumerate(bars[:-1].tolist(), first):
            numbered = (number - 1) % every == 0
            if points >= 3 or numbered:
                self.vertical(tick, str(number) if numbered else "", (number - 1) % max(4, every) == 0)
        self.vertical(self.end_tick, "", strong=True)

    def second_lines(self, score: Score) -> None:
        """Seconds, where there is no bar line to count by."""
        end_s = float(score.seconds(self.end_tick))
        step_s = next((step for step in (0.25, 0.5, 1, 2, 5, 10, 30, 60) if end_s / step <= 12), end_s / 12)
        for second in np.arange(0, end_s + step_s / 2, step_s).tolist():
            self.vertical(min(int(score.ticks(second)), self.end_tick), f"{second:g} s", strong=False)

    def notes(self, score: Score) -> None:
        """Every note, coloured by track, with a darker onset so that repeated notes stay apart."""
        colours = [tuple(bytes.fromhex(palette.colour_of(track)[1:])) for track in range(len(score.tracks))]
        gap = 0.5 * SCALE
        for onset, duration, pitch, velocity, track in score.notes.tolist():
            left, right, top = self.x(onset), self.x(onset + duration), self.y(pitch)
            box = (left, top + gap, max(right - gap, left + SCALE), top + POINTS_PER_SEMITONE * SCALE - gap)
            opacity = int(255 * (PALEST + (1 - PALEST) * velocity / 127))
            self.surface.rounded_rectangle(box, min(1.5 * SCALE, (box[2] - left) / 2), (*colours[track], opacity))
            self.surface.rectangle((left, box[1], min(left + SCALE, box[2]), box[3]), (*colours[track], 255))

    def heading(self, score: Score, title: str) -> None:
        """The title on the left, the voices' names and colours on the right, cut where they would meet."""
        line = 22 * SCALE
        x = self.x(self.end_tick)
        names = palette.track_names(score)
        for track in reversed(palette.used_tracks(score)):
            name = names[track] if len(names[track]) <= 24 else names[track][:23] + "…"
            x -= self.surface.textlength(name, self.small)
            if x < self.x(0) + 0.4 * self.width * SCALE:
                self.text(x + self.surface.textlength(name, self.small), line, "…", anchor="rm")
                break
            self.text(x, line, name, INK, "lm")
            x -= 14 * SCALE
            box = (x, line - 4 * SCALE, x + 9 * SCALE, line + 4 * SCALE)
            self.surface.rounded_rectangle(box, 2 * SCALE, palette.colour_of(track))
            x -= 12 * SCALE
        room = x - self.x(0)
        while title and self.surface.textlength(title, self.large) > room:
            title = title[:-2].rstrip() + "…" if len(title) > 2 else ""
        self.text(self.x(0), line, title, INK, "lm", self.large)
