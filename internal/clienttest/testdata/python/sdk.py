"""Clients of boto3 for the server that the environment names."""
import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from expect import equal, raises, wait_until

# What is refused is asked once.
ONCE = Config(retries={'total_max_attempts': 1})


def session(**kwargs):
    return boto3.Session(**kwargs)


def client(config=ONCE, **kwargs):
    return session(**kwargs).client('glacier', endpoint_url=os.environ['MORAINE_ENDPOINT'], config=config)


def of(key):
    """What a client takes of a key that `moraine admin` has printed, by the names of either of its forms."""
    names = {'aws_access_key_id': ('access_key_id', 'AccessKeyId'), 'aws_secret_access_key': ('secret_access_key', 'SecretAccessKey'),
             'aws_session_token': ('', 'SessionToken')}
    return {name: key.get(one) or key.get(other) for name, (one, other) in names.items()}


def resource():
    return session().resource('glacier', endpoint_url=os.environ['MORAINE_ENDPOINT'], config=ONCE)


def refused(status, code, call, *args, **kwargs):
    """Calls what must be refused, with a status and a code; returns the error. The class of the error has the name of the code,
    where the SDK has a class for it."""
    e = raises(ClientError, call, *args, **kwargs)
    metadata = e.response['ResponseMetadata']
    equal((metadata['HTTPStatusCode'], e.response['Error']['Code']), (status, code), 'status and code of %.300r: %s' % (kwargs, e))
    equal(bool(metadata['RequestId']), True, 'RequestId of an error')
    return e


def finished(api, vault, job):
    """Waits for the end of a job and returns its description."""
    def look():
        d = api.describe_job(vaultName=vault, jobId=job)
        return d['Completed'] and d
    return wait_until(look, 'the end of job %s' % job)
