"""boto3: two accounts and their users: what each may do with the vaults of the other, and from when on."""
from expect import ACCOUNT, document, equal, file_of, moraine, vault_arn
from sdk import client, of, refused

buyer = moraine('account', 'add', 'buyer')
BUYER = buyer['account_id']
alice = moraine('user', 'add', 'alice', '--account', ACCOUNT, '--policy', 'AmazonGlacierFullAccess')
bob = moraine('user', 'add', 'bob', '--account', 'buyer', '--path', '/office/')
carol = moraine('user', 'add', 'carol', '--account', BUYER, '--policy', 'AmazonGlacierReadOnlyAccess')
equal([u['arn'] for u in (alice, bob, carol)], ['arn:aws:iam::%s:user/alice' % ACCOUNT, 'arn:aws:iam::%s:user/office/bob' % BUYER, 'arn:aws:iam::%s:user/carol' % BUYER], 'ARNs')
root, owner, stranger, office, reader = client(), *(client(**of(k)) for k in (alice, buyer, bob, carol))
vault = dict(accountId=ACCOUNT, vaultName='photos')
whole = 'arn:aws:iam::%s:root' % BUYER


def allow(*actions, **more):
    return dict({'Sid': 'some', 'Effect': 'Allow', 'Action': ['glacier:' + a for a in actions], 'Resource': vault_arn('photos')}, **more)


def deny(*actions, **more):
    return allow(*actions, **dict(more, Effect='Deny'))


def rule(*statements):
    owner.set_vault_access_policy(policy={'Policy': document(*statements)}, **vault)


def upload(api):
    return api.upload_archive(body=b'x', **vault)


def denied(call, *parts, **arguments):
    e = refused(403, 'AccessDeniedException', call, **dict(vault, **arguments))
    for part in parts:
        equal(part in str(e), True, '%r in %s' % (part, e))


# A user may nothing until a policy says so, and every account has its own vaults.
equal(owner.create_vault(**vault)['location'], '/%s/vaults/photos' % ACCOUNT, 'location')
e = refused(403, 'AccessDeniedException', office.list_vaults)
equal('User: arn:aws:iam::%s:user/office/bob is not authorized to perform: glacier:ListVaults' % BUYER in str(e), True, 'text of %s' % e)
refused(403, 'AccessDeniedException', reader.create_vault, vaultName='photos')
equal([reader.list_vaults()['VaultList'], [v['VaultName'] for v in root.list_vaults()['VaultList']]], [[], ['photos']], 'vaults of the accounts')
for api in stranger, office, reader:
    denied(api.describe_vault)
    denied(api.upload_archive, body=b'x')

# To use a vault of another account takes both sides.
moraine('user', 'policy', 'set', 'bob', file_of(document(allow('UploadArchive', 'DeleteArchive'))), '--account', 'buyer')
denied(office.upload_archive, body=b'x')
rule(allow('UploadArchive', 'DescribeVault', Principal={'AWS': whole}))
archive = upload(office)
equal(archive['location'], '/%s/vaults/photos/archives/%s' % (ACCOUNT, archive['archiveId']), 'location of an upload to another account')
upload(stranger)
equal(stranger.describe_vault(**vault)['VaultARN'], vault_arn('photos'), 'VaultARN of a vault of another account')
equal(reader.describe_vault(**vault)['VaultName'], 'photos', 'VaultName of a vault of another account')
denied(office.describe_vault)
denied(reader.upload_archive, body=b'x')
denied(office.delete_archive, archiveId=archive['archiveId'])
moraine('user', 'policy', 'remove', 'bob', '--account', 'buyer', '--name', 'policy')
denied(office.upload_archive, body=b'x')
moraine('user', 'policy', 'set', 'bob', 'AmazonGlacierFullAccess', '--account', 'buyer')
upload(office)

# Some things only the account of the vault may do, whatever a policy says.
rule(allow('*', Principal='*'))
for call, arguments in ((office.list_tags_for_vault, {}), (office.add_tags_to_vault, {'Tags': {'a': 'b'}}), (office.abort_vault_lock, {})):
    denied(call, 'Access denied for account ID: ' + ACCOUNT, **arguments)
equal(office.get_vault_access_policy(**vault)['policy']['Policy'], document(allow('*', Principal='*')), 'the policy that others can read')

# What any policy denies is denied, to the root too. A policy of now counts, not one of before.
rule(allow('*', Principal={'AWS': BUYER}), deny('UploadArchive', Sid='not-bob', Principal={'AWS': bob['arn']}), deny('DeleteArchive', Sid='nobody', Principal='*'))
denied(office.upload_archive, 'with an explicit deny', body=b'x')
upload(stranger)
upload(root)
for api in root, owner:
    denied(api.delete_archive, 'with an explicit deny in the vault access policy, statement "nobody"', archiveId=archive['archiveId'])
moraine('user', 'policy', 'set', 'alice', file_of(document(deny('UploadArchive', Sid='no-more'))), '--name', 'stop', '--account', ACCOUNT)
denied(owner.upload_archive, 'with an explicit deny in the identity policy stop, statement "no-more"', body=b'x')
owner.delete_vault_access_policy(**vault)
owner.delete_archive(archiveId=archive['archiveId'], **vault)
denied(stranger.upload_archive, body=b'x')

# A second factor for deletions. Keys for good say nothing of one.
rule(deny('DeleteArchive', Sid='for-good', Principal='*', Condition={'Null': {'aws:TokenIssueTime': True}}),
     deny('DeleteArchive', Sid='second-factor', Principal='*', Condition={'BoolIfExists': {'aws:MultiFactorAuthPresent': 'false'}}),
     deny('DeleteArchive', Sid='long-ago', Principal='*', Condition={'NumericGreaterThan': {'aws:MultiFactorAuthAge': 3600}}))
moraine('user', 'policy', 'remove', 'alice', '--account', ACCOUNT, '--name', 'stop')
archive = dict(archiveId=upload(owner)['archiveId'])
without, proved = (client(**of(moraine('token', '--account', ACCOUNT, '--user', 'alice', *flags))) for flags in ([], ['--mfa']))
denied(owner.delete_archive, 'statement "for-good"', **archive)
denied(without.delete_archive, 'statement "second-factor"', **archive)
refused(403, 'AccessDeniedException', client(**of(moraine('token', '--account', 'buyer', '--user', 'bob', '--mfa'))).delete_archive, **dict(vault, **archive))
proved.delete_archive(**dict(vault, **archive))

# A key, a user and a role that are no more are not known from the next request on.
key = bob['access_key_id']
moraine('key', 'disable', key)
refused(400, 'UnrecognizedClientException', office.list_vaults)
moraine('key', 'enable', key)
equal(office.list_vaults()['VaultList'], [], 'with a key that is enabled again')
moraine('key', 'remove', key)
refused(400, 'UnrecognizedClientException', office.list_vaults)
moraine('role', 'add', 'restorer', '--account', ACCOUNT, '--policy', 'AmazonGlacierReadOnlyAccess')
session = client(**of(moraine('token', '--account', ACCOUNT, '--role', 'restorer', '--session', 'night')))
equal(session.describe_vault(**vault)['VaultName'], 'photos', 'VaultName that a session of a role sees')
denied(session.upload_archive, 'User: arn:aws:sts::%s:assumed-role/restorer/night is not authorized' % ACCOUNT, body=b'x')
for kind, name, apis in ('role', 'restorer', [session]), ('user', 'alice', [owner, without, proved]):
    moraine(kind, 'remove', name, '--account', ACCOUNT)
    for api in apis:
        refused(400, 'UnrecognizedClientException', api.describe_vault, **vault)
