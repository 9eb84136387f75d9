"""What contributors, GitHub and the registry read: workflow files, forms, hooks, metadata."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from devtools import environment

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_no_test_module_is_imported_by_a_name_that_two_have():
    """Which of the two comes depends on the order in which the tests of a run are collected."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    names = [path.stem for path in paths]
    imports = re.compile(r"^(?:from|import) (test_\w+)", re.MULTILINE)
    imported = {name for path in paths for name in imports.findall(path.read_text("utf-8"))}
    assert imported
    assert [name for name in sorted(imported) if names.count(name) > 1] == []


def follows_schema(path: Path) -> bool:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_file_follows_githubs_schema(path, tmp_path):
    assert follows_schema(path)
    broken = tmp_path / path.name
    broken.write_text(path.read_text("utf-8").replace("runs-on:", "run-on:"), "utf-8")
    assert not follows_schema(broken)


def test_there_are_workflow_files_for_tests_ranges_and_publishing():
    assert [path.stem for path in WORKFLOWS] == ["ends", "publish", "tests"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_something_and_has_a_name(path):
    form = yaml.safe_load(path.read_text("utf-8"))
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert all(field["attributes"]["label"] for field in form["body"])


def test_one_release_of_ruff_everywhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repository,) = hooks["repos"]
    (pinned,) = [line for line in environment.test_requirements() if environment.name_of(line) == "ruff"]
    assert pinned == f"ruff=={repository['rev'].removeprefix('v')}"
    assert pinned in environment.LOCK.read_text("utf-8").splitlines()


def test_the_newest_entry_of_the_changelog_is_the_version():
    version = re.search(r'^version = "(.+)"', PYPROJECT, re.MULTILINE)[1]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == version


def test_the_registry_reads_urls_classifiers_and_licence():
    for name in ("Repository", "Documentation", "Issues"):
        assert re.search(rf'^{name} = "https://', PYPROJECT, re.MULTILINE), name
    assert 'license = "Apache-2.0"' in PYPROJECT
    for picture in re.findall(r"^(?:Icon|Banner) = .*/main/(\S+)\"", PYPROJECT, re.MULTILINE):
        assert (ROOT / picture).is_file(), picture


def unwritten(root: Path) -> list[str]:
    """Files of the pack and its tests with a stub of `new-node` that nobody filled in."""
    folders = [root / name for name in ("nodes", "host", "studio", "js", "locales", "workflows", "tests/host")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".md", ".js", ".json")]
    return [path.relative_to(root).as_posix() for path in files if re.search(r"\bTODO\b", path.read_text("utf-8"))]


def test_no_stub_of_a_new_node_is_left_unwritten(tmp_path):
    assert unwritten(ROOT) == []
    for path, text in (("nodes/__init__.py", "NODES = []  # TODO"), ("js/docs/StorefrontX/ko.md", "done")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, "utf-8")
    assert unwritten(tmp_path) == ["nodes/__init__.py"]
