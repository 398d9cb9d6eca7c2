# refused: 4
x = 2.0
y = 3.0
open("SENTINEL", "w").write("x")

f = x * y
dx = y
dy = x
