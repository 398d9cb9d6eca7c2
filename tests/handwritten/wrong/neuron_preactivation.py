# judge: loss -> w_grad of w, b_grad of b
# expect: line 13, wrong-stage: z_grad = a_grad * a * (1 - a)
import math

w, b = 0.7, -0.3
x, t = 1.9, 0.2

z = w * x + b
a = 1 / (1 + math.exp(-z))
loss = (a - t) ** 2

a_grad = 2 * (a - t)
z_grad = a_grad * z * (1 - z)
w_grad = z_grad * x
b_grad = z_grad
