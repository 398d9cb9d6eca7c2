# judge: f -> dx of x, dy of y
# one temporary `t` for everything, as on the blackboard
import math

x = 0.6
y = 1.1

t = x * y
t = math.sin(t)
t = t + x
f = t * t

# going back: the values in between are computed again where they are needed
s = math.sin(x * y)
d = 2 * (s + x)
dx = d
d = d * math.cos(x * y)
dx += y * d
dy = x * d
