# refused: 4
x = 2.0
y = 3.0
y = ().__class__.__bases__[0].__subclasses__()[0]

f = x * y
dx = y
dy = x
