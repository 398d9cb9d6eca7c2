# refused: 4 5 6 7
x = 2.0
y = 3.0
def g():
    global x
    x = 7.0
g()

f = x * y
dx = y
dy = x
