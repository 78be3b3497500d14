"""Layer1: the operations on vaults and their notifications, with every parameter."""
from boto2 import layer1, refused
from expect import ACCOUNT, REQUEST_ID, TIMESTAMP, equal, like, vault_arn

api = layer1()

equal(api.list_vaults()['VaultList'], [], 'the vaults of a new account')

created = api.create_vault('photos')
equal(created.status, 201, 'status of create_vault')
equal(created['Location'], '/%s/vaults/photos' % ACCOUNT, 'Location')
like(created['RequestId'], REQUEST_ID, 'RequestId')

described = api.describe_vault('photos')
like(described['CreationDate'], TIMESTAMP, 'CreationDate')
equal({k: v for k, v in described.items() if k not in ('CreationDate', 'RequestId')}, {
    'LastInventoryDate': None, 'NumberOfArchives': 0, 'SizeInBytes': 0, 'VaultARN': vault_arn('photos'), 'VaultName': 'photos',
}, 'describe_vault')

api.create_vault('photos')
equal(api.describe_vault('photos')['CreationDate'], described['CreationDate'], 'CreationDate after a second create_vault')

# Names that sort by byte, and one of each kind of character.
for name in 'Zebra', 'a.b_c-d', 'x' * 255:
    api.create_vault(name)
names = ['Zebra', 'a.b_c-d', 'photos', 'x' * 255]
equal([v['VaultName'] for v in api.list_vaults()['VaultList']], names, 'list_vaults')
equal(api.list_vaults()['Marker'], None, 'Marker of the only page')

first = api.list_vaults(limit=3)
equal([v['VaultName'] for v in first['VaultList']], names[:3], 'first page')
equal(first['Marker'], vault_arn('photos'), 'Marker of the first page')
equal(first['VaultList'][2]['CreationDate'], described['CreationDate'], 'CreationDate in a list')
second = api.list_vaults(limit='3', marker=first['Marker'])
equal([v['VaultName'] for v in second['VaultList']], names[3:], 'second page')
equal(second['Marker'], None, 'Marker of the last page')
equal(len(api.list_vaults(limit=100000)['VaultList']), 4, 'vaults in a page of more than the maximum')
refused(400, 'InvalidParameterValueException', api.list_vaults, limit=-1)
refused(400, 'InvalidParameterValueException', api.list_vaults, marker='photos')

e = refused(404, 'ResourceNotFoundException', api.describe_vault, 'absent')
equal(str(e), 'Expected 200, got (404, code=ResourceNotFoundException, message=Vault not found for ARN: %s)' % vault_arn('absent'),
      'text of the error')
refused(400, 'InvalidParameterValueException', api.create_vault, 'x' * 256)
refused(400, 'InvalidParameterValueException', api.create_vault, 'two:parts')

topic = 'arn:aws:sns:us-east-1:123456789012:done'
e = refused(404, 'ResourceNotFoundException', api.get_vault_notifications, 'photos')
equal('No notification configuration is set for vault: photos' in str(e), True, 'text of %s' % e)
config = {'SNSTopic': topic, 'Events': ['ArchiveRetrievalCompleted', 'InventoryRetrievalCompleted']}
equal(api.set_vault_notifications('photos', config).status, 204, 'status of set_vault_notifications')
got = api.get_vault_notifications('photos')
like(got.pop('RequestId'), REQUEST_ID, 'RequestId')
equal(got, config, 'get_vault_notifications')
api.set_vault_notifications('photos', dict(config, Events=['InventoryRetrievalCompleted']))
equal(api.get_vault_notifications('photos')['Events'], ['InventoryRetrievalCompleted'], 'events that were replaced')
refused(400, 'InvalidParameterValueException', api.set_vault_notifications, 'photos', dict(config, Events=['ArchiveDeleted']))
refused(400, 'MissingParameterValueException', api.set_vault_notifications, 'photos', {'SNSTopic': topic})
refused(404, 'ResourceNotFoundException', api.set_vault_notifications, 'absent', config)
for _ in range(2):
    equal(api.delete_vault_notifications('photos').status, 204, 'status of delete_vault_notifications')
refused(404, 'ResourceNotFoundException', api.get_vault_notifications, 'photos')

for name in names + ['absent']:
    equal(api.delete_vault(name).status, 204, 'status of delete_vault')
equal(api.list_vaults()['VaultList'], [], 'the vaults after all were deleted')
