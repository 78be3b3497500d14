"""Layer2 and Vault follow the markers of lists that come in pages of two."""
from boto2 import layer1, layer2
from expect import MIB, equal, linear_hash, tree_hash

account, api = layer2(), layer1()
names = ['vault-%d' % i for i in range(5)]
for name in names:
    api.create_vault(name)
equal(len(api.list_vaults(limit=1000)['VaultList']), 2, 'vaults in a page')
equal([v.name for v in account.list_vaults()], names, 'Layer2.list_vaults')

# Every list exactly full: the last page has no marker.
api.delete_vault(names.pop())
equal([v.name for v in account.list_vaults()], names, 'Layer2.list_vaults in two full pages')

vault = account.get_vault(names[0])
upload = api.initiate_multipart_upload(vault.name, MIB)['UploadId']
for i in range(5):
    part = b'part %d' % i
    api.upload_part(vault.name, upload, linear_hash(part), tree_hash(part), (i * MIB, i * MIB + len(part) - 1), part)
equal(len(api.list_parts(vault.name, upload)['Parts']), 2, 'parts in a page')
parts = vault.list_all_parts(upload)
equal([p['RangeInBytes'] for p in parts['Parts']], ['%d-%d' % (i * MIB, i * MIB + 5) for i in range(5)], 'Vault.list_all_parts')
equal(parts['Marker'], None, 'Marker of all parts')

api.upload_archive(vault.name, part, linear_hash(part), tree_hash(part))
for list_page, key in (api.list_multipart_uploads, 'UploadsList'), (api.list_jobs, 'JobList'):
    for _ in range(4):
        api.initiate_multipart_upload(vault.name, MIB)
        api.initiate_job(vault.name, {'Type': 'inventory-retrieval'})
    sizes, marker = [], None
    while True:
        page = list_page(vault.name, marker=marker)
        sizes.append(len(page[key]))
        marker = page['Marker']
        if not marker:
            break
    equal(sum(sizes) >= 4 and set(sizes[:-1]) == {2}, True, '%s in pages of %s' % (key, sizes))
