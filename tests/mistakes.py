"""
Plant the mistakes that people make in backward passes, and rewrites that are none.

A mistake changes one statement of a correct program; the rest of the text stays as it is, so that line numbers do. What a change
amounts to is decided by running the program (see `handwritten_runs`): a planted mistake that changes no gradient is dropped, or
counted as a rewrite if it leaves the value of its own line alone.

>>> [m.text for m in plant("ds = 2 * dt * s", 1, frozenset({"dt"}), {}) if m.kind == "missing-upstream"]
['ds = 2 * s']
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from handwritten_runs import Program, Run, same


@dataclass(frozen=True)
class Mutant:
    """A text with one statement changed."""

    text: str
    line: int
    kind: str
    what: str
    #: Lines at which naming the mistake is as good as at `line`: the other lines of a sum that lost a line.
    also: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Judged:
    """A mutant and what running it showed."""

    program: Program
    mutant: Mutant
    #: Names of the gradients that changed; all of them if the program stopped.
    changed: tuple[str, ...]
    stopped: str = ""


# ---------------------------------------------------------------------------------------------------------------------------------
# the statements of a backward pass
# ---------------------------------------------------------------------------------------------------------------------------------

#: How the programs of the corpus spell gradients. What they compute again or unpack on their way back is no gradient, and is left alone.
_GRADIENT_NAME = re.compile(r"^[dg]$|^(d[A-Za-z]|g[A-Za-z]+$|grad|delta|nabla|epd)|(_bar|_grad)$")


@dataclass(frozen=True)
class Backward:
    """The statements of a program that only its gradients depend on."""

    program: Program
    statements: dict[int, ast.stmt]
    gradients: frozenset[str]
    #: Forward variable to the variables it is computed from.
    stages: dict[str, tuple[str, ...]]


def find_backward(program: Program) -> Backward:
    """Find the backward statements by changing what each leaves behind: the value must not move, a gradient must."""
    point = program.points(1)[0]
    whole = program.run(point)
    found: dict[int, ast.stmt] = {}
    stages: dict[str, tuple[str, ...]] = {}
    for statement in _simple_statements(ast.parse(program.text)):
        target = base_name(statement)
        if not _GRADIENT_NAME.search(target):
            continue
        probe = _probe(statement)
        try:
            run = Program(program.name, replace_line(program.text, statement, probe)).run(point)
        except Exception:  # noqa: BLE001  a probe of an index or a tuple; those are no gradients
            continue
        if not same(run.value, whole.value):
            if isinstance(statement, ast.Assign):
                stages.setdefault(target, tuple(dict.fromkeys(n for n in _names(statement.value) if n != target)))
        elif any(not same(run.gradients[g], whole.gradients[g]) for g in whole.gradients):
            found[statement.lineno] = statement
    targets = {base_name(s) for s in found.values()}
    spelled = {n for s in found.values() for n in _names(s) if _GRADIENT_NAME.search(n) and n not in stages}
    return Backward(program, found, frozenset(targets - set(stages) | spelled), stages)


def _simple_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield one-line assignments and `np.add.at` outside forward functions."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, forward = stack.pop()
        if isinstance(node, ast.FunctionDef):
            forward = "forward" in node.name or node.name == "__init__"
        stack.extend((child, forward) for child in reversed(list(ast.iter_child_nodes(node))) if isinstance(child, ast.stmt))
        if forward or (isinstance(node, ast.stmt) and node.lineno != node.end_lineno):
            continue
        if (
            (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name | ast.Subscript | ast.Attribute))
            or isinstance(node, ast.AugAssign)
            or (isinstance(node, ast.Expr) and _is_add_at(node.value))
        ):
            yield node


def _is_add_at(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "np.add.at"


def base_name(statement: ast.stmt) -> str:
    """Name the variable that a statement writes to."""
    if isinstance(statement, ast.Expr):
        assert isinstance(statement.value, ast.Call)
        node: ast.expr = statement.value.args[0]
    else:
        assert isinstance(statement, ast.Assign | ast.AugAssign)
        node = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    while isinstance(node, ast.Subscript | ast.Attribute):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return node.attr
        node = node.value
    return ast.unparse(node)


def _probe(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr):
        assert isinstance(statement.value, ast.Call)
        name, index, value = (ast.unparse(a) for a in statement.value.args)
        return f"np.add.at({name}, {index}, 1.37 * ({value}))"
    assert isinstance(statement, ast.Assign | ast.AugAssign)
    changed = copy.deepcopy(statement)
    # A list is changed entry by entry.
    if isinstance(statement.value, ast.List):
        changed.value = ast.List([ast.parse(f"1.37 * ({ast.unparse(e)}) + 0.11", mode="eval").body for e in statement.value.elts], ast.Load())
    elif isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Div | ast.Mult):
        changed.value = ast.parse(f"1.37 * ({ast.unparse(statement.value)})", mode="eval").body
    else:
        changed.value = ast.parse(f"1.37 * ({ast.unparse(statement.value)}) + 0.11", mode="eval").body
    return ast.unparse(changed)


def _names(node: ast.AST) -> list[str]:
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in {"np", "math"}]


def replace_line(text: str, statement: ast.stmt, new: str) -> str:
    """Put other source in the place of a statement; several lines take its indentation."""
    lines = text.split("\n")
    old = lines[statement.lineno - 1]
    assert statement.end_col_offset is not None
    before, after = old.encode()[: statement.col_offset].decode(), old.encode()[statement.end_col_offset :].decode()
    indent = " " * (len(old) - len(old.lstrip()))
    lines[statement.lineno - 1] = before + new.replace("\n", "\n" + indent) + after
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------------------------------
# mistakes
# ---------------------------------------------------------------------------------------------------------------------------------


def mistakes(backward: Backward) -> Iterator[Mutant]:
    """Yield every mistake that can be planted in the backward statements of a program."""
    text = backward.program.text
    lines_of: dict[str, list[int]] = {}
    for line, statement in backward.statements.items():
        lines_of.setdefault(base_name(statement), []).append(line)
    for line, statement in backward.statements.items():
        for mutant in plant(ast.unparse(statement), line, backward.gradients, backward.stages):
            changed = replace_line(text, statement, mutant.text)
            also: frozenset[int] = frozenset()
            if mutant.kind in _ABOUT_A_SUM or mutant.text == "pass":
                # A line written twice moves what follows it.
                twice = mutant.kind == "written-twice"
                also = frozenset(other + (twice and other > line) for other in lines_of[base_name(statement)]) | ({line + 1} if twice else set())
            yield Mutant(changed, line, mutant.kind, f"{mutant.kind}: `{ast.unparse(statement)}` to `{mutant.text}`", also)
    yield from updates(backward)


def updates(backward: Backward) -> Iterator[Mutant]:
    """Yield programs that step along a gradient as soon as it is complete; the line at fault is the next that reads the parameter."""
    text = backward.program.text
    for gradient, parameter in backward.program.judged[1]:
        lines = [line for line, s in backward.statements.items() if base_name(s) == gradient]
        if not lines or not gradient.isidentifier():
            continue
        done = backward.statements[max(lines)]
        later = [line for line, s in backward.statements.items() if line > done.lineno and parameter in _names(s)]
        if done.col_offset == 0 and later:
            changed = replace_line(text, done, f"{ast.unparse(done)}; {parameter} = {parameter} - 0.1 * {gradient}")
            yield Mutant(changed, min(later), "updated-value", f"updated-value: {parameter} steps after line {done.lineno}", frozenset(later))


#: What a sum lacks or has too much can be missed at any line of it.
_ABOUT_A_SUM = frozenset({"missing-line", "written-twice", "missing-branch"})


def plant(source: str, line: int, gradients: frozenset[str], stages: Mapping[str, tuple[str, ...]]) -> Iterator[Mutant]:
    """Yield the changed forms of one statement; the text of each mutant is the statement alone."""
    (statement,) = ast.parse(source).body
    seen = {ast.unparse(statement)}

    def made(kind: str, new: ast.stmt | str, what: str = "") -> Iterator[Mutant]:
        changed = new if isinstance(new, str) else ast.unparse(ast.fix_missing_locations(new))
        if changed not in seen:
            seen.add(changed)
            yield Mutant(changed, line, kind, what)

    if isinstance(statement, ast.Expr):
        assert isinstance(statement.value, ast.Call)
        name, index, value = (ast.unparse(a) for a in statement.value.args)
        yield from made("repeated-index", f"{name}[{index}] += {value}")
        yield from made("sign", f"np.add.at({name}, {index}, -{value})")
        return
    assert isinstance(statement, ast.Assign | ast.AugAssign)
    value = statement.value

    def with_value(new: ast.expr) -> ast.stmt:
        changed = copy.deepcopy(statement)
        changed.value = new
        return changed

    def negative(new: ast.expr) -> ast.expr:
        return ast.UnaryOp(ast.USub(), copy.deepcopy(new))

    target = ast.unparse(statement.targets[0] if isinstance(statement, ast.Assign) else statement.target)
    starts = isinstance(statement, ast.Assign) and not isinstance(value, ast.List | ast.Dict)
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        index = statement.target.slice if isinstance(statement.target, ast.Subscript) else None
        chosen = index is not None and not isinstance(index, ast.Slice | ast.Constant) and any(isinstance(n, ast.Subscript) for n in ast.walk(index))
        first = value if isinstance(statement.op, ast.Add) else negative(value)
        yield from made("repeated-index" if chosen else "overwrites", f"{target} = {ast.unparse(first)}")
        yield from made("sign", f"{target} {'-=' if isinstance(statement.op, ast.Add) else '+='} {ast.unparse(value)}")
        yield from made("missing-line", "pass")
        yield from made("written-twice", f"{source}\n{source}")
    elif isinstance(statement, ast.AugAssign):
        yield from made("missing-mean-factor", "pass")
    elif starts and not (isinstance(value, ast.Call) and ast.unparse(value.func) in {"np.zeros", "np.zeros_like"}):
        yield from made("sign", with_value(negative(value)))
        yield from made("factor-two", with_value(ast.BinOp(ast.Constant(2), ast.Mult(), copy.deepcopy(value))))
        if target not in _names(value):
            yield from made("accumulates-onto", f"{target} += {ast.unparse(value)}")
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Subscript) and isinstance(statement.targets[0].slice, ast.Compare):
        mask = statement.targets[0].slice
        base = ast.unparse(statement.targets[0].value)
        flipped = ast.unparse(ast.Compare(mask.left, [_OPPOSITE[type(mask.ops[0])]], mask.comparators))
        yield from made("wrong-route", f"{base}[{flipped}] = {ast.unparse(value)}")
        own = ast.unparse(ast.Compare(ast.Name(base, ast.Load()), mask.ops, mask.comparators))
        yield from made("wrong-route", f"{base}[{own}] = {ast.unparse(value)}")
    if isinstance(value, ast.Name) and value.id in gradients:
        yield from made("missing-upstream", with_value(ast.parse(f"np.ones_like({value.id})" if "[" in target else "1.0", mode="eval").body))
    for path, node in _expressions(value):
        put = partial(_put, value, path)
        for kind, new in _local_mistakes(node, gradients, stages):
            yield from made(kind, with_value(put(new)))


def _expressions(root: ast.expr) -> Iterator[tuple[tuple[tuple[str, int | None], ...], ast.expr]]:
    """Yield the sub-expressions with the way to each; indices are left out, they say where and not what."""
    stack: list[tuple[tuple[tuple[str, int | None], ...], ast.expr]] = [((), root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        children: list[tuple[tuple[tuple[str, int | None], ...], ast.expr]] = []
        for name, child in ast.iter_fields(node):
            if (isinstance(node, ast.Subscript) and name == "slice") or (isinstance(node, ast.Call) and name in {"func", "keywords"}):
                if name == "func" and isinstance(child, ast.Attribute):
                    children.append((((*path, ("func", None), ("value", None))), child.value))
                continue
            if isinstance(child, ast.expr):
                children.append(((*path, (name, None)), child))
            elif isinstance(child, list):
                children.extend(((*path, (name, k)), c) for k, c in enumerate(child) if isinstance(c, ast.expr))
        stack.extend(reversed(children))


def _put(root: ast.expr, path: tuple[tuple[str, int | None], ...], new: ast.expr) -> ast.expr:
    if not path:
        return copy.deepcopy(new)
    root = copy.deepcopy(root)
    node: ast.AST = root
    for name, index in path[:-1]:
        node = getattr(node, name) if index is None else getattr(node, name)[index]
    name, index = path[-1]
    if index is None:
        setattr(node, name, copy.deepcopy(new))
    else:
        getattr(node, name)[index] = copy.deepcopy(new)
    return root


def _factors(node: ast.expr) -> list[tuple[ast.expr, bool]]:
    """Take a product apart: each factor, and whether it is in the denominator."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return [*_factors(node.left), *_factors(node.right)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return [*_factors(node.left), (node.right, True)]
    return [(node, False)]


