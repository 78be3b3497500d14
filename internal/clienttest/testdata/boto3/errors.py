"""boto3: errors come as the classes of the service's model, with status, code, message and request id."""
import os

from expect import MIB, equal, linear_hash, vault_arn
from sdk import client, refused

api = client()
for name in 'photos', 'other':
    api.create_vault(vaultName=name)
archive = api.upload_archive(vaultName='photos', body=b'x')['archiveId']
upload = api.initiate_multipart_upload(vaultName='photos', partSize=str(MIB))['uploadId']
notfound, invalid, missing = (api.exceptions.ResourceNotFoundException, api.exceptions.InvalidParameterValueException,
                              api.exceptions.MissingParameterValueException)
topic = 'arn:aws:sns:us-east-1:123456789012:done'
for kind, status, message, call, arguments in [
        (notfound, 404, 'Vault not found for ARN: ' + vault_arn('absent'), api.describe_vault, dict(vaultName='absent')),
        (notfound, 404, 'Vault not found for ARN: two:parts', api.describe_vault, dict(vaultName='two:parts')),
        (notfound, 404, 'Vault not found for ARN: ' + vault_arn('absent'), api.upload_archive, dict(vaultName='absent', body=b'x' * 3 * MIB)),
        (notfound, 404, 'The job ID was not found: nonsense', api.describe_job, dict(vaultName='photos', jobId='nonsense')),
        (notfound, 404, 'The upload ID was not found: nonsense', api.list_parts, dict(vaultName='photos', uploadId='nonsense')),
        (notfound, 404, 'The upload ID was not found: ' + upload, api.list_parts, dict(vaultName='other', uploadId=upload)),
        (notfound, 404, 'The archive ID was not found: nonsense', api.delete_archive, dict(vaultName='photos', archiveId='nonsense')),
        (notfound, 404, 'No notification configuration is set for vault: photos', api.get_vault_notifications, dict(vaultName='photos')),
        (invalid, 400, None, api.create_vault, dict(vaultName='two parts')),
        (invalid, 400, 'Vault not empty or recently written to: ' + vault_arn('photos'), api.delete_vault, dict(vaultName='photos')),
        (invalid, 400, 'Invalid vault name: ' + vault_arn('other'), api.delete_archive, dict(vaultName='other', archiveId=archive)),
        (invalid, 400, None, api.upload_archive, dict(vaultName='photos', body=b'x', archiveDescription='x' * 1025)),
        (invalid, 400, None, api.upload_archive, dict(vaultName='photos', body=b'x', archiveDescription='del\x7f')),
        (invalid, 400, 'Checksum mismatch: expected %s, computed %s' % (linear_hash(b'y'), linear_hash(b'x')), api.upload_archive,
         dict(vaultName='photos', body=b'x', checksum=linear_hash(b'y'))),
        (invalid, 400, 'Invalid Content-Length: 0', api.upload_archive, dict(vaultName='photos', body=b'')),
        (invalid, 400, None, api.initiate_multipart_upload, dict(vaultName='photos', partSize='1000000')),
        (missing, 400, None, api.initiate_multipart_upload, dict(vaultName='photos')),
        (invalid, 400, 'Invalid Content-Range: bytes 1-1/*', api.upload_multipart_part,
         dict(vaultName='photos', uploadId=upload, range='bytes 1-1/*', body=b'x')),
        (missing, 400, None, api.upload_multipart_part, dict(vaultName='photos', uploadId=upload, body=b'x')),
        (invalid, 400, None, api.complete_multipart_upload,
         dict(vaultName='photos', uploadId=upload, archiveSize='0', checksum=linear_hash(b''))),
        (missing, 400, None, api.complete_multipart_upload, dict(vaultName='photos', uploadId=upload, checksum=linear_hash(b''))),
        (missing, 400, 'Required parameter missing: type', api.initiate_job, dict(vaultName='photos', jobParameters={})),
        (invalid, 400, None, api.initiate_job, dict(vaultName='photos', jobParameters={'Type': 'select'})),
        (invalid, 400, 'The job status code is not valid: done', api.list_jobs, dict(vaultName='photos', statuscode='done')),
        (invalid, 400, None, api.list_jobs, dict(vaultName='photos', completed='yes')),
        (invalid, 400, 'Invalid limit: 0', api.list_vaults, dict(limit='0')),
        (invalid, 400, 'Invalid marker: nonsense', api.list_vaults, dict(marker='nonsense')),
        (missing, 400, None, api.set_vault_notifications, dict(vaultName='photos')),
        (missing, 400, None, api.set_vault_notifications, dict(vaultName='photos', vaultNotificationConfig={'SNSTopic': topic})),
        (invalid, 400, None, api.set_vault_notifications, dict(vaultName='photos', vaultNotificationConfig={'SNSTopic': topic, 'Events': ['x']}))]:
    e = refused(status, kind.__name__, call, **arguments)
    equal(type(e), kind, 'class of %s' % e)
    if message:
        equal(message in e.response['Error']['Message'], True, 'message %r in %s' % (message, e))
    equal(e.response['type'], 'Client', 'type of %s' % e)

api.create_vault(vaultName='third')
e = refused(400, 'LimitExceededException', api.create_vault, vaultName='fourth')
equal(type(e), api.exceptions.LimitExceededException, 'class of %s' % e)
api.create_vault(vaultName='third')

refused(403, 'InvalidSignatureException', client(aws_access_key_id=os.environ['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong').list_vaults)
refused(403, 'InvalidSignatureException', client(region_name='eu-west-1').list_vaults)
refused(400, 'UnrecognizedClientException', client(aws_access_key_id='AKIAXXXXXXXXXXXXXXXX', aws_secret_access_key='wrong').list_vaults)
refused(400, 'UnrecognizedClientException', api.list_vaults, accountId='nobody')
stranger = client(aws_access_key_id=os.environ['MORAINE_OTHER_KEY_ID'], aws_secret_access_key=os.environ['MORAINE_OTHER_SECRET'])
equal(stranger.list_vaults()['VaultList'], [], 'the vaults of another account')
account = os.environ['MORAINE_ACCOUNT']
refused(403, 'AccessDeniedException', stranger.list_vaults, accountId=account)
for name in 'photos', 'absent':
    refused(403, 'AccessDeniedException', stranger.describe_vault, accountId=account, vaultName=name)
    refused(403, 'AccessDeniedException', stranger.delete_archive, accountId=account, vaultName=name, archiveId=archive)
    refused(403, 'AccessDeniedException', stranger.upload_archive, accountId=account, vaultName=name, body=b'x' * 3 * MIB)
