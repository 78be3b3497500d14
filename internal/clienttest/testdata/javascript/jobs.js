// The SDK for JavaScript: archives and inventories are retrieved, whole and in ranges.
const { MiB, account, assert, call, client, data, finished, glacier, refused, story, treeHash } = require('sdk');

async function retrieve(archiveId) {
  const vaultName = 'photos';
  const started = await call('InitiateJob', { vaultName, jobParameters: { Type: 'archive-retrieval', ArchiveId: archiveId, Tier: 'Expedited' } });
  assert.equal(started.location, `/${account}/vaults/photos/jobs/${started.jobId}`);
  const job = await finished(started.jobId);
  assert.deepEqual([job.StatusCode, job.Tier, job.SHA256TreeHash, job.ArchiveSizeInBytes], ['Succeeded', 'Expedited', treeHash(data), data.length]);
  const whole = await call('GetJobOutput', { vaultName, jobId: job.JobId });
  assert.deepEqual([whole.status, whole.checksum, whole.contentType], [200, treeHash(data), 'application/octet-stream']);
  assert.ok(data.equals(await whole.body.transformToByteArray()), 'the archive is another');
  const range = await call('GetJobOutput', { vaultName, jobId: job.JobId, range: 'bytes=4194304-9999999' });
  assert.deepEqual([range.status, range.contentRange, range.checksum],
    [206, 'bytes 4194304-5242882/5242883', treeHash(data.subarray(4 * MiB))]);
  assert.ok(data.subarray(4 * MiB).equals(await range.body.transformToByteArray()), 'the range is another');
  return job.JobId;
}

async function inventory(archives) {
  const vaultName = 'photos';
  const { jobId } = await call('InitiateJob', { vaultName, jobParameters: { Type: 'inventory-retrieval', InventoryRetrievalParameters: { Limit: '5' } } });
  const job = await finished(jobId);
  assert.deepEqual(job.InventoryRetrievalParameters, { Format: 'JSON', Limit: '5' });
  const output = await call('GetJobOutput', { vaultName, jobId });
  const text = await output.body.transformToString();
  assert.equal(text.length, job.InventorySizeInBytes);
  assert.deepEqual(JSON.parse(text).ArchiveList.map((a) => [a.ArchiveId, a.ArchiveDescription, a.Size]),
    [[archives[0], 'first', data.length], [archives[1], 'second', data.length]]);
  return jobId;
}

story(async () => {
  const vaultName = 'photos';
  await call('CreateVault', { vaultName });
  const archives = [];
  for (const archiveDescription of ['first', 'second']) {
    archives.push((await call('UploadArchive', { vaultName, body: data, archiveDescription })).archiveId);
  }
  const jobs = [await retrieve(archives[0]), await retrieve(archives[1]), await inventory(archives)];
  const listed = [];
  for await (const page of glacier.paginateListJobs({ client, pageSize: 2 }, { accountId: '-', vaultName })) {
    listed.push(page.JobList.map((j) => j.JobId));
  }
  assert.deepEqual(listed, [[jobs[2], jobs[1]], [jobs[0]]]);
  await refused('InitiateJob', 400, 'MissingParameterValueException', { vaultName, jobParameters: {} });
  await refused('GetJobOutput', 400, 'InvalidParameterValueException', { vaultName, jobId: jobs[0], range: 'bytes=5242883-' });
  await refused('DescribeJob', 404, 'ResourceNotFoundException', { vaultName, jobId: 'A'.repeat(92) });
});
