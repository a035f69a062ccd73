"""The house keeps its own rules: pins, packages, import directions, and a light `import amends`."""

import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
LOCK_FILES = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
}
# In pieces, so that this file does not name what it looks for.
REGISTRY_HOSTS = [
    ("python", "hosted"), ("py", "pi.", "org"), ("npm", "js.", "org"),
    ("registry.yarn", "pkg"), ("deb.", "deb", "ian"), ("files.python", "hosted"),
]  # fmt: skip


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing is tracked")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def plugin_project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def fresh_python(code: str) -> Any:
    """What `code` prints as JSON, run by an interpreter that has imported nothing of ours."""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def import_object(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_no_tracked_file_names_a_package_registry() -> None:
    hosts = re.compile("|".join(re.escape("".join(pieces)) for pieces in REGISTRY_HOSTS).encode())
    named = [str(path.relative_to(ROOT)) for path in tracked_files() if hosts.search(path.read_bytes())]
    assert named == []


def test_no_lock_file_is_tracked() -> None:
    assert [str(path.relative_to(ROOT)) for path in tracked_files() if path.name in LOCK_FILES] == []


def test_constraints_are_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)] == []


def test_every_dependency_is_pinned() -> None:
    def name(requirement: str) -> str:
        return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")

    pinned = {name(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    projects = [PROJECT, *map(plugin_project, PLUGINS)]
    wanted = {
        name(requirement)
        for project in projects
        for group in (
            project["project"]["dependencies"],
            *project["project"].get("optional-dependencies", {}).values(),
        )
        for requirement in group
    }
    ours = {project["project"]["name"] for project in projects}
    assert sorted(wanted - ours - pinned) == []


def test_imports_go_one_way() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as lint; lint()",
        "--no-logo",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_import_amends_imports_neither_prefect_nor_httpx() -> None:
    code = "import amends, json, sys; print(json.dumps([name for name in sys.modules if '.' not in name]))"
    assert {"prefect", "httpx"} & set(fresh_python(code)) == set()


def test_import_amends_is_quick() -> None:
    """At most 0.3 s, best of five; processor time, so that tests running beside this one do not count."""
    code = "import time; start = time.process_time(); import amends; print(time.process_time() - start)"
    assert min(fresh_python(code) for _ in range(5)) <= 0.3


def test_every_exported_name_resolves() -> None:
    amends = importlib.import_module("amends")
    assert len(set(amends.__all__)) == len(amends.__all__)
    assert [name for name in amends.__all__ if not hasattr(amends, name)] == []


def test_the_host_is_typed() -> None:
    assert (ROOT / "flows/amends/py.typed").is_file()


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_is_a_distribution_of_its_own(folder: Path) -> None:
    name, package = folder.name, f"amends_{folder.name}"
    project = plugin_project(folder)["project"]
    assert project["name"] == f"amends-{name.replace('_', '-')}"
    assert project["entry-points"]["amends"] == {name: package}
    assert "amends" in project["dependencies"]
    assert project["version"] == PROJECT["project"]["version"]
    assert (folder / package / "py.typed").is_file()
    assert [entry.value for entry in entry_points(group="amends", name=name)] == [package]


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_a_plugin_is_in_extra_all_and_under_the_linters(folder: Path) -> None:
    package, contracts = f"amends_{folder.name}", PROJECT["tool"]["importlinter"]["contracts"]
    assert plugin_project(folder)["project"]["name"] in PROJECT["project"]["optional-dependencies"]["all"]
    assert package in PROJECT["tool"]["importlinter"]["root_packages"]
    unlisted = {
        contract["id"]
        for contract in contracts
        for key in ("source_modules", "forbidden_modules", "modules")
        if any(listed.startswith("amends_") for listed in contract.get(key, []))
        and package not in contract[key]
    }
    assert unlisted == set()


def test_no_plugin_folder_lacks_a_pyproject() -> None:
    folders = {
        path.relative_to(ROOT).parts[1] for path in tracked_files() if path.is_relative_to(ROOT / "plugins")
    }
    folders.discard("README.md")
    assert sorted(folders) == [folder.name for folder in PLUGINS if folder.name in folders]


def test_deployments_never_replace_a_served_one() -> None:
    assert DEPLOYMENTS
    assert [one["name"] for one in DEPLOYMENTS if not one["name"].endswith("-generic")] == []
    served = re.compile(r"""(?:\.serve|\.to_deployment|\bserve)\(\s*(?:name=)?f?["'][^"']*-generic["']""")
    code = (path for path in (ROOT / "flows").rglob("*.py"))
    assert [str(path) for path in code if served.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.prefect
@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_runs_a_flow_with_parameters_that_it_takes(deployment: dict[str, Any]) -> None:
    from prefect import Flow

    assert ":" not in deployment["entrypoint"], "a colon makes Prefect read a file path"
    flow = import_object(deployment["entrypoint"])
    assert isinstance(flow, Flow)
    assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)


def test_make_explains_itself() -> None:
    run = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    explained = {line.split()[0] for line in run.stdout.splitlines()[1:]}
    assert explained == targets


def test_ci_is_executable() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
