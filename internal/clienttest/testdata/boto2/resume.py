"""Vault.resume_archive_from_file: an upload that broke off goes on with the parts that are missing."""
import io
import os
import tempfile

from boto2 import layer1, layer2, mend_resume, refused
from expect import ARCHIVE_ID, MIB, equal, like, linear_hash, pattern, raises, tree_hash, wait_until

mend_resume()
api = layer1()
vault = layer2().create_vault('photos')
data = pattern(21 * MIB + 5)  # six parts of boto's 4 MiB
path = os.path.join(tempfile.mkdtemp(), 'archive')
with open(path, 'wb') as f:
    f.write(data)


class BreaksOff(io.BytesIO):
    """A file that cannot be read beyond its middle."""

    def read(self, size=-1):
        if self.tell() >= 12 * MIB:
            raise OSError('the disk is gone')
        return super().read(size)


sent = []
upload_part = api.upload_part


def counting(name, upload, linear_hash, tree, byte_range, part):
    sent.append(byte_range[0] // (4 * MIB))
    return upload_part(name, upload, linear_hash, tree, byte_range, part)


vault.layer1.upload_part = counting


def broken_off():
    """Begins an upload that breaks off, and returns its id."""
    ids = []
    raises(OSError, vault.create_archive_from_file, file_obj=BreaksOff(data), description='resumed', upload_id_callback=ids.append)
    equal(sent, [0, 1], 'parts before the interruption')
    equal([p['RangeInBytes'] for p in vault.list_all_parts(ids[0])['Parts']], ['0-4194303', '4194304-8388607'], 'list_all_parts')
    del sent[:]
    return ids[0]


def check(archive):
    like(archive, ARCHIVE_ID, 'the id of the archive')
    job = vault.retrieve_archive(archive)
    equal(job.sha256_treehash, tree_hash(data), 'sha256_treehash')
    wait_until(lambda: vault.get_job(job.id).completed, 'the end of the job')
    equal(job.get_output().read() == data, True, 'the archive')


check(vault.resume_archive_from_file(broken_off(), filename=path))
equal(sent, [2, 3, 4, 5], 'parts that were sent after the interruption')
del sent[:]

# A part that differs from the file is sent again.
upload = broken_off()
other = b'something else'.ljust(4 * MIB)
upload_part('photos', upload, linear_hash(other), tree_hash(other), (0, len(other) - 1), other)
check(vault.resume_archive_from_file(upload, file_obj=io.BytesIO(data)))
equal(sent, [0, 2, 3, 4, 5], 'parts that were sent to mend another')
del sent[:]

# Nothing was stored before.
check(vault.resume_archive_from_file(api.initiate_multipart_upload('photos', 4 * MIB)['UploadId'], filename=path))
equal(sent, [0, 1, 2, 3, 4, 5], 'parts of an upload from the start')
refused(404, 'ResourceNotFoundException', vault.resume_archive_from_file, upload, filename=path)
