"""Layer1 has no methods for policies, locks, tags, and what is of a whole account. Its make_request sends them all the same."""
import json

from boto2 import layer1, refused
from expect import LOCK_ID, REQUEST_ID, document, equal, like, linear_hash, tree_hash

api = layer1()
api.create_vault('photos')
archive = api.upload_archive('photos', b'x', linear_hash(b'x'), tree_hash(b'x'))['ArchiveId']
denial = {'Policy': document({'Sid': 'no', 'Effect': 'Deny', 'Principal': '*', 'Action': 'glacier:DeleteArchive', 'Resource': '*'})}


def ask(verb, resource, status, body=None, headers=()):
    data = '' if body is None else json.dumps(body)
    response = api.make_request(verb, resource, data=data, ok_responses=(status,), response_headers=list(headers))
    like(response.pop('RequestId'), REQUEST_ID, 'RequestId')
    return response


equal(ask('GET', 'policies/data-retrieval', 200), {'Policy': {'Rules': [{'Strategy': 'None'}]}}, 'the retrieval policy')
policy = {'Policy': {'Rules': [{'Strategy': 'BytesPerHour', 'BytesPerHour': 1 << 40}]}}
equal(ask('PUT', 'policies/data-retrieval', 204, policy), {}, 'an answer without body')
equal(ask('GET', 'policies/data-retrieval', 200), policy, 'the retrieval policy')
unit = ask('POST', 'provisioned-capacity', 201, headers=[('x-amz-capacity-id', 'CapacityId')])['CapacityId']
like(unit, LOCK_ID, 'CapacityId')
equal([u['CapacityId'] for u in ask('GET', 'provisioned-capacity', 200)['ProvisionedCapacityList']], [unit], 'the capacity')

# A POST with a query is nothing that boto can sign: tags cannot be changed with it.
equal(ask('GET', 'vaults/photos/tags', 200), {'Tags': {}}, 'tags')

for resource, what in ('access-policy', 'vault access policy'), ('lock-policy', 'vault lock policy'):
    resource = 'vaults/photos/' + resource
    refused(404, 'ResourceNotFoundException', ask, 'GET', resource, 200)
    if what == 'vault access policy':
        ask('PUT', resource, 204, denial)
    else:
        lock = ask('POST', resource, 201, denial, [('x-amz-lock-id', 'LockId')])['LockId']
    equal(ask('GET', resource, 200)['Policy'], denial['Policy'], 'the ' + what)
    e = refused(403, 'AccessDeniedException', api.delete_archive, 'photos', archive)
    equal('explicit deny in the %s, statement \\"no\\"' % what in e.body.decode(), True, 'text of %s' % e.body)
    ask('DELETE', resource, 204)
refused(404, 'ResourceNotFoundException', ask, 'POST', 'vaults/photos/lock-policy/' + lock, 204)
api.delete_archive('photos', archive)
