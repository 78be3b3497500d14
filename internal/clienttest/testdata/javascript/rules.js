// The SDK for JavaScript: policies, locks and tags of vaults, the retrieval policy and the capacity of the account.
const { account, assert, call, data, finished, refused, story } = require('sdk');

const vaultName = 'photos';
const denial = (action, condition) => ({
  Policy: JSON.stringify({ Version: '2012-10-17', Statement: [{ Sid: 'no', Effect: 'Deny', Principal: '*', Action: `glacier:${action}`, Resource: '*', Condition: condition }] }),
});

async function policies() {
  await refused('GetVaultAccessPolicy', 404, 'ResourceNotFoundException', { vaultName });
  const policy = denial('DeleteVault');
  await call('SetVaultAccessPolicy', { vaultName, policy });
  assert.deepEqual((await call('GetVaultAccessPolicy', { vaultName })).policy, policy);
  await refused('DeleteVault', 403, 'AccessDeniedException', { vaultName });
  await refused('SetVaultAccessPolicy', 400, 'InvalidParameterValueException', { vaultName, policy: { Policy: '{}' } });
  await call('DeleteVaultAccessPolicy', { vaultName });
}

async function tags() {
  assert.deepEqual((await call('ListTagsForVault', { vaultName })).Tags, {});
  await call('AddTagsToVault', { vaultName, Tags: { LegalHold: 'true', 'caf\u00e9 1': '' } });
  assert.deepEqual((await call('ListTagsForVault', { vaultName })).Tags, { LegalHold: 'true', 'caf\u00e9 1': '' });
  await call('RemoveTagsFromVault', { vaultName, TagKeys: ['caf\u00e9 1', 'absent'] });
  await refused('AddTagsToVault', 400, 'InvalidParameterValueException', { vaultName, Tags: { 'aws:x': '' } });
}

async function locks(archiveId) {
  const policy = denial('DeleteArchive', { StringLike: { 'glacier:ResourceTag/LegalHold': ['true', ''] } });
  await refused('GetVaultLock', 404, 'ResourceNotFoundException', { vaultName });
  await call('InitiateVaultLock', { vaultName, policy });
  await refused('DeleteArchive', 403, 'AccessDeniedException', { vaultName, archiveId });
  await call('AbortVaultLock', { vaultName });
  const { lockId } = await call('InitiateVaultLock', { vaultName, policy });
  const trial = await call('GetVaultLock', { vaultName });
  assert.deepEqual([trial.State, trial.Policy, typeof trial.ExpirationDate], ['InProgress', policy.Policy, 'string']);
  await refused('CompleteVaultLock', 400, 'InvalidParameterValueException', { vaultName, lockId: 'x'.repeat(24) });
  await call('CompleteVaultLock', { vaultName, lockId });
  const lock = await call('GetVaultLock', { vaultName });
  assert.deepEqual([lock.State, lock.ExpirationDate ?? null, lock.CreationDate], ['Locked', null, trial.CreationDate]);
  await refused('AbortVaultLock', 403, 'AccessDeniedException', { vaultName });
  await refused('DeleteArchive', 403, 'AccessDeniedException', { vaultName, archiveId });
  await call('RemoveTagsFromVault', { vaultName, TagKeys: ['LegalHold'] });
}

async function retrievals(archiveId) {
  const strategy = async () => (await call('GetDataRetrievalPolicy', {})).Policy.Rules;
  const start = (Tier) => ['InitiateJob', { vaultName, jobParameters: { Type: 'archive-retrieval', ArchiveId: archiveId, Tier } }];
  assert.deepEqual(await strategy(), [{ Strategy: 'None' }]);
  await call('SetDataRetrievalPolicy', { Policy: { Rules: [{ Strategy: 'BytesPerHour', BytesPerHour: data.length - 1 }] } });
  assert.deepEqual(await strategy(), [{ Strategy: 'BytesPerHour', BytesPerHour: data.length - 1 }]);
  await refused('InitiateJob', 400, 'PolicyEnforcedException', start('Standard')[1]);
  await finished((await call(...start('Bulk'))).jobId);
  await call('SetDataRetrievalPolicy', { Policy: { Rules: [{ Strategy: 'None' }] } });
  await finished((await call(...start('Standard'))).jobId);
  const units = [];
  for (let i = 0; i < 2; i++) units.push((await call('PurchaseProvisionedCapacity', {})).capacityId);
  await refused('PurchaseProvisionedCapacity', 400, 'LimitExceededException', {});
  assert.deepEqual((await call('ListProvisionedCapacity', {})).ProvisionedCapacityList.map((u) => u.CapacityId).sort(), units.sort());
}

story(async () => {
  assert.equal((await call('CreateVault', { vaultName })).location, `/${account}/vaults/${vaultName}`);
  const { archiveId } = await call('UploadArchive', { vaultName, body: data });
  await policies();
  await tags();
  await locks(archiveId);
  await retrievals(archiveId);
  await call('DeleteArchive', { vaultName, archiveId });
  await call('DeleteVault', { vaultName });
});
