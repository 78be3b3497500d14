"""boto3: a server that emulates the original takes its time, and a test can let that time pass."""
import json

from expect import advance, equal, wait_until
from sdk import client, finished, refused

api = client()
api.create_vault(vaultName='photos')
refused(404, 'ResourceNotFoundException', api.initiate_job, vaultName='photos', jobParameters={'Type': 'inventory-retrieval'})
first = api.upload_archive(vaultName='photos', body=b'first')['archiveId']


def figures():
    d = api.describe_vault(vaultName='photos')
    return d['NumberOfArchives'], d['SizeInBytes']


equal(figures(), (0, 0), 'figures before the first inventory')
advance('24h')
wait_until(lambda: figures() == (1, 5 + 32768), 'the first inventory')
second = api.upload_archive(vaultName='photos', body=b'second')['archiveId']
equal(figures(), (1, 5 + 32768), 'figures between inventories')

archive = {'Type': 'archive-retrieval', 'ArchiveId': second}
jobs = {tier: api.initiate_job(vaultName='photos', jobParameters=dict(archive, Tier=tier))['jobId'] for tier in ('Expedited', 'Standard', 'Bulk')}
jobs['inventory'] = api.initiate_job(vaultName='photos', jobParameters={'Type': 'inventory-retrieval'})['jobId']


def running():
    listed = {j['JobId'] for j in api.list_jobs(vaultName='photos', statuscode='InProgress')['JobList']}
    return sorted(name for name, job in jobs.items() if job in listed)


equal(running(), ['Bulk', 'Expedited', 'Standard', 'inventory'], 'jobs in progress at first')
e = refused(400, 'InvalidParameterValueException', api.get_job_output, vaultName='photos', jobId=jobs['Bulk'])
equal('The job is not currently available for download: ' + jobs['Bulk'] in str(e), True, 'text of %s' % e)
described = api.describe_job(vaultName='photos', jobId=jobs['inventory'])
equal((described['Completed'], described['StatusCode'], described.get('CompletionDate'), described.get('InventorySizeInBytes')),
      (False, 'InProgress', None, None), 'a job in progress')
advance('5m')
wait_until(lambda: running() == ['Bulk', 'Standard', 'inventory'], 'the end of the Expedited job')
advance('4h55m')
wait_until(lambda: running() == ['Bulk'], 'the end of the Standard and inventory jobs')
advance('7h')
for job in jobs.values():
    equal(finished(api, 'photos', job)['StatusCode'], 'Succeeded', 'the end of a job')
inventory = json.loads(api.get_job_output(vaultName='photos', jobId=jobs['inventory'])['body'].read().decode())
equal([a['ArchiveId'] for a in inventory['ArchiveList']], [first], 'the inventory, as of before the second archive')

# A vault can be deleted when the inventory has seen that it is empty.
for a in first, second:
    api.delete_archive(vaultName='photos', archiveId=a)
refused(400, 'InvalidParameterValueException', api.delete_vault, vaultName='photos')
equal(api.get_job_output(vaultName='photos', jobId=jobs['Bulk'])['body'].read(), b'second', 'what was retrieved of a deleted archive')
advance('24h')
wait_until(lambda: figures() == (0, 0), 'the last inventory')
for job in jobs.values():
    refused(404, 'ResourceNotFoundException', api.describe_job, vaultName='photos', jobId=job)
api.delete_vault(vaultName='photos')
