// The SDK for JavaScript: vaults, their notifications, their pages, and waiting for them.
const { account, assert, call, client, glacier, refused, story } = require('sdk');

story(async () => {
  const vaultName = 'photos';
  await refused('DescribeVault', 404, 'ResourceNotFoundException', { vaultName });
  assert.equal((await call('CreateVault', { vaultName })).location, `/${account}/vaults/photos`);
  await glacier.waitUntilVaultExists({ client, maxWaitTime: 10 }, { accountId: '-', vaultName });
  await glacier.waitUntilVaultNotExists({ client, maxWaitTime: 10 }, { accountId: '-', vaultName: 'absent' });

  const vaultNotificationConfig = { SNSTopic: 'arn:aws:sns:us-east-1:123456789012:done', Events: ['ArchiveRetrievalCompleted'] };
  await refused('GetVaultNotifications', 404, 'ResourceNotFoundException', { vaultName });
  await call('SetVaultNotifications', { vaultName, vaultNotificationConfig });
  assert.deepEqual((await call('GetVaultNotifications', { vaultName })).vaultNotificationConfig, vaultNotificationConfig);
  await call('DeleteVaultNotifications', { vaultName });

  const names = ['photos', 'vault-0', 'vault-1', 'vault-2'];
  for (const name of names) await call('CreateVault', { vaultName: name });
  const listed = [];
  for await (const page of glacier.paginateListVaults({ client, pageSize: 3 }, { accountId: '-' })) {
    listed.push(page.VaultList.map((v) => v.VaultName));
  }
  assert.deepEqual(listed, [names.slice(0, 3), names.slice(3)]);

  await refused('CreateVault', 400, 'InvalidParameterValueException', { vaultName: 'two parts' });
  await refused('ListVaults', 403, 'AccessDeniedException', { accountId: process.env.MORAINE_OTHER_ACCOUNT });
  for (const name of names) await call('DeleteVault', { vaultName: name });
  assert.deepEqual((await call('ListVaults', {})).VaultList, []);
});
