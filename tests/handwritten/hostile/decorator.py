# harmless: nothing of it is run, and nothing depends on it
x = 2.0
y = 3.0
@(lambda g: open("SENTINEL", "w"))
def g():
    return 1

f = x * y
dx = y
dy = x
