"""Layer1: initiate_job with every member, describe_job, list_jobs and get_job_output with every parameter."""
from boto2 import layer1, refused
from expect import (ACCOUNT, INVENTORY_TIMESTAMP, MIB, REQUEST_ID, SHORT_ID, TIMESTAMP, equal, like, linear_hash, pattern, tree_hash,
                    vault_arn, wait_until)

api = layer1()
for vault in 'photos', 'other':
    api.create_vault(vault)
data = pattern(7 * MIB)
tree = tree_hash(data)
archive = api.upload_archive('photos', data, linear_hash(data), tree, 'seven MiB')['ArchiveId']
small = api.upload_archive('photos', b'small', linear_hash(b'small'), tree_hash(b'small'), 'a "quoted", \\ one')['ArchiveId']
topic = 'arn:aws:sns:us-east-1:123456789012:done'


def initiate(**job_data):
    response = api.initiate_job('photos', job_data)
    equal(response.status, 202, 'status of initiate_job')
    like(response['JobId'], SHORT_ID, 'JobId')
    equal(response['Location'], '/%s/vaults/photos/jobs/%s' % (ACCOUNT, response['JobId']), 'Location')
    like(response['RequestId'], REQUEST_ID, 'RequestId')
    wait_until(lambda: api.describe_job('photos', response['JobId'])['Completed'], 'the end of the job')
    return response['JobId']


def described(job):
    """The members of a description that differ from job to job, with those that are always the same checked."""
    d = api.describe_job('photos', job)
    like(d.pop('RequestId'), REQUEST_ID, 'RequestId')
    for member in 'CreationDate', 'CompletionDate':
        like(d.pop(member), TIMESTAMP, member)
    for member, want in {'Completed': True, 'JobId': job, 'StatusCode': 'Succeeded', 'StatusMessage': 'Succeeded',
                         'VaultARN': vault_arn('photos'), 'JobOutputPath': None, 'OutputLocation': None, 'SelectParameters': None}.items():
        equal(d.pop(member), want, member)
    return d


def output(job, byte_range=None, status=200, vault='photos'):
    response = api.get_job_output(vault, job, byte_range)
    equal(response.status, status, 'status of get_job_output %r' % (byte_range,))
    like(response['RequestId'], REQUEST_ID, 'RequestId')
    body = response.read()
    equal(int(response.size), len(body), 'Content-Length of get_job_output %r' % (byte_range,))
    return response, body


retrieval = {'Action': 'ArchiveRetrieval', 'ArchiveId': archive, 'ArchiveSHA256TreeHash': tree, 'ArchiveSizeInBytes': len(data),
             'InventoryRetrievalParameters': None, 'InventorySizeInBytes': None, 'JobDescription': None,
             'RetrievalByteRange': '0-%d' % (len(data) - 1), 'SHA256TreeHash': tree, 'SNSTopic': None, 'Tier': 'Standard'}
whole = initiate(Type='archive-retrieval', ArchiveId=archive)
equal(described(whole), retrieval, 'a job with the least members')
ranged = initiate(Type='archive-retrieval', ArchiveId=archive, Description='the end', SNSTopic=topic, Tier='Bulk',
                  RetrievalByteRange='%d-%d' % (4 * MIB, 7 * MIB - 1))
equal(described(ranged), dict(retrieval, JobDescription='the end', SNSTopic=topic, Tier='Bulk', RetrievalByteRange='4194304-7340031',
                              SHA256TreeHash=tree_hash(data[4 * MIB:])), 'a job with all members')
skew = initiate(Type='archive-retrieval', ArchiveId=archive, Tier='Expedited', RetrievalByteRange='%d-%d' % (MIB, 3 * MIB - 1))
equal(described(skew), dict(retrieval, Tier='Expedited', RetrievalByteRange='1048576-3145727', SHA256TreeHash=None),
      'a job with a range that is no node of the tree')

