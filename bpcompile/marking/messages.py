"""
What a person is told, as templates: one dictionary from key to text, so that another language is another dictionary.

>>> say("status-right")
'right'
"""

from __future__ import annotations

from typing import Any, Final

ENGLISH: Final[dict[str, str]] = {
    "status-right": "right",
    "status-wrong": "wrong",
    "status-inherits": "inherits",
    "status-unread": "not read",
    "sign": "the sign is wrong",
    "missing-upstream": "the upstream gradient is missing: the chain rule multiplies by it",
    "upstream-only": "the upstream gradient is passed on as it is: the local gradient is missing",
    "overwrites": "`=` overwrites an earlier contribution: gradients of a variable that is used more than once add up",
    "accumulates-onto": "this adds to what is no part of this gradient",
    "missing-branch": "a contribution is missing: the variable is used in more places than this counts",
    "operands-swapped": "the operands are swapped",
    "transpose": "a transpose is missing or too many",
    "missing-sum": "a sum is missing: the variable was broadcast in the forward pass",
    "missing-keepdims": "`keepdims` is missing or too many, so broadcasting pairs the wrong axes",
    "wrong-axis": "the sum runs over the wrong axis",
    "missing-mean-factor": "the factor of a mean is missing or wrong",
    "factor-two": "a factor of 2 is missing or too many",
    "wrong-stage": "the derivative is taken at the wrong stage: of the activation where the input is meant, or the reverse",
    "updated-value": "the variable was changed after the forward pass: the gradient needs the value it had there",
    "wrong-route": "the gradient goes the wrong way: the condition does not choose what the forward pass chose",
    "repeated-index": "an index that occurs twice is counted once: `np.add.at` adds both",
    "wrong-power": "a power is wrong",
    "stale-variable": "another variable is meant",
    "shape-only": "the numbers are right, the shape is not",
    "float-noise": "differs by rounding only",
    "eps-term": "matches but for a small term, such as an eps",
    "unstable": "right, but breaks down where the forward pass does not",
    "global-factor": "every gradient is {factor} times what it should be",
    "missing-gradient": "the gradient of `{name}` is never computed",
    "note-missing": "no gradient is computed of {names}",
    "wrong-input": "this is the gradient of `{other}`, not of `{name}`",
    "unknown": "the value is wrong",
    "shape": "has shape {got}, should have {wanted}",
    "fails": "fails: {reason}",
    "correct": "should be",
    "inherits": "follows from line {line}",
    "unread": "not read: {reason}",
    "numbers": "is {got}, should be {wanted}",
    "verdict-right": "all right",
    "verdict-wrong": "{wrong} wrong",
    "verdict-inherits": "{many} inheriting",
    "verdict-unread": "{many} not read",
    "verdict-lines": "{right} of {all} lines right",
    "gradient-ok": "right",
    "gradient-wrong": "wrong",
    "not-computed": "not computed",
    "nothing": "no gradient was found: is there a backward pass in this file?",
    "column-gradient": "gradient",
    "column-of": "of",
    "column-shape": "shape",
    "column-verdict": "verdict",
    "column-error": "relative error",
}


def say(key: str, **facts: Any) -> str:
    """Return a text with its gaps filled."""
    return ENGLISH[key].format(**facts)
