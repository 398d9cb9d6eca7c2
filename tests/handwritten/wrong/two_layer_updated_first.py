# judge: loss -> grad_w1 of w1, grad_w2 of w2
# expect: line 18, updated-value: grad_h = grad_pred.dot((w2 + lr * grad_w2).T)
import numpy as np

x = np.random.randn(6, 5)
y = np.random.randn(6, 3)
w1 = np.random.randn(5, 4)
w2 = np.random.randn(4, 3)
lr = 0.1

h = np.maximum(x.dot(w1), 0)
pred = h.dot(w2)
loss = np.sum((pred - y) ** 2)

grad_pred = 2.0 * (pred - y)
grad_w2 = h.T.dot(grad_pred)
w2 = w2 - lr * grad_w2
grad_h = grad_pred.dot(w2.T)
grad_h[h <= 0] = 0
grad_w1 = x.T.dot(grad_h)
w1 = w1 - lr * grad_w1
