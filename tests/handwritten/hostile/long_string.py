# refused: 4
x = 2.0
y = 3.0
y = "a" * 10**10

f = x * y
dx = y
dy = x
