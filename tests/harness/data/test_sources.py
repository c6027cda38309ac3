"""Finding files: folders in CROSSPRUNE_DATA, the cache, and downloads that leave nothing broken behind."""

import subprocess
from pathlib import Path

import pytest
from crossprune.harness.data.sources import RemoteFile, git_blob_id, is_local, locate
from crossprune.harness.errors import DataError

CONTENT = b'[{"structure": 1}]\n'
FILE = RemoteFile(
    set_name="mlearn",
    path="data/Mo/test.json",
    url="https://example.org/mlearn/data/Mo/test.json",
    git_blob=git_blob_id(CONTENT),
    strip="data/",
)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSPRUNE_DATA", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    monkeypatch.setenv("CROSSPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def put(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def no_network(url: str, target: Path) -> None:
    raise AssertionError(f"asked for {url}")


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_blob_id_is_the_one_git_computes(tmp_path):
    path = put(tmp_path / "file", CONTENT)
    try:
        command = ["git", "hash-object", "--no-filters", str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    assert git_blob_id(CONTENT) == run.stdout.strip()


def test_first_folder_wins_and_a_mirror_may_leave_out_the_beginning(folders):
    assert not is_local(FILE)
    short = put(folders / "two/mlearn/Mo/test.json")
    assert locate(FILE, no_network) == short
    full = put(folders / "one/mlearn/data/Mo/test.json")
    assert locate(FILE, no_network) == full
    assert is_local(FILE)


def test_wrong_hash_in_a_folder_names_file_expected_got_and_remedy(folders):
    put(folders / "one/mlearn/data/Mo/test.json", CONTENT[:-3])
    wrong = git_blob_id(CONTENT[:-3])
    message = (
        rf"one/mlearn/data/Mo/test.json: wrong hash: expected git blob {FILE.git_blob}, got {wrong}; rest"
    )
    with pytest.raises(DataError, match=message):
        locate(FILE, no_network)


def test_download_is_cached_and_a_damaged_cache_is_fetched_again(folders):
    calls = []

    def fetch(url: str, target: Path) -> None:
        calls.append(url)
        target.write_bytes(CONTENT)

    cached = locate(FILE, fetch)
    assert cached.read_bytes() == CONTENT
    assert locate(FILE, fetch) == cached
    assert calls == [FILE.url]
    cached.write_bytes(b"")
    assert locate(FILE, fetch).read_bytes() == CONTENT
    assert len(calls) == 2
    assert files_in(folders / "cache") == [cached]


def test_truncated_download_leaves_nothing_behind(folders):
    with pytest.raises(DataError, match=r"wrong hash.*the download of https://example.org.* try again"):
        locate(FILE, lambda url, target: put(target, CONTENT[:5]) and None)
    assert files_in(folders / "cache") == []


@pytest.mark.parametrize("error", [OSError("connection lost"), KeyboardInterrupt()])
def test_interrupted_download_leaves_nothing_behind(folders, error):
    def fetch(url: str, target: Path) -> None:
        target.write_bytes(CONTENT[:5])
        raise error

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else DataError
    with pytest.raises(expected):
        locate(FILE, fetch)
    assert files_in(folders / "cache") == []


def test_no_network_says_where_to_put_the_file():
    def fetch(url: str, target: Path) -> None:
        raise OSError("no route to host")

    message = (
        r"cannot download .*: no route to host; or put the file at mlearn/Mo/test.json .* CROSSPRUNE_DATA"
    )
    with pytest.raises(DataError, match=message):
        locate(FILE, fetch)
