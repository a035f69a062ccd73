"""Merchants before and after their first sweeps, and plugins that are broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.cli.merchants import LATER, NOW, Merchant, merchant_in


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as on a terminal of 100 columns, however wide the one is that runs the tests."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def merchant(tmp_path: Path) -> Merchant:
    return merchant_in(tmp_path / "shop")


@pytest.fixture(scope="session")
def _swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "shop"
    merchant = merchant_in(folder)
    for now in (NOW, LATER):
        answer = merchant("sweep", "--local", "--now", now)
        assert answer.code == 0, answer.err
    return folder


@pytest.fixture
def swept(_swept: Path, tmp_path: Path) -> Merchant:
    """The same after its first sweeps: a case for each late order, one of them waiting for a yes."""
    folder = tmp_path / "shop"
    shutil.copytree(_swept, folder, copy_function=shutil.copy2)
    shops = folder / "config/base/shops.toml"
    shops.write_text(shops.read_text(encoding="utf-8").replace(str(_swept), str(folder)), encoding="utf-8")
    return Merchant(folder)


@pytest.fixture
def broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a plugin whose module is that source."""

    def install(source: str) -> None:
        place = tmp_path / "site"
        info = place / "amends_crooked-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: amends-crooked\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[amends]\ncrooked = amends_crooked\n")
        (place / "amends_crooked.py").write_text(source)
        monkeypatch.syspath_prepend(place)

    return install
