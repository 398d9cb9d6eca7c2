# judge: f -> x_grad of x, y_grad of y
import math

x = 3.0
y = -4.0

sigy = 1.0 / (1.0 + math.exp(-y))
num = x + sigy
sigx = 1.0 / (1.0 + math.exp(-x))
xpy = x + y
xpysqr = xpy * xpy
den = sigx + xpysqr
invden = 1.0 / den
f = num * invden

f_grad = 1.0
invden_grad = num * f_grad
den_grad = -invden * invden * invden_grad
xpysqr_grad = den_grad
sigx_grad = den_grad
xpy_grad = xpy * xpysqr_grad + xpy * xpysqr_grad
num_grad = f_grad * invden
# y first this time, and the contributions in another order
sigy_grad = num_grad
y_grad = sigy * (1.0 - sigy) * sigy_grad
y_grad += xpy_grad
x_grad = num_grad
x_grad = x_grad + sigx * (1.0 - sigx) * sigx_grad
x_grad += xpy_grad
