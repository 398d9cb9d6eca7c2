# refused: 4 5 6
x = 2.0
y = 3.0
def g(a):
    return g(a) + g(a)
y = g(x)

f = x * y
dx = y
dy = x
