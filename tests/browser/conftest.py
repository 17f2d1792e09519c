"""A real sweep, MLflow's pages of it, and a browser to look at them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from looking import HEIGHT, WIDTH, Server, Tracked
from runner import Runner, environment
from watching import sweep_folder

from sinesweep.sweep.archive import read
from sinesweep.tracking.location import locate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# What is drawn, on a machine that does other things at the same time.
PATIENCE = 120_000  # milliseconds
SWEEP = (
    "-m", "sweeps=depth_width_decay", "hydra.sweeper.n_trials=12", "hydra.sweeper.workers=2",
    "trainer.max_epochs=3", "data.num_series=96", "artifacts.figures=true",
)  # fmt: skip
# The panel of MLflow's own chat, which opens by itself the first time, would hide half of a page.
_WITHOUT_CHAT = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""
_RUN_SERVER = "import sys; from sinesweep.commands import main; sys.exit(main())"


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """Sweep the reference task, with MLflow."""
    runner = Runner(tmp_path_factory.mktemp("tracked"))
    done = runner.train(*SWEEP)
    assert done.code == 0, done.err
    root = runner.folder / "mlruns"
    return Tracked(root, read(sweep_folder(root / "sweeps")), locate(None, root))


@pytest.fixture(scope="session")
def server(tracked: Tracked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the pages of the sweep with ``sinesweep ui`` until the last test is done."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN_SERVER, "ui", "--port", str(port)],
            cwd=tracked.root.parent,
            env=environment(MLFLOW_DISABLE_TELEMETRY="true"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_serves(process, log)
        yield Server(f"http://127.0.0.1:{port}", log.read_text().splitlines())
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_serves(process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + PATIENCE / 1000
    while "Application startup complete" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.05)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "chromium must be installed: apt-get install chromium"
    with sync_playwright() as playwright:
        # Root may not use its sandbox, and CI is root; it opens no page but ours.
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open a page of a browser that has never been here."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
    context.set_default_timeout(PATIENCE)
    context.add_init_script(_WITHOUT_CHAT)
    yield context.new_page()
    context.close()


@pytest.fixture
def shoot(page: Page, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Keep a picture of the page where the environment says SCREENSHOTS=folder."""
    folder = os.environ.get("SCREENSHOTS")

    def take(name: str, **how: Any) -> None:
        if folder:
            page.screenshot(path=Path(folder) / f"{name}.png", **how)

    return take
