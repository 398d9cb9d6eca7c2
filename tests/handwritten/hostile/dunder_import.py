# refused: 4
x = 2.0
y = 3.0
y = __import__("subprocess").call(["touch", "SENTINEL"])

f = x * y
dx = y
dy = x
