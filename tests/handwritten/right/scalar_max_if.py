# judge: out -> da of a, db of b, dc of c
a = 1.5
b = -0.5
c = 0.25

p = a * b
m = max(p, c)
n = min(a, c)
d = abs(p - n)
out = m * m + d

dm = 2 * m
dd = 1.0
if p > n:
    dp = dd
    dn = -dd
else:
    dp = -dd
    dn = dd
if a < c:
    da = dn
    dc = 0.0
else:
    da = 0.0
    dc = dn
if p > c:
    dp += dm
else:
    dc += dm
da += b * dp
db = a * dp
