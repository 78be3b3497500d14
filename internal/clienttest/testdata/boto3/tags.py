"""boto3: tags of a vault, their limits, and a lock that looks at one."""
from expect import document, equal
from sdk import client, refused

api = client()
vault = dict(vaultName='photos')
api.create_vault(**vault)


def tags():
    return api.list_tags_for_vault(**vault)['Tags']


def add(**kwargs):
    equal(api.add_tags_to_vault(Tags=kwargs, **vault)['ResponseMetadata']['HTTPStatusCode'], 204, 'status of add_tags_to_vault')


equal(tags(), {}, 'tags of a new vault')
first = {'Owner': 'Zo\u00eb + \u5c71', 'owner': '', 'k' * 128: 'v' * 255, 'a b_.:/=+-@'.replace(':', ''): '0'}
add(**first)
equal(tags(), first, 'tags')
add(Owner='other', New='1')
equal(tags(), dict(first, Owner='other', New='1'), 'tags, one of them replaced')
for keys in ['New', 'absent', 'New'], ['absent']:
    api.remove_tags_from_vault(TagKeys=keys, **vault)
equal(tags(), dict(first, Owner='other'), 'tags, one of them removed')

for code, wrong in [
        ('InvalidParameterValueException', {}), ('InvalidParameterValueException', {'k%d' % i: '' for i in range(11)}),
        ('InvalidParameterValueException', {'k' * 129: ''}), ('InvalidParameterValueException', {'k': 'v' * 256}),
        ('InvalidParameterValueException', {'': 'v'}), ('InvalidParameterValueException', {'a:b': ''}), ('InvalidParameterValueException', {'k': 'a;b'}),
        ('InvalidParameterValueException', {'aws:x': ''}), ('InvalidParameterValueException', {'AWS:x': ''})]:
    refused(400, code, api.add_tags_to_vault, Tags=wrong, **vault)
refused(400, 'MissingParameterValueException', api.add_tags_to_vault, **vault)
refused(400, 'InvalidParameterValueException', api.remove_tags_from_vault, TagKeys=[], **vault)
refused(400, 'InvalidParameterValueException', api.remove_tags_from_vault, TagKeys=['k%d' % i for i in range(11)], **vault)
refused(400, 'MissingParameterValueException', api.remove_tags_from_vault, **vault)
for call, arguments in ((api.list_tags_for_vault, {}), (api.add_tags_to_vault, {'Tags': {'a': 'b'}}), (api.remove_tags_from_vault, {'TagKeys': ['a']})):
    refused(404, 'ResourceNotFoundException', call, vaultName='absent', **arguments)
equal(tags(), dict(first, Owner='other'), 'tags after refused changes')

# Fifty, and not one more. What goes beyond changes nothing; what replaces is none more.
api.remove_tags_from_vault(TagKeys=list(first), **vault)
for i in range(5):
    add(**{'key-%d' % (10 * i + j): 'value' for j in range(10)})
refused(400, 'LimitExceededException', api.add_tags_to_vault, Tags={'key-0': 'changed', 'key-50': ''}, **vault)
equal((len(tags()), tags()['key-0']), (50, 'value'), 'tags at the limit')
add(**{'key-0': 'changed'})
equal((len(tags()), tags()['key-0']), (50, 'changed'), 'a tag replaced at the limit')
api.remove_tags_from_vault(TagKeys=['key-%d' % i for i in range(10)], **vault)

# A legal hold: a lock on a tag, which can be taken off.
archives = [api.upload_archive(body=b'evidence', **vault)['archiveId'] for _ in range(2)]
hold = {'Sid': 'hold', 'Effect': 'Deny', 'Principal': '*', 'Action': 'glacier:DeleteArchive', 'Resource': '*',
        'Condition': {'StringLike': {'glacier:ResourceTag/LegalHold': ['true', '']}}}
api.complete_vault_lock(lockId=api.initiate_vault_lock(policy={'Policy': document(hold)}, **vault)['lockId'], **vault)
for value in 'true', '':
    add(LegalHold=value)
    e = refused(403, 'AccessDeniedException', api.delete_archive, archiveId=archives[0], **vault)
    equal('vault lock policy, statement "hold"' in str(e), True, 'text of %s' % e)
add(LegalHold='false', legalhold='true')
api.delete_archive(archiveId=archives[0], **vault)
add(LegalHold='true')
refused(403, 'AccessDeniedException', api.delete_archive, archiveId=archives[1], **vault)
api.remove_tags_from_vault(TagKeys=['LegalHold'], **vault)
api.delete_archive(archiveId=archives[1], **vault)
api.delete_vault(**vault)
api.create_vault(**vault)
equal(tags(), {}, 'tags of a vault that was deleted and made again')
refused(404, 'ResourceNotFoundException', api.get_vault_lock, **vault)
