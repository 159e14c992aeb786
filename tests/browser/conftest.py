"""A JupyterLab of its own and a headless Chromium, for tests that use a notebook as a reader does."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 180  # after which it is given up
SKIPPED = "the browser tests did not run"


def find_chromium() -> str:
    """The browser to drive; without one the tests are skipped, or fail where REQUIRE_BROWSER=1 says so."""
    for name in (os.environ.get("CHROMIUM", ""), *CHROMIUM):
        if path := shutil.which(name):
            return path
    reason = f"{SKIPPED}: no Chromium found (tried $CHROMIUM, {', '.join(CHROMIUM)})"
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter):
    """Say loudly that a browser was missing, and how long everything took where one was there."""
    if any(SKIPPED in str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])):
        terminalreporter.section("BROWSER TESTS DID NOT RUN: no Chromium found", sep="!", red=True, bold=True)
    for report in terminalreporter.stats.get("passed", []):
        if times := [f"{name} {value:.2f} s" for name, value in report.user_properties if isinstance(value, float)]:
            terminalreporter.write_line(f"{report.nodeid}: {', '.join(times)}")


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    executable = find_chromium()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # else five seconds, too few for a busy machine
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A copy of notebooks/, which JupyterLab serves."""
    folder = tmp_path_factory.mktemp("jupyter") / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    return folder


@pytest.fixture(scope="session")
def jupyter(browser, served):
    """`jupyter(path)`: the address of a notebook in a running JupyterLab.

    It knows nothing of the user's own settings, extensions or sessions.
    """
    home = served.parent
    configure(home / "config" / "labconfig")
    token, port = secrets.token_hex(16), free_port()
    with open(home / "log", "w") as log:
        server = subprocess.Popen(command(home, token, port), env=environment(home), stdout=log, stderr=log)
    try:
        wait_until_it_answers(server, f"http://127.0.0.1:{port}/api/status?token={token}", home / "log")
        yield lambda path: f"http://127.0.0.1:{port}/lab/tree/{path}?token={token}&reset"
    finally:
        server.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.wait(15)
        server.kill()
        server.wait()


def configure(folder: Path) -> None:
    """No news and no autosave, and all cells in the page, not only those in view."""
    folder.mkdir(parents=True)
    announcements = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    settings = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    }
    (folder / "page_config.json").write_text(json.dumps(announcements))
    (folder / "default_setting_overrides.json").write_text(json.dumps(settings))


def environment(home: Path) -> dict[str, str]:
    """Ours, with every folder of Jupyter, IPython and matplotlib under `home`."""
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "MPLCONFIGDIR": "matplotlib",
    }
    return {**os.environ, "JUPYTER_PREFER_ENV_PATH": "1", **{name: str(home / f) for name, f in folders.items()}}


def command(home: Path, token: str, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser"),
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        f"--ServerApp.root_dir={home / 'notebooks'}",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        "--LabApp.expose_app_in_browser=True",  # as window.jupyterapp, for commands that have no button
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_answers(server: subprocess.Popen, url: str, log: Path) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        assert server.poll() is None, f"JupyterLab ended:\n{log.read_text()}"
        assert time.monotonic() < give_up, f"JupyterLab did not start within {START_SECONDS} s:\n{log.read_text()}"
        time.sleep(0.1)
