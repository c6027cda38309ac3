"""Look at a page in Chromium: what its console says, how wide it is, how it looks and prints."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WITH_PIPES = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, wanted in zip(ends, (3, 4)):
    os.dup2(end, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from file 3 and answers on file 4."""
QUIET_S = 0.6
"""A page that reported nothing for so long has drawn what is in view."""


def find_browser() -> str | None:
    """Return the path of Chromium or Chrome, None if neither is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


class Page:
    """One tab, driven through Chromium's debugging pipe; problems of the page collect in ``problems``."""

    def __init__(self, write: RawIOBase, read: RawIOBase) -> None:
        self.problems: list[str] = []
        self._write, self._read = write, read
        self._buffer, self._number, self._session = b"", 0, ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._call(f"{domain}.enable")

    def open(
        self, path: Path, *, width: int, height: int = 900, dark: bool = False, script: bool = True
    ) -> None:
        """Open a file in a window of this size (pixels)."""
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", features=media)
        self._call("Emulation.setScriptExecutionDisabled", value=not script)
        self.resize(width, height)
        self._call("Page.navigate", url=path.resolve().as_uri())
        self.wait()

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window (pixels)."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def wait(self) -> None:
        """Wait until the page is loaded and its script has had time to draw."""
        end = time.monotonic() + 60
        while self.value("document.readyState") != "complete" and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(QUIET_S)
        self.value("1")

    def value(self, expression: str) -> Any:
        """Evaluate JavaScript in the page."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", expression))
        return found["result"].get("value")

    def scroll_through(self) -> None:
        """Bring everything into view once, so that all figures of the page are drawn."""
        steps = int(self.value("document.documentElement.scrollHeight / innerHeight")) + 1
        for step in range(steps):
            self.value(f"window.scrollTo(0, {step} * innerHeight)")
            time.sleep(0.1)
        self.value("window.scrollTo(0, 0)")
        self.wait()

    def picture(self, path: Path, selector: str | None = None, *, max_height: int = 3000) -> None:
        """Save what is in view, or one element, as PNG."""
        options: dict[str, Any] = {}
        if selector is not None:
            self.value(f"document.querySelector({selector!r}).scrollIntoView()")
            self.wait()
            box = self.value(
                f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
                "return {x: 0, y: b.y + scrollY, width: innerWidth, height: b.height + 12, scale: 1} })()"
            )
            box["height"] = min(box["height"], max_height)
            options = {"clip": box, "captureBeyondViewport": True}
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", **options)["data"]))

    def pdf(self, path: Path) -> None:
        """Print on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": True}
        path.write_bytes(base64.b64decode(self._call("Page.printToPDF", **paper)["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
            self._note(answer.get("method"), answer.get("params", {}))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = self._read.read(1 << 20)
            if not part:
                raise RuntimeError("the browser ended")
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, event: str | None, facts: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            details = facts["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.problems.append(" ".join(str(one.get("value", one)) for one in facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")


@contextmanager
def chromium(browser: str) -> Iterator[Page]:
    """Start a browser with a new profile; give its page, and end it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        commands_in, commands = os.pipe()
        answers, answers_out = os.pipe()
        call = [browser, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        process = subprocess.Popen(
            [sys.executable, "-c", WITH_PIPES, str(commands_in), str(answers_out), *call],
            pass_fds=(commands_in, answers_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_in)
        os.close(answers_out)
        with os.fdopen(commands, "wb", 0) as write, os.fdopen(answers, "rb", 0) as read:
            try:
                yield Page(write, read)
            finally:
                process.terminate()
                process.wait(20)
