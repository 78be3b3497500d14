// The SDK for JavaScript: archives in one request and in parts, with hashes that the SDK computes.
const { MiB, account, assert, call, data, refused, story, treeHash } = require('sdk');

story(async () => {
  const vaultName = 'photos';
  await call('CreateVault', { vaultName });
  const one = await call('UploadArchive', { vaultName, body: data, archiveDescription: 'a "b"   c' });
  assert.match(one.archiveId, /^[A-Za-z0-9_][A-Za-z0-9_-]{137}$/);
  assert.deepEqual([one.checksum, one.location], [treeHash(data), `/${account}/vaults/photos/archives/${one.archiveId}`]);

  const { uploadId } = await call('InitiateMultipartUpload', { vaultName, partSize: String(2 * MiB) });
  await Promise.all([0, 2, 4].map(async (mib) => {
    const body = data.subarray(mib * MiB, (mib + 2) * MiB);
    const range = `bytes ${mib * MiB}-${mib * MiB + body.length - 1}/*`;
    const part = await call('UploadMultipartPart', { vaultName, uploadId, range, body });
    assert.equal(part.checksum, treeHash(body));
  }));
  const parts = await call('ListParts', { vaultName, uploadId });
  assert.deepEqual(parts.Parts.map((p) => p.RangeInBytes), ['0-2097151', '2097152-4194303', '4194304-5242882']);
  const uploads = await call('ListMultipartUploads', { vaultName });
  assert.deepEqual(uploads.UploadsList.map((u) => [u.MultipartUploadId, u.PartSizeInBytes]), [[uploadId, 2 * MiB]]);
  await refused('CompleteMultipartUpload', 400, 'InvalidParameterValueException', { vaultName, uploadId, archiveSize: '1', checksum: treeHash(data) });
  const two = await call('CompleteMultipartUpload', { vaultName, uploadId, archiveSize: String(data.length), checksum: treeHash(data) });
  assert.equal(two.checksum, treeHash(data));

  const abandoned = await call('InitiateMultipartUpload', { vaultName, partSize: String(MiB) });
  await call('AbortMultipartUpload', { vaultName, uploadId: abandoned.uploadId });
  await refused('ListParts', 404, 'ResourceNotFoundException', { vaultName, uploadId: abandoned.uploadId });

  const vault = await call('DescribeVault', { vaultName });
  assert.deepEqual([vault.NumberOfArchives, vault.SizeInBytes], [2, 2 * data.length]);
  await refused('DeleteVault', 400, 'InvalidParameterValueException', { vaultName });
  for (const { archiveId } of [one, two]) await call('DeleteArchive', { vaultName, archiveId });
  await call('DeleteVault', { vaultName });
  await refused('UploadArchive', 404, 'ResourceNotFoundException', { vaultName, body: data });
});
