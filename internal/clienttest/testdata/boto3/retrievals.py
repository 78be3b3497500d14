"""boto3: the data retrieval policy, and provisioned capacity. The server emulates the original, in which a Standard retrieval takes four hours."""
from expect import LOCK_ID, MIB, TIMESTAMP, advance, equal, like
from sdk import client, refused

api = client()
vault = dict(vaultName='photos')
api.create_vault(**vault)
archive = api.upload_archive(body=b'x' * (4 * MIB), **vault)['archiveId']


def start(tier, **more):
    return dict(vault, jobParameters=dict({'Type': 'archive-retrieval', 'ArchiveId': archive, 'Tier': tier}, **more))


def rule(strategy, **more):
    response = api.set_data_retrieval_policy(Policy={'Rules': [dict({'Strategy': strategy}, **more)]})
    equal(response['ResponseMetadata']['HTTPStatusCode'], 204, 'status of set_data_retrieval_policy')
    equal(rules(), [dict({'Strategy': strategy}, **more)], 'get_data_retrieval_policy')


def rules():
    return api.get_data_retrieval_policy()['Policy']['Rules']


def jobs():
    return len(api.list_jobs(**vault)['JobList'])


equal(rules(), [{'Strategy': 'None'}], 'the policy of a new account')
for code, wrong in [
        ('MissingParameterValueException', {}), ('MissingParameterValueException', {'Rules': []}), ('MissingParameterValueException', {'Rules': [{}]}),
        ('MissingParameterValueException', {'Rules': [{'Strategy': 'BytesPerHour'}]}), ('InvalidParameterValueException', {'Rules': [{'Strategy': 'none'}]}),
        ('InvalidParameterValueException', {'Rules': [{'Strategy': 'BytesPerHour', 'BytesPerHour': 0}]}),
        ('InvalidParameterValueException', {'Rules': [{'Strategy': 'FreeTier', 'BytesPerHour': 1}]}),
        ('InvalidParameterValueException', {'Rules': [{'Strategy': 'None'}, {'Strategy': 'FreeTier'}]})]:
    refused(400, code, api.set_data_retrieval_policy, Policy=wrong)
refused(403, 'AccessDeniedException', api.get_data_retrieval_policy, accountId='999999999999')
rule('FreeTier')
api.initiate_job(**start('Standard'))

# Four MiB in four hours are one MiB an hour. The limit counts only the tier Standard, and what it refuses leaves no trace.
rule('BytesPerHour', BytesPerHour=2 * MIB)
api.initiate_job(**start('Standard'))
before = jobs()
e = refused(400, 'PolicyEnforcedException', api.initiate_job, **start('Standard'))
equal(('InitiateJob request denied by current data retrieval policy.' in str(e), type(e)), (True, api.exceptions.PolicyEnforcedException), 'text and class of %s' % e)
refused(400, 'PolicyEnforcedException', api.initiate_job, **start('Standard', RetrievalByteRange='0-1048575'))
equal(jobs(), before, 'jobs after refused ones')
for tier in 'Bulk', 'Expedited':
    api.initiate_job(**start(tier))
rule('None')
api.initiate_job(**start('Standard'))
rule('BytesPerHour', BytesPerHour=2 * MIB)
refused(400, 'PolicyEnforcedException', api.initiate_job, **start('Standard'))
advance('4h')
api.initiate_job(**start('Standard'))

# Two units of capacity for a month, each for three expedited retrievals in five minutes.
equal(api.list_provisioned_capacity()['ProvisionedCapacityList'], [], 'the capacity of a new account')
units = []
for _ in range(2):
    response = api.purchase_provisioned_capacity()
    equal(response['ResponseMetadata']['HTTPStatusCode'], 201, 'status of purchase_provisioned_capacity')
    like(response['capacityId'], LOCK_ID, 'capacityId')
    units.append(response['capacityId'])
e = refused(400, 'LimitExceededException', api.purchase_provisioned_capacity)
listed = api.list_provisioned_capacity()['ProvisionedCapacityList']
equal(sorted(u['CapacityId'] for u in listed), sorted(units), 'list_provisioned_capacity')
for unit in listed:
    for name in 'StartDate', 'ExpirationDate':
        like(unit[name], TIMESTAMP.replace(r'\.\d{3}Z', r'\.000Z'), name)
    equal(unit['StartDate'][10:], unit['ExpirationDate'][10:], 'the time of day of the end')
for _ in range(6):
    api.initiate_job(**start('Expedited'))
before = jobs()
e = refused(503, 'InsufficientCapacityException', api.initiate_job, **start('Expedited'))
equal((type(e), e.response['type']), (api.exceptions.InsufficientCapacityException, 'Server'), 'class and type of %s' % e)
equal(jobs(), before, 'jobs after a refused one')
advance('5m')
api.initiate_job(**start('Expedited'))
advance('744h')
equal(api.list_provisioned_capacity()['ProvisionedCapacityList'], [], 'capacity a month later')
api.purchase_provisioned_capacity()
