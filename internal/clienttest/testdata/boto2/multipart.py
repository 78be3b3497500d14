"""Layer1: the six operations of multipart uploads, with every parameter."""
from boto2 import layer1, refused
from expect import (ACCOUNT, ARCHIVE_ID, MIB, REQUEST_ID, SHORT_ID, TIMESTAMP, equal, like, linear_hash, pattern, tree_hash,
                    vault_arn)

api = layer1()
api.create_vault('photos')
data = pattern(4 * MIB + 12345)


def initiate(part_size=MIB, description=None):
    response = api.initiate_multipart_upload('photos', part_size, description)
    equal(response.status, 201, 'status of initiate_multipart_upload')
    like(response['UploadId'], SHORT_ID, 'UploadId')
    equal(response['Location'], '/%s/vaults/photos/multipart-uploads/%s' % (ACCOUNT, response['UploadId']), 'Location')
    like(response['RequestId'], REQUEST_ID, 'RequestId')
    return response['UploadId']


def part(upload, first, content=None, linear=None, tree=None):
    content = data[first:first + MIB] if content is None else content
    response = api.upload_part('photos', upload, linear or linear_hash(content), tree or tree_hash(content),
                               (first, first + len(content) - 1), content)
    equal(response.status, 204, 'status of upload_part')
    equal(response['TreeHash'], tree_hash(content), 'TreeHash of a part')
    like(response['RequestId'], REQUEST_ID, 'RequestId')


equal(api.list_multipart_uploads('photos')['UploadsList'], [], 'the uploads of a new vault')
upload = initiate(description='a "described"  upload')

parts = api.list_parts('photos', upload)
like(parts['CreationDate'], TIMESTAMP, 'CreationDate')
equal({k: v for k, v in parts.items() if k not in ('CreationDate', 'RequestId')}, {
    'ArchiveDescription': 'a "described"  upload', 'Marker': None, 'MultipartUploadId': upload, 'PartSizeInBytes': MIB, 'Parts': [],
    'VaultARN': vault_arn('photos'),
}, 'list_parts before any part')

# In any order, one of them twice, the last one short.
part(upload, 2 * MIB)
part(upload, 0, b'something else')
part(upload, 4 * MIB)
part(upload, 3 * MIB)
part(upload, 0)

want = [{'RangeInBytes': '%d-%d' % (first, min(first + MIB, len(data)) - 1), 'SHA256TreeHash': tree_hash(data[first:first + MIB])}
        for first in (0, 2 * MIB, 3 * MIB, 4 * MIB)]
equal(api.list_parts('photos', upload)['Parts'], want, 'list_parts')
first = api.list_parts('photos', upload, limit=3)
equal(first['Parts'], want[:3], 'first page of parts')
last = api.list_parts('photos', upload, limit=3, marker=first['Marker'])
equal((last['Parts'], last['Marker']), (want[3:], None), 'last page of parts')

size, tree = len(data), tree_hash(data)
refused(400, 'InvalidParameterValueException', api.complete_multipart_upload, 'photos', upload, tree, size)
part(upload, MIB)
e = refused(400, 'InvalidParameterValueException', api.complete_multipart_upload, 'photos', upload, linear_hash(b''), size)
equal('Invalid x-amz-sha256-tree-hash: ' + linear_hash(b'') in str(e), True, 'text of %s' % e)
refused(400, 'InvalidParameterValueException', api.complete_multipart_upload, 'photos', upload, tree, size - 1)

done = api.complete_multipart_upload('photos', upload, tree, size)
equal(done.status, 201, 'status of complete_multipart_upload')
like(done['ArchiveId'], ARCHIVE_ID, 'ArchiveId')
equal(done['Location'], '/%s/vaults/photos/archives/%s' % (ACCOUNT, done['ArchiveId']), 'Location')
like(done['RequestId'], REQUEST_ID, 'RequestId')
again = api.complete_multipart_upload('photos', upload, tree, size)
equal(again['ArchiveId'], done['ArchiveId'], 'archive of a repeated complete_multipart_upload')
described = api.describe_vault('photos')
equal((described['NumberOfArchives'], described['SizeInBytes']), (1, size), 'figures of the vault')
refused(404, 'ResourceNotFoundException', api.list_parts, 'photos', upload)
refused(404, 'ResourceNotFoundException', api.abort_multipart_upload, 'photos', upload)
refused(404, 'ResourceNotFoundException', api.upload_part, 'photos', upload, linear_hash(b'x'), tree_hash(b'x'), (0, 0), b'x')

# Refused parts leave what was there before.
upload = initiate()
part(upload, 0)
refused(400, 'InvalidParameterValueException', part, upload, 0, tree=linear_hash(b''))
refused(403, 'InvalidSignatureException', part, upload, 0, linear=linear_hash(b''))
refused(400, 'InvalidParameterValueException', part, upload, 1, b'not aligned')
refused(400, 'InvalidParameterValueException', part, upload, MIB, data[:MIB + 1])
refused(400, 'InvalidParameterValueException', part, upload, 10000 * MIB, b'one too many')
e = refused(400, 'InvalidParameterValueException', api.upload_part, 'photos', upload, linear_hash(b'abc'), tree_hash(b'abc'), (0, 1), b'abc')
equal('Content-Range: bytes 0-1/* is incompatible with Content-Length: 3' in str(e), True, 'text of %s' % e)
equal(api.list_parts('photos', upload)['Parts'], want[:1], 'parts after refused ones')
for size in 0, MIB - 1, 3 * MIB, 8 << 30:
    e = refused(400, 'InvalidParameterValueException', api.initiate_multipart_upload, 'photos', size)
    equal('Invalid part size: %d. Part size must not be null, must be a power of two' % size in str(e), True, 'text of %s' % e)
refused(404, 'ResourceNotFoundException', api.initiate_multipart_upload, 'absent', MIB)

uploads = [upload] + [initiate(4 << 30, 'number %d' % i) for i in range(3)]
listed = api.list_multipart_uploads('photos')
equal(listed['Marker'], None, 'Marker of the only page')
equal([u['MultipartUploadId'] for u in listed['UploadsList']], uploads, 'list_multipart_uploads')
like(listed['UploadsList'][1].pop('CreationDate'), TIMESTAMP, 'CreationDate')
equal(listed['UploadsList'][1], {
    'ArchiveDescription': 'number 0', 'MultipartUploadId': uploads[1], 'PartSizeInBytes': 4 << 30, 'VaultARN': vault_arn('photos'),
}, 'an upload in the list')
equal(listed['UploadsList'][0]['ArchiveDescription'], None, 'the description of an upload without one')
first = api.list_multipart_uploads('photos', limit=3)
last = api.list_multipart_uploads('photos', limit=3, marker=first['Marker'])
equal([u['MultipartUploadId'] for u in first['UploadsList'] + last['UploadsList']], uploads, 'uploads in two pages')
equal((len(first['UploadsList']), last['Marker']), (3, None), 'the two pages')

for upload in uploads + uploads[:1]:
    aborted = api.abort_multipart_upload('photos', upload)
    equal(aborted.status, 204, 'status of abort_multipart_upload')
    like(aborted['RequestId'], REQUEST_ID, 'RequestId')
refused(404, 'ResourceNotFoundException', api.abort_multipart_upload, 'photos', 'A' * 92)
refused(404, 'ResourceNotFoundException', api.complete_multipart_upload, 'photos', uploads[0], tree, 1)
equal(api.list_multipart_uploads('photos')['UploadsList'], [], 'uploads after all were aborted')
