"""Every method of Layer1 is called by these scripts."""
import glob
import os
import re

from boto2 import Layer1
from expect import equal

scripts = ''
for name in glob.glob(os.path.join('testdata', 'boto2', '*.py')):
    with open(name) as f:
        scripts += f.read()
methods = [name for name, value in vars(Layer1).items() if callable(value) and not name.startswith('_')]
equal(len(methods) >= 20, True, 'the methods of Layer1 are few: %s' % methods)
equal([name for name in methods if not re.search(r'\b(api|layer1\(\))\.%s\b' % name, scripts)], [], 'methods of Layer1 that no script calls')
