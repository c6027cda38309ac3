"""Names and numbers on the command line that are none: one line, exit code 2, nothing written."""

from __future__ import annotations

import pytest
from crossprune.harness.cli import main

LONG = "a" * 5000
STUDY = """
[study]
name = "x"
datasets = ["si-pbe"]
models = ["mean"]
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nightly", "s.toml", "--store", "st", "--night", "a/b"], "--night: 'a/b' is no name"),
        (["nightly", "s.toml", "--store", "st", "--night", "../../x"], "--night: '../../x' is no name"),
        (["nightly", "s.toml", "--store", "st", "--night", LONG], "--night: 'aaaa"),
        (["run", "s.toml", "--store", LONG], "as a store"),
        (
            ["run", "s.toml", "--store", "st", "--memory-gb", "inf"],
            "--memory-gb is inf; give a number above 0",
        ),
        (["run", f"{LONG}.toml"], "a name is too long for the file system: 'aaaa"),
        (["evaluate", LONG, "--data", "si-pbe"], "a name is too long for the file system"),
        (["export", LONG, "--output", "x.xyz"], "the name of a data set has 5000 characters"),
        (["export", "si-pbe", "--output", f"{LONG}.xyz"], "a name is too long for the file system"),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_one_line_says_what_is_wrong(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(STUDY)
    monkeypatch.setattr("sys.argv", ["crossprune", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in said
    assert [path.name for path in tmp_path.iterdir()] == ["s.toml"]
