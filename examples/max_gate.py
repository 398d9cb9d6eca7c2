# Add distributes its gradient, max routes it, multiply switches its inputs.
x = 3
y = -4
z = 2
w = -1

prod = x * y
largest = max(z, w)
total = prod + largest
f = 2 * total