def _product(factors: list[tuple[ast.expr, bool]]) -> ast.expr:
    over = [copy.deepcopy(f) for f, below in factors if not below] or [ast.Constant(1.0)]
    result = over[0]
    for factor in over[1:]:
        result = ast.BinOp(result, ast.Mult(), factor)
    for factor, below in factors:
        if below:
            result = ast.BinOp(result, ast.Div(), copy.deepcopy(factor))
    return result


_SIZES = frozenset("N m n T.size D 4".split())
_OPPOSITE: dict[type[ast.cmpop], ast.cmpop] = {ast.Gt: ast.Lt(), ast.Lt: ast.Gt(), ast.GtE: ast.Lt(), ast.LtE: ast.Gt(), ast.Eq: ast.NotEq()}


def _is_upstream(node: ast.expr, gradients: frozenset[str]) -> bool:
    return any(n in gradients for n in _names(node))


def _local_mistakes(node: ast.expr, gradients: frozenset[str], stages: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ast.expr]]:
    """Yield (kind, other expression) for the mistakes that begin at one node."""
    text = ast.unparse(node)
    if isinstance(node, ast.BinOp):
        left, right = node.left, node.right
        match node.op:
            case ast.Mult() | ast.Div():
                factors = _factors(node)
                upstream = [f for f in factors if _is_upstream(f[0], gradients)]
                for factor in upstream:
                    if len(factors) > 1 and not factor[1]:
                        yield "missing-upstream", _product([f for f in factors if f is not factor])
                if len(upstream) == 1 and len(factors) > 1 and not upstream[0][1]:
                    yield "upstream-only", upstream[0][0]
                for factor in factors:
                    number = factor[0].value if isinstance(factor[0], ast.Constant) else None
                    rest = [f for f in factors if f is not factor]
                    if number in {2, 0.5} and len(factors) > 1:
                        yield "factor-two", _product(rest)
                    elif ast.unparse(factor[0]) in _SIZES and factor[1]:
                        yield "missing-mean-factor", _product(rest)
                    elif isinstance(factor[0], ast.BinOp) and isinstance(factor[0].op, ast.Sub) and ast.unparse(factor[0].right) == "1" and factor[1]:
                        yield "missing-mean-factor", _product([*rest, (factor[0].left, True)])
                    elif isinstance(factor[0], ast.BinOp) and isinstance(factor[0].op, ast.Pow) and factor[1]:
                        yield "wrong-power", _product([*rest, (factor[0].left, True)])
                if isinstance(node.op, ast.Div):
                    if not isinstance(left, ast.Constant) and not isinstance(right, ast.Constant) and ast.unparse(right) not in _SIZES:
                        yield "operands-swapped", ast.BinOp(right, ast.Div(), left)
                    yield "eps-term", ast.BinOp(left, ast.Div(), ast.BinOp(right, ast.Add(), ast.Constant(1e-3)))
                    yield "wrong-power", ast.BinOp(left, ast.Div(), ast.BinOp(right, ast.Pow(), ast.Constant(2)))
            case ast.Add() | ast.Sub():
                other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
                yield "sign", ast.BinOp(left, other, right)
                if isinstance(node.op, ast.Sub) and not isinstance(left, ast.Constant):
                    yield "sign", ast.BinOp(right, ast.Sub(), left)
                if _is_upstream(left, gradients) and _is_upstream(right, gradients):
                    yield "missing-branch", left
                    yield "missing-branch", right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), right)
            case ast.Pow() if isinstance(right, ast.Constant) and isinstance(right.value, int | float):
                if right.value == 2:
                    yield "wrong-power", left
                yield "wrong-power", ast.BinOp(left, ast.Pow(), ast.Constant(right.value + 1))
            case ast.MatMult():
                yield from _product_mistakes(left, right, lambda a, b: ast.BinOp(a, ast.MatMult(), b))
            case _:
                pass
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "sign", node.operand
    elif isinstance(node, ast.Call):
        yield from _call_mistakes(node)
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPPOSITE:
        yield "wrong-route", ast.Compare(node.left, [_OPPOSITE[type(node.ops[0])]], node.comparators)
        if isinstance(node.comparators[0], ast.Constant):
            for other in sorted(gradients)[:1]:
                yield "wrong-route", ast.Compare(ast.Name(other, ast.Load()), node.ops, node.comparators)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in stages:
            for other in stages[node.id][:2]:
                yield "wrong-stage", ast.Name(other, ast.Load())
            for name, sources in stages.items():
                if node.id in sources[:1]:
                    yield "wrong-stage", ast.Name(name, ast.Load())
                    break
        elif node.id in gradients:
            for other in sorted(gradients - {node.id})[:: max(1, len(gradients) // 2)]:
                yield "stale-variable", ast.Name(other, ast.Load())
    if text.endswith(".T") and isinstance(node, ast.Attribute):
        yield "transpose", node.value


def _product_mistakes(left: ast.expr, right: ast.expr, again: Callable[[ast.expr, ast.expr], ast.expr]) -> Iterator[tuple[str, ast.expr]]:
    yield "operands-swapped", again(right, left)
    for one in (True, False):
        operand = left if one else right
        if not ast.unparse(operand).endswith(".T"):
            turned = ast.Attribute(operand, "T", ast.Load())
            yield "transpose", again(turned, right) if one else again(left, turned)
    yield "transpose", ast.Attribute(again(left, right), "T", ast.Load())


def _call_mistakes(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    name = ast.unparse(node.func)
    if name in {"np.dot", "np.outer"} and len(node.args) == 2:
        if name == "np.outer":
            yield "operands-swapped", ast.Call(node.func, [node.args[1], node.args[0]], [])
            return
        yield from _product_mistakes(node.args[0], node.args[1], lambda a, b: ast.Call(node.func, [a, b], []))
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "dot" and len(node.args) == 1:
        yield from _product_mistakes(node.func.value, node.args[0], lambda a, b: ast.Call(ast.Attribute(a, "dot", ast.Load()), [b], []))
    elif name == "np.where":
        yield "wrong-route", ast.Call(node.func, [node.args[0], node.args[2], node.args[1]], [])
    elif name in {"np.sum", "np.mean"} or (isinstance(node.func, ast.Attribute) and node.func.attr in {"sum", "mean"}):
        plain = name in {"np.sum", "np.mean"}
        of = node.args[0] if plain else node.func.value  # type: ignore[attr-defined]
        axes = [k for k in node.keywords if k.arg == "axis"]
        keeps = [k for k in node.keywords if k.arg == "keepdims"]
        yield "missing-sum", of
        if keeps:
            yield "missing-keepdims", ast.Call(node.func, node.args, [k for k in node.keywords if k.arg != "keepdims"])
        elif axes:
            yield "shape-only", ast.Call(node.func, node.args, [*node.keywords, ast.keyword("keepdims", ast.Constant(value=True))])
        for axis in axes:
            if isinstance(axis.value, ast.Constant):
                turned = ast.keyword("axis", ast.Constant(1 - axis.value.value))
                yield "wrong-axis", ast.Call(node.func, node.args, [turned, *keeps])
        if name.endswith("mean"):
            total = ast.Attribute(node.func.value, "sum", ast.Load())  # type: ignore[attr-defined]
            yield "missing-mean-factor", ast.Call(total, node.args, node.keywords)
    elif name == "np.sqrt":
        yield "wrong-power", node.args[0]


# ---------------------------------------------------------------------------------------------------------------------------------
# rewrites
# ---------------------------------------------------------------------------------------------------------------------------------


def rewrites(backward: Backward) -> Iterator[Mutant]:
    """Yield texts that say the same in another way."""
    text = backward.program.text
    for line, statement in backward.statements.items():
        source = ast.unparse(statement)
        if isinstance(statement, ast.Expr):
            continue
        assert isinstance(statement, ast.Assign | ast.AugAssign)
        seen = {source}
        for kind, new in _statement_rewrites(statement):
            if new not in seen:
                seen.add(new)
                yield Mutant(replace_line(text, statement, new), line, kind, f"{kind}: `{source}` to `{new}`")
    yield from _moves(backward)
    yield from _renames(backward)
    yield from _fusions(backward)


def _statement_rewrites(statement: ast.Assign | ast.AugAssign) -> Iterator[tuple[str, str]]:
    target = ast.unparse(statement.targets[0] if isinstance(statement, ast.Assign) else statement.target)
    value = statement.value
    head = f"{target} = " if isinstance(statement, ast.Assign) else f"{target} {_SYMBOLS[type(statement.op)]}= "
    if isinstance(statement, ast.AugAssign):
        yield "written out", f"{target} = {target} {_SYMBOLS[type(statement.op)]} ({ast.unparse(value)})"
        if isinstance(statement.op, ast.Add):
            yield "turned sum", f"{target} = {ast.unparse(value)} + {target}"
            yield "minus minus", f"{target} -= -({ast.unparse(value)})"
    if isinstance(value, ast.List):
        return
    yield "factor one", f"{head}1.0 * ({ast.unparse(value)})"
    yield "two signs", f"{head}-(-({ast.unparse(value)}))"
    if isinstance(value, ast.BinOp) and not isinstance(value.right, ast.Constant):
        operator = _SYMBOLS[type(value.op)]
        yield "split", f"part = {ast.unparse(value.right)}\n{head}({ast.unparse(value.left)}) {operator} part"
    for path, node in _expressions(value):
        for kind, new in _local_rewrites(node):
            yield kind, head + ast.unparse(ast.fix_missing_locations(_put(value, path, new)))


_SYMBOLS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.MatMult: "@",
    ast.Pow: "**",
    ast.FloorDiv: "//",
}


def _parsed(text: str, **parts: ast.expr) -> ast.expr:
    """Parse an expression and put others in the place of its names."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return copy.deepcopy(parts[node.id]) if node.id in parts else node

    result = Fill().visit(ast.parse(text, mode="eval").body)
    assert isinstance(result, ast.expr)
    return result


def _local_rewrites(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.BinOp):
        a, b = node.left, node.right
        match node.op:
            case ast.Mult():
                yield "commuted", ast.BinOp(b, ast.Mult(), a)
                if isinstance(a, ast.BinOp) and isinstance(a.op, ast.Mult):
                    yield "regrouped", _parsed("p * (q * r)", p=a.left, q=a.right, r=b)
                if isinstance(b, ast.BinOp) and isinstance(b.op, ast.Sub):
                    yield "multiplied out", _parsed("a * p - a * q", a=a, p=b.left, q=b.right)
            case ast.Add():
                yield "commuted", ast.BinOp(b, ast.Add(), a)
            case ast.Sub():
                yield "turned difference", _parsed("-b + a", a=a, b=b)
            case ast.Div():
                yield "inverse", _parsed("a * (1 / b)", a=a, b=b)
            case ast.Pow() if isinstance(b, ast.Constant) and b.value == 2:
                yield "square", _parsed("a * a", a=a)
            case ast.MatMult():
                yield "np.dot", _parsed("np.dot(a, b)", a=a, b=b)
                yield "transposed product", _parsed("(b.T @ a.T).T", a=a, b=b)
            case _:
                pass
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = ast.unparse(node.func)
        if node.func.attr == "dot" and len(node.args) <= 2:
            a, b = node.args if name == "np.dot" else (node.func.value, node.args[0])
            yield "operator", _parsed("a @ b", a=a, b=b)
            yield "transposed product", _parsed("np.dot(b.T, a.T).T", a=a, b=b)
        elif node.func.attr == "sum" and name != "np.sum" and not node.args:
            yield "np.sum", ast.Call(_parsed("np.sum"), [node.func.value], node.keywords)
        elif name == "np.sum" and len(node.args) == 1:
            yield "method", ast.Call(ast.Attribute(node.args[0], "sum", ast.Load()), [], node.keywords)
        elif name == "np.outer":
            yield "outer by axes", _parsed("a[:, None] * b[None, :]", a=node.args[0], b=node.args[1])


def _moves(backward: Backward) -> Iterator[Mutant]:
    """Exchange neighbouring statements; running the result says whether they depend on each other."""
    lines = backward.program.text.split("\n")
    for line in sorted(backward.statements):
        if line + 1 not in backward.statements:
            continue
        one, two = backward.statements[line], backward.statements[line + 1]
        if one.col_offset != two.col_offset or set(_names(two)) & {base_name(one)} or set(_names(one)) & {base_name(two)}:
            continue
        changed = [*lines[: line - 1], lines[line], lines[line - 1], *lines[line + 1 :]]
        yield Mutant("\n".join(changed), line, "reordered", f"reordered: lines {line} and {line + 1}")


def _renames(backward: Backward) -> Iterator[Mutant]:
    """Give a gradient in between a name that says nothing."""
    final = set(backward.program.gradients)
    for line, statement in backward.statements.items():
        name = base_name(statement)
        if (
            any(re.search(rf"\b{re.escape(name)}\b", g) for g in final)
            or not isinstance(statement, ast.Assign)
            or not isinstance(statement.targets[0], ast.Name)
        ):
            continue
        if name not in backward.gradients or re.search(rf"[\"']{name}[\"']", backward.program.text):
            continue
        for other in ("tmp7", f"grad_of_{name[1:] or name}"):
            changed = re.sub(rf"(?<![.\w]){re.escape(name)}\b", other, backward.program.text)
            yield Mutant(changed, line, "renamed", f"renamed: {name} to {other}")


def _fusions(backward: Backward) -> Iterator[Mutant]:
    """Write a gradient that is read once where it is read."""
    text = backward.program.text
    for line, statement in backward.statements.items():
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            continue
        name = statement.targets[0].id
        if name in backward.program.gradients or len(re.findall(rf"\b{name}\b", text)) != 2:
            continue
        lines = text.split("\n")
        lines[line - 1] = lines[line - 1][: statement.col_offset] + "# " + ast.unparse(statement)
        inlined = re.sub(rf"\b{name}\b", f"({ast.unparse(statement.value)})", "\n".join(lines[line:]))
        yield Mutant("\n".join([*lines[:line], inlined]), line, "fused", f"fused: {name} into its reader")


# ---------------------------------------------------------------------------------------------------------------------------------
# what a mutant amounts to
# ---------------------------------------------------------------------------------------------------------------------------------


def right_runs(program: Program, count: int = 2) -> list[Run]:
    """Run the correct program at a few points."""
    return [program.run(point) for point in program.points(count, seed=1)]


def judge(program: Program, mutant: Mutant, right: list[Run]) -> Judged | None:
    """
    Run a mutant beside the correct program.

    Returns:
        The gradients that changed, or that it stopped; None if it is no matter of the backward pass, because its value changed.
    """
    changed: set[str] = set()
    for run in right:
        try:
            other = Program(program.name, mutant.text).run(run.given)
        except Exception as stop:  # noqa: BLE001  shapes that don't fit, names without a value: whatever NumPy and Python raise
            return Judged(program, mutant, tuple(program.gradients), f"{type(stop).__name__}: {stop}")
        if not same(other.value, run.value):
            return None
        changed |= {g for g in run.gradients if not same(other.gradients[g], run.gradients[g])}
    return Judged(program, mutant, tuple(g for g in program.gradients if g in changed))


def leaves_its_line(program: Program, mutant: Mutant, right: Run) -> bool:
    """Whether the changed line computes what it did before."""
    before = program.run(right.given, traced=[mutant.line]).trace
    after = Program(program.name, mutant.text).run(right.given, traced=[mutant.line]).trace
    old, new = before.get(mutant.line, []), after.get(mutant.line, [])
    # A comparison that happens to be false is no zero.
    return len(old) == len(new) and all(same(a, b) and isinstance(a, bool) == isinstance(b, bool) for a, b in zip(old, new, strict=True))


@dataclass(frozen=True)
class Several:
    """A program with independent mistakes: undoing one leaves the others."""

    program: Program
    text: str
    parts: tuple[Mutant, ...]


def combine(program: Program, mutants: list[Mutant], right: list[Run]) -> Several | None:
    """
    Put mutants of different lines into one text.

    Returns:
        The text; None if it stops, or if a mistake can't be seen in any gradient while the others are there.
    """
    original = program.text.split("\n")

    def text(parts: list[Mutant]) -> str:
        lines = list(original)
        for part in parts:
            lines[part.line - 1] = part.text.split("\n")[part.line - 1]
        return "\n".join(lines)

    whole = judge(program, Mutant(text(mutants), 0, "", ""), right[:1])
    if whole is None or whole.stopped:
        return None
    run = Program(program.name, text(mutants)).run(right[0].given)
    for mutant in mutants:
        rest = [m for m in mutants if m is not mutant]
        try:
            other = Program(program.name, text(rest)).run(right[0].given)
        except Exception:  # noqa: BLE001  see `judge`
            return None
        if all(same(run.gradients[g], other.gradients[g]) for g in run.gradients):
            return None
    return Several(program, text(mutants), tuple(mutants))
