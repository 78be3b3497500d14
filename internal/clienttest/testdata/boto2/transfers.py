"""ConcurrentUploader and ConcurrentDownloader: many threads, one connection pool."""
import os
import tempfile
import time

from boto2 import (ConcurrentDownloader, ConcurrentUploader, DownloadArchiveError, UploadArchiveError, boto, layer1, layer2,
                   mend_concurrent, mend_hex)
from expect import ARCHIVE_ID, MIB, equal, like, pattern, raises, tree_hash, wait_until

mend_hex()
mend_concurrent()
api, account = layer1(), layer2()
vault = account.create_vault('photos')
folder = tempfile.mkdtemp()
path = os.path.join(folder, 'archive')
data = pattern(21 * MIB + 3)
with open(path, 'wb') as f:
    f.write(data)

archives = [
    ConcurrentUploader(api, 'photos').upload(path, 'as it comes'),
    ConcurrentUploader(api, 'photos', part_size=4 * MIB, num_threads=6).upload(path),
    vault.concurrent_create_archive_from_file(path, 'by the vault', part_size=8 * MIB, num_threads=3),
]
for archive in archives:
    like(archive, ARCHIVE_ID, 'the id of an archive')
equal(account.get_vault('photos').size, 3 * len(data), 'size of the vault')

back = os.path.join(folder, 'back')
for archive, arguments in zip(archives, [{}, dict(part_size=4 * MIB, num_threads=6), dict(part_size=16 * MIB, num_threads=2)]):
    job = vault.retrieve_archive(archive)
    equal(job.sha256_treehash, tree_hash(data), 'sha256_treehash')
    wait_until(lambda: vault.get_job(job.id).completed, 'the end of the job')
    ConcurrentDownloader(job, **arguments).download(back)
    with open(back, 'rb') as f:
        equal(f.read() == data, True, 'what ConcurrentDownloader wrote with %s' % arguments)

# A part that is refused every time ends the upload, which boto then aborts.
class Liar:
    """Layer1, but the hash of the second part is wrong."""

    def __getattr__(self, name):
        return getattr(api, name)

    def upload_part(self, vault, upload, linear_hash, tree, byte_range, part):
        if byte_range[0] > 0:
            tree = tree_hash(b'something else')
        return api.upload_part(vault, upload, linear_hash, tree, byte_range, part)


class NoPause:
    """The module time, but boto need not wait between its attempts."""
    sleep = staticmethod(lambda seconds: time.sleep(0.001))


boto.glacier.concurrent.time = NoPause
e = raises(UploadArchiveError, ConcurrentUploader(Liar(), 'photos', num_threads=2).upload, path, 'never')
equal('code=InvalidParameterValueException' in str(e), True, 'text of %s' % e)
equal(api.list_multipart_uploads('photos')['UploadsList'], [], 'uploads after one was aborted')
equal(account.get_vault('photos').number_of_archives, 3, 'archives after an upload was aborted')

job.id = 'A' * 92
e = raises(DownloadArchiveError, ConcurrentDownloader(job, num_threads=2).download, back)
equal('ResourceNotFoundException' in str(e), True, 'text of %s' % e)
