"""The project as others get it: the wheel, the documents, the continuous integration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import bpcompile

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of what the repository holds, so that nothing is written into the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("bpcompile", "templates"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("wheel")
    # Without isolation the build uses the hatchling of the test environment and needs no network.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """
    The interpreter of a fresh virtual environment with the wheel installed.

    Its dependencies come from the test environment by a path file placed after its own packages: downloading SymPy and NumPy
    again would show nothing about the wheel.
    """
    home = tmp_path_factory.mktemp("away") / "venv"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(sysconfig.get_path("purelib", scheme="venv", vars={"base": str(home), "platbase": str(home)}))
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    # A plain path line, not `site.addsitedir`: an editable install of bpcompile in the test environment must not come along.
    (site / "dependencies.pth").write_text("\n".join(dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))), "utf-8")
    return python


def away(command, cwd):
    """Run without anything of the checkout in the environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run([str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)


def test_the_wheel_holds_the_package_and_the_templates(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = {f"bpcompile/{p.relative_to(ROOT / 'bpcompile').as_posix()}" for p in (ROOT / "bpcompile").rglob("*.py")}
    wanted |= {f"bpcompile/templates/{p.relative_to(ROOT / 'templates').as_posix()}" for p in (ROOT / "templates").rglob("*") if p.is_file()}
    wanted |= {"bpcompile/py.typed"}
    assert wanted <= held
    assert any(name.startswith("bpcompile/templates/") for name in held)
    others = {name for name in held - wanted if ".dist-info/" not in name}
    assert others == set()


def test_the_installed_package_is_the_wheels(installed, tmp_path):
    done = away([installed, "-c", "import bpcompile; print(bpcompile.__version__, bpcompile.__file__)"], tmp_path)
    version, path = done.stdout.split()
    assert version == bpcompile.__version__
    assert not Path(path).is_relative_to(ROOT)
    assert Path(path).is_relative_to(installed.parent.parent)


def test_the_installed_command_compiles_an_example_away_from_the_checkout(installed, tmp_path):
    (tmp_path / "expr.py").write_text("x = -2\ny = 5\nz = -4\nq = x + y\nf = q * z\n", "utf-8")
    command = installed.with_name("bpcompile.exe" if os.name == "nt" else "bpcompile")
    done = away([command, "expr.py", "-o", "grad.py"], tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    done = away([installed, "-c", "from grad import value_and_grad; print(value_and_grad(-2.0, 5.0, -4.0))"], tmp_path)
    assert done.stdout == "(-12.0, (-4.0, -4.0, 3.0))\n", done.stderr


@pytest.mark.parametrize("layout", ["function", "split", "script"])
def test_every_layout_finds_its_template(layout, installed, tmp_path):
    done = away([installed, "-m", "bpcompile", "-e", "x * y", "--at", "x=2,y=3", "--layout", layout], tmp_path)
    assert done.returncode == 0, done.stderr
    compile(done.stdout, "grad.py", "exec")


def test_the_version_stands_once():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", bpcompile.__version__)
    assert f"## [{bpcompile.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_run_time_dependencies_are_few():
    names = sorted(re.match(r"[\w-]+", text).group() for text in PROJECT["project"]["dependencies"])
    assert names == ["jinja2", "numpy", "sympy"]


def test_the_readme_and_the_continuous_integration_run_the_same_test_command():
    command = "python -m pytest -n 2"
    assert re.search(rf"^    python3 -m venv .* && {re.escape(command)}$", README, re.MULTILINE)
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(rf"^HYPOTHESIS_PROFILE=long {re.escape(command)}$", script, re.MULTILINE)
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def between(text, name):
    """The code block between two markers of the README, without its fence."""
    inside = re.search(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", text, re.DOTALL).group(1)
    block = re.fullmatch(r"\s*```python\n(.*?)```\s*", inside, re.DOTALL)
    assert block, f"the README has no code block between the markers of {name}"
    return block.group(1)


@pytest.mark.parametrize(("name", "path"), [("forward", "examples/staged.py"), ("staged", "examples/staged_grad.py")])
def test_the_readme_shows_the_example_as_it_is(name, path):
    assert between(README, name) == (ROOT / path).read_text("utf-8")


def test_the_readme_names_every_long_option():
    from bpcompile.cli import _build_parser

    text = README
    for option in _build_parser()._actions:
        for flag in option.option_strings:
            if flag.startswith("--") and flag not in ("--version", "--expression", "--output", "--quiet", "--name"):
                assert flag in text, flag


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"])
def test_links_inside_the_documents_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text("utf-8")):
        if "://" not in target:
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_contributing_has_every_layer():
    from test_layers import LAYERS

    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for module, layer in LAYERS.items():
        assert re.search(rf"^\| {layer} \|.*`{module}/?`", table, re.MULTILINE), module


def test_every_lint_exception_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pydocstyle]")]
    codes = re.findall(r'^    "[A-Z]+\d*",(.*)$', section, re.MULTILINE)
    assert len(codes) > 20
    assert all(re.match(r"\s+# \S", rest) for rest in codes)
