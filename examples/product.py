# The product of three inputs, as two multiply gates.
x = 6
y = -2
z = -3

a = x * y
f = a * z
