"""boto 2, and its connections to the server that the environment names. It has to be imported before anything of boto is."""
import os
import sys

if sys.version_info >= (3, 12):
    # boto 2 brings along a copy of six that Python 3.12 cannot import, and asks for the module imp, which is gone.
    import importlib
    import types

    import six
    sys.modules['boto.vendored.six'] = six
    for name in ('', '.queue', '.urllib', '.urllib.parse', '.urllib.request'):
        sys.modules['boto.vendored.six.moves' + name] = importlib.import_module('six.moves' + name)
    sys.modules['imp'] = types.ModuleType('imp')

import boto.glacier.concurrent
import boto.glacier.utils
import boto.glacier.writer
from boto.glacier.concurrent import ConcurrentDownloader, ConcurrentUploader
from boto.glacier.exceptions import (DownloadArchiveError, TreeHashDoesNotMatchError, UnexpectedHTTPResponseError,
                                     UploadArchiveError)
from boto.glacier.layer1 import Layer1
from boto.glacier.layer2 import Layer2
from boto.regioninfo import RegionInfo

from expect import equal, raises

HOST = os.environ['MORAINE_HOST']
PORT = int(os.environ['MORAINE_PORT'])


def layer1(endpoint=HOST, cls=Layer1, **kwargs):
    """Layer1 as its documentation says: no name of ours, nothing patched."""
    arguments = dict(
        aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key=os.environ['AWS_SECRET_ACCESS_KEY'],
        is_secure=False, port=PORT, region=RegionInfo(name='us-east-1', endpoint=endpoint))
    arguments.update(kwargs)
    return cls(**arguments)


def layer2(**kwargs):
    return Layer2(layer1=layer1(**kwargs))


def refused(status, code, call, *args, **kwargs):
    """Calls what must be refused, with a status and a code; returns the error."""
    e = raises(UnexpectedHTTPResponseError, call, *args, **kwargs)
    equal((e.status, e.code), (status, code), 'status and code of %s%.300r: %s' % (call, args, e))
    return e


def mend_hex():
    """Works around a fault of boto on Python 3: hashes that it computes are bytes, those that it receives are text, so that its
    comparison of the two never holds."""
    def bytes_to_hex(raw):
        return raw.hex()
    for module in boto.glacier.utils, boto.glacier.writer, boto.glacier.concurrent:
        module.bytes_to_hex = bytes_to_hex


def mend_resume():
    """Works around a fault of boto on Python 3: to resume an upload it reads bytes and encodes them, as if they were text."""
    def generate_parts_from_fobj(file, part_size):
        return iter(lambda: file.read(part_size), b'')
    boto.glacier.writer.generate_parts_from_fobj = generate_parts_from_fobj


def mend_concurrent():
    """Works around a fault of boto on Python 3: its threads name the exception of an empty queue, which is not imported."""
    import queue
    boto.glacier.concurrent.Empty = queue.Empty
