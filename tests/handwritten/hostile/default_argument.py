# harmless: nothing of it is run, and nothing depends on it
x = 2.0
y = 3.0
def g(a=open("SENTINEL", "w")):
    return a

f = x * y
dx = y
dy = x
