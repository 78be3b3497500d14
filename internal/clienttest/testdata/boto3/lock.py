"""boto3: a vault lock that keeps archives for a year, from its first try to the day on which it lets go."""
from expect import LOCK_ID, TIMESTAMP, advance, document, equal, like
from sdk import client, refused

api = client()
vault = dict(vaultName='photos')
api.create_vault(**vault)
archive = dict(vault, archiveId=api.upload_archive(body=b'evidence', **vault)['archiveId'])
policy = {'Policy': document({
    'Sid': 'keep-for-a-year', 'Effect': 'Deny', 'Principal': '*', 'Action': 'glacier:DeleteArchive',
    'Resource': api.describe_vault(**vault)['VaultARN'], 'Condition': {'NumericLessThan': {'glacier:ArchiveAgeInDays': '365'}}})}

e = refused(404, 'ResourceNotFoundException', api.get_vault_lock, **vault)
equal('No vault lock policy is set for: photos' in str(e), True, 'text of %s' % e)
for text in '', 'no JSON', '{}', policy['Policy'].replace('Deny', 'Refuse'), policy['Policy'].replace('NumericLessThan', 'LessThan'), ' ' * 20481:
    e = refused(400, 'InvalidParameterValueException', api.initiate_vault_lock, policy={'Policy': text}, **vault)
    equal('The specified vault lock policy is invalid. Provide a valid policy.' in str(e), True, 'text of %s' % e)
refused(400, 'MissingParameterValueException', api.initiate_vault_lock, policy={}, **vault)
refused(404, 'ResourceNotFoundException', api.initiate_vault_lock, vaultName='absent',
        policy={'Policy': policy['Policy'].replace('vaults/photos', 'vaults/absent')})
refused(404, 'ResourceNotFoundException', api.complete_vault_lock, lockId='x' * 24, **vault)
equal(api.abort_vault_lock(**vault)['ResponseMetadata']['HTTPStatusCode'], 204, 'to abort no lock')


def lock():
    """What get_vault_lock answers, but for the policy and the metadata."""
    d = api.get_vault_lock(**vault)
    equal(d.pop('Policy'), policy['Policy'], 'the policy of the lock')
    like(d['CreationDate'], TIMESTAMP, 'CreationDate')
    del d['ResponseMetadata']
    return d


def held():
    e = refused(403, 'AccessDeniedException', api.delete_archive, **archive)
    for part in ':root is not authorized to perform: glacier:DeleteArchive', 'an explicit deny in the vault lock policy, statement "keep-for-a-year"':
        equal(part in str(e), True, '%r in %s' % (part, e))


# One that is not completed holds for a day, or until it is aborted. Its id is then wrong for ever.
expired = api.initiate_vault_lock(policy=policy, **vault)['lockId']
held()
advance('24h')
refused(404, 'ResourceNotFoundException', api.get_vault_lock, **vault)
refused(404, 'ResourceNotFoundException', api.complete_vault_lock, lockId=expired, **vault)
aborted = api.initiate_vault_lock(policy=policy, **vault)['lockId']
api.abort_vault_lock(**vault)
refused(404, 'ResourceNotFoundException', api.complete_vault_lock, lockId=aborted, **vault)

started = api.initiate_vault_lock(policy=policy, **vault)
like(started['lockId'], LOCK_ID, 'lockId')
equal(started['ResponseMetadata']['HTTPStatusCode'], 201, 'status of initiate_vault_lock')
equal(len({expired, aborted, started['lockId']}), 3, 'ids of locks')
first = lock()
like(first['ExpirationDate'], TIMESTAMP, 'ExpirationDate')
equal((first['State'], first['ExpirationDate'] > first['CreationDate']), ('InProgress', True), 'the lock in progress')
held()
refused(403, 'AccessDeniedException', api.initiate_vault_lock, policy=policy, **vault)
for other in expired, aborted, 'x' * 24:
    refused(400, 'InvalidParameterValueException', api.complete_vault_lock, lockId=other, **vault)
for _ in range(2):
    equal(api.complete_vault_lock(lockId=started['lockId'], **vault)['ResponseMetadata']['HTTPStatusCode'], 204, 'status of complete_vault_lock')
last = lock()
equal((last['State'], last.get('ExpirationDate'), last['CreationDate']), ('Locked', None, first['CreationDate']), 'the lock')

refused(403, 'AccessDeniedException', api.initiate_vault_lock, policy=policy, **vault)
refused(403, 'AccessDeniedException', api.abort_vault_lock, **vault)
refused(403, 'AccessDeniedException', api.complete_vault_lock, lockId='x' * 24, **vault)
held()
refused(400, 'InvalidParameterValueException', api.delete_vault, **vault)
advance('8735h')  # a year, but for the day of before and an hour
held()
advance('1h')
api.delete_archive(**archive)
equal(lock(), last, 'the lock after a year')
