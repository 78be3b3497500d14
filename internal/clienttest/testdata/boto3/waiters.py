"""boto3: the waiters."""
import threading

from botocore.exceptions import WaiterError
from expect import equal, raises
from sdk import client

api = client()
quick = {'Delay': 1, 'MaxAttempts': 20}


def later(change):
    timer = threading.Timer(0.2, change, kwargs={'vaultName': 'photos'})
    timer.start()
    return timer


api.get_waiter('vault_not_exists').wait(vaultName='photos')
timer = later(api.create_vault)
api.get_waiter('vault_exists').wait(vaultName='photos', WaiterConfig=quick)
timer.join()
api.get_waiter('vault_exists').wait(accountId='-', vaultName='photos')

e = raises(WaiterError, api.get_waiter('vault_not_exists').wait, vaultName='photos', WaiterConfig={'MaxAttempts': 1})
equal('Max attempts exceeded' in str(e), True, 'text of %s' % e)
timer = later(api.delete_vault)
api.get_waiter('vault_not_exists').wait(vaultName='photos', WaiterConfig=quick)
timer.join()
e = raises(WaiterError, api.get_waiter('vault_exists').wait, vaultName='photos', WaiterConfig={'MaxAttempts': 1})
equal('ResourceNotFoundException' in str(e), True, 'text of %s' % e)
# A failure that waiting does not mend ends the waiting.
e = raises(WaiterError, client(aws_secret_access_key='x', aws_access_key_id='y').get_waiter('vault_exists').wait, vaultName='photos')
equal('UnrecognizedClientException' in str(e), True, 'text of %s' % e)
