"""
What each gate does to a gradient, in one sentence.

`{out}` is the gate's result, `{first}` and `{second}` are its operands, `{all}` is the list of them, `{constant}` a number beside
them, `{winner}` and `{loser}` are the operands that a choice took and left.
"""

from typing import Final

MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "gate.add": (
        "An add gate distributes: the gradient of {out} goes on to {all} unchanged, whatever their values.",
        "加法门起分发作用：{out} 的梯度原样传给 {all}，与它们的值无关。",
    ),
    "gate.add.constant": (
        "Adding the constant {constant} leaves the gradient as it is.",
        "加上常数 {constant} 不改变梯度。",
    ),
    "gate.sub": (
        "A subtract gate passes the gradient of {out} to {first} unchanged and to {second} with the opposite sign.",
        "减法门把 {out} 的梯度原样传给 {first}，并反号传给 {second}。",
    ),
    "gate.sub.constant": (
        "Subtracting with the constant {constant} changes at most the sign of the gradient.",
        "与常数 {constant} 相减，至多改变梯度的符号。",
    ),
    "gate.mul": (
        "A multiply gate switches its inputs: each gets the gradient of {out} times the value of the other one.",
        "乘法门交换输入：每个输入得到的是 {out} 的梯度乘以另一个输入的值。",
    ),
    "gate.mul.constant": (
        "Multiplying by the constant {constant} multiplies the gradient by {constant} too.",
        "乘以常数 {constant}，梯度也乘以 {constant}。",
    ),
    "gate.div": (
        "A quotient passes back 1/{second} to the numerator; the denominator gets a gradient of opposite sign that falls with its square.",
        "除法门传给分子的局部梯度是 1/{second}；分母得到反号的梯度，并随其平方衰减。",
    ),
    "gate.div.constant": (
        "A reciprocal turns the sign and divides by the square: the larger {all}, the less it matters.",
        "取倒数会改变符号并除以平方：{all} 越大，影响越小。",
    ),
    "gate.div.by": (
        "Dividing by the constant {constant} divides the gradient by {constant} too.",
        "除以常数 {constant}，梯度也除以 {constant}。",
    ),
    "gate.neg": ("A minus sign turns the sign of the gradient.", "取负使梯度变号。"),
    "gate.pow": (
        "A power multiplies the gradient by its exponent times the next lower power of {first}.",
        "幂运算的局部梯度是指数乘以 {first} 的低一次幂。",
    ),
    "gate.exp": (
        "The exponential is its own derivative: the gradient is multiplied by the value {out} itself.",
        "指数函数的导数是它自己：梯度乘以值 {out} 本身。",
    ),
    "gate.log": (
        "A logarithm divides the gradient by {first}: small inputs receive large gradients.",
        "对数把梯度除以 {first}：输入越小，梯度越大。",
    ),
    "gate.sqrt": (
        "A square root divides the gradient by twice its own value.",
        "平方根把梯度除以自身值的两倍。",
    ),
    "gate.sigmoid": (
        "A sigmoid multiplies the gradient by (1 − σ)·σ, at most 1/4: far from 0 it lets hardly anything through.",
        "sigmoid 把梯度乘以 (1 − σ)·σ，最大为 1/4：远离 0 时几乎不让梯度通过。",
    ),
    "gate.tanh": (
        "A tanh multiplies the gradient by 1 − tanh²: it lets everything through at 0 and little where it saturates.",
        "tanh 把梯度乘以 1 − tanh²：在 0 处全部通过，饱和处几乎不通过。",
    ),
    "gate.relu": (
        "A relu lets the gradient through where its input is positive and stops it elsewhere.",
        "relu 在输入为正处让梯度通过，其余处截断。",
    ),
    "gate.abs": (
        "An absolute value passes the gradient on with the sign of its input.",
        "绝对值按输入的符号传递梯度。",
    ),
    "gate.max": (
        "A max gate routes: the whole gradient goes to the larger input, {winner}, and none to {loser}.",
        "取最大值门起路由作用：全部梯度传给较大的输入 {winner}，{loser} 得到 0。",
    ),
    "gate.min": (
        "A min gate routes: the whole gradient goes to the smaller input, {winner}, and none to {loser}.",
        "取最小值门起路由作用：全部梯度传给较小的输入 {winner}，{loser} 得到 0。",
    ),
    "gate.max.array": (
        "A max gate routes each element's gradient to the larger of the two inputs at that place.",
        "取最大值门逐元素路由：每个位置的梯度传给该处较大的输入。",
    ),
    "gate.min.array": (
        "A min gate routes each element's gradient to the smaller of the two inputs at that place.",
        "取最小值门逐元素路由：每个位置的梯度传给该处较小的输入。",
    ),
    "gate.max.constant": (
        "Where {all} is larger than {constant} the gradient goes through; elsewhere it stops.",
        "当 {all} 大于 {constant} 时梯度通过，否则截断。",
    ),
    "gate.min.constant": (
        "Where {all} is smaller than {constant} the gradient goes through; elsewhere it stops.",
        "当 {all} 小于 {constant} 时梯度通过，否则截断。",
    ),
    "gate.select": (
        "A choice routes: only the branch that was taken receives the gradient.",
        "条件选择起路由作用：只有被选中的分支得到梯度。",
    ),
    "gate.einsum": (
        "A matrix product switches its inputs as a multiply gate does; transposes make the shapes fit.",
        "矩阵乘法像乘法门一样交换输入；用转置使形状相配。",
    ),
    "gate.sum": (
        "A sum distributes: every element that was added receives the gradient of the sum.",
        "求和起分发作用：每个被加的元素都得到和的梯度。",
    ),
    "gate.mean": (
        "A mean distributes equal shares: every element receives the gradient divided by their number.",
        "求平均把梯度平均分给每个元素：各得梯度除以元素个数。",
    ),
    "gate.transpose": ("A transpose sends each element's gradient back to where it came from.", "转置把每个元素的梯度送回原来的位置。"),
    "gate.amax": (
        "A maximum over an axis routes the gradient to the element that was largest.",
        "沿轴取最大值把梯度路由给最大的元素。",
    ),
    "gate.getitem": (
        "A part of an array sends its gradient back into its own place; the rest receives 0.",
        "取出数组的一部分时，梯度回到原来的位置，其余位置为 0。",
    ),
    "gate.structure": (
        "This gate only moves or combines elements; the gradient goes back the same way, in the shape of the input.",
        "这个门只移动或合并元素；梯度沿原路返回，形状与输入相同。",
    ),
    "gate.function": (
        "The gradient of {out} is multiplied by the slope of {name} at {all}.",
        "{out} 的梯度乘以 {name} 在 {all} 处的斜率。",
    ),
    "gate.broadcast": (
        "{wire} was stretched from {narrow} to {wide}, so its gradient is summed over the stretched axes.",
        "{wire} 由 {narrow} 广播到 {wide}，因此它的梯度要沿被广播的轴求和。",
    ),
    "gate.joins": (
        "{wire} is used {count} times, so the gradients that come back add up: `+=`.",
        "{wire} 被使用了 {count} 次，回传的梯度要累加：用 `+=`。",
    ),
}
