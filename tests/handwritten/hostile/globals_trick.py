# refused: 4
x = 2.0
y = 3.0
globals()["x"] = 5.0

f = x * y
dx = y
dy = x
