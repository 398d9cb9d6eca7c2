# refused: 4
x = 2.0
y = 3.0
y = getattr(x, "__class__").__mro__

f = x * y
dx = y
dy = x
