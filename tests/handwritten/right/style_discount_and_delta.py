# judge: J -> dJ_dr0 of r0, dJ_dgrowth of growth
# `df` is a discount factor, `dt` a step of time and `delta` a payment: none of them is a gradient
import math

r0 = 0.03
growth = 0.5
dt = 0.25
delta = 2.0
d1 = 1.1

df = math.exp(-r0 * dt)
dx = growth * dt
payment = delta + dx * d1
J = df * payment

dJ_ddf = payment
dJ_dpayment = df
dJ_ddx = dJ_dpayment * d1
dJ_dr0 = -dt * df * dJ_ddf
dJ_dgrowth = dt * dJ_ddx
