# harmless: nothing of it is run, and nothing depends on it
x = 2.0
y = 3.0
from os import *

f = x * y
dx = y
dy = x
