"""What the scripts hold against what they see. An assertion that fails says what was wanted and what was there."""
import hashlib
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request

MIB = 1 << 20
ACCOUNT = os.environ['MORAINE_ACCOUNT']
REGION = os.environ['AWS_DEFAULT_REGION']

ARCHIVE_ID = r'[A-Za-z0-9_][A-Za-z0-9_-]{137}'
LOCK_ID = r'[A-Za-z0-9_][A-Za-z0-9_-]{23}'  # of locks and units of capacity
SHORT_ID = r'[A-Za-z0-9_][A-Za-z0-9_-]{91}'  # of uploads and jobs
REQUEST_ID = r'[A-Za-z0-9_-]{47}'
TIMESTAMP = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z'
INVENTORY_TIMESTAMP = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ'


def equal(got, want, what):
    if got != want:
        raise AssertionError('%s: got %.2000r, want %.2000r' % (what, got, want))


def like(got, pattern, what):
    if not isinstance(got, str) or not re.fullmatch(pattern, got):
        raise AssertionError('%s: %.2000r is not of the form %s' % (what, got, pattern))


def raises(kind, call, *args, **kwargs):
    """Calls, and returns the exception, which must come."""
    try:
        result = call(*args, **kwargs)
    except kind as e:
        return e
    raise AssertionError('%s%r, %r: got %.2000r, want %s' % (call, args, kwargs, result, kind.__name__))


def wait_until(ready, what, seconds=30):
    """Asks again and again; returns the first answer that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ready()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError('%s: not so after %d s' % (what, seconds))


def vault_arn(name):
    return 'arn:aws:glacier:%s:%s:vaults/%s' % (REGION, ACCOUNT, name)


def pattern(size):
    """Bytes whose value at offset i is i mod 251: the data of the published test vectors."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def linear_hash(data):
    return hashlib.sha256(data).hexdigest()


def tree_hash(data):
    """The tree hash, computed apart from any client."""
    level = [hashlib.sha256(data[i:i + MIB]).digest() for i in range(0, len(data), MIB)]
    while len(level) > 1:
        pairs = [level[i:i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b''.join(p)).digest() if len(p) == 2 else p[0] for p in pairs]
    return level[0].hex()


def moraine(*args):
    """Runs `moraine admin` on the data of the server, which goes on running; returns what it prints."""
    done = subprocess.run(['moraine', 'admin'] + list(args) + ['--json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise AssertionError('moraine admin %s: exit code %d: %s' % (args, done.returncode, done.stderr.decode()))
    return json.loads(done.stdout.decode())


def document(*statements):
    """A policy."""
    return json.dumps({'Version': '2012-10-17', 'Statement': statements})


def file_of(text):
    """Writes a file and returns its name."""
    with tempfile.NamedTemporaryFile('w', delete=False) as f:
        f.write(text)
    return f.name


def advance(duration):
    """Lets time pass for a server with a clock that can be set."""
    url = '%s/clock/advance?by=%s' % (os.environ['MORAINE_ADMIN_ENDPOINT'], duration)
    with urllib.request.urlopen(urllib.request.Request(url, method='POST')) as response:
        return json.load(response)
