"""Texts of pages, worksheets and pictures."""

from typing import Final

MESSAGES: Final = {
    "page.forward": ("Forward pass", "前向传播"),
    "picture.title": ("Circuit of {name}", "{name} 的计算线路"),
    "picture.description": (
        "{gates} gates from left to right; above each wire its value, below it its gradient.",
        "从左到右共 {gates} 个门；每条线上方是值，下方是梯度。",
    ),
    "picture.shape": ("shape", "形状"),
    "picture.value": ("value", "值"),
    "picture.gradient": ("gradient", "梯度"),
}
