"""The example that the pages of the families point to runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.mark.slow
def test_frames_become_files(tmp_path, monkeypatch, require_adapter):
    require_adapter("snap")
    section = PAGE.read_text().partition("## From frames to files")[2]
    (code, *_) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / "snap-files" / "in.crossprune").is_file()
