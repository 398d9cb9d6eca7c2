"""
Add up the contributions to an adjoint in one expression where they undo the same line.

Before, both contributions from undoing one line, `y = sin(x) * x`::

    dx = mul s dy
    t0 = mul c x
    t1 = mul t0 dy
    dx' = add dx t1     (a version of dx)

After::

    t0 = mul c x
    t1 = add s t0
    dx' = mul t1 dy

Contributions of different stages stay apart, so that each block still undoes its own line. A factor that several have in common is
taken out; equal ones become one with a coefficient; a sum that the forward pass has formed already, whatever the order of its terms,
is read and not formed again (the gradient of a symmetric quadratic form). All this regroups sums and products of floats, which
changes them by roundings only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bpcompile.ir import Atom, Eqn, Lit, Program, Var
from bpcompile.primitive import REGISTRY

#: The most operands that one statement adds up.
_LONGEST: Final = 10
#: The least number of terms for which an earlier sum is looked for.
_FEWEST: Final = 4
#: How far nested products are taken apart.
_DEEPEST: Final = 6

_Term = tuple[float, tuple[Atom, ...]]


def collect(program: Program) -> Program:
    """Return the program with the contributions of one line to one adjoint as one expression."""
    split = next((i for i, eqn in enumerate(program.eqns) if eqn.origin is not None), len(program.eqns))
    chains: dict[Var, list[int]] = {}
    for i in range(split, len(program.eqns)):
        eqn = program.eqns[i]
        twin = eqn.out.twin
        if twin is not None and eqn.prim.name in _SIGNS and isinstance(eqn.args[0], Var) and eqn.args[0].twin is twin and not eqn.out.shape and not eqn.guard:
            chains.setdefault(twin, []).append(i)
    return _Collect(program, split, chains).run() if chains else program


_LINEAR: Final = frozenset({"add", "sub", "mul", "neg"})
_SIGNS: Final = {"add": 1.0, "sub": -1.0}


class _Contribution:
    """What one equation adds to an adjoint: `sign * atom`, and the stage whose line it undoes."""

    __slots__ = ("atom", "index", "owner", "sign", "size", "version")

    def __init__(self, index: int, sign: float, atom: Atom, version: Var, owner: Var | None, size: int) -> None:
        self.index = index
        self.sign = sign
        self.atom = atom
        self.version = version
        self.owner = owner
        self.size = size


class _Collect:
    def __init__(self, program: Program, split: int, chains: dict[Var, list[int]]) -> None:
        self.program = program
        self.split = split
        self.chains = chains
        self.eqns: list[Eqn | None] = list(program.eqns)
        self.before: dict[int, list[Eqn]] = {}
        self.place: dict[Var, int] = {}
        self.uses: dict[Var, int] = {}
        self.reader: dict[Var, Var] = {}
        uses, place, reader = self.uses, self.place, self.reader
        for i, eqn in enumerate(program.eqns):
            place[eqn.out] = i
            forward = i < split
            for arg in eqn.args:
                if isinstance(arg, Var):
                    uses[arg] = uses.get(arg, 0) + 1
                    if forward:
                        reader.setdefault(arg, eqn.out)
            for condition, _ in eqn.guard:
                uses[condition] = uses.get(condition, 0) + 1
        for atom in program.results():
            if isinstance(atom, Var):
                uses[atom] = uses.get(atom, 0) + 1
        #: Functions that the backward pass reads: they have a line of their own, as stages do.
        read = {a for eqn in program.eqns[split:] for a in eqn.args if isinstance(a, Var)}
        self.lined = {eqn.out for eqn in program.eqns[:split] if eqn.out in read and eqn.prim.name not in _LINEAR}
        self.owners: dict[Var, Var | None] = {}
        self.sums: dict[frozenset[tuple[Lit, Atom]], Var] | None = None
        self.here = program.eqns[0]

    def run(self) -> Program:
        for versions in self.chains.values():
            self._chain(versions)
        if not self.before:
            return self.program
        eqns: list[Eqn] = []
        for i, eqn in enumerate(self.eqns):
            if i in self.before:
                eqns += self.before[i]
            if eqn is not None:
                eqns.append(eqn)
        return self.program.with_eqns(eqns)

    # -- one adjoint ---------------------------------------------------------------------------------------------------

    def _chain(self, versions: list[int]) -> None:
        contributions = self._contributions(versions)
        if contributions is None:
            return
        reduced = self._with_known_sum(contributions) if len(contributions) >= _FEWEST else contributions
        groups = self._groups(reduced)
        if reduced is contributions and all(len(group) == 1 for group in groups):
            return
        unchanged = groups[0] if len(groups[0]) == 1 and reduced[0] is contributions[0] else None
        if reduced[0] is contributions[0] and unchanged is None:
            self._free(contributions[0])
        before: Var | None = None
        for group in groups:
            if group is not unchanged and (reduced is not contributions or len(group) > 1):
                for contribution in group[:-1]:
                    if contribution is not contributions[0]:
                        self.eqns[contribution.index] = None
                self._merge(group, before)
            before = group[-1].version

    def _contributions(self, versions: list[int]) -> list[_Contribution] | None:
        """Return what is added, first to last; None where the adjoint is read in between."""
        eqns = self.program.eqns
        first = eqns[versions[0]].args[0]
        assert isinstance(first, Var)
        index = self.place.get(first)
        if index is None or index < self.split or eqns[index].guard or self.uses[first] != 1:
            return None
        start = eqns[index]
        if start.prim.name == "copy":
            atom: Atom = start.args[0]
        else:
            atom = Var(dtype=first.dtype)
        found = [_Contribution(index, 1.0, atom, first, self._owner(start.origin), self._size(start))]
        for i in versions:
            eqn = eqns[i]
            if eqn.args[0] is not found[-1].version or (i != versions[-1] and self.uses[eqn.out] != 1):
                return None
            added = eqn.args[1]
            size = self._size(eqns[self.place[added]]) if isinstance(added, Var) and self._is_temporary(added) else 1
            # The line of an operation that is gone (1 * x) is unknown: it counts as the line undone before.
            owner = self._owner(eqn.origin) if eqn.origin in self.place else found[-1].owner
            found.append(_Contribution(i, _SIGNS[eqn.prim.name], added, eqn.out, owner, size))
        return found

    def _groups(self, contributions: list[_Contribution]) -> list[list[_Contribution]]:
        """Cut the contributions into runs that one statement adds up."""
        groups = [[contributions[0]]]
        size = contributions[0].size
        for contribution in contributions[1:]:
            size += contribution.size
            if contribution.owner is not groups[-1][-1].owner or size > _LONGEST:
                groups.append([])
                size = contribution.size
            groups[-1].append(contribution)
        return groups

    def _free(self, first: _Contribution) -> None:
        """Take its name from the first version of an adjoint, which becomes part of a sum."""
        start = self.program.eqns[first.index]
        if start.prim.name == "copy":
            self.eqns[first.index] = None
        else:
            assert isinstance(first.atom, Var)
            self.eqns[first.index] = start.replace(out=first.atom)
            self.place[first.atom] = first.index
            self.uses[first.atom] = 1

    def _with_known_sum(self, contributions: list[_Contribution]) -> list[_Contribution]:
        """
        Put a sum of the forward pass in the place of contributions that add up to a multiple of it.

        The contributions are `a_i * (u_i * s)`, the sum is that of all `a_i * u_i`. That is how the gradient of a symmetric quadratic
        form becomes twice the product that the value needed.
        """
        parts = [self._scaled_product(c) for c in contributions]
        counts: dict[Atom, int] = {}
        for part in parts:
            for factor in part[1] if part else ():
                counts[factor] = counts.get(factor, 0) + 1
        common = max(counts, key=lambda f: counts[f], default=None)
        if common is None or counts[common] < _FEWEST:
            return contributions
        sums = self._forward_sums()
        roots = set(sums.values())
        terms: dict[tuple[Lit, Atom], _Contribution] = {}
        for contribution, part in zip(contributions, parts, strict=True):
            if part and common in part[1]:
                other = part[1][1] if part[1][0] is common else part[1][0]
                if other not in roots:
                    terms.setdefault((part[0], other), contribution)
        known = sums.get(frozenset(terms))
        if known is None:
            return contributions
        members = list(terms.values())
        last = members[-1]
        gone = set(map(id, members))
        for contribution in members:
            self.eqns[contribution.index] = None
        product = Var()
        slot = members[1].index
        like = self.program.eqns[slot]
        self.eqns[slot] = Eqn(product, REGISTRY["mul"], (known, common), span=like.span, origin=like.origin)
        self.place[product], self.uses[product] = slot, 1
        merged = _Contribution(last.index, 1.0, product, last.version, last.owner, 2)
        return [merged if c is last else c for c in contributions if c is last or id(c) not in gone]

    def _scaled_product(self, contribution: _Contribution) -> tuple[Lit, tuple[Var, Var]] | None:
        """Return (a, (u, s)) of a contribution a * (u * s)."""
        atom = contribution.atom
        if not isinstance(atom, Var):
            return None
        # The first contribution has no variable of its own yet.
        eqn = self.eqns[self.place.get(atom, contribution.index)]
        scale = contribution.sign
        if eqn is not None and eqn.prim.name == "mul" and isinstance(eqn.args[0], Lit) and isinstance(eqn.args[1], Var):
            scale *= eqn.args[0].value
            eqn = self.eqns[self.place[eqn.args[1]]] if eqn.args[1] in self.place else None
        if eqn is None or eqn.prim.name != "mul" or eqn.guard:
            return None
        left, right = eqn.args
        return (Lit(float(scale)), (left, right)) if isinstance(left, Var) and isinstance(right, Var) and left is not right else None

    def _forward_sums(self) -> dict[frozenset[tuple[Lit, Atom]], Var]:
        """Return the sums of the forward pass by their terms (coefficient, variable)."""
        if self.sums is not None:
            return self.sums
        self.sums = {}
        inner: set[Var] = set()
        for i in range(self.split - 1, -1, -1):
            root = self.program.eqns[i]
            if root.prim.name not in _SIGNS or root.out in inner or root.guard:
                continue
            terms: list[tuple[Lit, Atom]] = []
            stack: list[tuple[float, Atom]] = [(1.0, root.out)]
            while stack:
                sign, atom = stack.pop()
                eqn = self.program.eqns[self.place[atom]] if isinstance(atom, Var) and atom in self.place else None
                if eqn is not None and eqn.prim.name in _SIGNS and (eqn is root or (self.uses[eqn.out] == 1 and not eqn.out.stage)):
                    inner.add(eqn.out)
                    stack += [(sign, eqn.args[0]), (sign * _SIGNS[eqn.prim.name], eqn.args[1])]
                elif eqn is not None and eqn.prim.name == "mul" and isinstance(eqn.args[0], Lit):
                    terms.append((Lit(float(sign * eqn.args[0].value)), eqn.args[1]))
                else:
                    terms.append((Lit(sign), atom))
            key = frozenset(terms)
            if len(key) == len(terms) >= _FEWEST:
                self.sums.setdefault(key, root.out)
        return self.sums

    def _merge(self, group: list[_Contribution], before: Var | None) -> None:
        """Replace the versions of a group by one."""
        last = group[-1]
        self.here = self.program.eqns[last.index]
        self.before[last.index] = []
        sign, name, args = self._sum([(c.sign, c.atom) for c in group])
        if before is not None:
            total = self._emit(name, args) if name != "copy" else args[0]
            name, args = ("add" if sign > 0 else "sub"), (before, total)
        elif sign < 0:
            total = self._emit(name, args) if name != "copy" else args[0]
            name, args = "neg", (total,)
        self.eqns[last.index] = self.here.replace(out=last.version, prim=REGISTRY[name], args=args)

    def _emit(self, name: str, args: tuple[Atom, ...]) -> Var:
        out = Var()
        self.before_here().append(Eqn(out, REGISTRY[name], args, span=self.here.span, origin=self.here.origin))
        self.uses[out] = 1
        return out

    def before_here(self) -> list[Eqn]:
        """Return where equations in front of the one at hand go."""
        return self.before[self.place[self.here.out]]

    # -- sums of products ----------------------------------------------------------------------------------------------

    def _sum(self, signed: list[tuple[float, Atom]]) -> tuple[float, str, tuple[Atom, ...]]:
        """Return (sign, primitive, operands) of a sum, its common factor taken out."""
        terms = [self._factors(sign, atom) for sign, atom in signed]
        merged: list[_Term] = []
        atoms: list[Atom | None] = []
        for (coefficient, factors), (_, atom) in zip(terms, signed, strict=True):
            same = next((k for k, (_, other) in enumerate(merged) if factors and _same_factors(factors, other)), None)
            if same is None:
                merged.append((coefficient, factors))
                atoms.append(atom)
            else:
                merged[same] = (merged[same][0] + coefficient, merged[same][1])
                atoms[same] = None
        counts: dict[Atom, int] = {}
        for _, factors in merged:
            for factor in dict.fromkeys(f for f in factors if isinstance(f, Var)):
                counts[factor] = counts.get(factor, 0) + 1
        common = max(counts, key=lambda f: counts[f], default=None)
        if common is None or counts[common] < 2:  # shared by two at least
            return self._added([(_sign(t[0]), self._term(t, a)) for t, a in zip(merged, atoms, strict=True)])
        inside: list[tuple[float, Atom]] = []
        outside: list[tuple[float, Atom]] = []
        for (coefficient, factors), unchanged in zip(merged, atoms, strict=True):
            sign = _sign(coefficient)
            if common in factors:
                at = factors.index(common)
                rest = (coefficient, factors[:at] + factors[at + 1 :])
                inside.append((sign, self._term(rest, None)))
            else:
                outside.append((sign, self._term((coefficient, factors), unchanged)))
        sign, name, args = self._added(inside)
        inner = args[0] if name == "copy" else self._emit(name, args)
        if not outside:
            return sign, "mul", (inner, common)
        return self._added([(sign, self._emit("mul", (inner, common))), *outside])

    def _term(self, term: _Term, atom: Atom | None) -> Atom:
        """Return |term| as an operand, as it was where nothing changed."""
        coefficient, factors = term
        coefficient = abs(coefficient)
        if atom is not None:
            return self._positive(atom)
        parts = [*([Lit(coefficient)] if coefficient != 1 or not factors else []), *factors]
        value = parts[0]
        for part in parts[1:]:
            value = self._emit("mul", (value, part))
        return value

    def _positive(self, atom: Atom) -> Atom:
        """Return an operand without the sign that `_factors` has found."""
        if isinstance(atom, Lit):
            return Lit(abs(atom.value))
        eqn = self._definition(atom)
        if eqn is not None and eqn.prim.name == "neg":
            return self._positive(eqn.args[0])
        coefficient, factors = self._factors(1.0, atom)
        return atom if coefficient >= 0 else self._term((coefficient, factors), None)

    def _added(self, signed: Sequence[tuple[float, Atom]]) -> tuple[float, str, tuple[Atom, ...]]:
        """Return (sign, primitive, operands) of a sum of signed operands, a positive one first."""
        ordered = list(signed)
        lead = next((k for k, (sign, _) in enumerate(ordered) if sign > 0), None)
        if lead:
            ordered.insert(0, ordered.pop(lead))
        outer = 1.0 if lead is not None else -1.0
        total = ordered[0][1]
        for k, (sign, atom) in enumerate(ordered[1:], 2):
            name, args = ("add" if sign * outer > 0 else "sub"), (total, atom)
            if k == len(ordered):
                return outer, name, args
            total = self._emit(name, args)
        return outer, "copy", (total,)

    def _factors(self, sign: float, atom: Atom) -> _Term:
        """Return (coefficient, factors) of a product, nested temporaries taken apart."""
        coefficient = sign
        factors: list[Atom] = []
        stack: list[tuple[Atom, int]] = [(atom, 0)]
        while stack:
            part, depth = stack.pop()
            if isinstance(part, Lit):
                coefficient *= part.value
                continue
            eqn = self._definition(part) if depth < _DEEPEST else None
            if eqn is not None and eqn.prim.name in {"mul", "neg"}:
                stack.extend((a, depth + 1) for a in reversed(eqn.args))
                coefficient *= -1.0 if eqn.prim.name == "neg" else 1.0
            else:
                factors.append(part)
        return coefficient, tuple(factors)

    def _definition(self, atom: Atom) -> Eqn | None:
        """Return the equation of a temporary that only one place reads."""
        if not isinstance(atom, Var) or not self._is_temporary(atom):
            return None
        eqn = self.eqns[self.place[atom]]
        return None if eqn is None or eqn.guard else eqn

    def _is_temporary(self, var: Var) -> bool:
        if var.stage or self.uses.get(var, 0) != 1 or self.place.get(var, -1) < self.split:
            return False
        return var.twin is None or not (var.twin.stage or var.twin in self.program.gradients)

    def _size(self, eqn: Eqn) -> int:
        """Count the operands that an equation's text will hold, up to the limit."""
        count = 0
        stack = [eqn]
        while stack and count <= _LONGEST:
            for arg in stack.pop().args:
                inner = self._definition(arg)
                if inner is None:
                    count += 1
                else:
                    stack.append(inner)
        return count

    def _owner(self, origin: Var | None) -> Var | None:
        """Return the stage in whose line a value is computed first."""
        chain: list[Var] = []
        at = origin
        while at is not None and not at.stage and at not in self.lined and at not in self.owners:
            chain.append(at)
            at = self.reader.get(at)
        found = self.owners.get(at, at) if at is not None else None
        for var in chain:
            self.owners[var] = found
        return found


def _sign(coefficient: float) -> float:
    return -1.0 if coefficient < 0 else 1.0


def _same_factors(a: tuple[Atom, ...], b: tuple[Atom, ...]) -> bool:
    return len(a) == len(b) and (a == b or sorted(map(id, a)) == sorted(map(id, b)))
