"""boto3: the Security Token Service says who signs, to tools that ask before they use the vaults."""
import os

from expect import ACCOUNT, equal, like, moraine
from sdk import ONCE, of, raises, session
from botocore.exceptions import ClientError


def identity(**kwargs):
    sts = session(**kwargs).client('sts', endpoint_url=os.environ['MORAINE_ENDPOINT'], config=ONCE)
    answer = sts.get_caller_identity()
    like(answer['ResponseMetadata']['RequestId'], r'[A-Za-z0-9_-]{47}', 'RequestId')
    return answer['Account'], answer['Arn'], answer['UserId']


equal(identity(), (ACCOUNT, 'arn:aws:iam::%s:root' % ACCOUNT, ACCOUNT), 'the root')
alice = moraine('user', 'add', 'alice', '--path', '/ops/', '--account', ACCOUNT)
user = ACCOUNT, 'arn:aws:iam::%s:user/ops/alice' % ACCOUNT, alice['id']
equal(identity(**of(alice)), user, 'a user')
equal(identity(**of(moraine('token', '--user', 'alice', '--account', ACCOUNT))), user, 'a user with a token')
equal(identity(**of(moraine('token', '--account', ACCOUNT, '--mfa')))[1], 'arn:aws:iam::%s:root' % ACCOUNT, 'the root with a token')
role = moraine('role', 'add', 'restorer', '--account', ACCOUNT)
token = moraine('token', '--role', 'restorer', '--session', 'night', '--account', ACCOUNT)
equal(identity(**of(token)), (ACCOUNT, 'arn:aws:sts::%s:assumed-role/restorer/night' % ACCOUNT, role['id'] + ':night'), 'a session of a role')

for wrong, code in [
        (dict(of(alice), aws_secret_access_key='wrong'), 'InvalidSignatureException'), (dict(of(token), aws_session_token='wrong'), 'UnrecognizedClientException'),
        (dict(of(alice), aws_access_key_id='AKIAXXXXXXXXXXXXXXXX'), 'UnrecognizedClientException')]:
    equal(raises(ClientError, identity, **wrong).response['Error']['Code'], code, 'the code for %s' % wrong)
sts = session().client('sts', endpoint_url=os.environ['MORAINE_ENDPOINT'], config=ONCE)
e = raises(ClientError, sts.get_session_token)
equal('there is only GetCallerIdentity' in str(e), True, 'text of %s' % e)
