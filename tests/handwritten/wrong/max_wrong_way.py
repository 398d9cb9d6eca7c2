# judge: f -> da of a, db of b, dc of c
# expect: line 14, wrong-route: da = dm * (a > b)
a = 3.0
b = -2.0
c = 0.5

m = max(a, b)
n = m * c
f = n * n

dn = 2 * n
dm = dn * c
dc = dn * m
da = dm * (a < b)
db = dm * (b > a)
