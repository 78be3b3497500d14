"""Vault.create_archive_writer: an archive is written like a file, in pieces of any size."""
from boto2 import layer1, layer2, refused
from expect import ARCHIVE_ID, MIB, SHORT_ID, equal, like, pattern, raises, tree_hash, wait_until

api, vault = layer1(), layer2().create_vault('photos')


def written(pieces, **arguments):
    """Writes an archive and returns its id and what it became."""
    data = b''.join(pieces)
    writer = vault.create_archive_writer(**arguments)
    like(writer.upload_id, SHORT_ID, 'upload_id')
    equal(writer.vault.name, 'photos', 'vault')
    for piece in pieces:
        writer.write(piece)
    writer.close()
    archive = writer.get_archive_id()
    like(archive, ARCHIVE_ID, 'get_archive_id')
    equal((writer.current_tree_hash.hex(), writer.current_uploaded_size), (tree_hash(data), len(data)), 'current_tree_hash, current_uploaded_size')
    raises(ValueError, writer.write, b'more')
    writer.close()
    equal(writer.get_archive_id(), archive, 'get_archive_id once more')
    return archive, data


archives = dict([
    written([b'one byte at a time'[i:i + 1] for i in range(18)]),
    written([pattern(4 * MIB)], part_size=MIB, description='exact parts'),
    written([pattern(MIB + 1)] * 5, part_size=2 * MIB, description='across parts'),
    written([b'', pattern(MIB), b'', b'x'], part_size=MIB),
])
for archive, data in archives.items():
    job = api.initiate_job('photos', {'Type': 'archive-retrieval', 'ArchiveId': archive})['JobId']
    wait_until(lambda: api.describe_job('photos', job)['Completed'], 'the end of the job')
    output = api.get_job_output('photos', job)
    equal((output.read() == data, output['TreeHash']), (True, tree_hash(data)), 'the archive of %d bytes' % len(data))
equal(api.list_multipart_uploads('photos')['UploadsList'], [], 'uploads after all writers were closed')

# Progress of an archive that is never finished.
writer = vault.create_archive_writer(part_size=MIB)
writer.write(pattern(2 * MIB + 1))
equal(writer.current_uploaded_size, 2 * MIB, 'current_uploaded_size of two parts')
equal(writer.current_tree_hash.hex(), tree_hash(pattern(2 * MIB)), 'current_tree_hash of two parts')
api.abort_multipart_upload('photos', writer.upload_id)
refused(404, 'ResourceNotFoundException', writer.close)

# An archive of nothing cannot be, and says so.
writer = vault.create_archive_writer()
raises(IndexError, writer.close)  # boto has no hash of no parts
equal(api.describe_vault('photos')['NumberOfArchives'], 4, 'NumberOfArchives')
