"""Layer2, Vault and Job: what most programs use."""
import datetime
import io
import os
import tempfile

from boto2 import TreeHashDoesNotMatchError, layer1, layer2, mend_hex, refused
from expect import ARCHIVE_ID, MIB, SHORT_ID, TIMESTAMP, equal, like, pattern, raises, tree_hash, vault_arn, wait_until

mend_hex()
api, account = layer1(), layer2()
vault = account.create_vault('photos')
equal((vault.name, vault.arn, vault.last_inventory_date, vault.size, vault.number_of_archives), ('photos', vault_arn('photos'), None, 0, 0),
      'a new vault')
like(vault.creation_date, TIMESTAMP, 'creation_date')
equal([v.arn for v in account.list_vaults()], [vault.arn], 'list_vaults')
refused(404, 'ResourceNotFoundException', account.get_vault, 'absent')

folder = tempfile.mkdtemp()
path = os.path.join(folder, 'archive')
data = pattern(9 * MIB + 7)  # three pieces of boto's 4 MiB
with open(path, 'wb') as f:
    f.write(data)

single = vault.upload_archive(path, description='in one request')
vault.SingleOperationThreshold = MIB
several = vault.upload_archive(path, description='in several')
uploads = []
created = vault.create_archive_from_file(path, description='from a name', upload_id_callback=uploads.append)
like(uploads[0], SHORT_ID, 'what upload_id_callback got')
from_object = vault.create_archive_from_file(file_obj=io.BytesIO(data), description='from an object')
archives = [single, several, created, from_object]
for archive in archives:
    like(archive, ARCHIVE_ID, 'the id of an archive')
vault = account.get_vault('photos')
equal((vault.number_of_archives, vault.size), (4, 4 * len(data)), 'figures of the vault')
like(vault.last_inventory_date, TIMESTAMP, 'last_inventory_date')


def finished(job):
    return wait_until(lambda: (lambda j: j.completed and j)(vault.get_job(job.id)), 'the end of job %s' % job.id)


topic = 'arn:aws:sns:us-east-1:123456789012:done'
jobs = []
for archive in archives:
    job = vault.retrieve_archive(archive, sns_topic=topic, description='back')
    jobs.append(job.id)
    equal((job.action, job.archive_id, job.archive_size, job.description, job.sns_topic, job.inventory_size, job.sha256_treehash, job.arn),
          ('ArchiveRetrieval', archive, len(data), 'back', topic, None, tree_hash(data), vault.arn), 'a job')
    job = finished(job)
    equal((job.status_code, job.status_message), ('Succeeded', 'Succeeded'), 'the end of a job')
    like(job.creation_date, TIMESTAMP, 'creation_date')
    like(job.completion_date, TIMESTAMP, 'completion_date')
    back = os.path.join(folder, 'back')
    job.download_to_file(back)
    with open(back, 'rb') as f:
        equal(f.read() == data, True, 'what download_to_file wrote')
equal([j.id for j in vault.list_jobs()], jobs[::-1], 'list_jobs')
equal([j.id for j in vault.list_jobs(completed=False)], [], 'jobs that are not completed')
equal(len(vault.list_jobs(completed=True, status_code='Succeeded')), 4, 'jobs that succeeded')

for arguments in dict(chunk_size=MIB), dict(chunk_size=2 * MIB), dict(chunk_size=16 * MIB), dict(chunk_size=MIB + 1, verify_hashes=False):
    target = io.BytesIO()
    job.download_to_fileobj(target, **arguments)
    equal(target.getvalue() == data, True, 'what download_to_fileobj wrote with %s' % arguments)
# Pieces that are no nodes of the tree have no hash, and boto insists on one.
raises(TreeHashDoesNotMatchError, job.download_to_fileobj, io.BytesIO(), chunk_size=3 * MIB)

equal(job.get_output(validate_checksum=True).read() == data, True, 'get_output')
response = job.get_output(byte_range=(8 * MIB, 9 * MIB - 1), validate_checksum=True)
equal((response.read() == data[8 * MIB:9 * MIB], response['ContentRange']), (True, 'bytes 8388608-9437183/9437191'), 'get_output of a range')

inventory = finished(vault.retrieve_inventory_job(description='weekly', sns_topic=topic))
equal((inventory.action, inventory.description, inventory.archive_id, inventory.archive_size, inventory.sha256_treehash),
      ('InventoryRetrieval', 'weekly', None, None, None), 'an inventory job')
output = inventory.get_output()
equal(int(output.size), inventory.inventory_size, 'inventory_size')
equal([(a['ArchiveId'], a['ArchiveDescription'], a['Size'], a['SHA256TreeHash']) for a in output['ArchiveList']],
      [(a, d, len(data), tree_hash(data)) for a, d in zip(archives, ['in one request', 'in several', 'from a name', 'from an object'])],
      'the inventory')
day = datetime.timedelta(days=1)
for arguments, want in [
        (dict(limit=3), archives[:3]),
        (dict(start_date=datetime.datetime.utcnow() - day, end_date=datetime.datetime.utcnow() + day), archives),
        (dict(start_date=datetime.datetime.now(datetime.timezone.utc) + day), []),
        (dict(end_date=datetime.datetime.now(datetime.timezone.utc) - day), [])]:
    job_id = vault.retrieve_inventory(**arguments)
    like(job_id, SHORT_ID, 'what retrieve_inventory returns')
    output = finished(vault.get_job(job_id)).get_output()
    equal([a['ArchiveId'] for a in output['ArchiveList']], want, 'the inventory of %s' % arguments)
refused(400, 'InvalidParameterValueException', vault.retrieve_inventory, byte_range='0-1048575')

refused(400, 'InvalidParameterValueException', vault.delete)
for archive in archives:
    vault.delete_archive(archive)
vault.delete()
account.delete_vault('photos')
equal(account.list_vaults(), [], 'list_vaults after the vault was deleted')
