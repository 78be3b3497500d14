"""Layer1: who may not do what. Errors come as UnexpectedHTTPResponseError with a status and a code."""
import json
import os

from boto2 import layer1, refused
from expect import equal, linear_hash, tree_hash, vault_arn

api = layer1()
api.create_vault('photos')
account, other = os.environ['MORAINE_ACCOUNT'], os.environ['MORAINE_OTHER_ACCOUNT']
equal(layer1(account_id=account).describe_vault('photos')['VaultARN'], vault_arn('photos'), 'the vault by the number of the account')

e = refused(403, 'InvalidSignatureException', layer1(aws_secret_access_key='x' * 40).list_vaults)
equal('The request signature we calculated does not match the signature you provided' in str(e), True, 'text of %s' % e)
body = json.loads(e.body)
equal((sorted(body), body['type']), (['code', 'message', 'type'], 'Client'), 'body of the error')
refused(400, 'UnrecognizedClientException', layer1(aws_access_key_id='AKIAXXXXXXXXXXXXXXXX').list_vaults)
refused(400, 'UnrecognizedClientException', layer1(security_token='not a token').list_vaults)
refused(400, 'UnrecognizedClientException', layer1(account_id='1234-5678-9012').list_vaults)

# Another account sees nothing of the first one, not even whether a vault exists.
stranger = dict(aws_access_key_id=os.environ['MORAINE_OTHER_KEY_ID'], aws_secret_access_key=os.environ['MORAINE_OTHER_SECRET'])
equal(layer1(**stranger).list_vaults()['VaultList'], [], 'the vaults of the other account')
refused(404, 'ResourceNotFoundException', layer1(**stranger).describe_vault, 'photos')
intruder = layer1(account_id=account, **stranger)
e = refused(403, 'AccessDeniedException', intruder.list_vaults)
equal('Access denied for account ID: ' + account in str(e), True, 'text of %s' % e)
for vault in 'photos', 'absent':
    refused(403, 'AccessDeniedException', intruder.describe_vault, vault)
    refused(403, 'AccessDeniedException', intruder.create_vault, vault)
    refused(403, 'AccessDeniedException', intruder.delete_vault, vault)
    refused(403, 'AccessDeniedException', intruder.initiate_job, vault, {'Type': 'inventory-retrieval'})
    refused(403, 'AccessDeniedException', intruder.upload_archive, vault, b'x', linear_hash(b'x'), tree_hash(b'x'))
refused(403, 'AccessDeniedException', layer1(account_id=other).list_vaults)

# The region that is signed counts.
elsewhere = layer1()
elsewhere.auth_service_name, elsewhere.auth_region_name = 'glacier', 'eu-central-1'
e = refused(403, 'InvalidSignatureException', elsewhere.list_vaults)
equal("Credential should be scoped to the region 'us-east-1'" in str(e), True, 'text of %s' % e)
