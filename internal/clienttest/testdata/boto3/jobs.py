"""boto3: jobs of both kinds, their lists and their outputs."""
import json

from expect import ACCOUNT, INVENTORY_TIMESTAMP, MIB, SHORT_ID, TIMESTAMP, equal, like, pattern, tree_hash, vault_arn
from sdk import client, finished, refused

api = client()
api.create_vault(vaultName='photos')
data = pattern(7 * MIB)
archive = api.upload_archive(vaultName='photos', body=data, archiveDescription='seven  "MiB"')['archiveId']
topic = 'arn:aws:sns:us-east-1:123456789012:done'


def initiate(**parameters):
    started = api.initiate_job(vaultName='photos', jobParameters=parameters)
    equal(started['ResponseMetadata']['HTTPStatusCode'], 202, 'status of initiate_job')
    like(started['jobId'], SHORT_ID, 'jobId')
    equal(started['location'], '/%s/vaults/photos/jobs/%s' % (ACCOUNT, started['jobId']), 'location')
    return started['jobId']


def output(job, **arguments):
    got = api.get_job_output(vaultName='photos', jobId=job, **arguments)
    body = got['body'].read()
    equal(int(got['ResponseMetadata']['HTTPHeaders']['content-length']), len(body), 'Content-Length')
    return got, body


whole = initiate(Type='archive-retrieval', ArchiveId=archive)
ranged = initiate(Type='archive-retrieval', ArchiveId=archive, RetrievalByteRange='4194304-7340031', Description='the end', SNSTopic=topic,
                  Tier='Expedited')
described = finished(api, 'photos', ranged)
for member in 'CreationDate', 'CompletionDate':
    like(described.pop(member), TIMESTAMP, member)
del described['ResponseMetadata']
equal(described, {
    'JobId': ranged, 'JobDescription': 'the end', 'Action': 'ArchiveRetrieval', 'ArchiveId': archive, 'VaultARN': vault_arn('photos'),
    'Completed': True, 'StatusCode': 'Succeeded', 'StatusMessage': 'Succeeded', 'ArchiveSizeInBytes': len(data), 'SNSTopic': topic,
    'SHA256TreeHash': tree_hash(data[4 * MIB:]), 'ArchiveSHA256TreeHash': tree_hash(data), 'RetrievalByteRange': '4194304-7340031',
    'Tier': 'Expedited'}, 'describe_job')
finished(api, 'photos', whole)

got, body = output(whole)
equal(body == data, True, 'the archive')
equal((got['status'], got['checksum'], got['contentType'], got['acceptRanges'], got['archiveDescription'], got.get('contentRange')),
      (200, tree_hash(data), 'application/octet-stream', 'bytes', 'seven  "MiB"', None), 'members of get_job_output')
for job, text, status, first, last, content_range, hashed in [
        (whole, 'bytes=0-1048575', 206, 0, MIB, 'bytes 0-1048575/7340032', True),
        (whole, 'bytes=1048576-3145727', 206, MIB, 3 * MIB, 'bytes 1048576-3145727/7340032', False),
        (whole, 'bytes=7340031-', 206, 7 * MIB - 1, 7 * MIB, 'bytes 7340031-7340031/7340032', False),
        (whole, 'bytes=-1048576', 206, 6 * MIB, 7 * MIB, 'bytes 6291456-7340031/7340032', True),
        (whole, 'bytes=0-1,4-5', 200, 0, 7 * MIB, None, True),
        (ranged, 'bytes=2097152-9999999', 206, 6 * MIB, 7 * MIB, 'bytes 2097152-3145727/3145728', True)]:
    got, body = output(job, range=text)
    equal((got['status'], got.get('contentRange'), got.get('checksum')),
          (status, content_range, tree_hash(body) if hashed else None), 'members of get_job_output with ' + text)
    equal(body == data[first:last], True, 'the range ' + text)
refused(400, 'InvalidParameterValueException', api.get_job_output, vaultName='photos', jobId=ranged, range='bytes=3145728-')

inventory = initiate(Type='inventory-retrieval', Format='JSON', InventoryRetrievalParameters={
    'StartDate': '2012-01-01T00:00:00Z', 'EndDate': '2112-01-01T00:00:00+01:00', 'Limit': '10'})
described = finished(api, 'photos', inventory)
equal(described['InventoryRetrievalParameters'],
      {'Format': 'JSON', 'StartDate': '2012-01-01T00:00:00Z', 'EndDate': '2112-01-01T00:00:00+01:00', 'Limit': '10'}, 'what was asked for')
got, body = output(inventory)
equal((got['contentType'], got.get('checksum'), len(body)), ('application/json', None, described['InventorySizeInBytes']), 'inventory')
document = json.loads(body.decode())
like(document['InventoryDate'], INVENTORY_TIMESTAMP, 'InventoryDate')
like(document['ArchiveList'][0].pop('CreationDate'), INVENTORY_TIMESTAMP, 'CreationDate')
equal((document['VaultARN'], document['ArchiveList']), (vault_arn('photos'), [{
    'ArchiveId': archive, 'ArchiveDescription': 'seven  "MiB"', 'Size': len(data), 'SHA256TreeHash': tree_hash(data)}]), 'the inventory')
csv = initiate(Type='inventory-retrieval', Format='CSV')
finished(api, 'photos', csv)
got, body = output(csv)
equal((got['contentType'], body.count(b'\n')), ('text/csv', 2), 'the CSV inventory')

jobs = [csv, inventory, ranged, whole]
listed = api.list_jobs(vaultName='photos')
equal(([j['JobId'] for j in listed['JobList']], listed.get('Marker')), (jobs, None), 'list_jobs')
for arguments, want in [(dict(completed='true'), jobs), (dict(completed='false'), []), (dict(statuscode='Succeeded'), jobs),
                        (dict(statuscode='Failed'), []), (dict(completed='true', statuscode='InProgress'), [])]:
    equal([j['JobId'] for j in api.list_jobs(vaultName='photos', **arguments)['JobList']], want, 'list_jobs %s' % arguments)
page = api.list_jobs(vaultName='photos', limit='3')
equal([j['JobId'] for j in api.list_jobs(vaultName='photos', limit='3', marker=page['Marker'])['JobList']], jobs[3:], 'last page of jobs')
