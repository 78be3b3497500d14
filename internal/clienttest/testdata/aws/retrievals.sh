# The aws CLI: the data retrieval policy, and provisioned capacity. The server emulates the original, in which a Standard retrieval takes four hours.
source testdata/shell/expect.sh
export AWS_MAX_ATTEMPTS=1 # what is refused is asked once
id='--account-id -'
vault="$id --vault-name photos"
glacier create-vault $vault >/dev/null
head -c 4194304 /dev/zero >"$HOME/data"
archive=$(glacier upload-archive $vault --body "$HOME/data" --query archiveId --output text)
job() { echo "initiate-job $vault --job-parameters {\"Type\":\"archive-retrieval\",\"ArchiveId\":\"$archive\",\"Tier\":\"$1\"}"; }
rules() { glacier get-data-retrieval-policy $id --query 'Policy.Rules[0].[Strategy,BytesPerHour]' --output text; }

is "$(rules)" "None	None" get-data-retrieval-policy
is "$(glacier set-data-retrieval-policy $id --policy '{"Rules":[{"Strategy":"BytesPerHour","BytesPerHour":1048576}]}')" "" set-data-retrieval-policy
is "$(rules)" "BytesPerHour	1048576" get-data-retrieval-policy
glacier $(job Standard) >/dev/null
refused PolicyEnforcedException $(job Standard)
glacier $(job Bulk) >/dev/null
glacier set-data-retrieval-policy $id --policy '{"Rules":[{"Strategy":"None"}]}'
glacier $(job Standard) >/dev/null

for _ in 1 2; do like "$(glacier purchase-provisioned-capacity $id --query capacityId --output text)" '[A-Za-z0-9_][A-Za-z0-9_-]{23}' capacityId; done
refused LimitExceededException purchase-provisioned-capacity $id
is "$(glacier list-provisioned-capacity $id --query 'length(ProvisionedCapacityList)')" 2 list-provisioned-capacity
glacier $(job Expedited) >/dev/null
