from __future__ import annotations

import json

import pytest
from crossprune.harness.errors import MissingPackage, pip_command


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        (None, "pip install 'zz-mine[gap]'"),
        ({"url": "file:///a%20b/zz", "dir_info": {"editable": True}}, "pip install -e '/a b/zz[gap]'"),
        ({"url": "file:///a/zz", "dir_info": {}}, "pip install '/a/zz[gap]'"),
        (
            {"url": "https://x.org/zz", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'zz-mine[gap] @ git+https://x.org/zz@abc'",
        ),
        (
            {"url": "file:///a/zz.whl", "archive_info": {}},
            "pip install 'zz-mine[gap] @ file:///a/zz.whl'",
        ),
    ],
)
def test_what_is_missing_is_installed_from_where_the_rest_came(tmp_path, monkeypatch, origin, command):
    folder = tmp_path / "zz_mine-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: zz-mine\nVersion: 1.0\n")
    if origin is not None:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    assert pip_command("zz-mine[gap]") == command
    assert str(MissingPackage("it", "that", "zz-mine[gap]")) == f"it needs that: {command}"


def test_a_package_that_is_not_installed_is_asked_of_the_index():
    assert pip_command("zz-absent") == "pip install 'zz-absent'"