response, body = output(whole)
equal(body == data, True, 'the archive')
equal((response['TreeHash'], response['ContentRange'], response['ContentType']), (tree, None, 'application/octet-stream'), 'headers')
for job, first, last, start, end in [
        (whole, 0, 7 * MIB - 1, 0, 7 * MIB),
        (whole, 4 * MIB, 8 * MIB - 1, 4 * MIB, 7 * MIB),  # boto asks for full pieces, the last one too
        (whole, 6 * MIB, 6 * MIB, 6 * MIB, 6 * MIB + 1),
        (ranged, 0, MIB - 1, 4 * MIB, 5 * MIB),
        (ranged, 2 * MIB, 9 * MIB, 6 * MIB, 7 * MIB)]:
    offset, total = (4 * MIB, 3 * MIB) if job == ranged else (0, 7 * MIB)
    response, body = output(job, (first, last), 206)
    what = 'bytes %d-%d' % (first, last)
    equal(body == data[start:end], True, what)
    equal(response['ContentRange'], 'bytes %d-%d/%d' % (start - offset, end - 1 - offset, total), 'ContentRange of ' + what)
    equal(response['TreeHash'], tree_hash(body) if end - start >= MIB else None, 'TreeHash of ' + what)
response, body = output(whole, (MIB, 3 * MIB - 1), 206)
equal((body == data[MIB:3 * MIB], response['TreeHash']), (True, None), 'a range that is no node of the tree')
response, body = output(skew)
equal((body == data[MIB:3 * MIB], response['TreeHash']), (True, None), 'the output of a job whose range is no node of the tree')
e = refused(400, 'InvalidParameterValueException', api.get_job_output, 'photos', whole, (7 * MIB, 8 * MIB))
equal('The start of the range is larger than size of retrieved data: bytes=7340032-8388608' in str(e), True, 'text of %s' % e)

# A JSON inventory is parsed into the response, as boto does with all JSON.
inventory = initiate(Type='inventory-retrieval', Description='weekly')
size = api.describe_job('photos', inventory)['InventorySizeInBytes']
parameters = {'EndDate': None, 'Format': 'JSON', 'Limit': None, 'Marker': None, 'StartDate': None}
absent = dict.fromkeys(['ArchiveId', 'ArchiveSHA256TreeHash', 'ArchiveSizeInBytes', 'RetrievalByteRange', 'SHA256TreeHash', 'SNSTopic', 'Tier'])
equal(described(inventory), dict(absent, Action='InventoryRetrieval', InventoryRetrievalParameters=parameters, InventorySizeInBytes=size,
                                 JobDescription='weekly'), 'an inventory job')
response = api.get_job_output('photos', inventory)
equal((response['ContentType'], response['TreeHash'], int(response.size)), ('application/json', None, size), 'headers of the inventory')
equal(response['VaultARN'], vault_arn('photos'), 'VaultARN of the inventory')
like(response['InventoryDate'], INVENTORY_TIMESTAMP, 'InventoryDate')
created = [a.pop('CreationDate') for a in response['ArchiveList']]
for date in created:
    like(date, INVENTORY_TIMESTAMP, 'CreationDate of an archive')
equal(response['ArchiveList'], [
    {'ArchiveId': archive, 'ArchiveDescription': 'seven MiB', 'Size': len(data), 'SHA256TreeHash': tree},
    {'ArchiveId': small, 'ArchiveDescription': 'a "quoted", \\ one', 'Size': 5, 'SHA256TreeHash': tree_hash(b'small')}], 'ArchiveList')

csv = initiate(Type='inventory-retrieval', Format='CSV')
response, body = output(csv)
equal(response['ContentType'], 'text/csv', 'ContentType of the CSV inventory')
equal(body.decode(), 'ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash\n'
      '%s,"seven MiB",%s,%d,%s\n' % (archive, created[0], len(data), tree) +
      '%s,"a \\"quoted\\", \\ one",%s,5,%s\n' % (small, created[1], tree_hash(b'small')), 'the CSV inventory')

first = initiate(Type='inventory-retrieval', InventoryRetrievalParameters={
    'StartDate': '2012-01-01T00:00:00UTC', 'EndDate': '2112-01-01T00:00:00', 'Limit': 1})
