"""boto3: archives in one request and in parts. The SDK computes both hashes by itself, or takes the one that it is given."""
import io
import tempfile

from expect import ACCOUNT, ARCHIVE_ID, MIB, SHORT_ID, TIMESTAMP, equal, like, linear_hash, pattern, tree_hash, vault_arn
from sdk import client, refused

api = client()
api.create_vault(vaultName='photos')
data = pattern(5 * MIB + 7)


def upload(body, content=data, **arguments):
    up = api.upload_archive(vaultName='photos', body=body, **arguments)
    equal((up['ResponseMetadata']['HTTPStatusCode'], up['checksum']), (201, tree_hash(content)), 'status and checksum of upload_archive')
    like(up['archiveId'], ARCHIVE_ID, 'archiveId')
    equal(up['location'], '/%s/vaults/photos/archives/%s' % (ACCOUNT, up['archiveId']), 'location')
    return up['archiveId']


archives = [upload(data), upload(io.BytesIO(data), archiveDescription='a "b"   c'), upload(data, checksum=tree_hash(data)),
            upload(b'x', b'x', archiveDescription='~' * 1024)]
with tempfile.TemporaryFile() as f:
    f.write(data)
    f.seek(0)
    archives.append(upload(f, accountId=ACCOUNT))
described = api.describe_vault(vaultName='photos')
equal((described['NumberOfArchives'], described['SizeInBytes']), (5, 4 * len(data) + 1), 'figures of the vault')

started = api.initiate_multipart_upload(vaultName='photos', partSize=str(MIB), archiveDescription='in  parts')
upload_id = started['uploadId']
like(upload_id, SHORT_ID, 'uploadId')
equal(started['location'], '/%s/vaults/photos/multipart-uploads/%s' % (ACCOUNT, upload_id), 'location')
for first in reversed(range(0, len(data), MIB)):
    part = data[first:first + MIB]
    sent = api.upload_multipart_part(vaultName='photos', uploadId=upload_id, range='bytes %d-%d/*' % (first, first + len(part) - 1), body=part)
    equal((sent['ResponseMetadata']['HTTPStatusCode'], sent['checksum']), (204, tree_hash(part)), 'status and checksum of a part')

listed = api.list_parts(vaultName='photos', uploadId=upload_id, limit='4')
rest = api.list_parts(vaultName='photos', uploadId=upload_id, limit='4', marker=listed['Marker'])
equal(listed['Parts'] + rest['Parts'],
      [{'RangeInBytes': '%d-%d' % (first, min(first + MIB, len(data)) - 1), 'SHA256TreeHash': tree_hash(data[first:first + MIB])}
       for first in range(0, len(data), MIB)], 'list_parts')
like(listed['CreationDate'], TIMESTAMP, 'CreationDate')
equal((listed['MultipartUploadId'], listed['VaultARN'], listed['ArchiveDescription'], listed['PartSizeInBytes'], rest.get('Marker')),
      (upload_id, vault_arn('photos'), 'in  parts', MIB, None), 'the other members of list_parts')
uploads = api.list_multipart_uploads(vaultName='photos')['UploadsList']
equal([(u['MultipartUploadId'], u['ArchiveDescription'], u['PartSizeInBytes'], u['VaultARN']) for u in uploads],
      [(upload_id, 'in  parts', MIB, vault_arn('photos'))], 'list_multipart_uploads')

complete = dict(vaultName='photos', uploadId=upload_id, archiveSize=str(len(data)))
refused(400, 'InvalidParameterValueException', api.complete_multipart_upload, checksum=linear_hash(b''), **complete)
refused(400, 'MissingParameterValueException', api.complete_multipart_upload, **complete)
for _ in range(2):
    done = api.complete_multipart_upload(checksum=tree_hash(data), **complete)
    like(done['archiveId'], ARCHIVE_ID, 'archiveId')
    equal((done['checksum'], done['location']), (tree_hash(data), '/%s/vaults/photos/archives/%s' % (ACCOUNT, done['archiveId'])), 'complete')
equal(api.describe_vault(vaultName='photos')['NumberOfArchives'], 6, 'NumberOfArchives')
equal(api.list_multipart_uploads(vaultName='photos')['UploadsList'], [], 'uploads after the one was completed')
archives.append(done['archiveId'])

upload_id = api.initiate_multipart_upload(vaultName='photos', partSize=str(4 << 30))['uploadId']
for _ in range(2):
    aborted = api.abort_multipart_upload(vaultName='photos', uploadId=upload_id)
    equal(aborted['ResponseMetadata']['HTTPStatusCode'], 204, 'status of abort_multipart_upload')
refused(404, 'ResourceNotFoundException', api.list_parts, vaultName='photos', uploadId=upload_id)

for archive in archives + archives[:1]:
    equal(api.delete_archive(vaultName='photos', archiveId=archive)['ResponseMetadata']['HTTPStatusCode'], 204, 'status of delete_archive')
api.delete_vault(vaultName='photos')
