"""Layer1: upload_archive with bytes and with files, delete_archive, and what is refused."""
import tempfile

from boto2 import layer1, refused
from expect import ACCOUNT, ARCHIVE_ID, MIB, REQUEST_ID, equal, like, linear_hash, pattern, tree_hash, vault_arn

api = layer1()
for vault in 'photos', 'other':
    api.create_vault(vault)


def upload(data, description=None, archive=None, vault='photos'):
    response = api.upload_archive(vault, data if archive is None else archive, linear_hash(data), tree_hash(data), description)
    equal(response.status, 201, 'status of upload_archive')
    like(response['ArchiveId'], ARCHIVE_ID, 'ArchiveId')
    equal(response['Location'], '/%s/vaults/%s/archives/%s' % (ACCOUNT, vault, response['ArchiveId']), 'Location')
    equal(response['TreeHash'], tree_hash(data), 'TreeHash')
    like(response['RequestId'], REQUEST_ID, 'RequestId')
    return response['ArchiveId']


# Descriptions are signed in a form of boto's own when they hold quotation marks or several spaces.
descriptions = [
    None, 'plain', 'inner  spaces   stay', 'say "hi"', '"quoted"  and   spaced', '100% = %41 + ~tilde', '{"Path": "a/b", "n": 1}',
    '<m><v>4</v></m>', "it's \\o/, really; yes & no?", 'x' * 1024, ' ~'.join('!#$%&()*+,-./:;<=>?@[]^_`{|}'),
]
data = b'a small archive'
ids = [upload(data, description) for description in descriptions]
equal(len(set(ids)), len(ids), 'ids of archives with the same bytes')

big = pattern(5 * MIB + 7)
ids.append(upload(big, 'from bytes'))
with tempfile.TemporaryFile() as f:
    f.write(big)
    f.seek(0)
    ids.append(upload(big, 'from a file', archive=f))
    equal(f.tell(), 0, 'position of the file after the upload')
ids.append(upload(b'\0', 'one byte'))

described = api.describe_vault('photos')
equal(described['NumberOfArchives'], len(ids), 'NumberOfArchives')
equal(described['SizeInBytes'], len(descriptions) * len(data) + 2 * len(big) + 1, 'SizeInBytes')

right = linear_hash(data), tree_hash(data)
wrong = linear_hash(b'something else')
e = refused(400, 'InvalidParameterValueException', api.upload_archive, 'photos', data, right[0], wrong)
equal('Checksum mismatch: expected %s, computed %s' % (wrong, right[1]) in str(e), True, 'text of %s' % e)
refused(403, 'InvalidSignatureException', api.upload_archive, 'photos', data, wrong, right[1])
refused(403, 'InvalidSignatureException', api.upload_archive, 'photos', data, wrong, wrong)
refused(400, 'InvalidParameterValueException', api.upload_archive, 'photos', data, right[0], right[1][:63])
refused(400, 'InvalidParameterValueException', api.upload_archive, 'photos', data, *right, description='x' * 1025)
refused(400, 'InvalidParameterValueException', api.upload_archive, 'photos', b'', linear_hash(b''), linear_hash(b''))
e = refused(404, 'ResourceNotFoundException', api.upload_archive, 'absent', big, linear_hash(big), tree_hash(big))
equal(vault_arn('absent') in str(e), True, 'text of %s' % e)
equal(api.describe_vault('photos')['NumberOfArchives'], len(ids), 'NumberOfArchives after refused uploads')

e = refused(400, 'InvalidParameterValueException', api.delete_archive, 'other', ids[0])
equal('Invalid vault name: ' + vault_arn('other') in str(e), True, 'text of %s' % e)
e = refused(404, 'ResourceNotFoundException', api.delete_archive, 'photos', 'A' * 138)
equal('The archive ID was not found: ' + 'A' * 138 in str(e), True, 'text of %s' % e)
refused(404, 'ResourceNotFoundException', api.delete_archive, 'absent', ids[0])

e = refused(400, 'InvalidParameterValueException', api.delete_vault, 'photos')
equal('Vault not empty or recently written to: ' + vault_arn('photos') in str(e), True, 'text of %s' % e)
for archive in ids + ids[:2]:
    equal(api.delete_archive('photos', archive).status, 204, 'status of delete_archive')
described = api.describe_vault('photos')
equal((described['NumberOfArchives'], described['SizeInBytes']), (0, 0), 'figures of the emptied vault')
equal(api.delete_vault('photos').status, 204, 'status of delete_vault')
