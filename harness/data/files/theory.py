"""Levels of theory that frames name themselves: labels of two are never mixed unasked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from crossprune.harness.data.files.labels import RawFrame
from crossprune.harness.errors import DataError, unknown_name

LEVEL_KEYS = ("level_of_theory", "functional", "xc", "run_type")
"""Keys in ``info``, in any case, by which files say the functional of a frame; all of them count."""
NOT_SAID = f"no frame says its {', '.join(LEVEL_KEYS)}"


def of_one_level(
    raw: Sequence[tuple[RawFrame, str | None]], level: str | None, path: Path
) -> tuple[list[tuple[RawFrame, str | None]], list[str]]:
    """Keep the frames of one level of theory; return them, and what a user must know.

    Raises
    ------
    DataError
        If frames name several levels and none is asked for, only some name one, or none is of that level.
    """
    said = [_said(frame) for frame, _ in raw]
    left_out = 0
    if level is not None:
        known = sorted({name for names in said for name in names})
        if level not in known:
            what = unknown_name("level", level, known) if known else NOT_SAID
            raise DataError(f"{path}: level = {level!r}: {what}")
        places = [place for place, names in enumerate(said) if level in names]
        left_out = len(raw) - len(places)
        raw, said = [raw[place] for place in places], [said[place] for place in places]
    counts = Counter(" / ".join(names) or "none said" for names in said)
    if len(counts) > 1:
        names = sorted({name for names in said for name in names} - {level})
        raise DataError(
            f"{path}: frames of several levels of theory ({_listed(counts)}), whose labels must not be "
            f'mixed; keep one by level = "{names[0]}" in its table; another may be the source in [transfer]'
        )
    notes = [f"{left_out} of {left_out + len(raw)} frames are of another level than {level}"]
    return list(raw), notes if left_out else []


def _said(frame: RawFrame) -> tuple[str, ...]:
    """Return all that a frame says of its level of theory, each once; empty if nothing."""
    values = {str(key).lower(): value for key, value in frame.info.items()}
    texts = (str(values[key]).strip() for key in LEVEL_KEYS if values.get(key) is not None)
    return tuple(dict.fromkeys(one for one in texts if one))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
