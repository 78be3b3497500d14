"""boto3: paginators against a server that has the pages of the original: 10 vaults, 50 of everything else."""
from expect import MIB, equal
from sdk import client

api = client()
names = ['vault-%02d' % i for i in range(23)]
for name in names:
    api.create_vault(vaultName=name)


def pages(operation, key, **arguments):
    return [page[key] for page in api.get_paginator(operation).paginate(**arguments)]


listed = pages('list_vaults', 'VaultList')
equal([len(p) for p in listed], [10, 10, 3], 'pages of list_vaults')
equal([v['VaultName'] for p in listed for v in p], names, 'list_vaults')
equal([len(p) for p in pages('list_vaults', 'VaultList', PaginationConfig={'PageSize': 8})], [8, 8, 7], 'pages of 8')
equal([len(p) for p in pages('list_vaults', 'VaultList', PaginationConfig={'PageSize': 1000})], [10, 10, 3], 'pages of more than the maximum')
equal([v['VaultName'] for v in api.list_vaults(limit='1000')['VaultList']], names[:10], 'list_vaults with more than the maximum')
whole = api.get_paginator('list_vaults').paginate(PaginationConfig={'MaxItems': 12}).build_full_result()
equal([v['VaultName'] for v in whole['VaultList']], names[:12], 'the first twelve vaults')
rest = api.get_paginator('list_vaults').paginate(PaginationConfig={'StartingToken': whole['NextToken']}).build_full_result()
equal([v['VaultName'] for v in rest['VaultList']], names[12:], 'the others')

vault = dict(vaultName=names[0])
uploads = [api.initiate_multipart_upload(partSize=str(MIB), **vault)['uploadId'] for _ in range(51)]
listed = pages('list_multipart_uploads', 'UploadsList', **vault)
equal([len(p) for p in listed], [50, 1], 'pages of list_multipart_uploads')
equal(sorted(u['MultipartUploadId'] for p in listed for u in p), sorted(uploads), 'list_multipart_uploads')

upload = dict(uploadId=uploads[0], **vault)
for i in range(51):
    api.upload_multipart_part(range='bytes %d-%d/*' % (i * MIB, i * MIB), body=b'x', **upload)
listed = pages('list_parts', 'Parts', **upload)
equal([len(p) for p in listed], [50, 1], 'pages of list_parts')
equal([p['RangeInBytes'] for page in listed for p in page], ['%d-%d' % (i * MIB, i * MIB) for i in range(51)], 'list_parts')
equal([len(p) for p in pages('list_parts', 'Parts', PaginationConfig={'PageSize': 20}, **upload)], [20, 20, 11], 'pages of 20 parts')

archive = api.upload_archive(body=b'x', **vault)['archiveId']
jobs = [api.initiate_job(jobParameters={'Type': 'archive-retrieval', 'ArchiveId': archive}, **vault)['jobId'] for _ in range(100)]
listed = pages('list_jobs', 'JobList', **vault)
equal([len(p) for p in listed], [50, 50], 'pages of list_jobs')
equal([j['JobId'] for p in listed for j in p], jobs[::-1], 'list_jobs')
equal(pages('list_jobs', 'JobList', completed='true', **vault), [[]], 'list_jobs of what is not there')
