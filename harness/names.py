"""What a name may hold that becomes a file or a folder; one place for studies, labels and nights."""

from __future__ import annotations

LONGEST = 100
"""Characters; file systems take 255 bytes, and prefixes, endings and other alphabets need room."""
LONGEST_PART = 255
"""Bytes of one part of a path that file systems take."""
SHOWN = 40
"""Characters of a wrong name that a message shows."""
RULE = f"1 to {LONGEST} characters, without / and \\ and control characters, no dot or space at its ends"


def fault_of_name(name: str) -> str:
    """Say why ``name`` cannot be the name of a file or a folder; empty if it can.

    Examples
    --------
    >>> fault_of_name("si-pbe, 3 seeds")
    ''
    >>> fault_of_name("../elsewhere").partition(";")[0]
    "'../elsewhere' is no name"
    """
    plain = name.isprintable() and not set(name) & set("/\\") and name == name.strip(" .")
    if plain and 0 < len(name) <= LONGEST:
        return ""
    return f"{shortened(name)} is no name; allowed: {RULE}"


def fault_of_path(path: str) -> str:
    """Say why ``path`` cannot be a path; empty if it can."""
    if path.isprintable() and all(len(part.encode()) <= LONGEST_PART for part in path.split("/")):
        return ""
    return f"{shortened(path)} is no path: it has control characters, or a part of over {LONGEST_PART} bytes"


def printable(text: str) -> str:
    r"""Replace what is no printed character, so that a name from elsewhere cannot steer a terminal.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(one if one.isprintable() else "�" for one in text)


def shortened(name: str) -> str:
    """Quote a name, cut to what a message can show."""
    return repr(name) if len(name) <= SHOWN else f"{name[:SHOWN]!r}… ({len(name)} characters)"
