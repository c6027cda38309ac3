"""Hashes of values, and of code: by what it says and what it rests on, not by names and places."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness import fingerprint
from crossprune.harness.fingerprint import canonical_hash, source_hash
from crossprune.harness.fingerprint.places import Place, find
from crossprune.harness.fingerprint.source import hash_of_code
from crossprune.harness.fingerprint.syntax import read


def test_hash_ignores_key_order_and_tells_values_apart():
    assert canonical_hash({"a": 1, "b": [1, 2]}) == canonical_hash({"b": [1, 2], "a": 1})
    values = [1, 1.0, "1", [1], {"a": 1}, np.arange(2), np.arange(2.0), np.arange(2)[:, None], None, True]
    assert len({canonical_hash(value) for value in values}) == len(values)


def test_neighbouring_floats_differ():
    assert canonical_hash(0.1) != canonical_hash(np.nextafter(0.1, 1))


def test_absent_packages_are_named():
    assert fingerprint.package_versions(["no-such-package"]) == {"no-such-package": "absent"}


def code(root="fam.model", *, outside=False, **files):
    """Hash a package of the given modules; ``room__init`` is ``fam/room/__init__.py``.

    It stands for crossprune itself, or for a package from ``outside``, whose faces may do anything.
    """
    top = "fam" if outside else "crossprune"
    given = {"__init__": "", "room__init": '"""A face."""\n', **files}
    modules = {}
    for name, text in given.items():
        is_package = name.endswith("__init") or name == "__init__"
        dotted = "fam" if name == "__init__" else f"fam.{name.removesuffix('__init').replace('__', '.')}"
        modules[dotted.replace("fam", top)] = Place(text.replace("fam", top).encode(), is_package)
    return hash_of_code(root.replace("fam", top), modules.get)


KERNEL = "def f():\n    return 1\n"
MODEL = "import numpy as np\nfrom fam.kernel import f\n\nX = f()\n"


def test_texts_and_what_is_not_imported_do_not_count():
    before = code(model=MODEL, kernel=KERNEL)
    documented = (
        '"""A text."""\nimport numpy as np\nfrom fam.kernel import f  # why\n\nX = f()\n"""The X."""\n'
    )
    assert code(model=documented, kernel=KERNEL, other="Y = 2\n") == before
    assert code(model=MODEL, kernel='def f():\n    """Say one."""\n    return 1\n') == before


@pytest.mark.parametrize(
    ("model", "kernel"),
    [
        (MODEL, "def f():\n    return 2\n"),
        (MODEL.replace("X = f()", "X = f() + 1"), KERNEL),
        (MODEL.replace("numpy", "scipy"), KERNEL),
        ("import numpy as np\nX = 1\n", KERNEL),
    ],
)
def test_code_counts_wherever_it_is(model, kernel):
    assert code(model=model, kernel=kernel) != code(model=MODEL, kernel=KERNEL)


def test_an_import_inside_a_function_counts():
    model = "def g():\n    from fam.kernel import f\n    return f()\n"
    assert code(model=model, kernel=KERNEL) != code(model=model, kernel="def f():\n    return 2\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from fam.kernel import f\nX = f()\n", "from fam.zeta import f\nX = f()\n"),
        ("from fam import kernel\nX = kernel.f()\n", "from fam import zeta\nX = zeta.f()\n"),
        ("from fam import kernel as k\nX = k.f()\n", "from fam.room import zeta as k\nX = k.f()\n"),
        ("import fam.kernel as k\nX = k.f()\n", "import fam.zeta as k\nX = k.f()\n"),
        ("from .kernel import f\nX = f()\n", "from fam.room.zeta import f\nX = f()\n"),
        # Sorted import lines change places with a name.
        (
            "from fam.a import g\nfrom fam.kernel import f\nX = f(g)\n",
            "from fam.zeta import f\nfrom fam.a import g\nX = f(g)\n",
        ),
    ],
)
def test_a_module_may_be_renamed_and_moved(before, after):
    rest = {"a": "g = 1\n"}
    moved = {"zeta": KERNEL, "room__zeta": KERNEL}
    assert code(model=after, **rest, **moved) == code(model=before, kernel=KERNEL, **rest)


def test_the_root_may_be_renamed():
    text = {"room__init": "", "kernel": KERNEL}
    moved = code(root="fam.other", other=MODEL, **text)
    assert moved == code(model=MODEL, **text)


def test_what_comes_from_where_counts():
    files = {"kernel": KERNEL, "slow": "def f():\n    return 2\n"}
    one = "from fam.kernel import f\nfrom fam import slow\nX = f()\n"
    other = "from fam.slow import f\nfrom fam import kernel\nX = f()\n"
    assert code(model=one, **files) != code(model=other, **files)
    by_module = "from fam import kernel, slow\nX = {}.f() + 2 * {}.f()\n"
    assert code(model=by_module.format("kernel", "slow"), **files) != code(
        model=by_module.format("slow", "kernel"), **files
    )


def test_modules_of_equal_wording_are_told_apart_by_what_they_import():
    thin = "from fam.{} import f\n\ndef g():\n    return f()\n"
    files = {"a": "f = 1\n", "b": "f = 2\n", "one": thin.format("a"), "two": thin.format("b")}
    model = "from fam.{} import g\nfrom fam import {} as rest\nX = g(), rest\n"
    assert code(model=model.format("one", "two"), **files) != code(model=model.format("two", "one"), **files)


def test_names_in_two_functions_may_not_change_places():
    model = "def {}():\n    from fam.{} import f\n    return f()\n"
    model = model.format("one", "{}") + model.format("two", "{}")
    files = {"a": KERNEL, "b": "def f():\n    return 2\n"}
    assert code(model=model.format("a", "b"), **files) != code(model=model.format("b", "a"), **files)


def test_a_shadowed_import_is_not_taken_for_the_variable():
    returns_parameter = "from fam.kernel import f\n\ndef g(f):\n    return f\n"
    returns_import = "from fam.kernel import f as h\n\ndef g(f):\n    return h\n"
    assert code(model=returns_parameter, kernel=KERNEL) != code(model=returns_import, kernel=KERNEL)


def test_faces_are_looked_through():
    face = '"""A room."""\n\nfrom fam.room.a import f\nfrom fam.room.b import g\n\n__all__ = ["f", "g"]\n'
    model = "from fam.room import f\nX = f()\n"
    files = {"room__init": face, "room__a": KERNEL}
    before = code(model=model, room__b="g = 1\n", **files)
    assert code(model=model, room__b="g = 2\n", **files) == before
    assert code(model="from fam.room.a import f\nX = f()\n", room__b="g = 1\n", **files) == before
    whole = "from fam import room\nX = room.f()\n"
    assert code(model=whole, room__b="g = 1\n", **files) != code(model=whole, room__b="g = 2\n", **files)


def test_what_a_package_defines_itself_counts():
    model = "from fam.room import LIMIT\nX = LIMIT\n"
    assert code(model=model, room__init="LIMIT = 1\n") != code(model=model, room__init="LIMIT = 2\n")


TWO = {"a": "f = 1\n", "b": "f = 2\n"}


@pytest.mark.parametrize(
    "model",
    [
        "try:\n    from fam.{} import f\nexcept ImportError:\n    from fam.{} import f\n",
        "import sys\nif sys.argv:\n    from fam.{} import f\nelse:\n    from fam.{} import f\n",
        "from fam.{} import f\nfrom fam.{} import f\n",
        "from fam import {} as x\nfrom fam import {} as y\n\ndef g(x, y):\n    return x\n\nZ = x.f - y.f\n",
        "from fam import {} as x\nfrom fam import {} as y\n",
        "for _ in range(2):\n    from fam.{} import f\nwhile f:\n    from fam.{} import f\n",
        "class C:\n    @property\n    def x(self):\n        from fam.{} import f\n        return f\n"
        "    @x.setter\n    def x(self, v):\n        from fam.{} import f\n        return f\n",
        "from fam.{} import *\nfrom fam.{} import *\n",
        "from fam.{} import *\nfrom fam.{} import f\n",
        "from fam.{} import f\nx = f\nfrom fam.{} import f\n",
        "match 1:\n    case 1:\n        from fam.{} import f\n    case _:\n        from fam.{} import f\n",
        "try:\n    x = 1\nexcept OSError:\n    from fam.{} import f\nexcept:\n    from fam.{} import f\n",
    ],
)
def test_what_is_imported_where_may_not_change_places(model):
    assert code(model=model.format("a", "b"), **TWO) != code(model=model.format("b", "a"), **TWO)


def test_an_import_before_a_definition_of_the_same_name_is_not_one_after_it():
    define = "def f():\n    return 3\n"
    assert code(model="from fam.a import f\n" + define, **TWO) != code(
        model=define + "from fam.a import f\n", **TWO
    )


def test_modules_that_a_module_hands_on_may_not_change_places():
    model = "from fam import mid\nX = mid.fast.f\n"
    mid = "from fam import {} as fast\nfrom fam import {} as slow\n"
    assert code(model=model, mid=mid.format("a", "b"), **TWO) != code(
        model=model, mid=mid.format("b", "a"), **TWO
    )


def test_modules_in_dotted_use_may_not_exchange_what_they_say():
    model = "import fam.a\nimport fam.b\nX = fam.a.f\n"
    assert code(model=model, a="f = 1\n", b="f = 2\n") != code(model=model, a="f = 2\n", b="f = 1\n")


def test_a_package_that_names_its_own_modules():
    files = {"__init__": "from . import kernel\n", "model": "from fam import kernel\nX = kernel.f()\n"}
    assert code(outside=True, kernel=KERNEL, **files) != code(outside=True, kernel="f = 2\n", **files)


def test_a_name_that_a_match_captures_is_not_taken_for_an_import():
    matched = "from fam.kernel import f\n\ndef g(v):\n    match v:\n        case [f]:\n            return f\n"
    other = (
        "from fam.kernel import f as h\n\ndef g(v):\n    match v:\n        case [f]:\n            return h\n"
    )
    assert code(model=matched, kernel=KERNEL) != code(model=other, kernel=KERNEL)


@pytest.mark.parametrize(
    "face",
    [
        "try:\n    from fam.room.a import f\nexcept ImportError:\n    from fam.room.b import f\n",
        '"""A room."""\nfrom fam.room.a import f\nfrom fam.room.b import f\n',
        '"""A room."""\nfrom fam.room.a import f\nfrom fam.room.b import g\nf = g(f)\n',
        '"""A room."""\nfrom fam.room.a import *\nfrom fam.room.b import *\n',
        '"""A room."""\ndef __getattr__(name):\n    from fam.room.b import f\n    return f\n',
    ],
)
def test_a_face_that_does_more_than_name_is_not_looked_through(face):
    files = {"room__init": face, "room__a": "f = 1\n", "model": "from fam.room import f\nX = f\n"}
    assert code(room__b="g = f = 1\n", **files) != code(room__b="g = f = 2\n", **files)


def test_a_package_from_outside_that_does_something_when_it_is_imported_counts():
    model = {"room__model": "X = 1\n"}
    quiet, loud = "import numpy\n", "import numpy\nnumpy.seterr(all='raise')\n"
    root = "fam.room.model"
    for name in ("room__init", "__init__"):
        before = code(root=root, outside=True, **{name: quiet}, **model)
        assert code(root=root, outside=True, **{name: loud}, **model) != before


def test_exceptions_that_carry_values_count():
    model = "class Found(Exception):\n    pass\n\ndef g():\n    raise Found('{}')\n"
    assert code(model=model.format("fps")) != code(model=model.format("cur"))


def test_circles_of_imports_end():
    files = {
        "model": "from fam.a import f\n",
        "a": "from fam import b\nf = b.g\n",
        "b": "from fam import a\ng = 1\n",
    }
    assert code(**files) == code(**files)
    assert code(**files) != code(**{**files, "b": "from fam import a\ng = 2\n"})


def test_imports_for_type_checkers_and_the_words_of_errors_do_not_count():
    model = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fam.kernel import f\n\n"
    model += "def g(x):\n    raise ValueError(f'{} {{x}}')\n"
    before = code(model=model.format("bad"), kernel=KERNEL)
    assert code(model=model.format("worse"), kernel="def f():\n    return 2\n") == before
    assert code(model=model.format("bad").replace("ValueError", "KeyError"), kernel=KERNEL) != before


def test_a_module_that_is_not_there_has_no_key():
    with pytest.raises(ModuleNotFoundError, match=r"no module 'crossprune\.lost'"):
        code(model="from fam.lost import f\n")
    with pytest.raises(ModuleNotFoundError, match=r"no module 'crossprune\.harness\.lost'"):
        source_hash("crossprune.harness.lost")


def test_a_plug_in_rests_on_the_code_here():
    files = {
        "fam": Place(b"", True),
        "fam.model": Place(b"from crossprune.adapters.linear import solve\n", False),
    }

    def changed(module):
        place = files.get(module) or find(module)
        if place is not None and module == "crossprune.adapters.linear.least_squares":
            return Place(place.content + b"\nPLANTED = 1\n", False)
        return place

    assert hash_of_code("fam.model", changed) != hash_of_code(
        "fam.model", lambda name: files.get(name) or find(name)
    )


def test_compiled_code_counts_by_its_bytes():
    def with_bytes(content):
        files = {
            "fam": Place(b"", True),
            "fam.model": Place(b"from fam.fast import f\n", False),
            "fam.fast": Place(content, False, is_python=False),
        }
        return hash_of_code("fam.model", files.get)

    assert with_bytes(b"\x7fELF1") == with_bytes(b"\x7fELF1")
    assert with_bytes(b"\x7fELF1") != with_bytes(b"\x7fELF2")


def test_finding_a_module_imports_nothing(tmp_path, monkeypatch):
    import sys

    package = tmp_path / "explodes_on_import"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError\n")
    (package / "part.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find("explodes_on_import.part") == Place(b"X = 1\n", False)
    assert find("explodes_on_import.lost") is None
    assert "explodes_on_import" not in sys.modules


def test_code_is_read_alike_by_every_version_of_python():
    """The value is of Python 3.11; 3.12 and 3.13 have other nodes of the tree, and drop the empty ones."""
    text = b'''
import numpy as np
class A(dict):
    def f(self, /, *, x: int = 1) -> str: ...
def g(a, b=None):
    """Words."""
    match a:
        case {"x": [1, *_], **rest} if b: return f"{np.e!r:>9}", rest
    try:
        with open(a) as file: yield from (one for one in file)
    except* OSError: raise ValueError("words")
    lambda: (x := [*a, ...])
'''
    assert read(text, "crossprune.a", is_package=False).digest == "2a4c4867fd426925913339a805c7202e"
