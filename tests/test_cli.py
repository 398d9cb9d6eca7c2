"""The command line: arguments, exit codes, what goes where, and files that are written whole or not at all."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import bpcompile
from bpcompile import cli, output
from bpcompile.diagnostics import CompileError, Diagnostic

ROOT = Path(__file__).resolve().parent.parent
RUN = [sys.executable, "-m", "bpcompile"]


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that records its calls and emits a fixed text; `act` replaces what it does."""
    stub = ModuleType("bpcompile.compiler")
    stub.calls = []
    stub.result = SimpleNamespace(source="# grad ∂\n", notes=[])
    stub.act = lambda: stub.result

    def entry(kind):
        def call(given, **settings):
            stub.calls.append((kind, given, settings))
            return stub.act()

        return call

    for kind in ("compile_gradient", "compile_file", "compile_expression"):
        setattr(stub, kind, entry(kind))
    monkeypatch.setitem(sys.modules, "bpcompile.compiler", stub)
    monkeypatch.setattr(bpcompile, "compiler", stub, raising=False)
    return stub


@pytest.fixture
def expr(tmp_path):
    path = tmp_path / "expr.py"
    path.write_text("x = 3\nf = x * x\n", "utf-8")
    return path


def raising(fault):
    def act():
        raise fault

    return act


