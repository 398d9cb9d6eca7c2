# refused: 4 5 6 7
x = 2.0
y = 3.0
def g(a, n):
    return a if n == 0 else g(a, n - 1) + g(a, n - 1)

y = g(x, 1000)

f = x * y
dx = y
dy = x
