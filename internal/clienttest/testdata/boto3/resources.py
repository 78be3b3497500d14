"""boto3: the resources, their collections and their actions."""

from expect import ACCOUNT, MIB, equal, pattern, tree_hash, vault_arn, wait_until
from sdk import resource, refused

glacier = resource()
vault = glacier.create_vault(accountId='-', vaultName='photos')
account = glacier.Account('-')
account.create_vault(vaultName='other')
equal([v.name for v in account.vaults.all()], ['other', 'photos'], 'Account.vaults')
equal([v.name for v in glacier.vaults.all()], ['other', 'photos'], 'vaults')
equal([v.name for v in account.vaults.limit(1)], ['other'], 'Account.vaults.limit')
equal([[v.name for v in p] for p in account.vaults.page_size(1).pages()], [['other'], ['photos']], 'Account.vaults.pages')
equal(account.Vault('photos').vault_arn, vault_arn('photos'), 'Vault.vault_arn')

vault = glacier.Vault(ACCOUNT, 'photos')
vault.create()
vault.load()
equal((vault.vault_name, vault.number_of_archives, vault.size_in_bytes, vault.last_inventory_date), ('photos', 0, 0, None), 'Vault')
equal(vault.Account().id, ACCOUNT, 'Vault.Account')

data = pattern(3 * MIB + 1)
archive = vault.upload_archive(archiveDescription='one', body=data)
upload = vault.initiate_multipart_upload(archiveDescription='two', partSize=str(2 * MIB))
equal([(u.id, u.archive_description, u.part_size_in_bytes, u.vault_arn) for u in vault.multipart_uploads.all()],
      [(upload.id, 'two', 2 * MIB, vault.vault_arn)], 'Vault.multipart_uploads')
equal([u.id for u in vault.multipart_uplaods.all()], [upload.id], 'the same by the name that the SDK misspells')
for first in 0, 2 * MIB:
    part = data[first:first + 2 * MIB]
    upload.upload_part(range='bytes %d-%d/*' % (first, first + len(part) - 1), body=part)
equal([p['RangeInBytes'] for p in upload.parts()['Parts']], ['0-2097151', '2097152-3145728'], 'MultipartUpload.parts')
done = upload.complete(archiveSize=str(len(data)), checksum=tree_hash(data))
second = vault.Archive(done['archiveId'])
aborted = vault.initiate_multipart_upload(partSize=str(MIB))
vault.MultipartUpload(aborted.id).abort()
equal(list(vault.multipart_uploads.all()), [], 'Vault.multipart_uploads after the last one')
equal((archive.vault_name, archive.Vault().name), ('photos', 'photos'), 'Archive.Vault')


def completed(job):
    job.reload()
    return job.completed


jobs = [archive.initiate_archive_retrieval(), second.initiate_archive_retrieval(), vault.initiate_inventory_retrieval()]
for job, action in zip(jobs, ['ArchiveRetrieval', 'ArchiveRetrieval', 'InventoryRetrieval']):
    wait_until(lambda: completed(job), 'the end of the job')
    equal((job.action, job.status_code, job.vault_arn, job.Vault().name), (action, 'Succeeded', vault.vault_arn, 'photos'), 'Job')
for job in jobs[:2]:
    equal(job.get_output()['body'].read() == data, True, 'Job.get_output')
    equal(job.get_output(range='bytes=0-9')['contentRange'], 'bytes 0-9/%d' % len(data), 'Job.get_output of a range')
ids = sorted(j.id for j in jobs)
for name, want in [('jobs', ids), ('completed_jobs', ids), ('succeeded_jobs', ids), ('failed_jobs', []), ('jobs_in_progress', [])]:
    equal(sorted(j.id for j in getattr(vault, name).all()), want, 'Vault.' + name)
equal(vault.Job(jobs[0].id).archive_size_in_bytes, len(data), 'Job.archive_size_in_bytes')

notification = vault.Notification()
refused(404, 'ResourceNotFoundException', notification.load)
topic = 'arn:aws:sns:us-east-1:123456789012:done'
notification.set(vaultNotificationConfig={'SNSTopic': topic, 'Events': ['InventoryRetrievalCompleted']})
notification = glacier.Notification('-', 'photos')
equal((notification.sns_topic, notification.events, notification.Vault().name), (topic, ['InventoryRetrievalCompleted'], 'photos'), 'Notification')
notification.delete()
refused(404, 'ResourceNotFoundException', notification.load)

vault.reload()
equal((vault.number_of_archives, vault.size_in_bytes), (2, 2 * len(data)), 'figures of the vault')
refused(400, 'InvalidParameterValueException', vault.delete)
for a in archive, second:
    a.delete()
for v in account.vaults.all():
    v.delete()
equal(list(account.vaults.all()), [], 'Account.vaults after all were deleted')
