"""Layer1 with hosts of every shape. boto signs the service and region that it takes from the labels of the name."""
from boto2 import PORT, layer1
from expect import equal, linear_hash, tree_hash


def story(api, vault):
    api.create_vault(vault)
    data = b'an archive for ' + vault.encode()
    archive = api.upload_archive(vault, data, linear_hash(data), tree_hash(data), 'a "b"  c')['ArchiveId']
    equal(api.list_vaults(limit=1)['VaultList'][0]['VaultName'], vault, 'the vault')
    api.initiate_job(vault, {'Type': 'archive-retrieval', 'ArchiveId': archive})
    api.delete_archive(vault, archive)
    api.delete_vault(vault)


story(layer1(), 'address')
story(layer1('localhost'), 'localhost')

# With a proxy boto sends the whole URL as the target of the request; the server is its own proxy here.
for host in 'glacier.us-east-1.amazonaws.com', 'glacier.example.org', 'glacier.local', 'vaults', '10.1.2.3':
    story(layer1(host, port=80, proxy='127.0.0.1', proxy_port=PORT), 'proxy')
story(layer1('glacier.us-east-1.example.org', port=None, proxy='localhost', proxy_port=str(PORT)), 'proxy')

# A path before that of the API is not ours, but doubled slashes are taken out by boto itself or by the server.
story(layer1(path='//', suppress_consec_slashes=True), 'slashes')