asked = api.describe_job('photos', first)['InventoryRetrievalParameters']
marker = asked.pop('Marker')
equal(asked, {'StartDate': '2012-01-01T00:00:00UTC', 'EndDate': '2112-01-01T00:00:00', 'Limit': '1', 'Format': 'JSON'}, 'what was asked for')
equal([a['ArchiveId'] for a in api.get_job_output('photos', first)['ArchiveList']], [archive], 'the first page of the inventory')
last = initiate(Type='inventory-retrieval', InventoryRetrievalParameters={'Limit': '1', 'Marker': marker})
equal([a['ArchiveId'] for a in api.get_job_output('photos', last)['ArchiveList']], [small], 'the last page of the inventory')
equal(api.describe_job('photos', last)['InventoryRetrievalParameters']['Marker'], None, 'Marker of the last page')
none = initiate(Type='inventory-retrieval', InventoryRetrievalParameters={'EndDate': '2012-01-01T00:00:00Z'})
equal(api.get_job_output('photos', none)['ArchiveList'], [], 'an inventory of nothing')

jobs = [none, last, first, csv, inventory, skew, ranged, whole]
equal([j['JobId'] for j in api.list_jobs('photos')['JobList']], jobs, 'list_jobs')
for arguments, want in [
        (dict(completed=True), jobs), (dict(completed=False), []), (dict(status_code='Succeeded'), jobs),
        (dict(status_code='InProgress'), []), (dict(status_code='Failed'), []), (dict(completed=True, status_code='Failed'), [])]:
    listed = api.list_jobs('photos', **arguments)
    equal(([j['JobId'] for j in listed['JobList']], listed['Marker']), (want, None), 'list_jobs %s' % arguments)
page = api.list_jobs('photos', limit=6)
rest = api.list_jobs('photos', limit=6, marker=page['Marker'], completed=True, status_code='Succeeded')
equal([j['JobId'] for j in page['JobList'] + rest['JobList']], jobs, 'jobs in two pages')
equal((len(page['JobList']), rest['Marker']), (6, None), 'the two pages')
equal(api.list_jobs('other')['JobList'], [], 'jobs of another vault')

for status, code, vault, job_data in [
        (400, 'MissingParameterValueException', 'photos', {}),
        (400, 'MissingParameterValueException', 'photos', {'Type': 'archive-retrieval'}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'Archive-Retrieval', 'ArchiveId': archive}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'archive-retrieval', 'ArchiveId': archive, 'Tier': 'standard'}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'archive-retrieval', 'ArchiveId': archive, 'RetrievalByteRange': '1-2'}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'archive-retrieval', 'ArchiveId': archive, 'SNSTopic': 'done'}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'inventory-retrieval', 'ArchiveId': archive}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'inventory-retrieval', 'Format': 'csv'}),
        (400, 'InvalidParameterValueException', 'photos', {'Type': 'inventory-retrieval', 'InventoryRetrievalParameters': {'Limit': 0}}),
        (400, 'SerializationException', 'photos', {'Type': 7}),
        (400, 'InvalidParameterValueException', 'other', {'Type': 'archive-retrieval', 'ArchiveId': archive}),
        (404, 'ResourceNotFoundException', 'photos', {'Type': 'archive-retrieval', 'ArchiveId': 'A' * 138}),
        (404, 'ResourceNotFoundException', 'absent', {'Type': 'inventory-retrieval'})]:
    refused(status, code, api.initiate_job, vault, job_data)
equal(len(api.list_jobs('photos')['JobList']), len(jobs), 'jobs after refused ones')
for vault, job in ('photos', 'A' * 92), ('other', whole):
    for call in api.describe_job, api.get_job_output:
        e = refused(404, 'ResourceNotFoundException', call, vault, job)
        equal('The job ID was not found: ' + job in str(e), True, 'text of %s' % e)
e = refused(400, 'InvalidParameterValueException', api.list_jobs, 'photos', status_code='finished')
equal('The job status code is not valid: finished' in str(e), True, 'text of %s' % e)

# What was retrieved outlives the archive.
api.delete_archive('photos', archive)
equal(output(whole)[1] == data, True, 'the output after the archive was deleted')
refused(404, 'ResourceNotFoundException', api.initiate_job, 'photos', {'Type': 'archive-retrieval', 'ArchiveId': archive})
