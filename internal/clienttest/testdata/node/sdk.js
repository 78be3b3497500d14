// A client of the SDK for JavaScript for the server that the environment names, and what the scripts hold against what they see.
const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const glacier = require('@aws-sdk/client-glacier');

const MiB = 1 << 20;
const account = process.env.MORAINE_ACCOUNT;
const client = new glacier.GlacierClient({ endpoint: process.env.MORAINE_ENDPOINT, region: process.env.AWS_REGION, maxAttempts: 1 });
const call = (name, input) => client.send(new glacier[name + 'Command']({ accountId: '-', ...input }));
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash('sha256')).digest();

// treeHash computes the tree hash apart from the SDK.
function treeHash(data) {
  let level = [];
  for (let i = 0; i < data.length; i += MiB) level.push(sha256(data.subarray(i, i + MiB)));
  while (level.length > 1) {
    const next = [];
    for (let i = 0; i < level.length; i += 2) next.push(i + 1 < level.length ? sha256(level[i], level[i + 1]) : level[i]);
    level = next;
  }
  return level[0].toString('hex');
}

// refused calls what must be refused, with a status and an error of a class.
async function refused(name, status, kind, input) {
  await assert.rejects(call(name, input), (e) => {
    assert.deepEqual([e.$metadata.httpStatusCode, e.name], [status, kind], e.message);
    assert.match(e.$metadata.requestId, /^[A-Za-z0-9_-]{47}$/);
    if (glacier[kind]) assert.ok(e instanceof glacier[kind], `${e.name} is not of its class`);
    return true;
  });
}

// finished waits for the end of a job of the vault photos.
async function finished(jobId) {
  for (let i = 0; i < 500; i++) {
    const job = await call('DescribeJob', { vaultName: 'photos', jobId });
    if (job.Completed) return job;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`job ${jobId} did not end`);
}

// story runs a script's function; the script fails when it does.
function story(tell) {
  tell().catch((e) => {
    console.error(e);
    process.exitCode = 1;
  });
}

module.exports = {
  MiB, account, assert, call, client, finished, glacier, refused, story, treeHash,
  data: Buffer.alloc(5 * MiB + 3, Buffer.from(Array.from({ length: 251 }, (_, i) => i))),
};
