"""
Comments and docstrings of emitted code, and the lines of its certificate.

The English of a message is also the form by which `translate` finds it: it must be exactly what the emitter or the certificate
says, with braces for what varies.
"""

from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "code.forward": ("forward pass", "前向传播"),
    "code.backward": ("backward pass", "反向传播"),
    "code.backprop": ("backprop {stage}", "回传到 {stage}"),
    "code.no-gradient": ("no gradient reaches {name}", "{name} 得不到梯度"),
    "code.note.tanh": ("1 - tanh**2 would cancel", "1 - tanh**2 会损失有效数字"),
    "code.note.overflow": ("{name} cannot overflow", "{name} 不会溢出"),
    "code.note.expm1": ("expm1: exp(x) - 1 loses digits near 0", "expm1：exp(x) - 1 在 0 附近损失有效数字"),
    "code.note.log1p": ("log1p: 1 + x loses digits near 0", "log1p：1 + x 在 0 附近损失有效数字"),
    "code.note.hypot": ("hypot: the squares could overflow", "hypot：平方可能溢出"),
    "code.note.sinc": ("sinc: its derivative cancels near 0", "sinc：导数在 0 附近相消"),
    "code.head": ("Value and gradient of {outputs}({inputs}).", "{outputs}({inputs}) 的值与梯度。"),
    "code.head.by": ("Written by bpcompile.", "由 bpcompile 生成。"),
    "code.head.scipy": (
        "Written by bpcompile. Needs SciPy, for functions that the standard library and NumPy lack.",
        "由 bpcompile 生成。标准库和 NumPy 没有的函数需要 SciPy。",
    ),
    "code.head.renamed": ("`{old}` of the input is called `{new}` here.", "输入中的 `{old}` 在这里叫 `{new}`。"),
    "code.doc.value": ("Return {result}.", "返回 {result}。"),
    "code.doc.gradients": (
        "Return {result} and its gradients {gradients}, given the upstream gradient {upstream}.",
        "给定上游梯度 {upstream}，返回 {result} 及其梯度 {gradients}。",
    ),
    "code.doc.gradients.several": (
        "Return {result} and its gradients {gradients}, given the upstream gradients {upstream}.",
        "给定各上游梯度 {upstream}，返回 {result} 及其梯度 {gradients}。",
    ),
    "code.doc.forward": ("Return {result} and a cache for `backward`.", "返回 {result} 以及供 `backward` 使用的缓存。"),
    "code.doc.backward": (
        "Return the gradients {gradients}, given the upstream gradient {upstream}.",
        "给定上游梯度 {upstream}，返回梯度 {gradients}。",
    ),
    "code.doc.backward.several": (
        "Return the gradients {gradients}, given the upstream gradients {upstream}.",
        "给定各上游梯度 {upstream}，返回梯度 {gradients}。",
    ),
    "code.doc.array": (
        "Return x as an array of floats: integers become float64, float32 stays.",
        "把 x 变为浮点数组：整数变为 float64，float32 不变。",
    ),
    "code.doc.integers": ("Return x as an array of integers.", "把 x 变为整数数组。"),
    "code.doc.same-shape": ("Raise ValueError unless all arrays have one shape.", "数组形状不全相同时引发 ValueError。"),
    "code.doc.same-size": ("Raise ValueError unless all sizes are equal.", "大小不全相等时引发 ValueError。"),
    "code.doc.axes": (
        "Raise ValueError unless x has one axis for each size, as long as the size says where that is a number.",
        "x 的轴数与给出的大小不符，或某轴长度不等于所给数字时，引发 ValueError。",
    ),
    "code.cert.rules": ("derivative rules: {parts}", "求导法则：{parts}"),
    "code.cert.proved": ("{count} proved with SymPy", "{count} 条经 SymPy 证明"),
    "code.cert.numeric": ("{count} equal to the derivative at {digits} digits", "{count} 条与 {digits} 位精度的导数相等"),
    "code.cert.open": ("{count} not checked", "{count} 条未检验"),
    "code.cert.whole": (
        "value and gradient equal {oracle}: {points} points, relative error {error}",
        "值与梯度等于{oracle}：{points} 个点，相对误差{error}",
    ),
    "code.cert.sympy": ("SymPy's derivative at {digits} digits", " SymPy 在 {digits} 位精度下的导数"),
    "code.cert.forward": ("forward mode at {digits} digits", " {digits} 位精度的前向模式"),
    "code.cert.forward-double": ("forward mode in double precision", "双精度的前向模式"),
    "code.cert.below": ("below {bound}", "小于 {bound}"),
    "code.cert.double": ("in double precision: relative error {error} at these points", "双精度下：这些点上的相对误差{error}"),
    "code.cert.sizes": ("sizes: {sizes}", "大小：{sizes}"),
    "code.cert.edges": (
        "zeros, ties and large values: {points} points agree with the program",
        "零、相等和大数值处：{points} 个点与程序一致",
    ),
    "code.cert.unchecked": ("not checked: {reason}", "未检验：{reason}"),
    "code.cert.off": ("everything: checks are off", "全部：检验已关闭"),
    "code.cert.large": ("values at {digits} digits: the sizes are too large", "{digits} 位精度的值：数组太大"),
    "code.cert.branch": ("branch never taken: {branches}", "从未进入的分支：{branches}"),
    "code.cert.kink": ("kink: {kink}", "折点：{kink}"),
    "code.cert.kink.line": ("line {number}: the example point sits on a kink of `{name}` {choice}", "第 {number} 行：示例点位于 `{name}` 的折点上{choice}"),
    "code.cert.kink.choice": ("(at {place} the derivative is taken as {value})", "（在 {place} 处导数取 {value}）"),
    "code.cert.operations": (
        "operations: value {value}, value and gradient {both} ({ratio} times)",
        "运算次数：值 {value}，值与梯度 {both}（{ratio} 倍）",
    ),
}
