# judge: L -> gx of x, gb of b
import math

x = 0.8
b = 1.3

u = b * x
sp = math.log(1 + math.exp(u))
inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
th = math.tanh(inner)
gelu = 0.5 * x * (1 + th)
L = sp / b + gelu

gsp = 1 / b
gb = -sp / b**2
gu = gsp / (1 + math.exp(-u))
gb += gu * x
gx = gu * b
gth = 0.5 * x
gx += 0.5 * (1 + th)
gx += gth * (1 - th**2) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
