# The same neuron taken apart into the gates a*x, exp(x), c + x and 1/x.
import math

w = [2, -3, -3]
x = [-1, -2]

dot = w[0] * x[0] + w[1] * x[1] + w[2]
scaled = -1 * dot
power = math.exp(scaled)
shifted = 1 + power
f = 1 / shifted
