"""boto3: the operations on vaults and their notifications."""
from expect import ACCOUNT, REQUEST_ID, equal, like, vault_arn
from sdk import client, refused

api = client()
equal(api.list_vaults()['VaultList'], [], 'the vaults of a new account')
created = api.create_vault(vaultName='photos')
equal(created['location'], '/%s/vaults/photos' % ACCOUNT, 'location')
equal(created['ResponseMetadata']['HTTPStatusCode'], 201, 'status of create_vault')
like(created['ResponseMetadata']['RequestId'], REQUEST_ID, 'RequestId')
equal(api.create_vault(accountId=ACCOUNT, vaultName='photos')['location'], created['location'], 'location, the second time')

described = api.describe_vault(accountId='-', vaultName='photos')
del described['ResponseMetadata']
equal((described['VaultARN'], described['VaultName'], described['NumberOfArchives'], described['SizeInBytes'], described.get('LastInventoryDate')),
      (vault_arn('photos'), 'photos', 0, 0, None), 'describe_vault')
listed = api.list_vaults(accountId=ACCOUNT)
equal((listed['VaultList'], listed.get('Marker')), ([described], None), 'list_vaults')

for i in range(4):
    api.create_vault(vaultName='vault-%d' % i)
page = api.list_vaults(limit='3')
equal(([v['VaultName'] for v in page['VaultList']], page['Marker']), (['photos', 'vault-0', 'vault-1'], vault_arn('vault-1')), 'first page')
page = api.list_vaults(limit='3', marker=page['Marker'])
equal(([v['VaultName'] for v in page['VaultList']], page.get('Marker')), (['vault-2', 'vault-3'], None), 'last page')

config = {'SNSTopic': 'arn:aws:sns:us-east-1:123456789012:done', 'Events': ['ArchiveRetrievalCompleted', 'InventoryRetrievalCompleted']}
refused(404, 'ResourceNotFoundException', api.get_vault_notifications, vaultName='photos')
api.set_vault_notifications(vaultName='photos', vaultNotificationConfig=config)
equal(api.get_vault_notifications(vaultName='photos')['vaultNotificationConfig'], config, 'get_vault_notifications')
for _ in range(2):
    deleted = api.delete_vault_notifications(vaultName='photos')
    equal(deleted['ResponseMetadata']['HTTPStatusCode'], 204, 'status of delete_vault_notifications')
refused(404, 'ResourceNotFoundException', api.get_vault_notifications, vaultName='photos')

for vault in api.list_vaults()['VaultList']:
    for _ in range(2):
        equal(api.delete_vault(vaultName=vault['VaultName'])['ResponseMetadata']['HTTPStatusCode'], 204, 'status of delete_vault')
equal(api.list_vaults()['VaultList'], [], 'the vaults after all were deleted')
