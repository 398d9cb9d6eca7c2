# judge: loss -> w_bar of w, b_bar of b, x_bar of x
import math

w = 1.3
b = -0.2
x = 0.8
t = 0.5
lam = 0.1

# forward, with the regulariser
z = w * x + b
y = 1 / (1 + math.exp(-z))
err = 0.5 * (y - t) ** 2
reg = 0.5 * w**2
loss = err + lam * reg

# backward in bar notation
loss_bar = 1
reg_bar = loss_bar * lam
err_bar = loss_bar
y_bar = err_bar * (y - t)
z_bar = y_bar * y * (1 - y)
w_bar = z_bar * x + reg_bar * w
b_bar = z_bar
x_bar = z_bar * w
