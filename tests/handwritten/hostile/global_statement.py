# harmless: nothing of it is run, and nothing depends on it
x = 2.0
y = 3.0
def g():
    global x
    x = 7.0
g()

f = x * y
dx = y
dy = x