def run(*arguments, cwd=ROOT, env=(), **more):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict(env)}
    return subprocess.run([*RUN, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, check=False, timeout=120, **more)


# What it answers without compiling


@pytest.mark.parametrize("command", [["--help"], ["--version"], []])
def test_nothing_heavy_is_imported(command):
    code = (
        "import sys\n"
        "from bpcompile.cli import main\n"
        f"code = main({command!r})\n"
        "heavy = [m for m in ('sympy', 'numpy', 'jinja2', 'scipy', 'mpmath') if m in sys.modules]\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (0 if command else 2), done.stderr


def test_import_of_the_package_is_light_and_names_load_on_use():
    code = (
        "import sys, bpcompile\n"
        "assert 'sympy' not in sys.modules and 'numpy' not in sys.modules\n"
        "from bpcompile.diagnostics import CompileError\n"
        "assert bpcompile.CompileError is CompileError\n"
        "assert set(bpcompile.__all__) <= set(dir(bpcompile))\n"
        "try: bpcompile.nothing\n"
        "except AttributeError as e: assert 'nothing' in str(e)\n"
        "else: assert False\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_every_public_name_exists():
    for name in bpcompile.__all__:
        assert getattr(bpcompile, name) is not None


def test_help_names_every_option(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for option in ("--expression", "--output", "--wrt", "--of", "--at", "--shape", "--target", "--layout", "--style"):
        assert option in text
    for option in ("--numerics", "--check", "--template", "--name", "--quiet", "--version", "ops"):
        assert option in text


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"bpcompile {bpcompile.__version__}\n"


# Usage errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to compile"),
        (["a.py", "-e", "x"], "not both"),
        (["a.py", "b.py"], "b.py"),
        (["a.py", "--target", "fortran"], "fortran"),
        (["a.py", "--targ", "numpy"], "--targ"),
        (["-e"], "expected one argument"),
        (["a.py", "--name", "g"], "--name goes with -e"),
        (["-e", "x", "--name", "a b"], "`a b` is not a name"),
        (["-e", "x", "--name", "def"], "`def` is not a name"),
        (["a.py", "--at", "x"], "`x` is not of the form name=value"),
        (["a.py", "--at", "x="], "`x=` is not of the form name=value"),
        (["a.py", "--at", "=3"], "`=3` is not of the form name=value"),
        (["a.py", "--at", "x=3,x=4"], "`x` is given twice"),
        (["a.py", "--at", "x=y"], "`x` is neither a number"),
        (["a.py", "--at", "x=True"], "`x` is neither a number"),
        (["a.py", "--at", "x=3j"], "`x` is neither a number"),
        (["a.py", "--at", "x=[1,'a']"], "`x` is neither a number"),
        (["a.py", "--at", "x=[1,"], "`x` is neither a number"),
        (["a.py", "--at", "x=" + "[" * 5000], "`x` is neither a number"),
        (["a.py", "--at", "x=" + "9" * 5000], "`x` is neither a number"),
        (["a.py", "--at", "x=__import__('os')"], "`x` is neither a number"),
        (["a.py", "--at", "x=1e999"], "not a finite number"),
        (["a.py", "--shape", "N"], "`N` is not of the form name=sizes"),
        (["a.py", "--shape", "x=N", "D"], "`D` is not of the form name=sizes"),
        (["a.py", "--shape", "=N"], "no name before `=`"),
        (["a.py", "--shape", "x=-1"], "size of `x`"),
        (["a.py", "--shape", "x=2.5"], "size of `x`"),
        (["a.py", "--shape", "x=N,x=M"], "`x` is given twice"),
        (["a.py", "--target", "python", "--shape", "x=N"], "--shape: an array goes with --target numpy"),
        (["a.py", "--wrt", ","], "--wrt: a name is expected"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(arguments, words, compiler, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text("f = 1\n", "utf-8")
    assert cli.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert words in told.err
    assert len(told.err.splitlines()) == 1
    assert len(told.err) < 400
    assert compiler.calls == []


@pytest.mark.parametrize(
    ("items", "points"),
    [
        (["x=3,y=-4"], {"x": 3, "y": -4}),
        (["x=3", "y=-4"], {"x": 3, "y": -4}),
        (["x = 3 , y = 1e-3,"], {"x": 3, "y": 1e-3}),
        (["w=[2,-3],x=[[1,2],[3,4.5]]"], {"w": [2, -3], "x": [[1, 2], [3, 4.5]]}),
        (["w=(2,-3)"], {"w": [2, -3]}),
        (["x_{1,2}=7"], {"x_{1,2}": 7}),
        (["w[0]=7"], {"w[0]": 7}),
        ([""], {}),
    ],
)
def test_points(items, points):
    got = cli.parse_points(items)
    assert got == points
    assert [type(v) for v in got.values()] == [type(v) for v in points.values()]


@pytest.mark.parametrize(
    ("items", "shapes"),
    [
        (["x=N", "w="], {"x": ("N",), "w": ()}),
        (["x=N,D", "y=N"], {"x": ("N", "D"), "y": ("N",)}),
        (["x=N,D,w=3,v="], {"x": ("N", "D"), "w": (3,), "v": ()}),
        (["x=(N,4)", "y=()", "z=(5,)"], {"x": ("N", 4), "y": (), "z": (5,)}),
    ],
)
def test_shapes(items, shapes):
    assert cli.parse_shapes(items) == shapes


# What the compiler is called with


def test_options_reach_the_compiler(compiler, expr, capsys):
    arguments = (
        "--wrt x,y --wrt z --of f --at x=3 w=[2,-3] --shape x=N w= --target numpy --layout split --style notes --numerics stable --check fast --template"
    )
    template = expr.with_name("page.j2")
    template.write_text("", "utf-8")
    assert cli.main([str(expr), *arguments.split(), str(template)]) == 0
    [(kind, given, settings)] = compiler.calls
    progress = settings.pop("progress")
    assert callable(progress)
    assert (kind, given) == ("compile_file", str(expr))
    assert settings == {
        "wrt": ["x", "y", "z"],
        "of": ["f"],
        "at": {"x": 3, "w": [2, -3]},
        "shapes": {"x": ("N",), "w": ()},
        "target": "numpy",
        "layout": "split",
        "style": "notes",
        "numerics": "stable",
        "check": "fast",
        "template": template,
        "lang": "en",
    }


def test_defaults(compiler, expr):
    assert cli.main([str(expr)]) == 0
    settings = compiler.calls[0][2]
    del settings["progress"]
    nothing = dict.fromkeys(("wrt", "of", "at", "shapes", "numerics", "template"))
    assert settings == {**nothing, "target": None, "layout": "function", "style": "code", "check": "full", "lang": "en"}


@pytest.mark.parametrize("flags", [["--at", "x=3"], ["--shape", "x=", "w="], ["--at", "x=3", "y=4"]])
def test_a_file_after_an_option_of_several_values_is_the_file(flags, compiler, expr):
    assert cli.main([*flags, str(expr)]) == 0
    assert compiler.calls[0][:2] == ("compile_file", str(expr))


@pytest.mark.parametrize("expression", ["x*y", "-x*y", "-x", "--x", "- x"])
@pytest.mark.parametrize("flag", ["-e", "--expression"])
def test_an_expression_may_begin_with_a_minus(flag, expression, compiler):
    assert cli.main([flag, expression, "-q"]) == 0
    assert compiler.calls[0][:2] == ("compile_expression", expression)


def test_the_name_of_an_expression(compiler):
    assert cli.main(["-e", "x*y", "--name", "loss"]) == 0
    assert compiler.calls[0][:2] == ("compile_expression", "loss = x*y")


def test_standard_input_reaches_the_compiler_as_bytes(compiler, monkeypatch):
    data = "f = α\r\n".encode("latin-1", "xmlcharrefreplace") + b"\xff"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
    assert cli.main(["-"]) == 0
    [(kind, given, settings)] = compiler.calls
    assert (kind, given, settings["text"]) == ("compile_file", "<stdin>", data)


def test_standard_input_that_is_closed(compiler, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["-"]) == 1
    assert "error[E101]" in capsys.readouterr().err


# Inputs that can't be read


def test_a_missing_file(tmp_path, capsys):
    assert cli.main([str(tmp_path / "none.py")]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_a_folder_as_input(tmp_path, capsys):
    assert cli.main([str(tmp_path)]) == 1
    assert "it is a folder" in capsys.readouterr().err


def test_a_missing_template(expr, capsys):
    assert cli.main([str(expr), "--template", str(expr) + ".j2"]) == 1
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser reads everything")
def test_an_unreadable_file(expr, capsys):
    expr.chmod(0)
    assert cli.main([str(expr)]) == 1
    assert "permission denied" in capsys.readouterr().err


def test_permission_is_asked_of_the_system(expr, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert cli.main([str(expr)]) == 1
    assert "permission denied" in capsys.readouterr().err


# What comes back


def test_the_source_goes_to_standard_output(compiler, expr, capfdbinary):
    assert cli.main([str(expr)]) == 0
    told = capfdbinary.readouterr()
    assert told.out == "# grad ∂\n".encode()
    assert told.err == b""


def test_notes_go_to_standard_error_unless_quiet(compiler, expr, capsys):
    compiler.result.notes = [Diagnostic("W020", "a tie at x = 0", level="warning")]
    assert cli.main([str(expr)]) == 0
    told = capsys.readouterr()
    assert "W020" not in told.out
    assert told.err == "warning[W020]: a tie at x = 0\n"
    assert cli.main([str(expr), "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_every_diagnostic_of_a_failure_is_shown(compiler, expr, capsys):
    compiler.act = raising(CompileError(Diagnostic("E100", "one"), Diagnostic("E101", "two")))
    assert cli.main([str(expr), "-q"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "error[E100]: one\n\nerror[E101]: two\n"


@pytest.mark.parametrize(
    "fault", [ValueError("first line\nsecond line"), RecursionError("too deep"), KeyError("k"), SystemExit(0), AssertionError(), GeneratorExit()]
)
def test_an_internal_fault_says_so_without_traceback(fault, compiler, expr, capsys, monkeypatch):
    monkeypatch.delenv("BPCOMPILE_TRACEBACK", raising=False)
    compiler.act = raising(fault)
    assert cli.main([str(expr)]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "this is a bug in bpcompile" in told.err
    assert type(fault).__name__ in told.err
    assert "Traceback" not in told.err
    assert len(told.err.splitlines()) <= 2


def test_the_traceback_of_an_internal_fault_on_request(compiler, expr, capsys, monkeypatch):
    monkeypatch.setenv("BPCOMPILE_TRACEBACK", "1")
    compiler.act = raising(ValueError("oops"))
    assert cli.main([str(expr)]) == 3
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_failed_compilation_writes_no_file(compiler, expr):
    grad = expr.with_name("grad.py")
    for fault, code in ((CompileError(Diagnostic("E900", "differs")), 1), (ValueError("oops"), 3), (KeyboardInterrupt(), 130), (MemoryError(), 1)):
        compiler.act = raising(fault)
        assert cli.main([str(expr), "-o", str(grad)]) == code
        assert sorted(p.name for p in expr.parent.iterdir()) == ["expr.py"]


def test_interruption_has_no_traceback(compiler, expr, capsys):
    compiler.act = raising(KeyboardInterrupt())
    assert cli.main([str(expr)]) == 130
    assert capsys.readouterr().err == "bpcompile: interrupted\n"


def test_out_of_memory_is_no_bug(compiler, expr, capsys):
    compiler.act = raising(MemoryError())
    assert cli.main([str(expr)]) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_what_the_users_file_prints_does_not_reach_the_output(compiler, expr, capsys):
    def act():
        print("hello from the file")
        return compiler.result

    compiler.act = act
    assert cli.main([str(expr)]) == 0
    told = capsys.readouterr()
    assert told.out == "# grad ∂\n"
    assert told.err == "hello from the file\n"


# Standard output of every kind


def test_a_pipe_gets_utf8_whatever_the_code_page():
    done = subprocess.run(
        [sys.executable, "-c", "from bpcompile import cli; raise SystemExit(cli._print('\\u2202\\u5024\\n'))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "∂値\n".encode(), b"")


def test_a_terminal_with_a_small_code_page_does_not_crash(monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(raw, "cp1252"))
    assert cli._print("é∂\n") == 0
    assert raw.getvalue() == b"\xe9\\u2202\n"


def test_errors_on_a_small_code_page_do_not_crash(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, "cp1252", errors="strict"))
    assert cli.main(["値段.py"]) == 1
    assert b"there is no such file" in raw.getvalue()


@pytest.mark.parametrize("arguments", [["--help"], ["-e", "x*y", "-q"]])
def test_a_reader_that_leaves_is_no_error(arguments):
    code = rf"""
import sys, types
stub = types.ModuleType("bpcompile.compiler")
stub.compile_expression = lambda text, **_: types.SimpleNamespace(source="x = 0\n" * 100_000, notes=[])
sys.modules["bpcompile.compiler"] = stub
from bpcompile.cli import main
sys.stdin.read()
sys.exit(main({arguments!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()  # before anything is written: the process waits for its input to end
    process.stdin.close()
    told = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 0, told
    assert told == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*RUN, "--help"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "error[E012]: can't write standard output: no space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="shell redirection")
@pytest.mark.parametrize(("redirect", "code"), [(">&-", 1), ("2>&-", 0), ("<&-", 0)])
def test_closed_standard_streams(redirect, code):
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m bpcompile --version {redirect}', sys.executable], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr


# Writing files


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_whole(compiler, expr):
    grad = expr.with_name("grad.py")
    assert cli.main([str(expr), "-o", str(grad)]) == 0
    assert grad.read_bytes() == "# grad ∂\n".encode()
    assert names(expr.parent) == ["expr.py", "grad.py"]


def test_dash_is_standard_output(compiler, expr, capsys, monkeypatch):
    monkeypatch.chdir(expr.parent)
    assert cli.main([str(expr), "-o", "-"]) == 0
    assert capsys.readouterr().out == "# grad ∂\n"
    assert names(expr.parent) == ["expr.py"]


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_modes(tmp_path):
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text("old", "utf-8")
    old.chmod(0o750)
    mask = os.umask(0o027)
    try:
        output.write_output(str(old), "text")
        output.write_output(str(new), "text")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(old.stat().st_mode) == 0o750
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert old.read_text("utf-8") == new.read_text("utf-8") == "text"


@pytest.mark.parametrize("alias", ["same", "dotted", "symlink", "hardlink"])
def test_the_input_is_never_the_output(alias, compiler, expr, capsys):
    before = expr.read_bytes()
    target = expr.with_name("grad.py")
    if alias == "same":
        target = expr
    elif alias == "dotted":
        (expr.parent / "sub").mkdir()
        target = expr.parent / "sub" / ".." / "expr.py"
    elif alias == "symlink":
        target.symlink_to(expr)
    else:
        target.hardlink_to(expr)
    assert cli.main([str(expr), "-o", str(target)]) == 1
    assert "error[E011]" in capsys.readouterr().err
    assert expr.read_bytes() == before
    assert compiler.calls == []


def test_the_template_is_never_the_output(compiler, expr, capsys):
    template = expr.with_name("page.j2")
    template.write_text("{{ x }}", "utf-8")
    assert cli.main([str(expr), "--template", str(template), "-o", str(template)]) == 1
    assert "error[E011]" in capsys.readouterr().err
    assert template.read_text("utf-8") == "{{ x }}"


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("there.py", "dangling.py"):
        link = tmp_path / f"link-{name}"
        link.symlink_to(tmp_path / "deep" / name)
        if name == "there.py":
            (tmp_path / "deep" / name).write_text("old", "utf-8")
        output.write_output(str(link), "new")
        assert link.is_symlink()
        assert (tmp_path / "deep" / name).read_text("utf-8") == "new"
    assert names(tmp_path / "deep") == ["dangling.py", "there.py"]


def test_a_hard_link_elsewhere_keeps_the_old_text(tmp_path):
    old, twin = tmp_path / "a.py", tmp_path / "b.py"
    old.write_text("old", "utf-8")
    twin.hardlink_to(old)
    output.write_output(str(old), "new")
    assert (old.read_text("utf-8"), twin.read_text("utf-8")) == ("new", "old")


def make_read_only(folder):
    path = folder / "grad.py"
    path.write_text("old", "utf-8")
    path.chmod(0o444)
    return path


def make_loop(folder):
    path = folder / "loop.py"
    path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder, "it is a folder"),
        (lambda folder: str(folder) + os.sep, "it is a folder"),
        (lambda folder: folder / "none" / "grad.py", "there is no folder"),
        (lambda folder: str(folder / "none") + os.sep, "it names a folder"),
        (lambda folder: folder / "expr.py" / "grad.py", "not a directory"),
        (lambda folder: "", "it names a folder"),
        (lambda folder: folder / ("x" * 300), "name too long"),
        (make_read_only, "it is read-only"),
        (make_loop, "symbolic links"),
    ],
    ids=["folder", "slash", "missing-folder", "missing-slash", "under-a-file", "empty", "long", "read-only", "loop"],
)
def test_what_cannot_be_written_is_one_error_before_any_work(make, words, compiler, expr, capsys):
    target = make(expr.parent)
    before = {p.name: p.read_bytes() for p in expr.parent.iterdir() if p.is_file()}
    assert cli.main([str(expr), "-o", str(target)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error[E012]: can't write")
    assert words in told
    assert "Traceback" not in told
    assert {p.name: p.read_bytes() for p in expr.parent.iterdir() if p.is_file()} == before
    assert compiler.calls == []


@pytest.mark.parametrize("call", ["fsync", "replace", "open", "chmod"])
def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(call, tmp_path, monkeypatch):
    grad = tmp_path / "grad.py"
    grad.write_text("old", "utf-8")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.os, call, fail)
    with pytest.raises(CompileError, match="no space left on device"):
        output.write_output(str(grad), "new")
    monkeypatch.undo()
    assert grad.read_text("utf-8") == "old"
    assert names(tmp_path) == ["grad.py"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    grad = tmp_path / "grad.py"
    grad.write_text("old", "utf-8")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(output.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        output.write_output(str(grad), "new")
    assert grad.read_text("utf-8") == "old"
    assert names(tmp_path) == ["grad.py"]


def test_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    grad = tmp_path / "grad.py"
    grad.write_text("old", "utf-8")
    with pytest.raises(UnicodeEncodeError):
        output.write_output(str(grad), "\ud800")
    assert grad.read_text("utf-8") == "old"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_a_device_is_written_to_and_not_replaced(tmp_path):
    output.write_output("/dev/null", "text")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cat", pipe], stdout=subprocess.PIPE) as reader:
        output.write_output(str(pipe), "text")
        assert reader.stdout.read() == b"text"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_second_run_gives_the_same_bytes(compiler, expr):
    grad = expr.with_name("grad.py")
    for _ in range(2):
        assert cli.main([str(expr), "-o", str(grad)]) == 0
    assert names(expr.parent) == ["expr.py", "grad.py"]


# Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_of_short_work_shows_nothing():
    stream = Terminal()
    with cli.Progress(stream) as progress:
        progress("reading")
    assert stream.getvalue() == ""


def test_progress_of_long_work_shows_each_step_and_is_erased():
    stream = Terminal()
    with cli.Progress(stream, delay=0.05) as progress:
        progress("reading")
        time.sleep(0.3)
        progress("checking")
        time.sleep(0.5)
    text = stream.getvalue()
    assert text.index("bpcompile: reading") < text.index("bpcompile: checking")
    assert text.endswith("\r\x1b[K")
    assert "\n" not in text


@pytest.mark.parametrize(("stream", "enabled"), [(io.StringIO(), True), (Terminal(), False)])
def test_progress_is_silent_where_nobody_reads_it(stream, enabled):
    with cli.Progress(stream, delay=0.0, enabled=enabled) as progress:
        progress("reading")
        time.sleep(0.1)
    assert stream.getvalue() == ""


def test_progress_survives_a_terminal_that_goes_away():
    stream = Terminal()
    with cli.Progress(stream, delay=0.0) as progress:
        progress("reading")
        time.sleep(0.1)
        stream.close()
        time.sleep(0.3)


# The table of primitives


def test_ops_lists_every_primitive_with_rules_and_kinks(capsys):
    assert cli.main(["ops"]) == 0
    text = capsys.readouterr().out
    from bpcompile.primitive import REGISTRY

    lines = text.splitlines()
    for primitive in REGISTRY:
        rows = [i for i, line in enumerate(lines) if line.startswith(primitive.name + "(")]
        if primitive.shape is not None and not primitive.variadic and primitive.arity == 0:
            continue  # a constant array has no operand to differentiate
        assert len(rows) == 1, primitive.name
        block = "\n".join(lines[rows[0] : rows[0] + (1 if primitive.variadic else primitive.arity) + len(primitive.kinks)])
        assert block.count("kink at ") == len(primitive.kinks)
        assert primitive.domain in block
    assert "lambda" not in text
    assert " object at 0x" not in text


def test_ops_is_the_same_under_every_hash_seed():
    texts = {run("ops", env={"PYTHONHASHSEED": str(seed)}).stdout for seed in range(3)}
    assert len(texts) == 1
    assert len(texts.pop()) > 1000


# The whole program, on real input


def test_an_example_compiles_and_runs(tmp_path):
    source = tmp_path / "expr.py"
    source.write_text("x = -2\ny = 5\nz = -4\nq = x + y\nf = q * z\n", "utf-8")
    done = run(source, "-o", tmp_path / "grad.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    scope = {}
    exec(compile((tmp_path / "grad.py").read_text("utf-8"), "grad.py", "exec"), scope)
    assert scope["value_and_grad"](-2.0, 5.0, -4.0) == (-12.0, (-4.0, -4.0, 3.0))


def test_the_file_and_standard_input_and_standard_output_agree(tmp_path):
    source = tmp_path / "expr.py"
    source.write_text("x = 3\nf = x * x * x\n", "utf-8")
    by_name = run("expr.py", cwd=tmp_path)
    by_pipe = run("-", cwd=tmp_path, input=source.read_bytes())
    assert (by_name.returncode, by_pipe.returncode) == (0, 0), by_name.stderr + by_pipe.stderr
    scopes = ({}, {})
    for scope, done in zip(scopes, (by_name, by_pipe), strict=True):
        exec(compile(done.stdout, "grad.py", "exec"), scope)
    assert scopes[0]["value_and_grad"](3.0) == scopes[1]["value_and_grad"](3.0) == (27.0, (27.0,))


def test_an_expression_compiles():
    done = run("-e", "-x*y + exp(x)", "--at", "x=0,y=2")
    assert done.returncode == 0, done.stderr
    scope = {}
    exec(compile(done.stdout, "grad.py", "exec"), scope)
    assert scope["value_and_grad"](0.0, 2.0) == (1.0, (-1.0, 0.0))


def test_what_a_sympy_file_prints_is_not_in_the_output(tmp_path):
    (tmp_path / "expr.py").write_text("import sympy\nprint('hello')\nx = sympy.Symbol('x')\nf = sympy.sin(x)\nprint(f)\n", "utf-8")
    done = run("expr.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert b"hello" not in done.stdout
    scope = {}
    exec(compile(done.stdout, "grad.py", "exec"), scope)
    assert scope["value_and_grad"](0.0) == (0.0, (1.0,))


@pytest.mark.parametrize(
    "data",
    [
        b"f = x +* y\n",
        b"\xff\xfe\x00\x01",
        b"f = 1\x00\n",
        b"",
        b"f = '\xe9'\n",
        b"# coding: nonsense\nf = 1\n",
        b"import os\nf = os.getcwd()\n",
        b"f = " + b"(" * 300 + b"x" + b")" * 300 + b"\n",
        b"x = 2\nf = x * " + b"9" * 5000 + b"\n",
    ],
    ids=["syntax", "binary", "nul", "empty", "latin-1", "coding", "os", "parentheses", "digits"],
)
def test_odd_files_are_diagnosed(data, tmp_path):
    source = tmp_path / "expr.py"
    source.write_bytes(data)
    done = run(source, "-o", tmp_path / "grad.py", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(b"error[E")
    assert b"Traceback" not in done.stderr
    assert names(tmp_path) == ["expr.py"]


def test_a_folder_with_modules_named_like_ours_is_harmless(tmp_path):
    for name in ("sympy", "numpy", "random", "jinja2"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')\n", "utf-8")
    source = tmp_path / "expr.py"
    source.write_text("x = 3\nf = x * x\n", "utf-8")
    # As the installed command would run: without the current folder on the path that `python -m` adds.
    code = "import sys; from bpcompile.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "expr.py", "-q"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert b"hijacked" not in done.stderr
