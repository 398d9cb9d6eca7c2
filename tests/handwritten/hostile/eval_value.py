# refused: 4
x = 2.0
y = 3.0
y = eval("__import__('os').system('touch SENTINEL')")

f = x * y
dx = y
dy = x
