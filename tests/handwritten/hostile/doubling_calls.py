# refused: 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18
x = 2.0
y = 3.0
def a(x):
    return x + x
def b(x):
    return a(a(a(a(a(a(a(a(x))))))))
def c(x):
    return b(b(b(b(b(b(b(b(x))))))))
def d(x):
    return c(c(c(c(c(c(c(c(x))))))))
def e(x):
    return d(d(d(d(d(d(d(d(x))))))))
def g(x):
    return e(e(e(e(e(e(e(e(x))))))))
def h(x):
    return g(g(g(g(g(g(g(g(x))))))))
y = h(h(h(h(h(h(h(h(x))))))))

f = x * y
dx = y
dy = x
